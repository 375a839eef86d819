/**
 * The router's type, written out: what each procedure takes and what it answers. JSR takes no types that a compiler has
 * to infer. It cannot drift: `createRouter` compiles only when it builds exactly this.
 *
 * @module
 */

import type {
  TRPCBuiltRouter,
  TRPCDefaultErrorShape,
  TRPCMutationProcedure,
  TRPCProcedureBuilder,
  TRPCQueryProcedure,
  TRPCUnsetMarker,
} from '@trpc/server'
import type { Delivery } from './core/loopback.ts'
import type { DecideOutcome, ReviewDetails, ReviewError, TokenOutcome } from './core/outcome.ts'
import type { CredentialKind } from './core/secret.ts'
import type { CredentialSummary, KeySecret } from './flows/account.ts'
import type { DeviceAuthorizationResponse } from './flows/device.ts'
import type { PairStartResponse } from './flows/paircode.ts'

/** What the router needs to know of a request. */
export interface RouterContext {
  /** The request as it came in: its headers carry the cookie, the origin and the Bearer credential. */
  readonly request: Request
  /** Address of the socket's peer. */
  readonly remoteAddress?: string | undefined
}

/** A procedure of the host's that has neither input nor output yet, whatever its meta, middleware and error shape are. */
export type HostProcedure<Host extends object> = TRPCProcedureBuilder<
  Host,
  object,
  object,
  TRPCUnsetMarker,
  TRPCUnsetMarker,
  TRPCUnsetMarker,
  TRPCUnsetMarker,
  false
>

interface Types<Input, Output> {
  input: Input
  output: Output
  meta: object
  /** Left to the root that the router is nested in. */
  errorShape: unknown
}

type Mutation<Input, Output> = TRPCMutationProcedure<Types<Input, Output>>
type Query<Input, Output> = TRPCQueryProcedure<Types<Input, Output>>

/** What asks for a login. */
interface StartInput {
  /** Names the app; registered with the server. */
  client_id: string
  /** Separated by spaces; every one must be registered for the client. Default: none. */
  scope?: string | undefined
  /** What the machine calls itself; shown as unverified. */
  device_name?: string | undefined
}

/** What a person decides with. */
interface DecisionInput {
  /** The code they typed, needed to allow when networks differ. */
  code?: string | undefined
  /** What of the requested scope they grant, separated by spaces. Default: all. */
  scope?: string | undefined
  /** The organisation they chose, needed to allow when there are several. */
  tenant?: string | undefined
}

/** What a person decides on, by the code of the device flow, and how. */
interface DeviceDecisionInput extends DecisionInput {
  /** In any case, with or without the dash. */
  user_code: string
}

/** What asks for a login by link. */
interface PairStartInput extends StartInput {
  /** BASE64URL(SHA-256(verifier)), 43 characters; the verifier stays with whoever asks. */
  paircode: string
  /** How the login reaches the CLI (RFC 8252 section 7.3). Default: `poll`. */
  delivery?: Delivery | undefined
  /** With `loopback`, and only then: the port of 127.0.0.1 that the CLI listens on, 1024 to 65535. */
  port?: number | undefined
  /** With `loopback`, and only then: what the CLI wants to see again there, 1 to 128 unreserved characters. */
  state?: string | undefined
}

/** What collects a login. */
interface PollInput {
  client_id: string
  /** How long to hold the answer back until somebody decides, in seconds. Default: 0, not at all; more than 30 is 30. */
  wait?: number | undefined
}

/** What collects a login by link. */
interface PairTokenInput extends PollInput {
  /** What the paircode was made of: 43 to 128 unreserved characters (RFC 7636 section 4.1). */
  verifier: string
  /** What the browser brought, with the delivery `loopback`. Without it the answer is `authorization_pending`. */
  code?: string | undefined
}

/** What collects a login by code. */
interface DeviceTokenInput extends PollInput {
  device_code: string
}

/** What a person decides on, by the paircode of the link, and how. */
interface PairDecisionInput extends DecisionInput {
  /** The end of the link's path. */
  paircode: string
}

/** Nothing. */
type Empty = Record<never, never>

/** Logins by a code that the person types (RFC 8628); they end in an API key. */
type DeviceProcedures = {
  /** Starts a login by code: the device authorization request (RFC 8628 section 3.1). */
  authorize: Mutation<StartInput, DeviceAuthorizationResponse>
  /** Collects the API key, or says that it has to wait: the device access token request (RFC 8628 section 3.4). */
  token: Mutation<DeviceTokenInput, TokenOutcome>
  /** Shows a login to the person who may decide it. For pages of the server's own origin. */
  review: Mutation<{ user_code: string }, ReviewDetails | ReviewError>
  /** Allows a login. The first decision is final. For pages of the server's own origin. */
  approve: Mutation<DeviceDecisionInput, DecideOutcome>
  /** Denies a login. The first decision is final. For pages of the server's own origin. */
  deny: Mutation<DeviceDecisionInput, DecideOutcome>
}

/** Logins by a link that the person opens; they end in a session. */
type PairProcedures = {
  /** Starts a login by link. A paircode is good for one. */
  start: Mutation<PairStartInput, PairStartResponse>
  /** Collects the session, or says that it has to wait. */
  token: Mutation<PairTokenInput, TokenOutcome>
  /** Shows a login to the person who may decide it. For pages of the server's own origin. */
  review: Mutation<{ paircode: string }, ReviewDetails | ReviewError>
  /** Allows a login. The first decision is final. For pages of the server's own origin. */
  approve: Mutation<PairDecisionInput, DecideOutcome>
  /** Denies a login. The first decision is final. For pages of the server's own origin. */
  deny: Mutation<PairDecisionInput, DecideOutcome>
}

/** Whose credential it is, and what it is good for. */
interface Whoami {
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

/** One object type of several. */
type Flat<T> = { [K in keyof T]: T[K] }

/** How many were ended. */
interface Revoked {
  readonly status: 'revoked'
  readonly count: number
}

/** Seeing and ending, the same for keys and for sessions. */
type EndingProcedures = {
  /** Lists one's own, live ones first, newest first, at most 200. Ended ones are kept for 30 days at most. */
  list: Query<Empty | undefined, CredentialSummary[]>
  /** Ends one at once. */
  revoke: Mutation<{ id: string }, { readonly status: 'revoked' | 'not_found' }>
  /** Ends all but the one that asks. */
  revokeOthers: Mutation<Empty, Revoked>
  /** Ends all, the one that asks too. */
  revokeAll: Mutation<Empty, Revoked>
}

/** What goes on with a login (RFC 6749 section 6). */
interface RefreshInput {
  client_id: string
  /** Good once. One that comes back ends the whole login. */
  refresh_token: string
  /** Part of what was granted; the answer has all of it. */
  scope?: string | undefined
}

/** The credential that asks, and one's sessions: those of CLIs and of browsers. */
type SessionProcedures = Flat<
  EndingProcedures & {
    /** Tells whose credential the request carries. */
    whoami: Query<Empty | undefined, Whoami>
    /** Exchanges a refresh token for new tokens. */
    refresh: Mutation<RefreshInput, TokenOutcome>
    /** Ends the credential that the request carries. */
    signOut: Mutation<Empty, { status: 'signed_out' }>
  }
>

/** A key to be made. */
interface NewKeyInput {
  /** Made visible and cut to 64 characters. */
  name: string
  /** Separated by spaces. Default: none. */
  scope?: string | undefined
  /** Lifetime in seconds, at least 60, at most the server's `maxKeySeconds`. Default: its `keySeconds`, a day. */
  expires_in?: number | undefined
  /** The organisation that it is for; needed when there are several. */
  tenant?: string | undefined
}

/** A key to be given a new secret. */
interface RotateInput {
  id: string
  /** How long the old secret stays good: 0, the default, to 604800 (7 days). */
  overlap_seconds?: number | undefined
}

/** One's API keys. */
type KeyProcedures = Flat<
  EndingProcedures & {
    /** Makes an API key. Its secret is in this answer and never again. */
    create: Mutation<NewKeyInput, { readonly status: 'created' } & KeySecret>
    /** Gives a key a new secret; its id, name, scope and end stay. */
    rotate: Mutation<
      RotateInput,
      ({ readonly status: 'rotated' } & KeySecret) | { readonly status: 'not_found' }
    >
  }
>

/** The router's type, for typed clients. */
export type PairgateRouter<Host extends object = RouterContext> = TRPCBuiltRouter<
  { ctx: Host; meta: object; errorShape: TRPCDefaultErrorShape; transformer: false },
  { device: DeviceProcedures; pair: PairProcedures; session: SessionProcedures; keys: KeyProcedures }
>
