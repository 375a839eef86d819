/** Cloudflare D1, through kysely-d1. @module */

import { type DatabaseIntrospector, Kysely, SqliteAdapter, type TableMetadata } from 'kysely'
import { D1Dialect } from 'kysely-d1'
import type { Store } from '../src/mod.ts'
import type { Tables } from './migrations.ts'
import type { SqlDialect } from './sql_run.ts'
import { sqlStore } from './sql_store.ts'

/** The part of a D1 binding that is used here. */
export interface D1Database {
  /** Prepares one statement. */
  // biome-ignore lint/suspicious/noExplicitAny: the binding's own type has generics that are of no use here
  prepare(sql: string): any
}

const dialect: SqlDialect = {
  engine: 'sqlite',
  migrateHint: 'run "npx wrangler d1 migrations apply DATABASE"',
  // D1 has no error codes; the texts are from Cloudflare's list of D1 errors
  classify(error) {
    const message = error instanceof Error ? error.message : ''
    if (message.includes('UNIQUE constraint failed')) return 'taken'
    if (message.includes('no such table')) return 'no_table'
    if (/overloaded|transient issue|Too many requests queued/.test(message)) return 'not_run'
    return /Network connection lost|object to be reset|DB reset|storage caused|timeout/.test(message)
      ? 'unknown'
      : undefined
  },
}

/** Requests of one isolate need not wait for each other, and one that is cut off must not hold up all others. */
class ParallelAdapter extends SqliteAdapter {
  override get supportsMultipleConnections(): boolean {
    return true
  }
}

/** What SQLite itself keeps of its tables. */
interface Catalogue {
  readonly sqlite_master: { readonly name: string; readonly type: string }
}

/** Names the tables without asking for their columns, which D1 refuses for tables of its own. */
class TableNames implements DatabaseIntrospector {
  readonly #db: Kysely<Catalogue>

  constructor(db: Kysely<never>) {
    this.#db = db as unknown as Kysely<Catalogue>
  }

  async getSchemas(): Promise<[]> {
    return []
  }

  async getTables(): Promise<TableMetadata[]> {
    const tables = this.#db.selectFrom('sqlite_master').select('name').where('type', '=', 'table')
    const rows = await tables.execute()
    return rows.map(({ name }) => ({ name, isView: false, isForeign: false, columns: [] }))
  }

  async getMetadata(): Promise<{ tables: TableMetadata[] }> {
    return { tables: await this.getTables() }
  }
}

class Dialect extends D1Dialect {
  override createAdapter(): SqliteAdapter {
    return new ParallelAdapter()
  }
  override createIntrospector(db: Kysely<never>): DatabaseIntrospector {
    return new TableNames(db)
  }
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
  return sqlStore(new Kysely<Tables>({ dialect: new Dialect({ database: database as never }) }), dialect)
}
