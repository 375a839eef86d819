/**
 * The paircode flow: the CLI keeps a verifier and shows only its S256, the paircode. Opening the link proves nothing
 * and collects nothing; collecting takes the verifier, and the person's Allow.
 *
 * @module
 */

import { type DeliveryRequest, readDelivery } from '../core/loopback.ts'
import { createMatchCode } from '../core/match_code.ts'
import type { Refusal, TokenOutcome } from '../core/outcome.ts'
import { paircodeHash } from '../hash.ts'
import { collect } from './collect.ts'
import type { Caller, Deps } from './deps.ts'
import type { Wait } from './held.ts'
import { purgeSometimes } from './purge.ts'
import { type StartRequest, startGrant } from './start.ts'

/** What a CLI gets for its paircode. Times in seconds. */
export interface PairStartResponse {
  /** The link for the person; it holds the paircode and nothing secret. */
  readonly login_url: string
  /** A word and a number; the page shows the same. */
  readonly match_code: string
  /** Until when somebody has to have decided. */
  readonly expires_in: number
  /** Least time between two polls. */
  readonly interval: number
}

/** Starts a login for a paircode that nobody used yet. */
export async function startPair(
  deps: Deps,
  caller: Caller,
  start: StartRequest & DeliveryRequest & { paircode: string },
  { seconds, interval } = { seconds: deps.config.paircodeSeconds, interval: deps.config.pollSeconds },
): Promise<PairStartResponse | Refusal> {
  const secretHash = paircodeHash(start.paircode)
  if (!secretHash) {
    return {
      status: 'invalid_request',
      description: 'paircode must be the 43 characters of BASE64URL(SHA-256(verifier))',
    }
  }
  const loopback = readDelivery(start)
  if (typeof loopback === 'string') return { status: 'invalid_request', description: loopback }
  const client = deps.config.clients.get(start.client_id)
  const delivery = loopback.loopback_port === null ? 'poll' : 'loopback'
  if (client && !client.deliveries.includes(delivery))
    return { status: 'invalid_request', description: `This client may not use delivery=${delivery}` }
  const matchCode = createMatchCode(deps.random)
  const grant = await startGrant(deps, caller, { ...start, flow: 'pair' }, () => ({
    flow: 'pair',
    secret_hash: secretHash,
    user_code: null,
    match_code: matchCode,
    ...loopback,
    poll_interval: interval,
    seconds,
  }))
  purgeSometimes(deps)
  if ('status' in grant) return grant
  return {
    login_url: `${deps.config.baseUrl}/pair/${start.paircode}`,
    match_code: matchCode,
    expires_in: seconds,
    interval,
  }
}

const VERIFIER = /^[A-Za-z0-9._~-]{43,128}$/

/** Answers a poll with a verifier (of the form RFC 7636 section 4.1 gives it), and by `loopback` with the code too. */
export async function redeemVerifier(
  deps: Deps,
  caller: Caller,
  poll: { client_id: string; verifier: string; code?: string | undefined; wait?: Wait | undefined },
): Promise<TokenOutcome | Refusal> {
  if (!VERIFIER.test(poll.verifier)) return { status: 'invalid_grant' }
  const { client_id, verifier: secret, code, wait } = poll
  return await collect(deps, caller, { flow: 'pair', client_id, secret, code, wait })
}
