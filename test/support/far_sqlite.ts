/** SQLite as if it were far away: others' statements come between one's own, as with a database server. @module */

import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { type Driver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import { kyselyStore } from '../../adapters/kysely_store.ts'
import type { Tables } from '../../adapters/migrations.ts'
import type { Store } from '../../src/mod.ts'

/** Lets everybody else who is ready have a turn. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

function driver(database: DatabaseSync): Driver {
  const command = (sql: string) => async () => database.exec(sql)
  return {
    init: async () => {},
    acquireConnection: async () => ({
      async executeQuery({ sql, parameters }) {
        await turn()
        const statement = database.prepare(sql)
        const values = parameters as SQLInputValue[]
        if (statement.columns().length > 0) return { rows: statement.all(...values) as never[] }
        const { changes, lastInsertRowid } = statement.run(...values)
        return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
      },
      streamQuery() {
        throw new Error('Streaming is not supported')
      },
    }),
    releaseConnection: turn as () => Promise<never>,
    beginTransaction: command('BEGIN IMMEDIATE'),
    commitTransaction: command('COMMIT'),
    rollbackTransaction: command('ROLLBACK'),
    destroy: async () => database.close(),
  }
}

/**
 * The SQL store on a SQLite file, with a turn for everybody else before each statement and after it. The adapter that
 * people use answers at once, so that a request is rarely interrupted and a race in it would rarely show.
 */
export function farSqlite(file: string): Store {
  const database = new DatabaseSync(file)
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF')
  const db = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => driver(database),
      createIntrospector: (kysely) => new SqliteIntrospector(kysely),
      createQueryCompiler: () => new SqliteQueryCompiler(),
    },
  })
  return kyselyStore(db, 'sqlite', {
    migrateHint: '',
    classify(error) {
      const { message } = error as Error
      if (message.includes('UNIQUE constraint')) return 'taken'
      return message.includes('no such table') ? 'no_table' : undefined
    },
  })
}
