/** The tables, as a list of steps that is only ever added to. See docs/storage.md. @module */

import {
  type AlterTableColumnAlteringBuilder,
  type ColumnDefinitionBuilder,
  type CreateTableBuilder,
  type Kysely,
  type RawBuilder,
  sql,
} from 'kysely'
import type { Migration } from 'kysely/migration'
import type { Grant } from '../src/core/grant.ts'
import type { AuditEvent, Credential, Delivery, User } from '../src/store.ts'

/** A counter of one thing in one stretch of time. */
interface LimitRow {
  readonly key: string
  readonly bucket: number
  readonly n: number
}

/** The tables, as Kysely knows them. */
export interface Tables {
  readonly grants: Omit<Grant, 'credential_id'>
  readonly credentials: Credential
  readonly users: User & { readonly created_at: number; readonly updated_at: number }
  readonly limits: LimitRow
  readonly events: AuditEvent
  readonly deliveries: Delivery
  readonly pairgate_migrations: { readonly name: string }
}

/** Which SQL the tables are made with. */
export type Engine = 'sqlite' | 'mysql'
type Modify = (column: ColumnDefinitionBuilder) => ColumnDefinitionBuilder

const required: Modify = (column) => column.notNull()
const primary: Modify = (column) => column.notNull().primaryKey()
const unique: Modify = (column) => column.unique()
const requiredUnique: Modify = (column) => column.notNull().unique()

/** A type of column that later steps add. */
type Added = `${'varchar' | 'varbinary'}(${number})` | 'bigint' | 'integer'

const OUR_DATABASE: RawBuilder<string> = sql`database()`
const MYSQL_TABLE = sql`engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin`

/**
 * The words in which the steps are written, for one kind of database. A step bears to run twice, and half: neither
 * MySQL nor D1 can roll back a CREATE TABLE, nor is there a lock that holds on a whole cluster.
 */
function builder(db: Kysely<unknown>, engine: Engine) {
  return {
    // MySQL compares text without regard to case or trailing blanks, whatever the collation; bytes it compares exactly
    exact: (length: number) => (engine === 'mysql' ? (`varbinary(${length})` as const) : text(length)),
    text,
    async table<T extends string>(
      name: string,
      indexes: readonly T[],
      columns: (table: CreateTableBuilder<string, never>) => CreateTableBuilder<string, T>,
    ): Promise<void> {
      const indexName = (column: T) => `${name}_${column}`
      let table = columns(db.schema.createTable(name).ifNotExists())
      if (engine === 'mysql') {
        for (const column of indexes) table = table.addIndex(indexName(column), [column])
        table = table.modifyEnd(MYSQL_TABLE)
      }
      await table.execute()
      if (engine === 'mysql') return
      for (const column of indexes)
        await db.schema
          .createIndex(indexName(column))
          .ifNotExists()
          .on(name)
          .column(column as string)
          .execute()
    },
    /** Adds the columns that are missing; what they hold may be null. */
    async add(name: string, columns: Record<string, Added>): Promise<void> {
      const listMissing = async () => {
        const table = (await db.introspection.getTables()).find((one) => one.name === name)
        return Object.entries(columns).filter(
          ([column]) => !table?.columns.some((one) => one.name === column),
        )
      }
      const missing = await listMissing()
      const alter = db.schema.alterTable(name)
      // one statement where that can be: then another process has added all of them, or none
      const statements = engine === 'mysql' && missing.length > 0 ? [missing] : missing.map((one) => [one])
      for (const added of statements) {
        const add = (to: Pick<typeof alter, 'addColumn'>, [column, type]: [string, Added]) =>
          to.addColumn(column, type)
        const statement = added.reduce(add, alter) as AlterTableColumnAlteringBuilder
        await unlessDone(statement, async () => (await listMissing()).length === 0)
      }
    },
    /**
     * Adds an index that is missing.
     *
     * @param kind.isSparse Rows in which the first column is null are left out, where the database can do that.
     */
    async index(
      name: string,
      columns: readonly string[],
      { isUnique, isSparse = false }: { isUnique: boolean; isSparse?: boolean },
    ): Promise<void> {
      const indexName = [name, ...columns].join('_')
      const create = db.schema
        .createIndex(indexName)
        .on(name)
        .columns([...columns])
      const statement = isUnique ? create.unique() : create
      if (engine === 'sqlite') {
        const sparse = isSparse ? statement.where(columns[0] ?? '', 'is not', null) : statement
        return await sparse.ifNotExists().execute()
      }
      const isThere = async () => {
        const found = await db
          .withTables<{ 'information_schema.statistics': IndexRow }>()
          .selectFrom('information_schema.statistics')
          .select('index_name as name')
          .where('table_schema', '=', OUR_DATABASE)
          .where('table_name', '=', name)
          .where('index_name', '=', indexName)
          .execute()
        return found.length > 0
      }
      if (!(await isThere())) await unlessDone(statement, isThere)
    },
  }
}

/** What MySQL says of an index. */
type IndexRow = Record<'table_schema' | 'table_name' | 'index_name', string>

/** Runs a statement that may fail since another process did the same at the same moment, which is as good. */
async function unlessDone(
  statement: { execute(): Promise<void> },
  isDone: () => Promise<boolean>,
): Promise<void> {
  try {
    await statement.execute()
  } catch (error) {
    if (!(await isDone())) throw error
  }
}

const text = (length: number) => `varchar(${length})` as const

async function createPeopleAndLogins(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { exact, table } = builder(db, engine)
  await table('users', [], (users) =>
    users
      .addColumn('id', exact(64), primary)
      .addColumn('issuer', text(255), required)
      .addColumn('subject', text(255), required)
      .addColumn('name', text(255))
      .addColumn('email', text(255))
      .addColumn('disabled_at', 'bigint')
      .addColumn('created_at', 'bigint', required)
      .addColumn('updated_at', 'bigint', required),
  )
  await table('grants', ['expires_at'], (grants) =>
    grants
      .addColumn('id', exact(64), primary)
      .addColumn('flow', exact(8), required)
      .addColumn('client_id', exact(128), required)
      .addColumn('secret_hash', exact(64), requiredUnique)
      .addColumn('user_code', exact(16), unique)
      .addColumn('match_code', text(32))
      .addColumn('scope', text(1024), required)
      .addColumn('device_name', text(255))
      .addColumn('remote_address', text(64))
      .addColumn('status', exact(8), required)
      .addColumn('user_id', exact(64))
      .addColumn('poll_interval', 'integer', required)
      .addColumn('created_at', 'bigint', required)
      .addColumn('expires_at', 'bigint', required)
      .addColumn('decided_at', 'bigint'),
  )
  await table('credentials', ['user_id', 'expires_at'], (credentials) =>
    credentials
      .addColumn('id', exact(64), primary)
      .addColumn('kind', exact(8), required)
      .addColumn('user_id', exact(64), required)
      .addColumn('grant_id', exact(64), unique)
      .addColumn('client_id', exact(128))
      .addColumn('secret_hash', exact(64), requiredUnique)
      .addColumn('hint', text(16), required)
      .addColumn('name', text(255), required)
      .addColumn('scope', text(1024), required)
      .addColumn('remote_address', text(64))
      .addColumn('created_at', 'bigint', required)
      .addColumn('expires_at', 'bigint', required)
      .addColumn('last_used_at', 'bigint', required)
      .addColumn('revoked_at', 'bigint'),
  )
}

async function createLedgers(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { exact, table } = builder(db, engine)
  await table('limits', ['bucket'], (limits) =>
    limits
      .addColumn('key', exact(191), required)
      .addColumn('bucket', 'bigint', required)
      .addColumn('n', 'integer', required)
      .addPrimaryKeyConstraint('limits_primary', ['key', 'bucket']),
  )
  await table('events', ['at'], (events) =>
    events
      .addColumn('id', exact(64), primary)
      .addColumn('at', 'bigint', required)
      .addColumn('type', text(32), required)
      .addColumn('user_id', exact(64))
      .addColumn('client_id', exact(128))
      .addColumn('grant_id', exact(64))
      .addColumn('credential_id', exact(64))
      .addColumn('remote_address', text(64))
      .addColumn('request_id', text(64))
      .addColumn('detail', text(255)),
  )
}

/** Tenants, addresses, rotation, refresh tokens and the first use: columns of what is there. */
async function extendLogins(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { exact, add, index } = builder(db, engine)
  await add('grants', { tenant: text(255), decided_address: text(64) })
  await add('credentials', {
    tenant: text(255),
    approved_address: text(64),
    access_expires_at: 'bigint',
    previous_hash: exact(64),
    previous_until: 'bigint',
    family_hash: exact(64),
    refresh_hash: exact(64),
    first_used_at: 'bigint',
    last_used_address: text(64),
  })
  await index('credentials', ['previous_hash'], { isUnique: true })
  await index('credentials', ['family_hash'], { isUnique: true })
  // what was used before is not used for the first time tomorrow
  await db
    .withTables<Pick<Tables, 'credentials'>>()
    .updateTable('credentials')
    .set((eb) => ({ first_used_at: eb.ref('last_used_at') }))
    .where('first_used_at', 'is', null)
    .whereRef('last_used_at', '>', 'created_at')
    .execute()
}

async function createDeliveries(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { exact, index, table } = builder(db, engine)
  await index('events', ['user_id', 'at'], { isUnique: false })
  await table('deliveries', ['next_at'], (deliveries) =>
    deliveries
      .addColumn('id', exact(64), primary)
      .addColumn('event_id', exact(64), required)
      .addColumn('endpoint', exact(64), required)
      .addColumn('attempts', 'integer', required)
      .addColumn('next_at', 'bigint', required)
      .addColumn('created_at', 'bigint', required),
  )
}

/** The delivery `loopback`: where the browser goes, and what it brings. */
async function addLoopback(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { exact, add } = builder(db, engine)
  await add('grants', { loopback_port: 'integer', loopback_state: exact(128), code_hash: exact(64) })
}

/** Instances look for decisions that another one made, and for those of a person; what waits for one has no part in it. */
async function indexDecisions(db: Kysely<unknown>, engine: Engine): Promise<void> {
  const { index } = builder(db, engine)
  for (const column of ['decided_at', 'user_id'])
    await index('grants', [column], { isUnique: false, isSparse: true })
}

/** The table that notes which steps were done, as Kysely's migrator makes it. */
export async function createMigrationsTable(db: Kysely<Tables>): Promise<void> {
  await db.schema
    .createTable('pairgate_migrations')
    .ifNotExists()
    .addColumn('name', 'varchar(255)', primary)
    .addColumn('timestamp', 'varchar(255)', required)
    .execute()
}

/** All steps, by name; a step that was released is never changed. */
export const migrations = (engine: Engine): Record<string, Migration> => ({
  '0001_tables': {
    async up(db) {
      await createPeopleAndLogins(db, engine)
      await createLedgers(db, engine)
    },
  },
  '0002_credentials': {
    async up(db) {
      await extendLogins(db, engine)
      await createDeliveries(db, engine)
    },
  },
  '0003_loopback': {
    async up(db) {
      await addLoopback(db, engine)
    },
  },
  '0004_decisions': {
    async up(db) {
      await indexDecisions(db, engine)
    },
  },
})
