/**
 * Every statement, written once, with Kysely: the shape is compiled at most once for a database, only the values differ
 * from call to call. What each guard means is said in src/store.ts.
 *
 * @module
 */

import type { Compilable, Kysely } from 'kysely'
import type { Decision, GrantKey, Issue, NewCredential, NewGrant, User } from '../src/mod.ts'
import type { Tables } from './migrations.ts'
import type { CompiledStatement } from './sql_run.ts'

/** A statement: takes the values `V`, and answers rows `R` when it reads. */
interface Statement<V, R> {
  build(db: Kysely<Tables>, values: V): Compilable<R>
}

const define = <V extends object, R>(
  build: (db: Kysely<Tables>, values: V) => Compilable<R>,
): Statement<V, R> => ({
  build,
})

/** Takes these columns from the values. */
const pick = <T, K extends keyof T>(values: T, names: readonly K[]) =>
  Object.fromEntries(names.map((name) => [name, values[name]])) as Pick<T, K>

type Id = { readonly id: string }
type At = { readonly now: number }
type StoredGrant = NewGrant & Pick<Tables['grants'], 'status' | 'user_id' | 'decided_at'>
type Bucket = { readonly key: string; readonly bucket: number }
type Old = { readonly before: number; readonly batch: number }
type Last = { readonly last: number }
/** Three stretches of counters. */
type Stretches = Record<`key${1 | 2 | 3}`, string> & Record<`since${1 | 2 | 3}` | `until${1 | 2 | 3}`, number>

const grantWithCredential = (db: Kysely<Tables>) =>
  db
    .selectFrom('grants')
    .leftJoin('credentials', 'credentials.grant_id', 'grants.id')
    .selectAll('grants')
    .select('credentials.id as credential_id')

const grantStatements = {
  insertGrant: define((db, grant: StoredGrant) =>
    db
      .insertInto('grants')
      .values(
        pick(grant, [
          ...(['id', 'flow', 'client_id', 'secret_hash', 'user_code', 'match_code', 'scope'] as const),
          ...(['device_name', 'remote_address', 'status', 'user_id', 'poll_interval'] as const),
          ...(['created_at', 'expires_at', 'decided_at'] as const),
        ]),
      ),
  ),
  findGrantById: define((db, { id }: Extract<GrantKey, Id>) =>
    grantWithCredential(db).where('grants.id', '=', id),
  ),
  findGrantBySecret: define((db, { secret_hash }: Extract<GrantKey, { secret_hash: string }>) =>
    grantWithCredential(db).where('grants.secret_hash', '=', secret_hash),
  ),
  findGrantByUserCode: define((db, { user_code }: Extract<GrantKey, { user_code: string }>) =>
    grantWithCredential(db).where('grants.user_code', '=', user_code),
  ),
  slowDown: define((db, { id, interval }: Id & { readonly interval: number }) =>
    db
      .updateTable('grants')
      .set({ poll_interval: interval })
      .where('id', '=', id)
      .where('status', '=', 'pending')
      .where('poll_interval', '<', interval),
  ),
  decideGrant: define((db, { grant_id, status, user_id, now }: Decision) =>
    db
      .updateTable('grants')
      .set({ status, user_id, decided_at: now })
      .where('id', '=', grant_id)
      .where('status', '=', 'pending')
      .where('expires_at', '>', now),
  ),
}

const REDEEMED = [
  ...(['id', 'kind', 'secret_hash', 'hint', 'name', 'remote_address', 'expires_at'] as const),
  ...(['created_at', 'last_used_at', 'revoked_at', 'user_id', 'grant_id', 'client_id', 'scope'] as const),
]

/** What redeems a grant; `grant_secret_hash` names the grant, `secret_hash` is the credential's. */
type Redemption = Issue['credential'] &
  Pick<Issue, 'client_id' | 'flow' | 'now'> & { readonly grant_secret_hash: string }

const credentialStatements = {
  /** The commit point of both flows: one INSERT ... SELECT whose WHERE is the whole guard. */
  redeemGrant: define((db, values: Redemption) =>
    db
      .insertInto('credentials')
      .columns(REDEEMED)
      .expression((eb) =>
        eb
          .selectFrom('grants')
          .innerJoin('users', 'users.id', 'grants.user_id')
          .select([
            eb.val(values.id).as('id'),
            eb.val(values.kind).as('kind'),
            eb.val(values.secret_hash).as('secret_hash'),
            eb.val(values.hint).as('hint'),
            eb.val(values.name).as('name'),
            eb.val(values.remote_address).as('remote_address'),
            eb.val(values.expires_at).as('expires_at'),
            eb.val(values.now).as('created_at'),
            eb.val(values.now).as('last_used_at'),
            eb.val(null).as('revoked_at'),
            'users.id as user_id',
            'grants.id as grant_id',
            'grants.client_id',
            'grants.scope',
          ])
          .where('grants.secret_hash', '=', values.grant_secret_hash)
          .where('grants.client_id', '=', values.client_id)
          .where('grants.flow', '=', values.flow)
          .where('grants.status', '=', 'approved')
          .where('grants.expires_at', '>', values.now)
          .where('users.disabled_at', 'is', null),
      ),
  ),
  insertCredential: define((db, credential: NewCredential & { last_used_at: number; revoked_at: null }) =>
    db.insertInto('credentials').values(pick(credential, REDEEMED)),
  ),
  findCredential: define((db, { secret_hash }: { secret_hash: string }) =>
    db
      .selectFrom('credentials')
      .innerJoin('users', 'users.id', 'credentials.user_id')
      .selectAll('credentials')
      .select([
        'users.issuer',
        'users.subject',
        'users.name as user_name',
        'users.email',
        'users.disabled_at',
      ])
      .where('credentials.secret_hash', '=', secret_hash),
  ),
  touchCredential: define((db, { id, now, before }: Id & At & { readonly before: number }) =>
    db
      .updateTable('credentials')
      .set({ last_used_at: now })
      .where('id', '=', id)
      .where('last_used_at', '<=', before),
  ),
  revokeCredential: define((db, { secret_hash, now }: At & { readonly secret_hash: string }) =>
    db
      .updateTable('credentials')
      .set({ revoked_at: now })
      .where('secret_hash', '=', secret_hash)
      .where('revoked_at', 'is', null),
  ),
  revokeCredentialOf: define(
    (
      db,
      { secret_hash, client_id, now }: At & { readonly secret_hash: string; readonly client_id: string },
    ) =>
      db
        .updateTable('credentials')
        .set({ revoked_at: now })
        .where('secret_hash', '=', secret_hash)
        .where('client_id', '=', client_id)
        .where('revoked_at', 'is', null),
  ),
}

const userStatements = {
  insertUser: define((db, user: Tables['users']) =>
    db
      .insertInto('users')
      .values(
        pick(user, ['id', 'issuer', 'subject', 'name', 'email', 'disabled_at', 'created_at', 'updated_at']),
      ),
  ),
  renameUser: define((db, { id, name, email, now }: Pick<User, 'id' | 'name' | 'email'> & At) =>
    db.updateTable('users').set({ name, email, updated_at: now }).where('id', '=', id),
  ),
  disableUser: define((db, { id, disabled_at, now }: Pick<User, 'id' | 'disabled_at'> & At) =>
    db.updateTable('users').set({ disabled_at, updated_at: now }).where('id', '=', id),
  ),
  findUser: define((db, { id }: Id) =>
    db
      .selectFrom('users')
      .select(['id', 'issuer', 'subject', 'name', 'email', 'disabled_at'])
      .where('id', '=', id),
  ),
  ping: define((db) => db.selectFrom('users').select('id').limit(1)),
}

const ledgerStatements = {
  sumLimits: define((db, values: Stretches) =>
    db
      .selectFrom('limits')
      .select((eb) => ['key', eb.fn.sum<number | string | null>('n').as('n')])
      .where((eb) =>
        eb.or(
          ([1, 2, 3] as const).map((i) =>
            eb.and([
              eb('key', '=', values[`key${i}`]),
              eb('bucket', '>=', values[`since${i}`]),
              eb('bucket', '<', values[`until${i}`]),
            ]),
          ),
        ),
      )
      .groupBy('key'),
  ),
  raiseLimit: define((db, { key, bucket, max }: Bucket & { readonly max: number }) =>
    db
      .updateTable('limits')
      .set((eb) => ({ n: eb('n', '+', 1) }))
      .where('key', '=', key)
      .where('bucket', '=', bucket)
      .where('n', '<', max),
  ),
  insertLimit: define((db, { key, bucket }: Bucket) => db.insertInto('limits').values({ key, bucket, n: 1 })),
  lowerLimit: define((db, { key, bucket }: Bucket) =>
    db
      .updateTable('limits')
      .set((eb) => ({ n: eb('n', '-', 1) }))
      .where('key', '=', key)
      .where('bucket', '=', bucket)
      .where('n', '>', 0),
  ),
  insertEvent: define((db, event: Tables['events']) =>
    db
      .insertInto('events')
      .values(
        pick(event, [
          ...(['id', 'at', 'type', 'user_id', 'client_id', 'grant_id', 'credential_id'] as const),
          ...(['remote_address', 'request_id', 'detail'] as const),
        ]),
      ),
  ),
  oldGrants: define((db, { before, batch }: Old) =>
    db
      .selectFrom('grants')
      .select('expires_at as at')
      .where('expires_at', '<', before)
      .orderBy('expires_at')
      .limit(batch),
  ),
  dropGrants: define((db, { last }: Last) => db.deleteFrom('grants').where('expires_at', '<=', last)),
  oldCredentials: define((db, { before, batch }: Old) =>
    db
      .selectFrom('credentials')
      .select('expires_at as at')
      .where('expires_at', '<', before)
      .orderBy('expires_at')
      .limit(batch),
  ),
  dropCredentials: define((db, { last }: Last) =>
    db.deleteFrom('credentials').where('expires_at', '<=', last),
  ),
  oldLimits: define((db, { before, batch }: Old) =>
    db
      .selectFrom('limits')
      .select('bucket as at')
      .where('bucket', '<', before)
      .orderBy('bucket')
      .limit(batch),
  ),
  dropLimits: define((db, { last }: Last) => db.deleteFrom('limits').where('bucket', '<=', last)),
  listSteps: define((db) => db.selectFrom('pairgate_migrations').select('name')),
}

/** All statements by name. */
export const statements = {
  ...grantStatements,
  ...credentialStatements,
  ...userStatements,
  ...ledgerStatements,
}

type Statements = typeof statements

/** The name of a statement. */
export type StatementName = keyof Statements
/** The values that a statement takes. */
export type Values<N extends StatementName> = Parameters<Statements[N]['build']>[1]
/** A row that a statement answers. */
export type Row<N extends StatementName> = Statements[N] extends Statement<never, infer R> ? R : never

/** Stands for a value that is bound later. */
class Named {
  readonly name: string
  constructor(name: string) {
    this.name = name
  }
}

/** Compiles a statement for the database that Kysely speaks to. */
export function compileStatement(db: Kysely<Tables>, name: StatementName): CompiledStatement {
  const values = new Proxy({}, { get: (_, key) => new Named(String(key)) }) as never
  const { sql, parameters } = statements[name].build(db, values).compile()
  return { sql, parameters: parameters.map((value) => (value instanceof Named ? value.name : [value])) }
}
