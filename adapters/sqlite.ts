/** SQLite through `node:sqlite`, which Node, Deno and Bun all have: nothing to compile. @module */

import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Driver,
  Kysely,
  type QueryResult,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
} from 'kysely'
import type { Store } from '../src/mod.ts'
import { kyselyStore } from './kysely_store.ts'
import type { Tables } from './migrations.ts'
import { type SqlDialect, withRetries } from './sql_run.ts'

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
const WAL = CompiledQuery.raw('PRAGMA journal_mode=WAL')

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
  let database: SqliteDatabase | undefined
  const command = (sql: string) => async () => database?.exec(sql)
  return {
    init: async () => {
      database = open()
      database.exec(PRAGMAS)
    },
    acquireConnection: async () => connection(database as SqliteDatabase),
    releaseConnection: async () => {},
    beginTransaction: command('BEGIN IMMEDIATE'),
    commitTransaction: command('COMMIT'),
    rollbackTransaction: command('ROLLBACK'),
    destroy: async () => database?.close(),
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
  const open = () => (typeof database === 'string' ? openFile(database) : database)
  const db = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new TransactionalAdapter(),
      createDriver: () => driver(open),
      createIntrospector: (kysely) => new SqliteIntrospector(kysely),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
  const store = kyselyStore(db, 'sqlite', dialect)
  return {
    ...store,
    async migrate() {
      const steps = await store.migrate()
      // afterwards: a file that is refused stays as it was
      await withRetries(dialect, () => db.executeQuery(WAL))
      return steps
    },
  }
}
