/** SQLite through `node:sqlite`, which Node, Deno and Bun all have: nothing to compile. @module */

import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Store } from '../src/mod.ts'
import { kyselyStore, type RunSql } from './kysely_store.ts'
import type { Tables } from './migrations.ts'
import { type SqlDialect, withRetries } from './sql_run.ts'
import { createWrites, type Writes } from './sqlite_writes.ts'

/** The part of `DatabaseSync` that is used here. */
export interface SqliteDatabase {
  prepare(sql: string): {
    columns(): unknown[]
    all(...parameters: SQLInputValue[]): unknown[]
    run(...parameters: SQLInputValue[]): { changes: number | bigint; lastInsertRowid: number | bigint }
  }
  exec(sql: string): void
  close(): void
}

// Wait a moment for another process's write; longer waits belong to the retries, which do not block the event loop.
const PRAGMAS = 'PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=250;'
/** Stays with the file. Apart from the others since it writes, also to an empty one. */
const WAL = 'PRAGMA journal_mode=WAL'

const dialect: SqlDialect = {
  migrateHint: 'start once with PAIRGATE_MIGRATE=1, or call gate.migrate()',
  // Deno has no errcode, so the text decides
  classify(error) {
    const message = error instanceof Error ? error.message : ''
    if (message.includes('UNIQUE constraint failed')) return 'taken'
    // a full disk is mended without a restart, too
    if (/database (table )?is (locked|busy)|disk is full/.test(message)) return 'not_run'
    return message.includes('no such table') ? 'no_table' : undefined
  },
  explain(error) {
    const message = error instanceof Error ? error.message : ''
    const isUnusable =
      /not a database|malformed|unable to open|read-?only|denied|disk is full|\bE[A-Z]{3,}\b/i
    return isUnusable.test(message) ? `The SQLite file cannot be used: ${message}` : undefined
  },
}

/** How Kysely runs what the tables are made with. */
function connection(database: SqliteDatabase): DatabaseConnection {
  return {
    async executeQuery<R>({ sql, parameters }: CompiledQuery): Promise<QueryResult<R>> {
      const statement = database.prepare(sql)
      const values = parameters as SQLInputValue[]
      if (statement.columns().length > 0) return { rows: statement.all(...values) as R[] }
      const { changes, lastInsertRowid } = statement.run(...values)
      return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
    },
    streamQuery() {
      throw new Error('Streaming is not supported')
    },
  }
}

function driver(open: () => SqliteDatabase): Driver {
  const command = (sql: string) => async () => open().exec(sql)
  return {
    init: async () => {},
    acquireConnection: async () => connection(open()),
    releaseConnection: async () => {},
    beginTransaction: command('BEGIN IMMEDIATE'),
    commitTransaction: command('COMMIT'),
    rollbackTransaction: command('ROLLBACK'),
    destroy: async () => {},
  }
}

/** An open database: statements stay prepared, which costs more than to run them. */
interface OpenDatabase {
  readonly database: SqliteDatabase
  readonly run: RunSql
  /** Forgets the statements, since the tables have changed. */
  forget(): void
  close(): void
}

function openDatabase(database: SqliteDatabase): OpenDatabase {
  const prepared = new Map<string, { statement: ReturnType<SqliteDatabase['prepare']>; reads: boolean }>()
  const prepare = (sql: string) => {
    const known = prepared.get(sql)
    if (known) return known
    const statement = database.prepare(sql)
    const fresh = { statement, reads: statement.columns().length > 0 }
    prepared.set(sql, fresh)
    return fresh
  }
  const writes: Writes = createWrites({
    exec: (sql) => void prepare(sql).statement.run(),
    isOwn: (error) => dialect.classify(error) === 'taken',
    isLocked: (error) => dialect.classify(error) === 'not_run',
  })
  database.exec(PRAGMAS)
  return {
    database,
    async run(sql, parameters) {
      const values = parameters as SQLInputValue[]
      const { statement, reads } = prepare(sql)
      if (reads) return { rows: statement.all(...values), changes: 0 }
      return { rows: [], changes: await writes.add(() => Number(statement.run(...values).changes)) }
    },
    forget: () => prepared.clear(),
    close() {
      writes.flush()
      database.close()
    },
  }
}

/** SQLite can roll back DDL, so processes that migrate at the same time take turns. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

function openFile(path: string): SqliteDatabase {
  // SQLite would make it readable for everybody
  if (!path.startsWith(':') && !path.startsWith('file:')) closeSync(openSync(path, 'a', 0o600))
  return new DatabaseSync(path)
}

/**
 * Keeps everything in one SQLite file.
 *
 * @param database The file's path (made when missing, readable for its owner only), `:memory:`, or an open `DatabaseSync`.
 * @example
 * ```ts
 * createPairgate({ database: sqlite('pairgate.db'), ... })
 * ```
 */
export function sqlite(database: string | SqliteDatabase): Store {
  let opened: OpenDatabase | undefined
  const open = () => {
    opened ??= openDatabase(typeof database === 'string' ? openFile(database) : database)
    return opened
  }
  const db = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new TransactionalAdapter(),
      createDriver: () => driver(() => open().database),
      createIntrospector: (kysely) => new SqliteIntrospector(kysely),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
  const run: RunSql = async (sql, parameters) => await open().run(sql, parameters)
  const store = kyselyStore(db, 'sqlite', dialect, run)
  return {
    ...store,
    async migrate() {
      const steps = await store.migrate()
      // afterwards: a file that is refused stays as it was
      await withRetries(dialect, () => run(WAL, []))
      opened?.forget()
      return steps
    },
    async close() {
      await store.close()
      opened?.close()
    },
  }
}
