/** The plan that each database has for each statement: rows are found by an index, and no table is read. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { DummyDriver, Kysely, MysqlAdapter, MysqlIntrospector, MysqlQueryCompiler } from 'kysely'
import { Miniflare } from 'miniflare'
import { type Connection, createConnection } from 'mysql2/promise'
import { afterAll, describe, expect, inject, test } from 'vitest'
import { d1 } from '../adapters/d1.ts'
import { STATEMENTS } from '../adapters/d1_sql.ts'
import type { Tables } from '../adapters/migrations.ts'
import { mysql } from '../adapters/mysql.ts'
import { bindValues } from '../adapters/sql_run.ts'
import { sqlite } from '../adapters/sqlite.ts'
import { compileStatement, type StatementName, statements } from '../adapters/statements.ts'
import { deviceCodeOf, type FilledTable, fill, idOf, keyOf, toMariaDb } from './support/filled.ts'
import { connectMariaDb } from './support/mariadb.ts'
import { NO_MARIADB } from './support/matrix.ts'
import { hash, NOW } from './support/store_rows.ts'

const NAMES = Object.keys(statements) as StatementName[]
const TABLES: FilledTable[] = ['users', 'grants', 'credentials', 'limits', 'events', 'deliveries']

/** What a plan looks at. */
interface Plan {
  /** The indexes by which rows are found, as `table(column, ...)`, sorted. */
  readonly indexes: string[]
  /** Tables, or whole indexes, that are read from one end to the other. */
  readonly scans: string[]
}
type Plans = Record<StatementName, Plan>

/** Statements that read a whole table, and may: why. */
const SCANS: Partial<Record<StatementName, string>> = {
  ping: 'any one row will do',
  listSteps: 'the table has a handful of rows',
}

/** Which index serves what happens often, and what must stay quick in a full table. */
const INDEXES: Partial<Record<StatementName, string[]>> = {
  findGrantById: ['credentials(grant_id)', 'grants(id)'],
  findGrantBySecret: ['credentials(grant_id)', 'grants(secret_hash)'],
  findGrantByUserCode: ['credentials(grant_id)', 'grants(user_code)'],
  slowDown: ['grants(id)'],
  decideGrant: ['grants(id)'],
  listDecided: ['grants(decided_at)'],
  expireGrants: ['grants(user_id)'],
  redeemGrant: ['credentials(user_id)', 'grants(secret_hash)', 'users(id)'],
  createKey: ['credentials(user_id)', 'users(id)'],
  countCredentials: ['credentials(user_id)'],
  findCredential: ['credentials(previous_hash)', 'credentials(secret_hash)', 'users(id)'],
  findOwnCredential: ['credentials(id)'],
  findFamily: ['credentials(family_hash)', 'users(id)'],
  listCredentials: ['credentials(user_id)'],
  touchCredential: ['credentials(id)'],
  refreshCredential: ['credentials(id)', 'users(id)'],
  sumLimits: ['limits(key, bucket)'],
  raiseLimit: ['limits(key, bucket)'],
  listEvents: ['events(at)', 'users(id)'],
  listEventsOf: ['events(user_id, at)', 'users(id)'],
  dueDeliveries: ['deliveries(next_at)', 'events(id)', 'users(id)'],
  dropGrants: ['grants(expires_at)'],
  dropCredentials: ['credentials(expires_at)'],
  dropLimits: ['limits(bucket)'],
  dropEvents: ['events(at)'],
  dropDeliveries: ['deliveries(next_at)'],
}

/** Checks every statement, also one that is added tomorrow. */
function expectIndexes(plans: Plans, indexes = INDEXES): void {
  const scanning = NAMES.filter((name) => plans[name].scans.length > 0)
  expect(scanning, 'these read a whole table').toEqual(Object.keys(SCANS))
  const blind = NAMES.filter((name) => plans[name].indexes.length === 0)
  expect(blind, 'these look for nothing').toEqual(NAMES.filter((name) => name.startsWith('insert')))
  const names = Object.keys(indexes) as StatementName[]
  expect(Object.fromEntries(names.map((name) => [name, plans[name].indexes]))).toEqual(indexes)
}

const sorted = (names: readonly string[]) => [...new Set(names)].sort()

/** The plans of SQLite's planner, from how it tells each statement. */
async function readSqlitePlans(
  indexes: ReadonlyMap<string, string>,
  explain: (sql: string, places: number) => Promise<string[]>,
): Promise<Plans> {
  const plans = NAMES.map(async (name): Promise<[StatementName, Plan]> => {
    const { sql, parameters } = STATEMENTS[name]
    const steps = await explain(`EXPLAIN QUERY PLAN ${sql}`, parameters.length)
    const found = steps.flatMap((step) => / USING (?:COVERING )?INDEX (\w+)/.exec(step)?.[1] ?? [])
    const scans = steps.filter((step) => /^SCAN (?!CONSTANT)/.test(step))
    return [name, { indexes: sorted(found.map((one) => indexes.get(one) ?? one)), scans }]
  })
  return Object.fromEntries(await Promise.all(plans)) as Plans
}

const SQLITE_INDEXES = `SELECT i.name, m.name || '(' || group_concat(c.name, ', ') || ')' AS columns
  FROM sqlite_master m, pragma_index_list(m.name) i, pragma_index_info(i.name) c WHERE m.type = 'table' GROUP BY i.name`

/** The columns of each index of a SQLite database, by its name. */
function sqliteIndexes(database: DatabaseSync): Map<string, string> {
  const rows = database.prepare(SQLITE_INDEXES).all()
  return new Map(rows.map(({ name, columns }) => [String(name), String(columns)]))
}

async function explainSqlite(database: DatabaseSync): Promise<Plans> {
  return await readSqlitePlans(sqliteIndexes(database), async (sql, places) => {
    const rows = database.prepare(sql).all(...Array.from({ length: places }, () => null))
    return rows.map(({ detail }) => String(detail))
  })
}

const folder = mkdtempSync(join(tmpdir(), 'pairgate-explain-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Empty tables in a file of their own: SQLite's plans depend on the indexes alone, since nobody runs ANALYZE. */
async function createTables(name: string): Promise<DatabaseSync> {
  const file = join(folder, name)
  const store = sqlite(file)
  await store.migrate()
  await store.close()
  return new DatabaseSync(file)
}

describe('SQLite', () => {
  test('finds the rows of every statement by an index', async () => {
    const database = await createTables('plans.db')
    expectIndexes(await explainSqlite(database))
    database.close()
  })

  test('needs each of its indexes: without it a statement reads a table, or takes another way', async () => {
    const database = await createTables('needs.db')
    const before = await explainSqlite(database)
    const made = database.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql NOT NULL")
    const indexes = made.all().map(({ name, sql }) => ({ name: String(name), sql: String(sql) }))
    expect(indexes.length).toBeGreaterThan(8)
    for (const { name, sql } of indexes) {
      database.exec(`DROP INDEX ${name}`)
      const after = await explainSqlite(database)
      expect(after, name).not.toEqual(before)
      expect(() => expectIndexes(after), name).toThrow()
      database.exec(sql)
    }
    expect(await explainSqlite(database)).toEqual(before)
    database.close()
  })
})

describe('D1', () => {
  test('finds the rows of every statement by an index', async () => {
    const worker = new Miniflare({ modules: true, script: 'export default {}', d1Databases: ['DB'] })
    try {
      const database = await worker.getD1Database('DB')
      await d1(database).migrate()
      // D1 does not say what its indexes are; they are those of SQLite, by the same names
      const same = await createTables('d1.db')
      const plans = await readSqlitePlans(sqliteIndexes(same), async (sql, places) => {
        const bound = database.prepare(sql).bind(...Array.from({ length: places }, () => null))
        const { results } = await bound.all()
        return results.map((row: Record<string, unknown>) => String(row.detail))
      })
      same.close()
      expectIndexes(plans)
    } finally {
      await worker.dispose()
    }
  })
})

/** Rows in each table: an optimizer that weighs costs would read a small one. */
const ROWS = 5_000
/** No statement may expect to look at more rows of a table than this. */
const MOST_ROWS = 200

const DAY = 86_400_000
const OLDEST_LIMITS = NOW - (ROWS >> 8) * 60_000
/** What is only written somewhere. */
const WRITTEN = [
  ...[
    'status',
    'scope',
    'tenant',
    'decided_address',
    'expires_at',
    'hint',
    'name',
    'remote_address',
    'address',
  ],
  ...['access_expires_at', 'created_at', 'last_used_at', 'approved_address', 'previous_until', 'new_hash'],
  ...['new_refresh_hash', 'keep_until', 'email', 'disabled_at', 'until'],
]
/** What a statement is asked with, by the name of the value: something that is there. */
const VALUES: Record<string, unknown> = {
  ...Object.fromEntries(WRITTEN.map((name) => [name, 1])),
  ...{ id: idOf(10), user_id: idOf(10), grant_id: idOf(10), event_id: idOf(10), user_code: 'BCDFGHJK' },
  ...{ secret_hash: hash(keyOf(10)), grant_secret_hash: hash(deviceCodeOf(10)), code_hash: '' },
  ...{
    family_hash: hash('family'),
    refresh_hash: hash('refresh'),
    client_id: 'pairgate-cli',
    flow: 'device',
  },
  ...{ kind: 'api_key', kind1: 'api_key', kind2: 'session', kind3: 'browser', except: '', type: null },
  ...{ now: NOW, since: NOW - 100, before: NOW - 60_000, idle_since: NOW - DAY, at: NOW },
  ...{ limit: 20, batch: 100, max: 50, interval: 10, attempts: 1, next_at: NOW },
  ...{ key: 'pending:device:203.0.0.7', bucket: NOW },
  ...Object.fromEntries(
    [1, 2, 3].flatMap((i) => [
      [`key${i}`, `pending:device:203.0.0.${i}`],
      [`since${i}`, NOW - 600_000],
      [`until${i}`, NOW],
    ]),
  ),
}
/** Makes the rows that are asked for: of what is not there the optimizer says so, and no more. */
const EXAMPLES = [
  `UPDATE grants SET status = 'approved', user_id = '${idOf(10)}', decided_at = ${NOW}, user_code = 'BCDFGHJK' WHERE id = '${idOf(10)}'`,
  `UPDATE credentials SET grant_id = '${idOf(10)}', family_hash = '${hash('family')}', refresh_hash = '${hash('refresh')}' WHERE id = '${idOf(10)}'`,
]
/** Where a value means something else. */
const VALUES_OF: Partial<Record<StatementName, Record<string, unknown>>> = {
  findGrantBySecret: { secret_hash: hash(deviceCodeOf(10)) },
  listEvents: { before: NOW, id: 'zz' },
  listEventsOf: { before: NOW, id: 'zz' },
  dropGrants: { before: NOW + 60_000 + 50 },
  dropCredentials: { before: NOW + 30 * DAY + 50 },
  dropLimits: { before: OLDEST_LIMITS + 1 },
  dropEvents: { before: NOW - ROWS + 50 },
  dropDeliveries: { before: NOW },
}

function createMysqlCompiler(): Kysely<Tables> {
  return new Kysely<Tables>({
    dialect: {
      createAdapter: () => new MysqlAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new MysqlIntrospector(db),
      createQueryCompiler: () => new MysqlQueryCompiler(),
    },
  })
}

/** A line of MariaDB's EXPLAIN. */
type Step = {
  table: string | null
  type: string | null
  key: string | null
  rows: number | null
  Extra: string | null
}

/** The plans of a MariaDB database for values that are there. */
async function explainMariaDb(connection: Connection): Promise<Plans> {
  const query = async <R>(sql: string, values: unknown[] = []) =>
    (await connection.execute(sql, values as string[]))[0] as R[]
  const columns = await query<{ t: string; i: string; c: string }>(
    'SELECT table_name t, index_name i, group_concat(column_name ORDER BY seq_in_index SEPARATOR ", ") c ' +
      'FROM information_schema.statistics WHERE table_schema = database() GROUP BY table_name, index_name',
  )
  const nameOf = (table: string, key: string) =>
    columns
      .filter(({ t, i }) => i === key && (t === table || table === 'live'))
      .map(({ t, c }) => `${t}(${c})`)
  const db = createMysqlCompiler()
  const plans = {} as Plans
  for (const name of NAMES) {
    const compiled = compileStatement(db, name)
    const isRead = !/^insert .* values/.test(compiled.sql)
    const values = isRead ? { ...VALUES, ...VALUES_OF[name] } : new Proxy({}, { get: () => 1 })
    const steps = await query<Step>(`EXPLAIN ${compiled.sql}`, bindValues(compiled, values))
    const read = isRead ? steps.filter(({ table }) => table !== null) : []
    const isWhole = ({ type, rows, Extra }: Step) =>
      type === 'ALL' || type === 'index' || (rows ?? 0) > MOST_ROWS || /temporary/.test(Extra ?? '')
    const keys = read.flatMap(({ table, key }) =>
      (key ?? '').split(',').flatMap((one) => nameOf(`${table}`, one)),
    )
    plans[name] = { indexes: sorted(keys), scans: read.filter(isWhole).map((step) => JSON.stringify(step)) }
  }
  return plans
}

const adminUrl = inject('mariadb')
describe.skipIf(adminUrl === null)(adminUrl === null ? `MariaDB: ${NO_MARIADB}` : 'MariaDB', () => {
  test('finds the rows of every statement by an index, in full tables', async () => {
    const url = await connectMariaDb(adminUrl ?? '').createDatabase()
    const store = mysql(url)
    await store.migrate()
    await store.close()
    const connection = await createConnection(url)
    try {
      await fill(toMariaDb(connection), TABLES, { to: ROWS, now: NOW })
      for (const sql of EXAMPLES) await connection.query(sql)
      await connection.query(`ANALYZE TABLE ${TABLES}`)
      const plans = await explainMariaDb(connection)
      // the entries of this index hold the key, too: it leads to the very row as well
      const own = { ...INDEXES, raiseLimit: ['limits(bucket)'] }
      expectIndexes(plans, own)
      await connection.query('DROP INDEX grants_user_id ON grants')
      const without = await explainMariaDb(connection)
      expect(without.expireGrants.scans).toHaveLength(1)
      expect(() => expectIndexes(without, own)).toThrow('these read a whole table')
    } finally {
      await connection.end()
    }
  })
})
