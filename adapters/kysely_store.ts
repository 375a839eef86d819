/** The SQL store on a Kysely instance. @module */

import { CompiledQuery, type Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { Store } from '../src/mod.ts'
import { type Engine, migrations, type Tables } from './migrations.ts'
import { bindValues, type CompiledStatement, type Execute, type SqlDialect } from './sql_run.ts'
import { sqlStore } from './sql_store.ts'
import { compileStatement, type StatementName } from './statements.ts'

/** Runs SQL once. */
export type RunSql = (
  sql: string,
  parameters: readonly unknown[],
) => Promise<{ readonly rows: unknown[]; readonly changes: number }>

/**
 * Makes a store on a Kysely instance.
 *
 * @param run Runs what Kysely has compiled. Default: Kysely does.
 */
export function kyselyStore(
  db: Kysely<Tables>,
  engine: Engine,
  dialect: SqlDialect,
  run: RunSql = async (sql, parameters) => {
    const { rows, numAffectedRows = 0n } = await db.executeQuery(CompiledQuery.raw(sql, [...parameters]))
    return { rows, changes: Number(numAffectedRows) }
  },
): Store {
  const compiled = new Map<StatementName, CompiledStatement>()
  const compile = (name: StatementName) => {
    const known = compiled.get(name)
    if (known) return known
    const statement = compileStatement(db, name)
    compiled.set(name, statement)
    return statement
  }
  const execute: Execute = (name, values) => {
    const statement = compile(name)
    return run(statement.sql, bindValues(statement, values)) as ReturnType<typeof execute>
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
