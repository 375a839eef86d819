/** What the flows answer: tagged unions on `status`. Each door turns them into its own words in one place. @module */

/** Why a request was not even considered. */
export type Refusal =
  | { readonly status: 'invalid_request'; readonly description: string }
  | { readonly status: 'invalid_client' | 'unauthorized_client' | 'invalid_scope' }
  /** It is there already, or was changed meanwhile. */
  | { readonly status: 'conflict'; readonly description: string }
  /** Over a limit of this caller (`rate_limited`) or of the whole service (`overloaded`); `retry_after` in seconds. */
  | { readonly status: 'rate_limited' | 'overloaded'; readonly retry_after: number }
  | { readonly status: 'not_signed_in' | 'user_disabled' }
  /** The credential lacks a scope (RFC 6750 section 3.1). */
  | { readonly status: 'insufficient_scope' }
  /** The sign-in is older than `maxAuthAgeSeconds` (the word is that of OpenID Connect Core section 3.1.2.6). */
  | { readonly status: 'login_required' }
  /** The gateway's `isAllowed` said no. */
  | { readonly status: 'not_allowed' }
  /** Outside of `trustedNetworks`. */
  | { readonly status: 'untrusted_network' }
  /** The person has as many live credentials of this kind as may be. */
  | { readonly status: 'too_many_credentials'; readonly max: number }

/** A credential, handed out once. */
export interface TokenResponse {
  readonly status: 'issued'
  /** Shown this once. */
  readonly access_token: string
  readonly token_type: 'Bearer'
  /** Lifetime of the access token, in seconds. */
  readonly expires_in: number
  /** Good for one refresh (RFC 6749 section 6); absent when the access token lives as long as the login. */
  readonly refresh_token?: string
  /** Space-separated; absent when there is none. */
  readonly scope?: string
}

/** Why a poll brought no credential (RFC 8628 section 3.5); `interval` in seconds. */
export type TokenError =
  | { readonly status: 'authorization_pending' | 'slow_down'; readonly interval: number }
  | { readonly status: 'invalid_grant' | 'access_denied' | 'expired_token' }

/** What a poll is answered, refusals apart. */
export type TokenOutcome = TokenResponse | TokenError

/** What a person is shown before deciding. */
export interface ReviewDetails {
  readonly status: 'pending'
  readonly flow: 'device' | 'pair'
  readonly client_id: string
  /** What people know the app by. */
  readonly client_name: string
  /** What the CLI calls its machine: unverified. */
  readonly device_name: string | null
  /** Where the request came from; null when unknown. */
  readonly remote_address: string | null
  /** Epoch seconds. */
  readonly started_at: number
  /** Seconds until the request expires. */
  readonly expires_in: number
  /** What is asked for, separated by spaces. */
  readonly scope: string
  /** The organisations to choose from; empty when there is nothing to choose. */
  readonly tenants: readonly { readonly id: string; readonly name: string }[]
  /** Lifetime of the login, in seconds. */
  readonly lifetime: number
  /** The user code (device flow) or match code (paircode flow); null when the person has to type it. */
  readonly code: string | null
  /** False for older clients, whose terminal shows no code to compare. */
  readonly code_in_terminal: boolean
  /** True when terminal and browser are not surely on one network: allowing then takes the code, typed. */
  readonly code_required: boolean
  /**
   * The port of 127.0.0.1 that the browser goes to after the decision; null when it goes nowhere. A form that decides
   * and is then redirected needs `http://127.0.0.1:{port}` in `form-action` of its Content-Security-Policy.
   */
  readonly loopback_port: number | null
}

/** Why there is nothing to decide. */
export type ReviewError =
  | { readonly status: 'not_found' | 'expired' }
  /** Somebody was first; `your_decision` is what it was when that somebody was the same person. */
  | { readonly status: 'already_decided'; readonly your_decision: 'approved' | 'denied' | null }

/** What a decision came to. */
export type DecideOutcome =
  | {
      readonly status: 'approved' | 'denied'
      /**
       * Only for a login with delivery `loopback`: where the browser has to go now, at once. Holds a code that is good
       * once, for 60 seconds: not to be logged.
       */
      readonly redirect_to?: string
    }
  /** The typed code was not the one in the terminal; nothing was decided. */
  | { readonly status: 'wrong_code' }
  /** None of the organisations to choose from was chosen; nothing was decided. */
  | { readonly status: 'tenant_required' }
  /** The scope is not part of what was asked for, or nothing is left of it; nothing was decided. */
  | { readonly status: 'scope_required' }
  | ReviewError

// a record, not a list, so that the compiler finds a refusal that is missing here
const REFUSALS: Readonly<Record<Refusal['status'], true>> = {
  invalid_request: true,
  invalid_client: true,
  unauthorized_client: true,
  invalid_scope: true,
  conflict: true,
  rate_limited: true,
  overloaded: true,
  not_signed_in: true,
  user_disabled: true,
  insufficient_scope: true,
  login_required: true,
  not_allowed: true,
  untrusted_network: true,
  too_many_credentials: true,
}

/** Tells whether an outcome is a refusal: the request was not even considered. */
export function isRefusal(outcome: object): outcome is Refusal {
  return 'status' in outcome && typeof outcome.status === 'string' && Object.hasOwn(REFUSALS, outcome.status)
}
