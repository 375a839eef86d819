/**
 * What pairgate asks of a database. Each method is one guarded statement: its condition decides, the number of
 * affected rows is the answer. So any number of processes may share one database, and a crash between two calls
 * leaves nothing half done. Times are epoch milliseconds and always come from the caller.
 *
 * @module
 */

import type { Flow, Grant } from './core/grant.ts'
import type { CredentialKind } from './core/secret.ts'

/** Who a person is: the issuer that vouches and the subject it names. E-mail addresses never identify anybody. */
export interface UserIdentity {
  readonly issuer: string
  readonly subject: string
}

/** A person that has signed in or decided at least once. */
export interface User extends UserIdentity {
  /** Lower-case hex SHA-256 over issuer and subject. */
  readonly id: string
  readonly name: string | null
  readonly email: string | null
  readonly disabled_at: number | null
}

/** One login: a browser's, a CLI's session, or an API key. */
export interface Credential {
  readonly id: string
  readonly kind: CredentialKind
  readonly user_id: string
  /** The grant it was redeemed from; null for a browser. Unique: a grant is redeemed once. */
  readonly grant_id: string | null
  readonly client_id: string | null
  /** Lower-case hex SHA-256 of the secret. */
  readonly secret_hash: string
  /** Prefix and last four characters of the secret. */
  readonly hint: string
  /** What lists call it: the device's name, or the client's. */
  readonly name: string
  readonly scope: string
  readonly remote_address: string | null
  readonly created_at: number
  readonly expires_at: number
  readonly last_used_at: number
  readonly revoked_at: number | null
}

/** What happened, for the audit trail. */
export type EventType =
  | 'started'
  | 'approved'
  | 'denied'
  | 'issued'
  | 'replayed'
  | 'revoked'
  | 'signed_in'
  | 'signed_out'
  | 'wrong_code'
  | 'limit_hit'
  | 'guessing'
  | 'user_disabled'
  | 'user_enabled'

/** One line of the audit trail; rows are only ever added. */
export interface AuditEvent {
  readonly id: string
  readonly at: number
  readonly type: EventType
  readonly user_id: string | null
  readonly client_id: string | null
  readonly grant_id: string | null
  readonly credential_id: string | null
  readonly remote_address: string | null
  readonly request_id: string | null
  readonly detail: string | null
}

/** A grant that is about to be stored. */
export type NewGrant = Omit<Grant, 'status' | 'user_id' | 'decided_at' | 'credential_id'>

/** A credential that is about to be stored. */
export type NewCredential = Omit<Credential, 'revoked_at' | 'last_used_at'>

/** What names one grant. */
export type GrantKey =
  | { readonly secret_hash: string }
  | { readonly user_code: string }
  | { readonly id: string }

/** What a decision writes, and under which name. */
export interface Decision {
  readonly grant_id: string
  readonly status: 'approved' | 'denied'
  readonly user_id: string
  readonly now: number
}

/** What redeems a grant. The scope and the owner come from the grant's row, not from the caller. */
export interface Issue {
  readonly credential: Omit<NewCredential, 'user_id' | 'grant_id' | 'client_id' | 'scope' | 'created_at'>
  readonly secret_hash: string
  readonly client_id: string
  readonly flow: Flow
  readonly now: number
}

/** What narrows a revocation: it holds for exactly the rows that match all of these. */
export type RevokeKey = { readonly secret_hash: string; readonly client_id?: string }

/** Which buckets of a counter to sum: from `since` on, before `until`. */
export interface LimitQuery {
  readonly key: string
  readonly since: number
  readonly until: number
}

/** The database, as the flows see it. All methods reject with `ERR_PAIRGATE_STORE_UNAVAILABLE` when it is away. */
export interface Store {
  /**
   * Creates or upgrades the tables. Safe to call again, and from several processes. Rejects with `ERR_PAIRGATE_SCHEMA`
   * when a newer version has made them.
   */
  migrate(): Promise<void>
  /** Changes nothing. Rejects with `ERR_PAIRGATE_SCHEMA` when the tables are missing, older or newer than this version's. */
  checkSchema(): Promise<void>
  /** Rejects when the database does not answer. */
  ping(): Promise<void>
  /** Lets go of the connection. */
  close(): Promise<void>

  /** Adds a pending grant. False when its secret or its user code is already there: nothing was changed. */
  insertGrant(grant: NewGrant): Promise<boolean>
  /** Reads one grant, with the credential it was redeemed for. */
  findGrant(key: GrantKey): Promise<Grant | null>
  /** Raises the polling interval (seconds). Guard: still pending, and the interval is lower. */
  slowDown(grantId: string, interval: number): Promise<void>
  /** Records the person's decision. Guard: still pending and not expired. False: it was too late. */
  decideGrant(decision: Decision): Promise<boolean>
  /**
   * Redeems a grant: the commit point of both flows. Guard: secret, client and flow match, it is approved and not
   * expired, its user is not disabled, and no credential came of it yet.
   *
   * @returns `issued`; `already_issued` when another credential exists; `refused` when the guard did not hold.
   */
  issueCredential(issue: Issue): Promise<'issued' | 'already_issued' | 'refused'>

  /** Adds a browser's credential. */
  insertCredential(credential: NewCredential): Promise<void>
  /** Reads a credential and its user, in one statement. */
  findCredential(secretHash: string): Promise<{ credential: Credential; user: User } | null>
  /** Notes a use. Guard: the last one noted is older than `before`. */
  touchCredential(id: string, now: number, before: number): Promise<void>
  /** Ends a credential. Guard: not ended yet. False when nothing matched. */
  revokeCredential(key: RevokeKey, now: number): Promise<boolean>

  /** Adds a person, or updates name and e-mail of a known one; never touches `disabled_at`. */
  upsertUser(user: Omit<User, 'disabled_at'>, now: number): Promise<void>
  /** Reads one person. */
  findUser(id: string): Promise<User | null>
  /** Disables (a time) or enables (null) a person, known or not yet. */
  setUserDisabled(
    user: Omit<User, 'disabled_at' | 'name' | 'email'>,
    disabledAt: number | null,
    now: number,
  ): Promise<void>

  /** Sums counters, all in one statement; the sums come in the given order. */
  readLimits(queries: readonly LimitQuery[]): Promise<number[]>
  /** Counts one more. Guard: the bucket holds less than `max`. */
  takeLimit(key: string, bucket: number, max: number): Promise<boolean>
  /** Counts one less. Guard: the bucket holds any. */
  releaseLimit(key: string, bucket: number): Promise<void>

  /** Adds a line to the audit trail. */
  insertEvent(event: AuditEvent): Promise<void>
  /** Deletes at most `batch` rows of each kind that ended before the given time. Returns how many went. */
  purge(before: { grants: number; credentials: number; limits: number }, batch: number): Promise<number>
}
