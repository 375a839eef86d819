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
  /** The organisation that the person chose, as the gateway names it; null when there was nothing to choose. */
  readonly tenant: string | null
  /** Who collected it, or where the browser signed in. */
  readonly remote_address: string | null
  /** Where the person was who allowed or made it; null for a browser, or when unknown. */
  readonly approved_address: string | null
  readonly created_at: number
  /** The end of it all: no refresh and no rotation goes beyond. */
  readonly expires_at: number
  /** When the present access token ends; null when it lives as long as the credential: there is no refresh token. */
  readonly access_expires_at: number | null
  /** The secret before the last rotation or refresh, good until `previous_until`. */
  readonly previous_hash: string | null
  readonly previous_until: number | null
  /** Of what all refresh tokens of this login have in common; null when there are none. Unique. */
  readonly family_hash: string | null
  /** Of the one refresh token that is good. */
  readonly refresh_hash: string | null
  /** Null: never used. */
  readonly first_used_at: number | null
  readonly last_used_at: number
  readonly last_used_address: string | null
  readonly revoked_at: number | null
}

/** What can happen, for the audit trail. */
export const EVENT_TYPES = [
  'started',
  'approved',
  'denied',
  'issued',
  'replayed',
  'refused',
  'first_used',
  'rotated',
  'refreshed',
  'revoked',
  'reported',
  'signed_in',
  'signed_out',
  'wrong_code',
  'limit_hit',
  'guessing',
  'user_disabled',
  'user_enabled',
] as const

/** What happened. */
export type EventType = (typeof EVENT_TYPES)[number]

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
  /** The request that it happened in; also in the log, and on error pages. */
  readonly request_id: string | null
  readonly detail: string | null
}

/** A line of the audit trail, and who it is about as far as that is known. */
export interface EventWithUser {
  readonly event: AuditEvent
  readonly user: User | null
}

/** Which lines of the audit trail to read: newest first, those before `before` (or at it, with a lower id than `id`). */
export interface EventQuery {
  readonly since: number
  readonly before: number
  readonly id: string
  readonly user_id: string | null
  readonly type: EventType | null
  readonly limit: number
}

/** One event on its way to one webhook. */
export interface Delivery {
  readonly id: string
  readonly event_id: string
  /** Id of the webhook. */
  readonly endpoint: string
  /** How often it was tried. */
  readonly attempts: number
  /** When it is to be tried next; while it is being tried, when somebody else may. */
  readonly next_at: number
  readonly created_at: number
}

/** A grant that is about to be stored. */
export type NewGrant = Omit<
  Grant,
  'status' | 'user_id' | 'decided_at' | 'decided_address' | 'tenant' | 'code_hash' | 'credential_id'
>

/** A credential that is about to be stored. */
export type NewCredential = Omit<
  Credential,
  'revoked_at' | 'first_used_at' | 'last_used_at' | 'last_used_address' | 'previous_hash' | 'previous_until'
>

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
  /** What is left of the scope that was asked for. */
  readonly scope: string
  readonly tenant: string | null
  /** Where the person is. */
  readonly decided_address: string | null
  /** Of the code that collecting takes from now on; null when it takes none. */
  readonly code_hash: string | null
  /** The end of the request, which the decision may bring nearer. */
  readonly expires_at: number
  readonly now: number
}

/** What redeems a grant. Scope, tenant and owner come from the grant's row, not from the caller. */
export interface Issue {
  readonly credential: Omit<
    NewCredential,
    'user_id' | 'grant_id' | 'client_id' | 'scope' | 'tenant' | 'approved_address' | 'created_at'
  >
  readonly secret_hash: string
  /** Of the code that was shown beside the secret; null when none was. */
  readonly code_hash: string | null
  readonly client_id: string
  readonly flow: Flow
  /** How many live credentials of this kind the person may have, this one included. */
  readonly max: number
  readonly now: number
}

/** A new secret for a key; the old one is good until `previous_until`. */
export interface Rotation {
  readonly id: string
  readonly user_id: string
  /** The present secret: who was faster wins. */
  readonly secret_hash: string
  readonly new_hash: string
  readonly hint: string
  readonly previous_until: number
  readonly now: number
}

/** New tokens for a login; the old access token stays good for what is left of its life. */
export interface Refresh {
  readonly id: string
  readonly client_id: string
  /** The present refresh token: who was faster wins. */
  readonly refresh_hash: string
  readonly new_refresh_hash: string
  readonly new_hash: string
  readonly hint: string
  readonly access_expires_at: number
  /** Unused since then: over. */
  readonly idle_since: number
  readonly now: number
}

/** One credential, of its owner. */
export interface OwnCredential {
  readonly id: string
  readonly user_id: string
}

/** Several credentials of one person: those of these kinds, but not `except`. */
export interface OwnCredentials {
  readonly user_id: string
  readonly kinds: readonly CredentialKind[]
  readonly except: string | null
}

/** A credential and whose it is. */
export interface CredentialWithUser {
  readonly credential: Credential
  readonly user: User
}

/**
 * What has an end of its own and is deleted some time after it: a grant or a credential that expired, a counter whose
 * stretch of time began, an event that happened, a delivery that was due.
 */
export type PurgedKind = 'grants' | 'credentials' | 'limits' | 'events' | 'deliveries'

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
   *
   * @returns The names of the steps that had not been done before.
   */
  migrate(): Promise<readonly string[]>
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
  /** Raises the polling interval (seconds). Guard: not denied, and the interval is lower. */
  slowDown(grantId: string, interval: number): Promise<void>
  /** Records the person's decision. Guard: still pending and not expired. False: it was too late. */
  decideGrant(decision: Decision): Promise<boolean>
  /** The ids of the grants that somebody decided at `since` or later, on any instance. */
  listDecided(since: number): Promise<string[]>
  /**
   * Redeems a grant: the commit point of both flows. Guard: secret, code (that there is none, too), client and flow
   * match, it is approved and not expired, its user is not disabled and has fewer than `max` live credentials of the
   * kind, and no credential came of it yet.
   *
   * @returns `issued`; `already_issued` when another credential exists; `refused` when the guard did not hold.
   */
  issueCredential(issue: Issue): Promise<'issued' | 'already_issued' | 'refused'>

  /** Adds a browser's credential. */
  insertCredential(credential: NewCredential): Promise<void>
  /**
   * Adds a key that somebody made by hand. Guard: its user is known, not disabled, and has fewer than `max` live keys.
   *
   * @returns `taken` when a credential of this id exists: nothing was changed.
   */
  createKey(credential: NewCredential, max: number): Promise<'created' | 'taken' | 'refused'>
  /** Counts a person's live credentials of a kind. */
  countCredentials(userId: string, kind: CredentialKind, now: number): Promise<number>
  /** Reads a credential by its secret, the present or the previous one, and its user, in one statement. */
  findCredential(secretHash: string): Promise<CredentialWithUser | null>
  /** Reads a credential by what its refresh tokens have in common, and its user. */
  findFamily(familyHash: string): Promise<CredentialWithUser | null>
  /** Reads one credential of one person. */
  findOwnCredential(key: OwnCredential): Promise<Credential | null>
  /** A person's credentials, at most `limit`: first those that are neither ended nor expired, newest first. */
  listCredentials(userId: string, limit: number, now: number): Promise<Credential[]>
  /** Notes a use. Guard: the last one noted is not later than `before`. */
  touchCredential(id: string, use: { now: number; before: number; address: string | null }): Promise<void>
  /** Notes the first use. Guard: there was none. True: this one was it. */
  noteFirstUse(id: string, use: { now: number; address: string | null }): Promise<boolean>
  /**
   * Gives a key another secret. Guard: id and owner match, the secret is still this one, it is an API key without
   * refresh token, not ended and not expired.
   */
  rotateCredential(rotation: Rotation): Promise<boolean>
  /**
   * Gives a login new tokens. Guard: id and client match, the refresh token is still this one, it is not ended, expired
   * or idle for too long, and its user is not disabled.
   */
  refreshCredential(refresh: Refresh): Promise<boolean>
  /** Ends a credential; its row is kept until `keepUntil` at most. Guard: id and owner match, and it was not ended before. */
  revokeCredential(key: OwnCredential, now: number, keepUntil: number): Promise<boolean>
  /** Ends what a person allowed in this flow and no CLI has collected yet: its time is over. */
  expireGrants(userId: string, flow: Flow, now: number): Promise<void>
  /** Ends several credentials of one person, all of those that were not ended yet. How many. */
  revokeCredentials(key: OwnCredentials, now: number, keepUntil: number): Promise<number>

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
  /** Reads the audit trail, newest first. */
  listEvents(query: EventQuery): Promise<EventWithUser[]>
  /** Remembers that an event has to reach a webhook. */
  insertDelivery(delivery: Delivery): Promise<void>
  /** The deliveries that are due, the longest due first, with their events. One whose event is gone is left out. */
  dueDeliveries(now: number, limit: number): Promise<(EventWithUser & { delivery: Delivery })[]>
  /** Takes a turn at a delivery, and counts it. Guard: nobody took one since it was read. */
  claimDelivery(delivery: Delivery, nextAt: number): Promise<boolean>
  /** Forgets a delivery: it arrived, or never will. */
  dropDelivery(id: string): Promise<void>
  /**
   * Deletes rows of a kind that ended before a time, at most `batch` of them: those that ended first.
   *
   * @returns How many went; fewer than `batch`: there are no more.
   */
  purge(kind: PurgedKind, before: number, batch: number): Promise<number>
}
