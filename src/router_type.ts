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
  client_id: string
  /** Space-separated. */
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

interface DeviceDecisionInput extends DecisionInput {
  user_code: string
}

interface PairStartInput extends StartInput {
  paircode: string
  delivery?: 'poll' | undefined
}

interface PairDecisionInput extends DecisionInput {
  paircode: string
}

/** Nothing. */
type Empty = Record<never, never>

type DeviceProcedures = {
  authorize: Mutation<StartInput, DeviceAuthorizationResponse>
  token: Mutation<{ client_id: string; device_code: string }, TokenOutcome>
  review: Mutation<{ user_code: string }, ReviewDetails | ReviewError>
  approve: Mutation<DeviceDecisionInput, DecideOutcome>
  deny: Mutation<DeviceDecisionInput, DecideOutcome>
}

type PairProcedures = {
  start: Mutation<PairStartInput, PairStartResponse>
  token: Mutation<{ client_id: string; verifier: string }, TokenOutcome>
  review: Mutation<{ paircode: string }, ReviewDetails | ReviewError>
  approve: Mutation<PairDecisionInput, DecideOutcome>
  deny: Mutation<PairDecisionInput, DecideOutcome>
}

interface Whoami {
  issuer: string
  subject: string
  name: string | null
  email: string | null
  kind: CredentialKind
  client_id: string | null
  credential_name: string
  scope: string
  tenant: string | null
  /** Seconds. */
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
  list: Query<Empty | undefined, CredentialSummary[]>
  revoke: Mutation<{ id: string }, { readonly status: 'revoked' | 'not_found' }>
  revokeOthers: Mutation<Empty, Revoked>
  revokeAll: Mutation<Empty, Revoked>
}

interface RefreshInput {
  client_id: string
  refresh_token: string
  scope?: string | undefined
}

type SessionProcedures = Flat<
  EndingProcedures & {
    whoami: Query<Empty | undefined, Whoami>
    refresh: Mutation<RefreshInput, TokenOutcome>
    signOut: Mutation<Empty, { status: 'signed_out' }>
  }
>

interface NewKeyInput {
  name: string
  /** Separated by spaces. Default: none. */
  scope?: string | undefined
  /** Lifetime in seconds, at most `maxKeySeconds`. Default: `keySeconds`. */
  expires_in?: number | undefined
  tenant?: string | undefined
}

interface RotateInput {
  id: string
  /** How long the old secret stays good: 0, the default, to 604800 (7 days). */
  overlap_seconds?: number | undefined
}

type KeyProcedures = Flat<
  EndingProcedures & {
    create: Mutation<NewKeyInput, { readonly status: 'created' } & KeySecret>
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
