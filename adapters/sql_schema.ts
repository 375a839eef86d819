/** The tables' life: made, upgraded, checked. @module */

import type { Kysely } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { PairgateError } from '../src/mod.ts'
import { migrations, type Tables } from './migrations.ts'
import type { Runner, SqlDialect } from './sql_run.ts'

const STEPS = 'pairgate_migrations'

/** Kysely's migrator over our steps, its two tables named after us. */
export function createMigrator<T>(db: Kysely<T>, steps: Record<string, Migration>): Migrator {
  const provider = { getMigrations: async () => steps }
  return new Migrator({ db, provider, migrationTableName: STEPS, migrationLockTableName: `${STEPS}_lock` })
}

/** Says what is wrong with the tables, or with the way to them. */
function refuse(code: 'ERR_PAIRGATE_SCHEMA' | 'ERR_PAIRGATE_STORE_UNAVAILABLE', message: string): never {
  throw new PairgateError(code, message)
}

/** The store's methods for the tables themselves. */
export function schema(
  db: Kysely<Tables>,
  dialect: SqlDialect,
  { run }: Runner,
): { migrate(): Promise<void>; checkSchema(): Promise<void> } {
  const steps = migrations(dialect.engine)

  /** Reads how many of our steps were done. Refuses tables that a newer version has made. */
  async function countSteps(): Promise<number> {
    const table = db as unknown as Kysely<{ [STEPS]: { name: string } }>
    const rows = await run(() => table.selectFrom(STEPS).select('name').execute()).catch((error) => {
      if (dialect.classify(error) === 'no_table') return []
      throw error
    })
    const foreign = rows.find(({ name }) => !(name in steps))
    if (foreign) {
      refuse(
        'ERR_PAIRGATE_SCHEMA',
        `The tables were made by a newer pairgate (step "${foreign.name}"): run that version, or restore a backup`,
      )
    }
    return rows.length
  }

  const all = Object.keys(steps).length
  const explained = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      const cause = error instanceof PairgateError ? error.cause : error
      const reason = dialect.explain?.(cause)
      if (reason) refuse('ERR_PAIRGATE_STORE_UNAVAILABLE', reason)
      throw error
    }
  }

  return {
    migrate: () =>
      explained(async () => {
        if ((await countSteps()) === all) return
        await run(async () => {
          const { error } = await createMigrator(db, steps).migrateToLatest()
          // where DDL cannot be rolled back nobody waits for a lock: another process may have got there first
          if (error && (await countSteps()) < all) throw error
        })
      }),
    checkSchema: () =>
      explained(async () => {
        const done = await countSteps()
        if (done === all) return
        const what = done === 0 ? 'has no tables of pairgate yet' : 'has tables of an older pairgate'
        refuse('ERR_PAIRGATE_SCHEMA', `The database ${what}: ${dialect.migrateHint}`)
      }),
  }
}
