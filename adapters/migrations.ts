/** The tables, as a list of steps that is only ever added to. See docs/storage.md. @module */

import { type ColumnDefinitionBuilder, type CreateTableBuilder, type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import type { Grant } from '../src/core/grant.ts'
import type { AuditEvent, Credential, User } from '../src/store.ts'

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
  readonly pairgate_migrations: { readonly name: string }
}

/** Which SQL the tables are made with. */
export type Engine = 'sqlite' | 'mysql'
type Modify = (column: ColumnDefinitionBuilder) => ColumnDefinitionBuilder

const required: Modify = (column) => column.notNull()
const primary: Modify = (column) => column.notNull().primaryKey()
const unique: Modify = (column) => column.unique()
const requiredUnique: Modify = (column) => column.notNull().unique()

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
})
