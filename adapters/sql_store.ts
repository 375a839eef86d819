/** The one SQL store, for every database that Kysely speaks to. @module */

import type { Kysely } from 'kysely'
import type { Store } from '../src/mod.ts'
import type { Tables } from './migrations.ts'
import { credentials } from './sql_credentials.ts'
import { grants } from './sql_grants.ts'
import { ledgers, users } from './sql_ledgers.ts'
import { createRunner, type SqlDialect } from './sql_run.ts'
import { schema } from './sql_schema.ts'

/** Makes a store on a Kysely instance. */
export function sqlStore(db: Kysely<Tables>, dialect: SqlDialect): Store {
  const runner = createRunner(dialect)
  return {
    ...schema(db, dialect, runner),
    async ping() {
      await runner.run(() => db.selectFrom('users').select('id').limit(1).execute())
    },
    async close() {
      await db.destroy()
    },
    ...grants(db, runner),
    ...credentials(db, runner),
    ...users(db, runner),
    ...ledgers(db, runner),
  }
}
