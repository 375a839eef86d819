/** What a pairgate takes and answers. Made by "npm run generate" of the router: do not edit. @module */

/** Every procedure of a pairgate. A call that the server refuses rejects with an error that has {@link ApiErrorData}. */
export interface PairgateApi {
  /** Logins by a code that the person types (RFC 8628); they end in an API key. */
  readonly device: {
    /** Starts a login by code: the device authorization request (RFC 8628 section 3.1). */
    readonly authorize: Mutation<StartInput, DeviceAuthorizationResponse>
    /** Collects the API key, or says that it has to wait: the device access token request (RFC 8628 section 3.4). */
    readonly token: Mutation<DeviceTokenInput, TokenOutcome>
    /** Shows a login to the person who may decide it. For pages of the server's own origin. */
    readonly review: Mutation<{ user_code: string }, ReviewDetails | ReviewError>
    /** Allows a login. The first decision is final. For pages of the server's own origin. */
    readonly approve: Mutation<DeviceDecisionInput, DecideOutcome>
    /** Denies a login. The first decision is final. For pages of the server's own origin. */
    readonly deny: Mutation<DeviceDecisionInput, DecideOutcome>
  }
  /** Logins by a link that the person opens; they end in a session. */
  readonly pair: {
    /** Starts a login by link. A paircode is good for one. */
    readonly start: Mutation<PairStartInput, PairStartResponse>
    /** Collects the session, or says that it has to wait. */
    readonly token: Mutation<PairTokenInput, TokenOutcome>
    /** Shows a login to the person who may decide it. For pages of the server's own origin. */
    readonly review: Mutation<{ paircode: string }, ReviewDetails | ReviewError>
    /** Allows a login. The first decision is final. For pages of the server's own origin. */
    readonly approve: Mutation<PairDecisionInput, DecideOutcome>
    /** Denies a login. The first decision is final. For pages of the server's own origin. */
    readonly deny: Mutation<PairDecisionInput, DecideOutcome>
  }
  /** The credential that asks, and one's sessions: those of CLIs and of browsers. */
  readonly session: {
    /** Lists one's own, live ones first, newest first, at most 200. Ended ones are kept for 30 days at most. */
    readonly list: Query<Empty, CredentialSummary[]>
    /** Ends one at once. */
    readonly revoke: Mutation<{ id: string }, { readonly status: 'revoked' | 'not_found' }>
    /** Ends all but the one that asks. */
    readonly revokeOthers: Mutation<Empty, Revoked>
    /** Ends all, the one that asks too. */
    readonly revokeAll: Mutation<Empty, Revoked>
    /** Tells whose credential the request carries. */
    readonly whoami: Query<Empty, Whoami>
    /** Exchanges a refresh token for new tokens. */
    readonly refresh: Mutation<RefreshInput, TokenOutcome>
    /** Ends the credential that the request carries. */
    readonly signOut: Mutation<Empty, { status: 'signed_out' }>
  }
  /** One's API keys. */
  readonly keys: {
    /** Lists one's own, live ones first, newest first, at most 200. Ended ones are kept for 30 days at most. */
    readonly list: Query<Empty, CredentialSummary[]>
    /** Ends one at once. */
    readonly revoke: Mutation<{ id: string }, { readonly status: 'revoked' | 'not_found' }>
    /** Ends all but the one that asks. */
    readonly revokeOthers: Mutation<Empty, Revoked>
    /** Ends all, the one that asks too. */
    readonly revokeAll: Mutation<Empty, Revoked>
    /** Makes an API key. Its secret is in this answer and never again. */
    readonly create: Mutation<NewKeyInput, { readonly status: 'created' } & KeySecret>
    /** Gives a key a new secret; its id, name, scope and end stay. */
    readonly rotate: Mutation<
      RotateInput,
      ({ readonly status: 'rotated' } & KeySecret) | { readonly status: 'not_found' }
    >
  }
}

/** How a call is made. */
export interface CallOptions {
  /** Gives the call up. */
  readonly signal?: AbortSignal | undefined
}

/** A procedure that writes, or that takes a secret. */
export interface Mutation<Input, Output> {
  /** Calls it. */
  mutate(input: Input, options?: CallOptions): Promise<Output>
}

/** A procedure that only reads. */
export interface Query<Input, Output> {
  /** Calls it. */
  query(input?: Input, options?: CallOptions): Promise<Output>
}

/** Why a call is refused. */
export type ApiErrorCode =
  /** The input is wrong, or the client or scope is unknown. */
  | 'BAD_REQUEST'
  /** Nobody is signed in, or it was too long ago. */
  | 'UNAUTHORIZED'
  /** Whoever asks may not do this. */
  | 'FORBIDDEN'
  /** It is there already, or was changed meanwhile. */
  | 'CONFLICT'
  /** A limit is reached; the header Retry-After says for how long. */
  | 'TOO_MANY_REQUESTS'
  /** Something is broken; the message names the entry in the log. */
  | 'INTERNAL_SERVER_ERROR'
  /** The database is away, or too many logins wait; see the header Retry-After. */
  | 'SERVICE_UNAVAILABLE'

/** What the server says of a refusal, in the field `data` of the error. */
export interface ApiErrorData {
  readonly code: ApiErrorCode
  readonly httpStatus: number
  /** The procedure, such as `device.authorize`. */
  readonly path: string
}

/** What asks for a login. */
export interface StartInput {
  /** Names the app; registered with the server. */
  client_id: string
  /** Separated by spaces; every one must be registered for the client. Default: none. */
  scope?: string | undefined
  /** What the machine calls itself; shown as unverified. */
  device_name?: string | undefined
}

/** RFC 8628 section 3.2. Times in seconds. */
export interface DeviceAuthorizationResponse {
  /** What the CLI polls with; nobody else may see it. */
  readonly device_code: string
  /** What the person types, as it is to be shown. */
  readonly user_code: string
  /** Where they type it. */
  readonly verification_uri: string
  /** The same with the code filled in. */
  readonly verification_uri_complete: string
  /** Until when somebody has to have decided. */
  readonly expires_in: number
  /** Least time between two polls. */
  readonly interval: number
}

/** What collects a login. */
export interface PollInput {
  client_id: string
  /**
   * How long to hold the answer back until somebody decides, in seconds. Default: 0, not at all; more than 30 is 30.
   */
  wait?: number | undefined
}

/** What collects a login by code. */
export interface DeviceTokenInput extends PollInput {
  device_code: string
}

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

/** What a person decides with. */
export interface DecisionInput {
  /** The code they typed, needed to allow when networks differ. */
  code?: string | undefined
  /** What of the requested scope they grant, separated by spaces. Default: all. */
  scope?: string | undefined
  /** The organisation they chose, needed to allow when there are several. */
  tenant?: string | undefined
}

/** What a person decides on, by the code of the device flow, and how. */
export interface DeviceDecisionInput extends DecisionInput {
  /** In any case, with or without the dash. */
  user_code: string
}

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

/** How the result of a login reaches the CLI. */
export type Delivery = 'poll' | 'loopback'

/** What asks for a login by link. */
export interface PairStartInput extends StartInput {
  /** BASE64URL(SHA-256(verifier)), 43 characters; the verifier stays with whoever asks. */
  paircode: string
  /** How the login reaches the CLI (RFC 8252 section 7.3). Default: `poll`. */
  delivery?: Delivery | undefined
  /** With `loopback`, and only then: the port of 127.0.0.1 that the CLI listens on, 1024 to 65535. */
  port?: number | undefined
  /** With `loopback`, and only then: what the CLI wants to see again there, 1 to 128 unreserved characters. */
  state?: string | undefined
}

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

/** What collects a login by link. */
export interface PairTokenInput extends PollInput {
  /** What the paircode was made of: 43 to 128 unreserved characters (RFC 7636 section 4.1). */
  verifier: string
  /** What the browser brought, with the delivery `loopback`. Without it the answer is `authorization_pending`. */
  code?: string | undefined
}

/** What a person decides on, by the paircode of the link, and how. */
export interface PairDecisionInput extends DecisionInput {
  /** The end of the link's path. */
  paircode: string
}

/** Nothing. */
export type Empty = Record<never, never>

/** What a credential may be used for; checked wherever one is read. */
export type CredentialKind = 'browser' | 'session' | 'api_key'

/** Where a credential stands, as lists say it. */
export type CredentialStatus = 'active' | 'expired' | 'revoked'

/** A credential as lists show it. Times in epoch seconds. */
export interface CredentialSummary {
  /** Names it in `revoke` and `rotate`; no secret. */
  readonly id: string
  readonly kind: CredentialKind
  /** What the device calls itself, or what the person called the key. */
  readonly name: string
  /** Prefix and last four characters of the secret. */
  readonly hint: string
  /** Separated by spaces; empty when there is none. */
  readonly scope: string
  /** The organisation that it is for. */
  readonly tenant: string | null
  /** The app that it was given to; null for a browser, and for a key made by hand. */
  readonly client_id: string | null
  readonly created_at: number
  /** Where it was collected, or where the browser signed in. */
  readonly remote_address: string | null
  /** Where the person was who allowed it. */
  readonly approved_address: string | null
  /** To the minute; null when it was never used. */
  readonly last_used_at: number | null
  readonly last_used_address: string | null
  readonly expires_at: number
  /** When the secret before the last rotation stops to work too; null when it has. */
  readonly previous_until: number | null
  readonly status: CredentialStatus
  /** Whether it is the one that asks. */
  readonly current: boolean
  /** Whether it may be rotated: a live API key without refresh token. */
  readonly can_rotate: boolean
}

/** How many were ended. */
export interface Revoked {
  readonly status: 'revoked'
  readonly count: number
}

/** Whose credential it is, and what it is good for. */
export interface Whoami {
  /** Who vouches for the person: an identity provider, or the gateway. */
  issuer: string
  /** The person's id there. */
  subject: string
  /** For show. */
  name: string | null
  /** For show; identifies nobody. */
  email: string | null
  kind: CredentialKind
  /** The app that it was given to; null for a key made by hand. */
  client_id: string | null
  /** What lists call it. */
  credential_name: string
  /** Separated by spaces; empty when there is none. */
  scope: string
  /** The organisation that it is for. */
  tenant: string | null
  /** For how many seconds the secret that was shown is still good. */
  expires_in: number
}

/** What goes on with a login (RFC 6749 section 6). */
export interface RefreshInput {
  client_id: string
  /** Good once. One that comes back ends the whole login. */
  refresh_token: string
  /** Part of what was granted; the answer has all of it. */
  scope?: string | undefined
}

/** A key to be made. */
export interface NewKeyInput {
  /** Made visible and cut to 64 characters. */
  name: string
  /** Separated by spaces. Default: none. */
  scope?: string | undefined
  /** Lifetime in seconds, at least 60, at most the server's `maxKeySeconds`. Default: its `keySeconds`, a day. */
  expires_in?: number | undefined
  /** The organisation that it is for; needed when there are several. */
  tenant?: string | undefined
}

/** A new or rotated key. */
export interface KeySecret {
  /** Names the key for as long as it lives. */
  readonly id: string
  /** Shown this once. */
  readonly secret: string
  /** Epoch seconds. */
  readonly expires_at: number
}

/** A key to be given a new secret. */
export interface RotateInput {
  id: string
  /** How long the old secret stays good: 0, the default, to 604800 (7 days). */
  overlap_seconds?: number | undefined
}
