/** The tables as the second step left them, for what has to become of people's databases. @module */

import { readFileSync } from 'node:fs'
import type { EmptyDatabase } from './databases.ts'
import { FIRST_USER, makeFirstTables } from './store_first_tables.ts'
import { hash, NOW } from './store_rows.ts'

/** What was run on MySQL; it is not changed here either. */
const MYSQL = [
  'alter table grants add column tenant varchar(255), add column decided_address varchar(64)',
  `alter table credentials add column tenant varchar(255), add column approved_address varchar(64),
    add column access_expires_at bigint, add column previous_hash varbinary(64),
    add column previous_until bigint, add column family_hash varbinary(64),
    add column refresh_hash varbinary(64), add column first_used_at bigint,
    add column last_used_address varchar(64)`,
  'create unique index credentials_previous_hash on credentials (previous_hash)',
  'create unique index credentials_family_hash on credentials (family_hash)',
  'create index events_user_id_at on events (user_id, at)',
  `create table deliveries (id varbinary(64) not null primary key, event_id varbinary(64) not null,
    endpoint varbinary(64) not null, attempts integer not null, next_at bigint not null,
    created_at bigint not null,
    index deliveries_next_at (next_at)) engine=InnoDB default charset=utf8mb4 collate=utf8mb4_bin`,
  "insert into pairgate_migrations (name, timestamp) values ('0002_credentials', '2026-01-01T00:00:00.000Z')",
]

/** The same for SQLite and D1: the file that people have applied. */
function readSqlite(): string[] {
  const file = new URL('../../examples/workers/migrations/0002_credentials.sql', import.meta.url)
  return readFileSync(file, 'utf8')
    .replace(/^--.*$/gm, '')
    .split(/;\n/)
    .filter((text) => text.trim() !== '')
}

/** What a link of the second step has: allowed by one, asked for by the other. */
export const SECOND_GRANTS = { allowed: hash('second-allowed'), pending: hash('second-pending') }

/** Makes the tables of the second step, with logins by link in them. */
export async function makeSecondTables(database: EmptyDatabase): Promise<void> {
  await makeFirstTables(database)
  for (const text of database.engine === 'mysql' ? MYSQL : readSqlite()) await database.sql(text)
  for (const [name, secret] of Object.entries(SECOND_GRANTS)) {
    const decided = name === 'allowed' ? `'approved', '${FIRST_USER.id}', ${NOW}` : "'pending', null, null"
    await database.sql(
      `INSERT INTO grants (id, flow, client_id, secret_hash, match_code, scope, poll_interval, created_at,
        expires_at, tenant, decided_address, status, user_id, decided_at)
        VALUES ('second-${name}', 'pair', 'cli', '${secret}', 'maple 42', 'read', 5, ${NOW},
        ${NOW + 600_000}, 'acme', '203.0.113.9', ${decided})`,
    )
  }
}
