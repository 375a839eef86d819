/**
 * Cloudflare D1. Its statements are those of statements.ts, compiled beforehand: Kysely and its compiler would be half of
 * a Worker's code.
 *
 * @module
 */

import type { Store } from '../src/mod.ts'
import { NOTE_STEP, STATEMENTS, STEPS, STEPS_TABLE } from './d1_sql.ts'
import { bindValues, type Execute, type SqlDialect } from './sql_run.ts'
import { sqlStore } from './sql_store.ts'

/** A prepared statement of D1; the part that is used here. */
export interface D1PreparedStatement {
  /** Binds the values of the `?`. */
  bind(...values: unknown[]): D1PreparedStatement
  /** Runs it. */
  all(): Promise<{ readonly results: unknown[]; readonly meta: { readonly changes?: number } }>
}

/** A D1 binding; the part that is used here. */
export interface D1Database {
  /** Prepares one statement. */
  prepare(sql: string): D1PreparedStatement
  /** Runs statements together: all of them, or none. */
  batch(statements: D1PreparedStatement[]): Promise<unknown>
}

const dialect: SqlDialect = {
  migrateHint: 'run "npx wrangler d1 migrations apply DATABASE"',
  // D1 has no error codes; the texts are from Cloudflare's list of D1 errors
  classify(error) {
    const message = error instanceof Error ? error.message : ''
    if (message.includes('UNIQUE constraint failed')) return 'taken'
    if (message.includes('no such table')) return 'no_table'
    if (/overloaded|transient issue|Too many requests queued|disk is full/.test(message)) return 'not_run'
    return /Network connection lost|object to be reset|DB reset|storage caused|timeout/.test(message)
      ? 'unknown'
      : undefined
  },
}

/**
 * Keeps everything in a D1 database.
 *
 * All statements go to the primary, also with read replication on, so that a revoked credential is refused everywhere
 * at once: pass the binding itself, not a session of it.
 *
 * @param database The binding, such as `env.DB`.
 * @example
 * ```ts
 * createPairgate({ database: d1(env.DB), autoMigrate: false, ... })
 * ```
 */
export function d1(database: D1Database): Store {
  const execute: Execute = async (name, values) => {
    const statement = STATEMENTS[name]
    const bound = database.prepare(statement.sql).bind(...bindValues(statement, values))
    const { results, meta } = await bound.all()
    return { rows: results as never[], changes: meta.changes ?? 0 }
  }
  return sqlStore(
    {
      execute,
      steps: Object.keys(STEPS),
      async migrate(done) {
        const missing = Object.entries(STEPS).filter(([name]) => !done.includes(name))
        const prepare = (text: string) => database.prepare(text)
        const steps = missing.flatMap(([name, texts]) => [
          ...texts.map(prepare),
          prepare(NOTE_STEP).bind(name),
        ])
        // together, so that a step is done with its tables, or not at all
        await database.batch([prepare(STEPS_TABLE), ...steps])
      },
      close: async () => {},
    },
    dialect,
  )
}
