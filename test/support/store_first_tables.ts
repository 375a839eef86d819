/** The tables as version 0.1.0 made them, for what has to become of people's databases. @module */

import { readFileSync } from 'node:fs'
import type { EmptyDatabase } from './databases.ts'
import { hash, NOW } from './store_rows.ts'

/** What was run on MySQL; it has been released, so it is not changed here either. */
const MYSQL = [
  `create table if not exists users (id varbinary(64) not null primary key,
    issuer varchar(255) not null, subject varchar(255) not null, name varchar(255),
    email varchar(255), disabled_at bigint, created_at bigint not null,
    updated_at bigint not null) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin`,
  `create table if not exists grants (id varbinary(64) not null primary key,
    flow varbinary(8) not null, client_id varbinary(128) not null,
    secret_hash varbinary(64) not null unique, user_code varbinary(16) unique,
    match_code varchar(32), scope varchar(1024) not null, device_name varchar(255),
    remote_address varchar(64), status varbinary(8) not null, user_id varbinary(64),
    poll_interval integer not null, created_at bigint not null,
    expires_at bigint not null, decided_at bigint,
    index grants_expires_at (expires_at)) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin`,
  `create table if not exists credentials (id varbinary(64) not null primary key,
    kind varbinary(8) not null, user_id varbinary(64) not null,
    grant_id varbinary(64) unique, client_id varbinary(128),
    secret_hash varbinary(64) not null unique, hint varchar(16) not null,
    name varchar(255) not null, scope varchar(1024) not null, remote_address varchar(64),
    created_at bigint not null, expires_at bigint not null, last_used_at bigint not null,
    revoked_at bigint, index credentials_user_id (user_id),
    index credentials_expires_at (expires_at)) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin`,
  'create table if not exists limits (`key` varbinary(191) not null, bucket bigint not null, n integer not null, ' +
    'constraint limits_primary primary key (`key`, bucket), index limits_bucket (bucket)) ' +
    'engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin',
  `create table if not exists events (id varbinary(64) not null primary key,
    at bigint not null, type varchar(32) not null, user_id varbinary(64),
    client_id varbinary(128), grant_id varbinary(64), credential_id varbinary(64),
    remote_address varchar(64), request_id varchar(64), detail varchar(255),
    index events_at (at)) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin`,
  'create table pairgate_migrations (name varchar(255) primary key, timestamp varchar(255) not null)',
  "insert into pairgate_migrations (name, timestamp) values ('0001_tables', '2026-01-01T00:00:00.000Z')",
]

/** The same for SQLite and D1: the file that people have applied. */
function readSqlite(): string[] {
  const file = new URL('../../examples/workers/migrations/0001_tables.sql', import.meta.url)
  return readFileSync(file, 'utf8')
    .replace(/^--.*$/gm, '')
    .split(/;\n/)
    .filter((text) => text.trim() !== '')
}

const DAY = 86_400_000
/** What a credential of the first release is found by. */
export const FIRST_SECRET = hash('first-secret')
/** Whose it is. */
export const FIRST_USER = { id: hash('first-user'), issuer: 'https://issuer.example', subject: 'first' }

const user = { ...FIRST_USER, name: 'First', email: null, disabled_at: null, created_at: 1, updated_at: 2 }
const grant = {
  ...{ id: 'first-grant', flow: 'device', client_id: 'cli', secret_hash: hash('first-grant') },
  ...{ user_code: 'FIRSTONE', match_code: null, scope: 'read', device_name: 'laptop' },
  ...{ remote_address: '203.0.113.1', status: 'approved', user_id: FIRST_USER.id, poll_interval: 5 },
  ...{ created_at: NOW, expires_at: NOW + DAY, decided_at: NOW + 1 },
}
const credential = {
  ...{ id: 'first-used', kind: 'api_key', user_id: FIRST_USER.id, grant_id: 'first-redeemed' },
  ...{ client_id: 'cli', secret_hash: FIRST_SECRET, hint: 'pgk_…abcd', name: 'laptop', scope: 'read' },
  ...{ remote_address: null, created_at: NOW, expires_at: NOW + DAY, last_used_at: NOW + 9 },
  revoked_at: null,
}
const unused = {
  ...{ ...credential, id: 'first-unused', grant_id: null, secret_hash: hash('first-unused') },
  last_used_at: NOW,
}
const event = {
  ...{ id: 'first-event', at: NOW, type: 'issued', user_id: FIRST_USER.id, client_id: 'cli' },
  ...{ grant_id: 'first-redeemed', credential_id: 'first-used', remote_address: null },
  ...{ request_id: null, detail: null },
}

/** One row of each kind, two credentials among them: one was used, one was not. */
export const FIRST_ROWS: Readonly<Record<string, readonly object[]>> = {
  users: [user],
  grants: [grant],
  credentials: [credential, unused],
  limits: [{ key: 'wrong', bucket: 1, n: 2 }],
  events: [event],
}

const quote = (value: unknown) => (typeof value === 'string' ? `'${value}'` : String(value))

/** Makes the first tables, with rows in them. */
export async function makeFirstTables({ engine, sql }: EmptyDatabase): Promise<void> {
  for (const text of engine === 'mysql' ? MYSQL : readSqlite()) await sql(text)
  const column = (name: string) => (engine === 'mysql' ? `\`${name}\`` : `"${name}"`)
  for (const [table, rows] of Object.entries(FIRST_ROWS))
    for (const row of rows) {
      const columns = Object.keys(row).map(column).join(', ')
      await sql(`INSERT INTO ${table} (${columns}) VALUES (${Object.values(row).map(quote).join(', ')})`)
    }
}
