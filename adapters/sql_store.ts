/** The one SQL store, for every database that Kysely speaks to. @module */

import type { InsertResult, Kysely, UpdateResult } from 'kysely'
import { Migrator } from 'kysely/migration'
import { type Issue, PairgateError, type Store } from '../src/mod.ts'
import { migrations, type Tables } from './migrations.ts'

/** What differs between databases, beside what Kysely hides. */
export interface SqlDialect {
  /** Tells whether an error says that a unique value is taken. */
  isUniqueViolation(error: unknown): boolean
  /** Tells whether an error will pass: the statement did not run and may be tried again. */
  isTemporary(error: unknown): boolean
}

/** Delays before trying again, in milliseconds; each is stretched by up to half, by chance. */
const RETRIES = [5, 20, 80, 200]

async function withRetries<T>(dialect: SqlDialect, statement: () => Promise<T>): Promise<T> {
  for (const delay of RETRIES) {
    try {
      return await statement()
    } catch (error) {
      if (!dialect.isTemporary(error)) throw error
      await new Promise((resolve) => setTimeout(resolve, delay * (1 + Math.random() / 2)))
    }
  }
  try {
    return await statement()
  } catch (error) {
    if (!dialect.isTemporary(error)) throw error
    throw new PairgateError('ERR_PAIRGATE_STORE_UNAVAILABLE', 'The database does not answer', error)
  }
}

const held = (result: UpdateResult) => result.numUpdatedRows === 1n

/** Makes a store on a Kysely instance. */
export function sqlStore(db: Kysely<Tables>, dialect: SqlDialect): Store {
  const run = <T>(statement: () => Promise<T>) => withRetries(dialect, statement)

  const insert: Insert = (query) =>
    run(async () => {
      try {
        return (await query.executeTakeFirstOrThrow()).numInsertedOrUpdatedRows === 1n
      } catch (error) {
        if (dialect.isUniqueViolation(error)) return null
        throw error
      }
    })

  return {
    ...lifecycle(db, run),
    ...grants(db, run, insert),
    ...credentials(db, run, insert),
    ...users(db, run, insert),
    ...ledgers(db, run, insert),
  }
}

type Run = <T>(statement: () => Promise<T>) => Promise<T>
/** True: a row was added; false: the guard did not hold; null: a unique value is taken. */
type Insert = (query: { executeTakeFirstOrThrow(): Promise<InsertResult> }) => Promise<boolean | null>

function lifecycle(db: Kysely<Tables>, run: Run): Pick<Store, 'migrate' | 'ping' | 'close'> {
  return {
    async migrate() {
      const provider = { getMigrations: async () => migrations }
      const tables = {
        migrationTableName: 'pairgate_migrations',
        migrationLockTableName: 'pairgate_migrations_lock',
      }
      await run(async () => {
        const { error } = await new Migrator({ db, provider, ...tables }).migrateToLatest()
        if (error) throw error
      })
    },
    async ping() {
      await run(() => db.selectFrom('users').select('id').limit(1).execute())
    },
    async close() {
      await db.destroy()
    },
  }
}

function grants(
  db: Kysely<Tables>,
  run: Run,
  insert: Insert,
): Pick<Store, 'insertGrant' | 'findGrant' | 'slowDown' | 'decideGrant'> {
  return {
    async insertGrant(grant) {
      const row = { ...grant, status: 'pending', user_id: null, decided_at: null } as const
      return (await insert(db.insertInto('grants').values(row))) === true
    },
    async findGrant(key) {
      const [column, value] = Object.entries(key)[0] as ['id' | 'secret_hash' | 'user_code', string]
      const row = await run(() =>
        db
          .selectFrom('grants')
          .leftJoin('credentials', 'credentials.grant_id', 'grants.id')
          .selectAll('grants')
          .select('credentials.id as credential_id')
          .where(`grants.${column}`, '=', value)
          .executeTakeFirst(),
      )
      return row ?? null
    },
    async slowDown(grantId, interval) {
      await run(() =>
        db
          .updateTable('grants')
          .set({ poll_interval: interval })
          .where('id', '=', grantId)
          .where('status', '=', 'pending')
          .where('poll_interval', '<', interval)
          .executeTakeFirstOrThrow(),
      )
    },
    async decideGrant({ grant_id, status, user_id, now }) {
      let tries = 0
      const decided = await run(() => {
        tries++
        return db
          .updateTable('grants')
          .set({ status, user_id, decided_at: now })
          .where('id', '=', grant_id)
          .where('status', '=', 'pending')
          .where('expires_at', '>', now)
          .executeTakeFirstOrThrow()
      })
      if (held(decided) || tries === 1) return held(decided)
      // our own values there mean that an earlier try of this very statement had gone through
      const find = db.selectFrom('grants').selectAll().where('id', '=', grant_id)
      const row = await run(() => find.executeTakeFirst())
      return row?.status === status && row.user_id === user_id && row.decided_at === now
    },
  }
}

type CredentialMethods =
  | 'issueCredential'
  | 'insertCredential'
  | 'findCredential'
  | 'touchCredential'
  | 'revokeCredential'

function credentials(db: Kysely<Tables>, run: Run, insert: Insert): Pick<Store, CredentialMethods> {
  return {
    async issueCredential(issue) {
      const added = await insert(redeem(db, issue))
      if (added !== null) return added ? 'issued' : 'refused'
      // taken by whom? if the row carries our own secret, an earlier try of this very statement had gone through
      const own = await run(() =>
        db
          .selectFrom('credentials')
          .select('id')
          .where('secret_hash', '=', issue.credential.secret_hash)
          .executeTakeFirst(),
      )
      return own ? 'issued' : 'already_issued'
    },
    async insertCredential(credential) {
      await insert(
        db
          .insertInto('credentials')
          .values({ ...credential, last_used_at: credential.created_at, revoked_at: null }),
      )
    },
    async findCredential(secretHash) {
      const row = await run(() =>
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
          .where('credentials.secret_hash', '=', secretHash)
          .executeTakeFirst(),
      )
      if (!row) return null
      const { issuer, subject, user_name, email, disabled_at, ...credential } = row
      return {
        credential,
        user: { id: credential.user_id, issuer, subject, name: user_name, email, disabled_at },
      }
    },
    async touchCredential(id, now, before) {
      await run(() =>
        db
          .updateTable('credentials')
          .set({ last_used_at: now })
          .where('id', '=', id)
          .where('last_used_at', '<=', before)
          .executeTakeFirstOrThrow(),
      )
    },
    async revokeCredential(key, now) {
      const revoked = await run(() => {
        const query = db
          .updateTable('credentials')
          .set({ revoked_at: now })
          .where('secret_hash', '=', key.secret_hash)
          .where('revoked_at', 'is', null)
        return (
          key.client_id === undefined ? query : query.where('client_id', '=', key.client_id)
        ).executeTakeFirstOrThrow()
      })
      return held(revoked)
    },
  }
}

/** The commit point of both flows: one INSERT ... SELECT whose WHERE is the whole guard. */
function redeem(db: Kysely<Tables>, { credential, secret_hash, client_id, flow, now }: Issue) {
  const columns = [
    ...['id', 'kind', 'secret_hash', 'hint', 'name', 'remote_address', 'expires_at'],
    ...['created_at', 'last_used_at', 'revoked_at', 'user_id', 'grant_id', 'client_id', 'scope'],
  ] as (keyof Tables['credentials'])[]
  return db
    .insertInto('credentials')
    .columns(columns)
    .expression((eb) =>
      eb
        .selectFrom('grants')
        .innerJoin('users', 'users.id', 'grants.user_id')
        .select([
          eb.val(credential.id).as('id'),
          eb.val(credential.kind).as('kind'),
          eb.val(credential.secret_hash).as('secret_hash'),
          eb.val(credential.hint).as('hint'),
          eb.val(credential.name).as('name'),
          eb.val(credential.remote_address).as('remote_address'),
          eb.val(credential.expires_at).as('expires_at'),
          eb.val(now).as('created_at'),
          eb.val(now).as('last_used_at'),
          eb.val(null).as('revoked_at'),
          'users.id as user_id',
          'grants.id as grant_id',
          'grants.client_id',
          'grants.scope',
        ])
        .where('grants.secret_hash', '=', secret_hash)
        .where('grants.client_id', '=', client_id)
        .where('grants.flow', '=', flow)
        .where('grants.status', '=', 'approved')
        .where('grants.expires_at', '>', now)
        .where('users.disabled_at', 'is', null),
    )
}

function users(
  db: Kysely<Tables>,
  run: Run,
  insert: Insert,
): Pick<Store, 'upsertUser' | 'findUser' | 'setUserDisabled'> {
  return {
    async upsertUser(user, now) {
      const { id, issuer, subject, name, email } = user
      const times = { created_at: now, updated_at: now }
      if (
        await insert(
          db.insertInto('users').values({ id, issuer, subject, name, email, disabled_at: null, ...times }),
        )
      )
        return
      await run(() =>
        db
          .updateTable('users')
          .set({ name, email, updated_at: now })
          .where('id', '=', id)
          .executeTakeFirstOrThrow(),
      )
    },
    async findUser(id) {
      const row = await run(() =>
        db
          .selectFrom('users')
          .select(['id', 'issuer', 'subject', 'name', 'email', 'disabled_at'])
          .where('id', '=', id)
          .executeTakeFirst(),
      )
      return row ?? null
    },
    async setUserDisabled({ id, issuer, subject }, disabled_at, now) {
      const times = { created_at: now, updated_at: now }
      if (
        await insert(
          db
            .insertInto('users')
            .values({ id, issuer, subject, name: null, email: null, disabled_at, ...times }),
        )
      )
        return
      await run(() =>
        db
          .updateTable('users')
          .set({ disabled_at, updated_at: now })
          .where('id', '=', id)
          .executeTakeFirstOrThrow(),
      )
    },
  }
}

type LedgerMethods = 'readLimits' | 'takeLimit' | 'releaseLimit' | 'insertEvent' | 'purge'

function ledgers(db: Kysely<Tables>, run: Run, insert: Insert): Pick<Store, LedgerMethods> {
  const raise = (key: string, bucket: number, max: number) =>
    run(() =>
      db
        .updateTable('limits')
        .set((eb) => ({ n: eb('n', '+', 1) }))
        .where('key', '=', key)
        .where('bucket', '=', bucket)
        .where('n', '<', max)
        .executeTakeFirstOrThrow(),
    )
  return {
    async readLimits(queries) {
      const rows = await run(() =>
        db
          .selectFrom('limits')
          .select((eb) => ['key', eb.fn.sum<number | string | null>('n').as('n')])
          .where((eb) =>
            eb.or(
              queries.map(({ key, since, until }) =>
                eb.and([eb('key', '=', key), eb('bucket', '>=', since), eb('bucket', '<', until)]),
              ),
            ),
          )
          .groupBy('key')
          .execute(),
      )
      const sums = new Map(rows.map(({ key, n }) => [key, Number(n)]))
      return queries.map(({ key }) => sums.get(key) ?? 0)
    },
    async takeLimit(key, bucket, max) {
      if (held(await raise(key, bucket, max))) return true
      if (await insert(db.insertInto('limits').values({ key, bucket, n: 1 }))) return true
      return held(await raise(key, bucket, max))
    },
    async releaseLimit(key, bucket) {
      await run(() =>
        db
          .updateTable('limits')
          .set((eb) => ({ n: eb('n', '-', 1) }))
          .where('key', '=', key)
          .where('bucket', '=', bucket)
          .where('n', '>', 0)
          .executeTakeFirstOrThrow(),
      )
    },
    async insertEvent(event) {
      await insert(db.insertInto('events').values(event))
    },
    async purge(before, batch) {
      const gone = [
        await purgeTable(db, run, 'grants', 'expires_at', before.grants, batch),
        await purgeTable(db, run, 'credentials', 'expires_at', before.credentials, batch),
        await purgeTable(db, run, 'limits', 'bucket', before.limits, batch),
      ]
      return gone.reduce((sum, n) => sum + n, 0)
    },
  }
}

/** Deletes about `batch` of the oldest rows: up to the time that the last of them has. */
async function purgeTable<T extends 'grants' | 'credentials' | 'limits'>(
  db: Kysely<Tables>,
  run: Run,
  table: T,
  column: T extends 'limits' ? 'bucket' : 'expires_at',
  before: number,
  batch: number,
): Promise<number> {
  const { table: tableRef, ref } = db.dynamic
  const time = ref<string>(column)
  const old = db.selectFrom(tableRef(table).as('t')).where(time, '<', before)
  const rows = await run(() => old.select(time).orderBy(time).limit(batch).execute())
  const last = (rows.at(-1) as Record<string, number> | undefined)?.[column]
  if (last === undefined) return 0
  const { numDeletedRows } = await run(() =>
    db
      .deleteFrom(table as 'limits')
      .where(column as 'bucket', '<=', last)
      .executeTakeFirstOrThrow(),
  )
  return Number(numDeletedRows)
}
