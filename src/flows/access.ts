/** Whether somebody may have a credential: asked when it is allowed, made, issued and refreshed. @module */

import { type Client, OFFLINE_SCOPE } from '../config.ts'
import type { Flow } from '../core/grant.ts'
import type { CredentialKind } from '../core/secret.ts'
import type { User } from '../store.ts'
import { scopeList } from './credentials.ts'
import type { Deps } from './deps.ts'

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
