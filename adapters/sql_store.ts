/** The one SQL store, for every database that Kysely speaks to. @module */

import type { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { Store } from '../src/mod.ts'
import { migrations, type Tables } from './migrations.ts'
import { credentials, grants } from './sql_grants.ts'
import { ledgers, users } from './sql_ledgers.ts'
import { type Insert, type Run, type SqlDialect, withRetries } from './sql_run.ts'

/** Makes a store on a Kysely instance. */
export function sqlStore(db: Kysely<Tables>, dialect: SqlDialect): Store {
  const run = <T>(statement: () => Promise<T>) => withRetries(dialect, statement)

  const insert: Insert = (query) =>
    run(async () => {
      try {
        return (await query.executeTakeFirstOrThrow()).numInsertedOrUpdatedRows === 1n
      } catch (error) {
        if (dialect.isUniqueViolation(error)) return null
        throw error
      }
    })

  return {
    ...lifecycle(db, run),
    ...grants(db, run, insert),
    ...credentials(db, run, insert),
    ...users(db, run, insert),
    ...ledgers(db, run, insert),
  }
}

function lifecycle(db: Kysely<Tables>, run: Run): Pick<Store, 'migrate' | 'ping' | 'close'> {
  return {
    async migrate() {
      const provider = { getMigrations: async () => migrations }
      const tables = {
        migrationTableName: 'pairgate_migrations',
        migrationLockTableName: 'pairgate_migrations_lock',
      }
      await run(async () => {
        const { error } = await new Migrator({ db, provider, ...tables }).migrateToLatest()
        if (error) throw error
      })
    },
    async ping() {
      await run(() => db.selectFrom('users').select('id').limit(1).execute())
    },
    async close() {
      await db.destroy()
    },
  }
}
