/** Empty databases of every kind, for the store contract. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { d1 } from '../../adapters/d1.ts'
import type { Engine } from '../../adapters/migrations.ts'
import { mysql } from '../../adapters/mysql.ts'
import { sqlite } from '../../adapters/sqlite.ts'
import type { Store } from '../../src/mod.ts'
import { connectMariaDb } from './mariadb.ts'

/** A database in which there is nothing yet. */
export interface EmptyDatabase {
  /** Makes a store over it, with connections of its own. */
  open(): Store
  /** Runs SQL beside the stores. */
  sql(text: string): Promise<Record<string, unknown>[]>
  /** The names of its tables, sorted. */
  tables(): Promise<string[]>
  /** Which SQL the tables of the first release are made with. */
  readonly engine: Engine
  /** All steps that are missing are done together, or none; so they need not look what there is of them, and do not. */
  readonly isAtomic: boolean
}

/** A place that has room for databases. */
export interface Databases {
  create(): Promise<EmptyDatabase>
  /** Deletes them. */
  remove(): Promise<void>
}

const TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\'"
const names = (rows: Record<string, unknown>[]) =>
  rows
    .flatMap((row) => Object.values(row))
    .map(String)
    .sort()

/** A store of its own for each database, which nobody else can reach. */
export async function lonelyDatabases(makeStore: () => Store): Promise<Databases> {
  const none = () => Promise.reject(new Error('There is no way in beside the store'))
  return {
    async create() {
      const store = makeStore()
      return { open: () => store, sql: none, tables: none, engine: 'sqlite', isAtomic: false }
    },
    async remove() {},
  }
}

/** Files in a folder of their own. */
export async function sqliteDatabases(): Promise<Databases> {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-store-'))
  let serial = 0
  return {
    async create() {
      const file = join(folder, `${++serial}.db`)
      const sql: EmptyDatabase['sql'] = async (text) => {
        const database = new DatabaseSync(file)
        try {
          return (database.prepare(text).all() as Record<string, unknown>[]).map((row) => ({ ...row }))
        } finally {
          database.close()
        }
      }
      const tables = async () => names(await sql(TABLES))
      return { open: () => sqlite(file), sql, tables, engine: 'sqlite', isAtomic: true }
    },
    remove: async () => rmSync(folder, { recursive: true }),
  }
}

/** Databases in a MariaDB; they end with it. */
export async function mariaDbDatabases(adminUrl: string): Promise<Databases> {
  const client = connectMariaDb(adminUrl)
  return {
    async create() {
      const url = await client.createDatabase()
      const { sql } = connectMariaDb(url)
      return {
        open: () => mysql(url),
        sql: async (text) => (await sql(text)).map(toText),
        tables: async () => names(await sql('SHOW TABLES')),
        engine: 'mysql',
        isAtomic: false,
      }
    },
    async remove() {},
  }
}

/** Binary columns hold text. */
function toText(row: Record<string, unknown>): Record<string, unknown> {
  const entries = Object.entries(row)
  return Object.fromEntries(
    entries.map(([name, value]) => [name, Buffer.isBuffer(value) ? `${value}` : value]),
  )
}

/** How many databases one workerd has room for. */
const D1_ROOM = 16

/** D1 in memory, in a workerd of its own. Only on Node. */
export async function d1Databases(): Promise<Databases> {
  const { Miniflare } = await import('miniflare')
  const bindings = Array.from({ length: D1_ROOM }, (_, i) => `DB${i}`)
  const worker = new Miniflare({ modules: true, script: 'export default {}', d1Databases: bindings })
  let used = 0
  return {
    async create() {
      const binding = bindings[used++]
      if (!binding) throw new Error(`Expected at most ${D1_ROOM} databases`)
      const database = await worker.getD1Database(binding)
      const sql: EmptyDatabase['sql'] = async (text) => (await database.prepare(text).all()).results
      const tables = async () => names(await sql(TABLES))
      return { open: () => d1(database), sql, tables, engine: 'sqlite', isAtomic: true }
    },
    remove: () => worker.dispose(),
  }
}
