/** The tables, as a list of steps that is only ever added to. See docs/storage.md. @module */

import type { ColumnDefinitionBuilder, Kysely } from 'kysely'
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
}

const required = (column: ColumnDefinitionBuilder) => column.notNull()
const primary = (column: ColumnDefinitionBuilder) => column.notNull().primaryKey()
const unique = (column: ColumnDefinitionBuilder) => column.unique()
const requiredUnique = (column: ColumnDefinitionBuilder) => column.notNull().unique()

async function createTables(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('users')
    .addColumn('id', 'varchar(64)', primary)
    .addColumn('issuer', 'varchar(255)', required)
    .addColumn('subject', 'varchar(255)', required)
    .addColumn('name', 'varchar(255)')
    .addColumn('email', 'varchar(255)')
    .addColumn('disabled_at', 'bigint')
    .addColumn('created_at', 'bigint', required)
    .addColumn('updated_at', 'bigint', required)
    .execute()
  await db.schema
    .createTable('grants')
    .addColumn('id', 'varchar(64)', primary)
    .addColumn('flow', 'varchar(8)', required)
    .addColumn('client_id', 'varchar(128)', required)
    .addColumn('secret_hash', 'varchar(64)', requiredUnique)
    .addColumn('user_code', 'varchar(16)', unique)
    .addColumn('match_code', 'varchar(32)')
    .addColumn('scope', 'varchar(1024)', required)
    .addColumn('device_name', 'varchar(255)')
    .addColumn('remote_address', 'varchar(64)')
    .addColumn('status', 'varchar(8)', required)
    .addColumn('user_id', 'varchar(64)')
    .addColumn('poll_interval', 'integer', required)
    .addColumn('created_at', 'bigint', required)
    .addColumn('expires_at', 'bigint', required)
    .addColumn('decided_at', 'bigint')
    .execute()
  await db.schema.createIndex('grants_expires_at').on('grants').column('expires_at').execute()
  await db.schema
    .createTable('credentials')
    .addColumn('id', 'varchar(64)', primary)
    .addColumn('kind', 'varchar(8)', required)
    .addColumn('user_id', 'varchar(64)', required)
    .addColumn('grant_id', 'varchar(64)', unique)
    .addColumn('client_id', 'varchar(128)')
    .addColumn('secret_hash', 'varchar(64)', requiredUnique)
    .addColumn('hint', 'varchar(16)', required)
    .addColumn('name', 'varchar(255)', required)
    .addColumn('scope', 'varchar(1024)', required)
    .addColumn('remote_address', 'varchar(64)')
    .addColumn('created_at', 'bigint', required)
    .addColumn('expires_at', 'bigint', required)
    .addColumn('last_used_at', 'bigint', required)
    .addColumn('revoked_at', 'bigint')
    .execute()
  await db.schema.createIndex('credentials_user_id').on('credentials').column('user_id').execute()
  await db.schema.createIndex('credentials_expires_at').on('credentials').column('expires_at').execute()
}

async function createLedgers(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('limits')
    .addColumn('key', 'varchar(191)', required)
    .addColumn('bucket', 'bigint', required)
    .addColumn('n', 'integer', required)
    .addPrimaryKeyConstraint('limits_primary', ['key', 'bucket'])
    .execute()
  await db.schema.createIndex('limits_bucket').on('limits').column('bucket').execute()
  await db.schema
    .createTable('events')
    .addColumn('id', 'varchar(64)', primary)
    .addColumn('at', 'bigint', required)
    .addColumn('type', 'varchar(32)', required)
    .addColumn('user_id', 'varchar(64)')
    .addColumn('client_id', 'varchar(128)')
    .addColumn('grant_id', 'varchar(64)')
    .addColumn('credential_id', 'varchar(64)')
    .addColumn('remote_address', 'varchar(64)')
    .addColumn('request_id', 'varchar(64)')
    .addColumn('detail', 'varchar(255)')
    .execute()
  await db.schema.createIndex('events_at').on('events').column('at').execute()
}

/** All steps, by name; a step that was released is never changed. */
export const migrations: Record<string, Migration> = {
  '0001_tables': {
    async up(db) {
      await createTables(db)
      await createLedgers(db)
    },
  },
}
