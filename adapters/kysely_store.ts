/** The SQL store on a Kysely instance. @module */

import { CompiledQuery, type Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { Store } from '../src/mod.ts'
import { type Engine, migrations, type Tables } from './migrations.ts'
import { bindValues, type CompiledStatement, type Execute, type SqlDialect } from './sql_run.ts'
import { sqlStore } from './sql_store.ts'
import { compileStatement, type StatementName } from './statements.ts'

/** Makes a store on a Kysely instance. */
export function kyselyStore(db: Kysely<Tables>, engine: Engine, dialect: SqlDialect): Store {
  const compiled = new Map<StatementName, CompiledStatement>()
  const compile = (name: StatementName) => {
    const known = compiled.get(name) ?? compileStatement(db, name)
    compiled.set(name, known)
    return known
  }
  const execute: Execute = async (name, values) => {
    const statement = compile(name)
    const query = CompiledQuery.raw(statement.sql, bindValues(statement, values))
    const { rows, numAffectedRows = 0n } = await db.executeQuery(query)
    return { rows: rows as never[], changes: Number(numAffectedRows) }
  }
  const steps = migrations(engine)
  return sqlStore(
    {
      execute,
      steps: Object.keys(steps),
      async migrate() {
        const migrator = new Migrator({
          db,
          provider: { getMigrations: async () => steps },
          migrationTableName: 'pairgate_migrations',
          migrationLockTableName: 'pairgate_migrations_lock',
        })
        const { error } = await migrator.migrateToLatest()
        if (error) throw error
      },
      close: () => db.destroy(),
    },
    dialect,
  )
}
