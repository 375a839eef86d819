/** Tables as a busy server has them, filled directly: the n-th row of each, so that one knows what to look for. @module */

import { hash } from 'node:crypto'
import type { DatabaseSync } from 'node:sqlite'
import type { Connection } from 'mysql2/promise'
import type { D1Database } from '../../adapters/d1.ts'
import type { Tables } from '../../adapters/migrations.ts'
import { createSecret } from '../../src/core/secret.ts'
import { USER_CODE_ALPHABET, USER_CODE_LENGTH } from '../../src/core/user_code.ts'

/** A table that is filled. */
export type FilledTable = Exclude<keyof Tables, 'pairgate_migrations'>
type Row = Record<string, string | number | null>

const MINUTE = 60_000
const DAY = 86_400_000
/** So many rows after one another are one person's. */
const PER_PERSON = 5

const base64url = (text: string) => hash('sha256', text, 'base64url')
const hex = (text: string) => hash('sha256', text, 'hex')
const bytes = (text: string) => hash('sha512', text, 'buffer')

/** The id of the n-th row, in every table: 128 bits. */
export const idOf = (n: number) => base64url(`id ${n}`).slice(0, 22)
/** The id of the grant that the n-th credential came of; it is gone by now. */
const goneOf = (n: number) => base64url(`gone ${n}`).slice(0, 22)
/** The device code of the n-th grant. */
export const deviceCodeOf = (n: number) => base64url(`device code ${n}`)
/** The API key of the n-th credential. */
export const keyOf = (n: number) => createSecret(() => bytes(`key ${n}`), 'pg', 'api_key')
/** The user code of the n-th grant, up to 20 million: all over the alphabet, and no two alike. */
function userCodeOf(n: number): string {
  const { length } = USER_CODE_ALPHABET
  const places = Array.from({ length: USER_CODE_LENGTH.ordinary }, (_, i) => length ** i)
  return places.map((place) => USER_CODE_ALPHABET[Math.floor((n * 368_787_011) / place) % length]).join('')
}
/** The person whose the n-th row is. */
const personOf = (n: number) => idOf(n - (n % PER_PERSON))
const addressOf = (n: number) => `203.0.${(n >> 8) % 256}.${n % 256}`

/** Makes the n-th row of each table; of people only every fifth has one. What lives at `now` ends later, and nothing is old. */
const ROWS: Record<FilledTable, (n: number, now: number) => Row | null> = {
  users(n, now) {
    if (n % PER_PERSON !== 0) return null
    const who = { issuer: 'https://issuer.example', subject: `user-${n}`, name: `User ${n}` }
    return { id: idOf(n), ...who, email: null, created_at: now - DAY, updated_at: now - DAY }
  },
  grants: (n, now) => ({
    ...{ id: idOf(n), flow: 'device', client_id: 'pairgate-cli', secret_hash: hex(deviceCodeOf(n)) },
    ...{ user_code: userCodeOf(n), scope: '', device_name: `ada@laptop-${n % 1000}`, status: 'pending' },
    ...{ remote_address: addressOf(n), poll_interval: 5 },
    ...{ created_at: now - (n % 300_000), expires_at: now + MINUTE + (n % 500_000) },
  }),
  credentials(n, now) {
    const key = keyOf(n)
    return {
      ...{
        id: idOf(n),
        kind: 'api_key',
        user_id: personOf(n),
        grant_id: goneOf(n),
        client_id: 'pairgate-cli',
      },
      ...{ secret_hash: hex(key), hint: `pgk_…${key.slice(-4)}`, name: `ada@laptop-${n % 1000} (BVTH-ZJMK)` },
      ...{ scope: '', remote_address: addressOf(n), approved_address: addressOf(n) },
      ...{
        created_at: now - DAY,
        expires_at: now + 30 * DAY + n,
        first_used_at: now - DAY,
        last_used_at: now,
      },
    }
  },
  limits: (n, now) => ({ key: `pending:device:${addressOf(n)}`, bucket: now - (n >> 8) * MINUTE, n: 1 }),
  events: (n, now) => ({
    ...{ id: idOf(n), at: now - n, type: 'started', user_id: n % 2 ? null : personOf(n) },
    ...{ client_id: 'pairgate-cli', grant_id: idOf(n), remote_address: addressOf(n) },
    ...{ request_id: idOf(n).slice(0, 12), detail: 'device' },
  }),
  deliveries: (n, now) => ({
    ...{ id: idOf(n), event_id: idOf(n), endpoint: 'webhook', attempts: 1 },
    ...{ next_at: now + n - 10, created_at: now - n },
  }),
}

/** Adds rows to a table, each with these columns. */
export type Add = (
  table: FilledTable,
  columns: readonly string[],
  rows: readonly (readonly unknown[])[],
) => Promise<unknown>

/** All rows are one value, since D1 takes no more than a hundred. */
function insertOfJson(table: FilledTable, columns: readonly string[]): string {
  const values = columns.map((_, i) => `value ->> ${i}`)
  return `INSERT INTO ${table} ("${columns.join('", "')}") SELECT ${values} FROM json_each(?)`
}

/** Adds rows to a SQLite file. */
export const toSqlite =
  (database: DatabaseSync): Add =>
  async (table, columns, rows) =>
    database.prepare(insertOfJson(table, columns)).run(JSON.stringify(rows))

/** Adds rows to a D1 database. */
export const toD1 =
  (database: D1Database): Add =>
  (table, columns, rows) =>
    database.prepare(insertOfJson(table, columns)).bind(JSON.stringify(rows)).all()

/** Adds rows to a MariaDB database. */
export const toMariaDb =
  (connection: Connection): Add =>
  (table, columns, rows) =>
    connection.query(`INSERT INTO ${table} (\`${columns.join('`, `')}\`) VALUES ?`, [rows])

const CHUNK = 2_000

/** Adds the rows from number `from` to number `to`, without the last, to some tables. */
export async function fill(
  add: Add,
  tables: readonly FilledTable[],
  { from = 0, to, now }: { from?: number; to: number; now: number },
): Promise<void> {
  for (const table of tables) {
    for (let start = from; start < to; start += CHUNK) {
      const numbers = Array.from({ length: Math.min(to - start, CHUNK) }, (_, i) => start + i)
      const rows = numbers.map((n) => ROWS[table](n, now)).filter((row) => row !== null)
      const columns = Object.keys(rows[0] ?? {})
      await add(
        table,
        columns,
        rows.map((row) => Object.values(row)),
      )
    }
  }
}
