/** Whether somebody may have a credential: asked when it is allowed, made, issued and refreshed. @module */

import { type Client, OFFLINE_SCOPE } from '../config.ts'
import { addressBucket, isInRanges } from '../core/address.ts'
import type { Flow } from '../core/grant.ts'
import type { Refusal } from '../core/outcome.ts'
import type { CredentialKind } from '../core/secret.ts'
import type { User } from '../store.ts'
import type { Viewer } from './browser.ts'
import { scopeList } from './credentials.ts'
import type { Caller, Deps } from './deps.ts'
import { recordSometimes } from './limits.ts'

/** What each flow ends in. */
export const KIND = { device: 'api_key', pair: 'session' } as const satisfies Record<Flow, CredentialKind>

/** What is asked for. */
export interface Wanted {
  readonly client_id: string | null
  readonly scope: string
  readonly tenant: string | null
}

/** Asks the gateway; true when it was not told how to answer. */
export async function isAllowed(deps: Deps, user: User, wanted: Wanted): Promise<boolean> {
  const { issuer, subject, name, email } = user
  const { client_id, scope, tenant } = wanted
  const request = { issuer, subject, name, email, client_id, scopes: scopeList(scope), tenant }
  // only a plain `true` lets somebody in: a forgotten await or return does not
  return !deps.config.isAllowed || (await deps.config.isAllowed(request)) === true
}

/**
 * Refuses, and records, what comes from outside of trusted networks; an unknown address is in none. Null when it may go on.
 *
 * @param client Whose networks they are; those of the options when it is for no client.
 */
export async function refuseNetwork(
  deps: Deps,
  caller: Caller,
  client: Client | null,
  user?: User,
): Promise<Refusal | null> {
  const { trustedNetworks } = client ?? deps.config
  const { remoteAddress } = caller
  if (trustedNetworks === null || (remoteAddress !== null && isInRanges(remoteAddress, trustedNetworks)))
    return null
  const detail = `untrusted_network ${addressBucket(remoteAddress)}`
  // not by address: a network has as many as it likes
  const key = `refused untrusted_network ${client?.id ?? ''} ${user?.id ?? ''}`
  await recordSometimes(deps, caller, 'refused', { user, client_id: client?.id, detail }, key)
  return { status: 'untrusted_network' }
}

/**
 * The organisation that a credential is for: the one that was named, or the only one there is.
 *
 * @returns Null when there are none; undefined when the choice is missing, or not among them.
 */
export function chooseTenant(
  tenants: Viewer['tenants'],
  named: string | undefined,
): string | null | undefined {
  const wanted = named ?? (tenants.length === 1 ? tenants[0]?.id : undefined)
  if (tenants.length === 0 && wanted === undefined) return null
  return tenants.find(({ id }) => id === wanted)?.id
}

/** How many live credentials of a kind a person may have. */
export function mostCredentials({ config: { limits } }: Deps, kind: 'session' | 'api_key'): number {
  return kind === 'api_key' ? limits.keysPerUser : limits.sessionsPerUser
}

/** Tells whether a login comes with a refresh token. */
export function isRefreshable(client: Client, scope: string): boolean {
  return client.refresh || scopeList(scope).includes(OFFLINE_SCOPE)
}

/** Lifetime of the login that a flow ends in; seconds. */
export function loginSeconds({ config }: Deps, flow: Flow, client: Client, scope: string): number {
  if (isRefreshable(client, scope)) return config.refreshSeconds
  return flow === 'device' ? client.keySeconds : client.sessionSeconds
}
