/**
 * Every statement, written once, with Kysely: the shape is compiled at most once for a database, only the values differ
 * from call to call. What each guard means is said in src/store.ts. Those of credentials are in
 * statements_credentials.ts.
 *
 * @module
 */

import { type Kysely, sql } from 'kysely'
import type { Decision, Delivery, EventQuery, GrantKey, NewGrant, PurgedKind, User } from '../src/mod.ts'
import type { Tables } from './migrations.ts'
import type { CompiledStatement } from './sql_run.ts'
import { type At, define, type Id, isServer, pick, type Statement, userColumns } from './statement.ts'
import { credentialStatements } from './statements_credentials.ts'

type StoredGrant = NewGrant & Pick<Tables['grants'], 'status'>
type Bucket = { readonly key: string; readonly bucket: number }
type Old = { readonly before: number; readonly batch: number }
/** Three stretches of counters. */
type Stretches = Record<`key${1 | 2 | 3}`, string> & Record<`since${1 | 2 | 3}` | `until${1 | 2 | 3}`, number>

const grantWithCredential = (db: Kysely<Tables>) =>
  db
    .selectFrom('grants')
    .leftJoin('credentials', 'credentials.grant_id', 'grants.id')
    .select('credentials.id as credential_id')
    // last: what a newer version adds to the table must not move the others
    .selectAll('grants')

const grantStatements = {
  insertGrant: define((db, grant: StoredGrant) =>
    db
      .insertInto('grants')
      .values(
        pick(grant, [
          ...(['id', 'flow', 'client_id', 'secret_hash', 'user_code', 'match_code', 'scope'] as const),
          ...(['device_name', 'remote_address', 'status', 'poll_interval'] as const),
          ...(['loopback_port', 'loopback_state'] as const),
          ...(['created_at', 'expires_at'] as const),
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
      .where('status', '!=', 'denied')
      .where('poll_interval', '<', interval),
  ),
  decideGrant: define((db, values: Decision) =>
    db
      .updateTable('grants')
      .set({
        ...pick(values, [
          'status',
          'user_id',
          'scope',
          'tenant',
          'decided_address',
          'code_hash',
          'expires_at',
        ]),
        decided_at: values.now,
      })
      .where('id', '=', values.grant_id)
      .where('status', '=', 'pending')
      .where('expires_at', '>', values.now),
  ),
  listDecided: define((db, { since }: Pick<EventQuery, 'since'>) =>
    db.selectFrom('grants').select('id').where('decided_at', '>=', since),
  ),
  expireGrants: define(
    (db, { user_id, flow, now }: At & Pick<Tables['grants'], 'flow'> & { user_id: string }) =>
      db
        .updateTable('grants')
        // not now, which another instance may have before it
        .set((eb) => ({ expires_at: eb.ref('created_at') }))
        .where('user_id', '=', user_id)
        .where('flow', '=', flow)
        .where('status', '=', 'approved')
        .where('expires_at', '>', now),
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

const EVENT = [
  ...(['id', 'at', 'type', 'user_id', 'client_id', 'grant_id', 'credential_id'] as const),
  ...(['remote_address', 'request_id', 'detail'] as const),
]

const eventColumns = [
  ...(['events.id', 'events.at', 'events.type', 'events.user_id', 'events.client_id'] as const),
  ...(['events.grant_id', 'events.credential_id', 'events.remote_address'] as const),
  ...(['events.request_id', 'events.detail'] as const),
]

const eventPage = (db: Kysely<Tables>, values: Omit<EventQuery, 'user_id'>) =>
  db
    .selectFrom('events')
    .leftJoin('users', 'users.id', 'events.user_id')
    .select(eventColumns)
    .select(userColumns)
    .where('events.at', '>=', values.since)
    // says no more than the next one, but gives the index an upper end
    .where('events.at', '<=', values.before)
    .where((eb) =>
      eb.or([
        eb('events.at', '<', values.before),
        eb.and([eb('events.at', '=', values.before), eb('events.id', '<', values.id)]),
      ]),
    )
    .where((eb) => eb.or([eb(eb.val(values.type), 'is', null), eb('events.type', '=', values.type)]))
    .orderBy('events.at', 'desc')
    .orderBy('events.id', 'desc')
    .limit(values.limit)

const eventStatements = {
  insertEvent: define((db, event: Tables['events']) => db.insertInto('events').values(pick(event, EVENT))),
  listEvents: define((db, values: Omit<EventQuery, 'user_id'>) => eventPage(db, values)),
  listEventsOf: define((db, values: Omit<EventQuery, 'user_id'> & { readonly user_id: string }) =>
    eventPage(db, values).where('events.user_id', '=', values.user_id),
  ),
  insertDelivery: define((db, delivery: Delivery) =>
    db
      .insertInto('deliveries')
      .values(pick(delivery, ['id', 'event_id', 'endpoint', 'attempts', 'next_at', 'created_at'])),
  ),
  findDelivery: define((db, { id }: Id) => db.selectFrom('deliveries').selectAll().where('id', '=', id)),
  dueDeliveries: define((db, { now, limit }: At & { readonly limit: number }) =>
    db
      .selectFrom('deliveries')
      .innerJoin('events', 'events.id', 'deliveries.event_id')
      .leftJoin('users', 'users.id', 'events.user_id')
      .select(eventColumns)
      .select(userColumns)
      .select([
        'deliveries.id as delivery_id',
        ...(['deliveries.event_id', 'deliveries.endpoint', 'deliveries.attempts'] as const),
        ...(['deliveries.next_at', 'deliveries.created_at'] as const),
      ])
      .where('deliveries.next_at', '<=', now)
      .orderBy('deliveries.next_at')
      .limit(limit),
  ),
  claimDelivery: define((db, values: Pick<Delivery, 'id' | 'attempts' | 'next_at'> & { until: number }) =>
    db
      .updateTable('deliveries')
      .set((eb) => ({ attempts: eb('attempts', '+', 1), next_at: values.until }))
      .where('id', '=', values.id)
      .where('attempts', '=', values.attempts)
      .where('next_at', '=', values.next_at),
  ),
  dropDelivery: define((db, { id }: Id) => db.deleteFrom('deliveries').where('id', '=', id)),
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
  listSteps: define((db) => db.selectFrom('pairgate_migrations').select('name')),
}

/**
 * Deletes the rows that ended first, a bounded number: many counters have the same time, so that a bound in time would
 * be none. MySQL refuses to look at a table that it deletes from, and SQLite has no limit there.
 *
 * @param end The column with the time that a row ended; it has an index.
 */
function dropOld<T extends PurgedKind>(table: T, end: keyof Tables[T] & string) {
  const [rows, column] = [table as 'grants', end as 'expires_at']
  const rowid = sql`rowid`
  return define((db, { before, batch }: Old) => {
    if (isServer(db)) return db.deleteFrom(rows).where(column, '<', before).orderBy(column).limit(batch)
    const oldest = db.selectFrom(rows).where(column, '<', before).orderBy(column).limit(batch)
    return db.deleteFrom(rows).where(rowid, 'in', oldest.select(rowid.as('rowid')))
  })
}

const purgeStatements = {
  dropGrants: dropOld('grants', 'expires_at'),
  dropCredentials: dropOld('credentials', 'expires_at'),
  dropLimits: dropOld('limits', 'bucket'),
  dropEvents: dropOld('events', 'at'),
  dropDeliveries: dropOld('deliveries', 'next_at'),
}

/** All statements by name. */
export const statements = {
  ...grantStatements,
  ...credentialStatements,
  ...userStatements,
  ...ledgerStatements,
  ...eventStatements,
  ...purgeStatements,
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
