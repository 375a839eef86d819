/** How a login starts, the same for both flows: the client is checked, limits are counted, a grant is stored. @module */

import type { Client } from '../config.ts'
import type { Flow } from '../core/grant.ts'
import type { Refusal } from '../core/outcome.ts'
import { cleanLabel } from '../core/text.ts'
import type { NewGrant } from '../store.ts'
import { refuseNetwork } from './access.ts'
import { scopeList } from './credentials.ts'
import { type Caller, createId, type Deps, warnHourly } from './deps.ts'
import { recordEvent } from './events.ts'
import { pendingLimits, releaseLimits, startLimit, takeOrRecord } from './limits.ts'

/** What a CLI says of itself when it asks to be signed in. */
export interface StartRequest {
  readonly client_id: string
  /** Space-separated; every one must be registered for the client. */
  readonly scope?: string | undefined
  /** What the machine calls itself; shown as unverified. */
  readonly device_name?: string | undefined
}

/** Finds the client and checks that it may use a flow. */
export function findClient(deps: Deps, flow: Flow, clientId: string): Client | Refusal {
  const client = deps.config.clients.get(clientId)
  if (!client) return { status: 'invalid_client' }
  return client.flows.includes(flow) ? client : { status: 'unauthorized_client' }
}

function parseScope(client: Client, scope = ''): string | null {
  const wanted = [...new Set(scopeList(scope).filter(Boolean))]
  return wanted.every((token) => client.scopes.includes(token)) ? wanted.join(' ') : null
}

async function overLimit(
  deps: Deps,
  caller: Caller,
  flow: Flow,
  clientId: string,
  now: number,
): Promise<Refusal | null> {
  const [perAddress, inAll] = pendingLimits(deps, flow, caller.remoteAddress)
  if (caller.remoteAddress === null)
    warnHourly(deps, 'The address of a request is unknown: is a proxy missing in "trustedProxies"?')
  const limits = [startLimit(deps, caller.remoteAddress), perAddress, inAll]
  const reached = await takeOrRecord(deps, caller, limits, now, { client_id: clientId })
  if (!reached) return null
  const status = reached.limit === inAll ? 'overloaded' : 'rate_limited'
  return { status, retry_after: reached.retry_after }
}

/** The parts of a grant in which the flows differ. */
export type GrantParts = Pick<
  NewGrant,
  'flow' | 'secret_hash' | 'user_code' | 'match_code' | 'loopback_port' | 'loopback_state' | 'poll_interval'
> & {
  seconds: number
}

/**
 * Stores a new pending grant.
 *
 * @param make Makes the parts that must be unique; called again, up to `tries` times, when they were taken.
 * @returns The grant, or why there is none; then nothing was stored.
 */
export async function startGrant(
  deps: Deps,
  caller: Caller,
  start: StartRequest & { flow: Flow },
  make: () => GrantParts,
  tries = 1,
): Promise<NewGrant | Refusal> {
  const client = findClient(deps, start.flow, start.client_id)
  if ('status' in client) return client
  const scope = parseScope(client, start.scope)
  if (scope === null) return { status: 'invalid_scope' }
  const untrusted = await refuseNetwork(deps, caller, client)
  if (untrusted) return untrusted
  // one time for the counters and the grant, so that the decision finds the bucket again
  const now = deps.now()
  const refusal = await overLimit(deps, caller, start.flow, client.id, now)
  if (refusal) return refusal
  for (let i = 0; i < tries; i++) {
    const { seconds, ...parts } = make()
    const grant: NewGrant = {
      ...parts,
      id: createId(deps, now, 10),
      client_id: client.id,
      scope,
      device_name: cleanLabel(start.device_name),
      remote_address: caller.remoteAddress,
      created_at: now,
      expires_at: now + seconds * 1000,
    }
    if (!(await deps.store.insertGrant(grant))) continue
    await recordEvent(deps, caller, 'started', {
      client_id: client.id,
      grant_id: grant.id,
      detail: start.flow,
    })
    return grant
  }
  await releaseLimits(deps, pendingLimits(deps, start.flow, caller.remoteAddress), now)
  return { status: 'conflict', description: 'The paircode is known already, make a new one' }
}
