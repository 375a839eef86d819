/** How a statement is run on any database: what counts as held, taken or temporary, and when to try again. @module */

import type { InsertResult, UpdateResult } from 'kysely'
import { PairgateError } from '../src/mod.ts'

/** What differs between databases, beside what Kysely hides. */
export interface SqlDialect {
  /** Tells whether an error says that a unique value is taken. */
  isUniqueViolation(error: unknown): boolean
  /** Tells whether an error will pass: the statement did not run and may be tried again. */
  isTemporary(error: unknown): boolean
}

/** Runs a statement, again when it failed for the moment. */
export type Run = <T>(statement: () => Promise<T>) => Promise<T>
/** Runs an INSERT. True: a row was added; false: the guard did not hold; null: a unique value is taken. */
export type Insert = (query: { executeTakeFirstOrThrow(): Promise<InsertResult> }) => Promise<boolean | null>

/** Delays before trying again, in milliseconds; each is stretched by up to half, by chance. */
const RETRIES = [5, 20, 80, 200]

/** Runs a statement; a temporary failure is met with up to four more tries, then with `ERR_PAIRGATE_STORE_UNAVAILABLE`. */
export async function withRetries<T>(dialect: SqlDialect, statement: () => Promise<T>): Promise<T> {
  for (let tries = 0; ; tries++) {
    try {
      return await statement()
    } catch (error) {
      if (!dialect.isTemporary(error)) throw error
      const delay = RETRIES[tries]
      if (delay === undefined) {
        throw new PairgateError('ERR_PAIRGATE_STORE_UNAVAILABLE', 'The database does not answer', error)
      }
      await new Promise((resolve) => setTimeout(resolve, delay * (1 + Math.random() / 2)))
    }
  }
}

/** Tells whether the guard of an UPDATE held. */
export const held = (result: UpdateResult) => result.numUpdatedRows === 1n
