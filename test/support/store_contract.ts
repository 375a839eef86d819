/** The one contract suite: what every store must do, whatever the database and the runtime. @module */

import { afterAll, beforeAll, describe, test } from 'vitest'
import type { Store } from '../../src/mod.ts'
import type { Databases, EmptyDatabase } from './databases.ts'
import { demand, type StoreCell } from './matrix.ts'
import { credentialCases } from './store_credentials.ts'
import { eventCases } from './store_events.ts'
import { grantCases } from './store_grants.ts'
import { keyCases } from './store_keys.ts'
import { ledgerCases } from './store_ledgers.ts'
import { loopbackCases } from './store_loopback.ts'
import { sqlCases } from './store_sql.ts'
import { textCases } from './store_text.ts'

/** What a case has to work with. */
export interface StoreBench {
  readonly store: Store
  /** One of two stores over the same database, each with connections of its own, in turn. */
  each(i: number): Store
  /** Where {@link StoreBench.store} keeps everything. */
  readonly database: EmptyDatabase
  /** Makes a further database, in which there is nothing. */
  create(): Promise<EmptyDatabase>
}

/** What is checked, by name. */
export type StoreCases = Readonly<Record<string, (bench: StoreBench) => Promise<void>>>

/** What can be asked of any store. */
export const STORE_CASES: StoreCases = {
  ...grantCases,
  ...loopbackCases,
  ...credentialCases,
  ...keyCases,
  ...ledgerCases,
  ...eventCases,
  ...textCases,
}
/** What can be asked of one that keeps tables. */
export const SQL_STORE_CASES: StoreCases = { ...STORE_CASES, ...sqlCases }

/** Everything that was opened is closed in the end. */
async function openBench(databases: Databases, opened: Store[]): Promise<StoreBench> {
  const create = async (): Promise<EmptyDatabase> => {
    const database = await databases.create()
    const open = () => {
      const store = database.open()
      opened.push(store)
      return store
    }
    return { ...database, open }
  }
  const database = await create()
  const [store, second] = [database.open(), database.open()]
  await store.migrate()
  return { store, each: (i) => (i % 2 ? second : store), database, create }
}

/**
 * Runs the suite.
 *
 * @param what What is tested, or the cell of the matrix that it is.
 * @param makeDatabases Called once, when the suite is run.
 * @param options.reason Why it cannot be run here.
 */
export function testStore(
  what: string | StoreCell,
  makeDatabases: () => Promise<Databases>,
  { cases = SQL_STORE_CASES, reason = null }: { cases?: StoreCases; reason?: string | null } = {},
): void {
  const [name, meta] =
    typeof what === 'string' ? [what, {}] : [`${what.runtime}, ${what.database}`, { cell: what }]
  describe(`store contract: ${name}`, { meta }, () => {
    const opened: Store[] = []
    let databases: Databases | undefined
    let bench: Promise<StoreBench>
    const open = async () => {
      databases = await makeDatabases()
      return await openBench(databases, opened)
    }
    beforeAll(async () => {
      if (reason !== null) return
      bench = open()
      // each case says what went wrong
      await bench.catch(() => {})
    })
    afterAll(async () => {
      await Promise.all(opened.map((store) => store.close()))
      await databases?.remove()
    })
    for (const [title, run] of Object.entries(cases)) {
      test(title, async (context) => {
        demand(context, reason)
        await run(await bench)
      })
    }
  })
}
