/** The tables' life: made, upgraded, checked. @module */

import { PairgateError, type Store } from '../src/mod.ts'
import { type Runner, type SqlDialect, withRetries } from './sql_run.ts'
import type { SqlDatabase } from './sql_store.ts'

/** Says what is wrong with the tables, or with the way to them. */
function refuse(code: 'ERR_PAIRGATE_SCHEMA' | 'ERR_PAIRGATE_STORE_UNAVAILABLE', message: string): never {
  throw new PairgateError(code, message)
}

/** The store's methods for the tables themselves. */
export function createSchema(
  { steps, migrate }: SqlDatabase,
  dialect: SqlDialect,
  { read }: Runner,
): Pick<Store, 'migrate' | 'checkSchema'> {
  /** Reads which of our steps were done. Refuses tables that a newer version has made. */
  async function readSteps(): Promise<string[]> {
    const rows = await read('listSteps', {}).catch((error) => {
      if (dialect.classify(error) === 'no_table') return []
      throw error
    })
    const done = rows.map(({ name }) => name)
    const foreign = done.find((name) => !steps.includes(name))
    if (foreign !== undefined) {
      refuse(
        'ERR_PAIRGATE_SCHEMA',
        `The tables were made by a newer pairgate (step "${foreign}"): run that version, or restore a backup`,
      )
    }
    return done
  }

  const explained = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      const cause = error instanceof PairgateError && error.cause instanceof Error ? error.cause : error
      const reason = dialect.explain?.(cause)
      if (reason) refuse('ERR_PAIRGATE_STORE_UNAVAILABLE', reason)
      throw error
    }
  }

  return {
    migrate: () =>
      explained(async () => {
        let done = await readSteps()
        const missing = steps.filter((step) => !done.includes(step))
        while (done.length < steps.length) {
          const [result] = await Promise.allSettled([withRetries(dialect, () => migrate(done))])
          if (result.status === 'fulfilled') return missing
          // where nobody waits for a lock, another process may have been faster by a step: go on from there
          const now = await readSteps()
          if (now.length === done.length) throw result.reason
          done = now
        }
        return missing
      }),
    checkSchema: () =>
      explained(async () => {
        const done = await readSteps()
        if (done.length === steps.length) return
        const what = done.length === 0 ? 'has no tables of pairgate yet' : 'has tables of an older pairgate'
        refuse('ERR_PAIRGATE_SCHEMA', `The database ${what}: ${dialect.migrateHint}`)
      }),
  }
}
