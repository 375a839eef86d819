/** The statements of credentials; see statements.ts. @module */

import { type ExpressionBuilder, expressionBuilder, type Kysely, type SelectQueryBuilder } from 'kysely'
import type { CredentialKind } from '../src/core/secret.ts'
import type {
  Credential,
  Issue,
  NewCredential,
  OwnCredential,
  OwnCredentials,
  Refresh,
  Rotation,
} from '../src/mod.ts'
import type { Tables } from './migrations.ts'
import { type At, define, type Id, isServer, pick, userColumns } from './statement.ts'

type OfKind = { readonly user_id: string; readonly kind: CredentialKind }
type Use = Id & At & { readonly address: string | null }
type Several = Pick<OwnCredentials, 'user_id'> & Record<`kind${1 | 2 | 3}`, CredentialKind> & At

/** What a credential that is redeemed or made by hand says of itself. */
const GIVEN = [
  ...(['id', 'kind', 'secret_hash', 'hint', 'name', 'remote_address', 'expires_at'] as const),
  ...(['access_expires_at', 'family_hash', 'refresh_hash'] as const),
]
/** The rest of a new row; what is not named is null. */
const MORE = [
  ...(['created_at', 'last_used_at', 'user_id', 'grant_id', 'client_id', 'scope'] as const),
  ...(['tenant', 'approved_address'] as const),
]

/**
 * What redeems a grant; `grant_secret_hash` names the grant, `secret_hash` is the credential's, `code_hash` is empty
 * when no code was shown.
 */
type Redemption = Issue['credential'] &
  Pick<Issue, 'client_id' | 'flow' | 'max' | 'now'> & {
    readonly grant_secret_hash: string
    readonly code_hash: string
  }

const given = <DB, T extends keyof DB>(
  eb: ExpressionBuilder<DB, T>,
  values: Pick<NewCredential, (typeof GIVEN)[number]>,
) => GIVEN.map((name) => eb.val(values[name]).as(name))

/** Whether a credential is of a kind and live. */
function isLive({ kind, now }: { readonly kind: CredentialKind } & At) {
  const eb = expressionBuilder<{ live: Credential }, 'live'>()
  return eb.and([
    eb('live.kind', '=', kind),
    eb('live.revoked_at', 'is', null),
    eb('live.expires_at', '>', now),
  ])
}

/** Counts the live credentials that the person of the surrounding statement has. */
const countOthers = (values: { readonly kind: CredentialKind } & At) =>
  expressionBuilder<Tables, 'users' | 'grants'>()
    .selectFrom('credentials as live')
    .select((eb) => eb.fn.countAll<number>().as('n'))
    .whereRef('live.user_id', '=', 'users.id')
    .where(isLive(values))

/**
 * Locks the rows that a guard reads, above all the person's, so that of several credentials that are added at once each
 * is counted by the next. A database with one writer needs none.
 */
const locked = <Q extends SelectQueryBuilder<never, never, unknown>>(db: Kysely<Tables>, query: Q): Q =>
  isServer(db) ? (query.forUpdate() as Q) : query

const withUser = (db: Kysely<Tables>) =>
  db
    .selectFrom('credentials')
    .innerJoin('users', 'users.id', 'credentials.user_id')
    .select(userColumns)
    // last: what a newer version adds to the table must not move the others
    .selectAll('credentials')

const adding = {
  /** The commit point of both flows: one INSERT ... SELECT whose WHERE is the whole guard. */
  redeemGrant: define((db, values: Redemption) =>
    db
      .insertInto('credentials')
      .columns([...GIVEN, ...MORE])
      .expression((eb) =>
        locked(
          db,
          eb
            .selectFrom('grants')
            .innerJoin('users', 'users.id', 'grants.user_id')
            .select([
              ...given(eb, values),
              eb.val(values.now).as('created_at'),
              eb.val(values.now).as('last_used_at'),
              'users.id as user_id',
              'grants.id as grant_id',
              'grants.client_id',
              'grants.scope',
              'grants.tenant',
              'grants.decided_address as approved_address',
            ])
            .where('grants.secret_hash', '=', values.grant_secret_hash)
            .where((eb) => eb.fn.coalesce('grants.code_hash', eb.val('')), '=', values.code_hash)
            .where('grants.client_id', '=', values.client_id)
            .where('grants.flow', '=', values.flow)
            .where('grants.status', '=', 'approved')
            .where('grants.expires_at', '>', values.now)
            .where('users.disabled_at', 'is', null)
            .where(
              () =>
                countOthers(values)
                  // one that came of this grant is no reason to refuse: the unique grant_id says better what happened
                  .where((eb) =>
                    eb.or([eb('live.grant_id', 'is', null), eb('live.grant_id', '!=', eb.ref('grants.id'))]),
                  ),
              '<',
              values.max,
            ),
        ),
      ),
  ),
  insertCredential: define((db, credential: NewCredential & { readonly last_used_at: number }) =>
    db.insertInto('credentials').values(pick(credential, [...GIVEN, ...MORE])),
  ),
  /** Like `redeemGrant`, with nothing to redeem. */
  createKey: define((db, values: NewCredential & { readonly max: number }) =>
    db
      .insertInto('credentials')
      .columns([...GIVEN, ...MORE])
      .expression((eb) =>
        locked(
          db,
          eb
            .selectFrom('users')
            .select([
              ...given(eb, values),
              eb.val(values.created_at).as('created_at'),
              eb.val(values.created_at).as('last_used_at'),
              'users.id as user_id',
              eb.val(values.grant_id).as('grant_id'),
              eb.val(values.client_id).as('client_id'),
              eb.val(values.scope).as('scope'),
              eb.val(values.tenant).as('tenant'),
              eb.val(values.approved_address).as('approved_address'),
            ])
            .where('users.id', '=', values.user_id)
            .where('users.disabled_at', 'is', null)
            .where(
              () =>
                countOthers({ kind: values.kind, now: values.created_at })
                  // the same key again is taken, not refused
                  .where('live.id', '!=', values.id),
              '<',
              values.max,
            ),
        ),
      ),
  ),
}

const reading = {
  countCredentials: define((db, values: OfKind & At) =>
    db
      .selectFrom('credentials as live')
      .select((eb) => eb.fn.countAll<number | string>().as('n'))
      .where('live.user_id', '=', values.user_id)
      .where(isLive(values)),
  ),
  findCredential: define((db, { secret_hash }: { readonly secret_hash: string }) =>
    withUser(db).where((eb) =>
      eb.or([
        eb('credentials.secret_hash', '=', secret_hash),
        eb('credentials.previous_hash', '=', secret_hash),
      ]),
    ),
  ),
  findCredentialById: define((db, { id }: Id) =>
    db.selectFrom('credentials').selectAll().where('id', '=', id),
  ),
  findOwnCredential: define((db, { id, user_id }: OwnCredential) =>
    db.selectFrom('credentials').selectAll().where('id', '=', id).where('user_id', '=', user_id),
  ),
  findFamily: define((db, { family_hash }: { readonly family_hash: string }) =>
    withUser(db).where('credentials.family_hash', '=', family_hash),
  ),
  listCredentials: define((db, { user_id, limit, now }: At & { user_id: string; limit: number }) =>
    db
      .selectFrom('credentials')
      .selectAll()
      .where('user_id', '=', user_id)
      .orderBy((eb) => eb.or([eb('revoked_at', 'is not', null), eb('expires_at', '<=', now)]))
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(limit),
  ),
}

/** When a credential was ended, and how long its row is kept. */
type End = At & { readonly keep_until: number }

/** `expires_at`, or an earlier time. */
function atMost(time: number) {
  const eb = expressionBuilder<Tables, 'credentials'>()
  return eb.case().when('expires_at', '>', time).then(time).else(eb.ref('expires_at')).end()
}

const changing = {
  touchCredential: define((db, { id, now, before, address }: Use & { readonly before: number }) =>
    db
      .updateTable('credentials')
      .set({ last_used_at: now, last_used_address: address })
      .where('id', '=', id)
      .where('last_used_at', '<=', before),
  ),
  noteFirstUse: define((db, { id, now, address }: Use) =>
    db
      .updateTable('credentials')
      .set({ first_used_at: now, last_used_at: now, last_used_address: address })
      .where('id', '=', id)
      .where('first_used_at', 'is', null),
  ),
  rotateCredential: define((db, values: Rotation) =>
    db
      .updateTable('credentials')
      // in this order: MySQL assigns one after the other, and sees what it has assigned
      .set((eb) => ({
        previous_hash: eb.ref('secret_hash'),
        previous_until: values.previous_until,
        secret_hash: values.new_hash,
        hint: values.hint,
      }))
      .where('id', '=', values.id)
      .where('user_id', '=', values.user_id)
      .where('secret_hash', '=', values.secret_hash)
      .where('kind', '=', 'api_key')
      .where('refresh_hash', 'is', null)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', values.now),
  ),
  refreshCredential: define((db, values: Refresh) =>
    db
      .updateTable('credentials')
      // in this order, as above
      .set((eb) => ({
        previous_hash: eb.ref('secret_hash'),
        previous_until: eb.ref('access_expires_at'),
        secret_hash: values.new_hash,
        hint: values.hint,
        refresh_hash: values.new_refresh_hash,
        access_expires_at: values.access_expires_at,
        last_used_at: values.now,
      }))
      .where('id', '=', values.id)
      .where('client_id', '=', values.client_id)
      .where('refresh_hash', '=', values.refresh_hash)
      .where('revoked_at', 'is', null)
      .where('expires_at', '>', values.now)
      .where('last_used_at', '>', values.idle_since)
      .where((eb) =>
        eb.exists(
          eb
            .selectFrom('users')
            .select('users.id')
            .whereRef('users.id', '=', 'credentials.user_id')
            .where('users.disabled_at', 'is', null),
        ),
      ),
  ),
  revokeCredential: define((db, { id, user_id, now, keep_until }: OwnCredential & End) =>
    db
      .updateTable('credentials')
      .set({ revoked_at: now, expires_at: atMost(keep_until) })
      .where('id', '=', id)
      .where('user_id', '=', user_id)
      .where('revoked_at', 'is', null),
  ),
  revokeCredentials: define((db, values: Several & End & { readonly except: string }) =>
    db
      .updateTable('credentials')
      .set({ revoked_at: values.now, expires_at: atMost(values.keep_until) })
      .where('user_id', '=', values.user_id)
      .where('kind', 'in', [values.kind1, values.kind2, values.kind3])
      .where('id', '!=', values.except)
      .where('revoked_at', 'is', null),
  ),
}

/** The statements of credentials, by name. */
export const credentialStatements = { ...adding, ...reading, ...changing }
