/**
 * SQLite through `node:sqlite`, which Node, Deno and Bun all have: nothing to compile. Its statements are those of D1,
 * compiled beforehand: Kysely would take a third of a server's start.
 *
 * @module
 */

import { hash } from 'node:crypto'
import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { lendSha256 } from '../src/internal.ts'
import type { Store } from '../src/mod.ts'
import { NOTE_STEP, STATEMENTS, STEPS, STEPS_TABLE } from './d1_sql.ts'
import { bindValues, type Execute, type SqlDialect, withRetries } from './sql_run.ts'
import { sqlStore } from './sql_store.ts'
import { createKeptRows } from './sqlite_kept.ts'
import { createWrites, type Writes } from './sqlite_writes.ts'
import type { Row } from './statements.ts'

/** The part of `DatabaseSync` that is used here. */
export interface SqliteDatabase {
  prepare(sql: string): {
    columns(): { readonly name: string }[]
    /** Where there is none, rows are objects. */
    setReturnArrays?(enabled: boolean): void
    all(...parameters: SQLInputValue[]): unknown[]
    run(...parameters: SQLInputValue[]): { changes: number | bigint; lastInsertRowid: number | bigint }
  }
  exec(sql: string): void
  close(): void
}

// Wait a moment for another process's write; longer waits belong to the retries, which do not block the event loop.
// The hashes that rows are found by are spread over all of their indexes: 8 MB of pages in memory. Rows are moved from
// the log of 16 MB to the file four times less often than by default.
const PRAGMAS = `PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON; PRAGMA busy_timeout=250;
  PRAGMA cache_size=-8000; PRAGMA wal_autocheckpoint=4000;`
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

/** An open database: statements stay prepared, which costs more than to run them. */
interface OpenDatabase {
  readonly execute: Execute
  /** Makes or upgrades the tables. */
  migrate(): void
  /** Keeps the file in WAL mode from now on. */
  keepWal(): void
  close(): void
}

/** A statement that stays prepared. */
interface Prepared {
  readonly statement: ReturnType<SqliteDatabase['prepare']>
  /** Of what it reads; nothing when it writes. */
  readonly columns: readonly string[]
  /** What it reads, with nothing in it: V8 makes a slow dictionary of an object that grows by 20 computed names. */
  readonly blank: Record<string, unknown>
}

/** Makes a row. Rows as lists and then this take half the time, and memory, of the objects without prototype that SQLite makes. */
function toRow({ columns, blank }: Prepared, values: readonly unknown[]): Record<string, unknown> {
  const row = { ...blank }
  for (let i = 0; i < columns.length; i++) row[columns[i] ?? ''] = values[i]
  return row
}

/** @param isOwn Whether nobody else writes through this connection. */
function openDatabase(database: SqliteDatabase, isOwn: boolean): OpenDatabase {
  const known = new Map<string, Prepared>()
  const prepare = (sql: string): Prepared => {
    const found = known.get(sql)
    if (found) return found
    const statement = database.prepare(sql)
    const columns = statement.columns().map(({ name }) => name)
    const prepared = { statement, columns, blank: Object.fromEntries(columns.map((name) => [name, null])) }
    statement.setReturnArrays?.(true)
    known.set(sql, prepared)
    return prepared
  }
  const writes: Writes = createWrites({
    exec: (sql) => void prepare(sql).statement.run(),
    isOwn: (error) => dialect.classify(error) === 'taken',
    isLocked: (error) => dialect.classify(error) === 'not_run',
  })
  const read = (prepared: Prepared, bound: SQLInputValue[]) =>
    prepared.statement
      .all(...bound)
      .map((row) => (Array.isArray(row) ? toRow(prepared, row) : row)) as never[]
  const kept = createKeptRows<Row<'findCredential'>>(() => {
    const [row] = prepare('PRAGMA data_version').statement.all()
    return Array.isArray(row) ? row[0] : (row as { data_version: number }).data_version
  })
  database.exec(PRAGMAS)
  let isClosed = false
  return {
    async execute(name, values) {
      const compiled = STATEMENTS[name]
      const bound = bindValues(compiled, values) as SQLInputValue[]
      const prepared = prepare(compiled.sql)
      if (prepared.columns.length > 0) {
        const again = () => read(prepared, bound)
        const rows = name === 'findCredential' && isOwn ? kept.read(String(bound[0]), again) : again()
        return { rows: rows as never[], changes: 0 }
      }
      const run = () => {
        const changes = Number(prepared.statement.run(...bound).changes)
        if (changes > 0) kept.note(compiled.sql, values)
        return changes
      }
      return { rows: [], changes: await writes.add(run) }
    },
    migrate() {
      writes.flush()
      runSteps(database)
      // they know the tables as they were
      known.clear()
    },
    keepWal: () => database.exec(WAL),
    close() {
      if (isClosed) return
      isClosed = true
      writes.flush()
      database.close()
    },
  }
}

/** Runs the steps that are missing, all or none: SQLite can roll back DDL, and processes take turns. */
function runSteps(database: SqliteDatabase): void {
  database.exec('BEGIN IMMEDIATE')
  try {
    database.exec(STEPS_TABLE)
    // asked again, now that nobody else can write: another process may have been faster
    const done = database.prepare(STATEMENTS.listSteps.sql).all() as { name: string }[]
    for (const [step, texts] of Object.entries(STEPS)) {
      if (done.some(({ name }) => name === step)) continue
      for (const text of texts) database.exec(text)
      database.prepare(NOTE_STEP).run(step)
    }
    database.exec('COMMIT')
  } catch (error) {
    try {
      database.exec('ROLLBACK')
    } catch {
      // SQLite has done so by itself
    }
    throw error
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
  lendSha256((text) => hash('sha256', text))
  let opened: OpenDatabase | undefined
  const open = () => {
    const isOwn = typeof database === 'string'
    opened ??= openDatabase(isOwn ? openFile(database) : database, isOwn)
    return opened
  }
  const store = sqlStore(
    {
      execute: (name, values) => open().execute(name, values),
      steps: Object.keys(STEPS),
      migrate: async () => open().migrate(),
      close: async () => opened?.close(),
    },
    dialect,
  )
  return {
    ...store,
    async migrate() {
      const steps = await store.migrate()
      // afterwards: a file that is refused stays as it was
      await withRetries(dialect, async () => open().keepWal())
      return steps
    },
  }
}
