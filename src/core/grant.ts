/** The state machine of both flows: what a grant is, and what a poll or a decision may do with it. @module */

/** The two flows: `pair` is paircode -> session, `device` is device code -> API key (RFC 8628). */
export type Flow = 'device' | 'pair'

/** What the person decided; `pending` until then. Expiry follows from the time, redemption from the credential. */
export type GrantStatus = 'pending' | 'approved' | 'denied'

/** One request of a CLI to be signed in, as the store keeps it. Times are epoch milliseconds. */
export interface Grant {
  readonly id: string
  readonly flow: Flow
  readonly client_id: string
  /** Lower-case hex SHA-256 of what the CLI must show to collect: its device code or its verifier. */
  readonly secret_hash: string
  /** Device flow: the letters the person types. Null in the paircode flow. */
  readonly user_code: string | null
  /** Paircode flow: a word and a number shown on both sides. Null in the device flow. */
  readonly match_code: string | null
  /** Space-separated, as requested; the person may narrow it, which is final. */
  readonly scope: string
  readonly device_name: string | null
  /** Delivery `loopback`: the port of 127.0.0.1 that the browser goes to after the decision. Null: the CLI only polls. */
  readonly loopback_port: number | null
  /** Delivery `loopback`: what the CLI wants to see again there. */
  readonly loopback_state: string | null
  /** Where the request came from; null when that is not known for sure. */
  readonly remote_address: string | null
  readonly status: GrantStatus
  readonly user_id: string | null
  /** The organisation that the person chose. */
  readonly tenant: string | null
  /** Seconds between polls; grows with each `slow_down`. */
  readonly poll_interval: number
  readonly created_at: number
  readonly expires_at: number
  readonly decided_at: number | null
  /** Where the person was who decided; null when unknown. */
  readonly decided_address: string | null
  /** Lower-case hex SHA-256 of the code that the browser brought to the CLI; null unless allowed by `loopback`. */
  readonly code_hash: string | null
  /** The credential this grant was redeemed for, if it was. */
  readonly credential_id: string | null
}

/** Where a grant stands at a moment. */
export type GrantState = 'pending' | 'approved' | 'denied' | 'redeemed' | 'expired'

/** Tells where `grant` stands at `now` (epoch ms). What happened outlives the expiry. */
export function grantState(grant: Grant, now: number): GrantState {
  if (grant.credential_id !== null) return 'redeemed'
  if (grant.status === 'denied') return 'denied'
  return grant.expires_at > now ? grant.status : 'expired'
}

/** Polls may come this much too early, in milliseconds: clocks and networks jitter. */
export const POLL_JITTER = 300

/** What `slow_down` adds, and where it stops; seconds (RFC 8628 section 3.5). */
export const SLOW_DOWN = { step: 5, max: 60 } as const

/** The interval after one more `slow_down`; seconds. */
export function slowerInterval(interval: number): number {
  return Math.max(interval, Math.min(interval + SLOW_DOWN.step, SLOW_DOWN.max))
}

/** What a poll finds. `issue` means: try to mint the credential now. */
export type PollDecision =
  | { readonly status: 'invalid_grant' | 'access_denied' | 'expired_token' | 'issue' }
  | { readonly status: 'authorization_pending' | 'slow_down'; readonly interval: number }

/** Who polls, and when. Times are epoch milliseconds. */
export interface Poll {
  readonly flow: Flow
  readonly client_id: string
  /** Lower-case hex SHA-256 of the code that the browser brought; null when there is none. */
  readonly code_hash: string | null
  readonly now: number
  /** When this grant was polled last. */
  readonly last: number | undefined
}

/** Waits for the person, or for the code that their browser is about to bring. */
function pace(grant: Grant, { now, last }: Poll): PollDecision {
  const early = last !== undefined && now - last < grant.poll_interval * 1000 - POLL_JITTER
  return early
    ? { status: 'slow_down', interval: slowerInterval(grant.poll_interval) }
    : { status: 'authorization_pending', interval: grant.poll_interval }
}

/**
 * Decides what a poll is answered (RFC 8628 section 3.5). Only a grant that has to wait is paced: one that was decided
 * or has expired is answered at once. By `loopback` an allowed one waits for its code, so that nobody collects it who
 * has not got the code from the person's own browser; a wrong code changes nothing.
 */
export function decidePoll(grant: Grant, poll: Poll): PollDecision {
  if (grant.flow !== poll.flow || grant.client_id !== poll.client_id) return { status: 'invalid_grant' }
  switch (grantState(grant, poll.now)) {
    case 'redeemed':
      return { status: 'invalid_grant' }
    case 'denied':
      return { status: 'access_denied' }
    case 'expired':
      return { status: 'expired_token' }
    case 'approved':
      if (poll.code_hash === null && grant.loopback_port !== null) return pace(grant, poll)
      return { status: poll.code_hash === grant.code_hash ? 'issue' : 'invalid_grant' }
    case 'pending':
      return poll.code_hash === null ? pace(grant, poll) : { status: 'invalid_grant' }
  }
}
