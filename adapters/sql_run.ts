/** How a statement is run on any database: what an error means, and when to try again. @module */

import { PairgateError } from '../src/mod.ts'
import type { Row, StatementName, Values } from './statements.ts'

/** A statement's text; each parameter is the name of a value, or a constant in an array. */
export interface CompiledStatement {
  readonly sql: string
  readonly parameters: readonly (string | readonly [unknown])[]
}

/** Runs a statement once; rows are what it reads, changes how many it wrote. */
export type Execute = <N extends StatementName>(
  name: N,
  values: Values<N>,
) => Promise<{ readonly rows: Row<N>[]; readonly changes: number }>

/**
 * What a database's error means.
 *
 * - `taken`: a unique value is there already.
 * - `not_run`: it will pass, and the statement changed nothing: a lock, a deadlock, no connection.
 * - `unknown`: it will pass, but the statement may have run: the connection broke while it was under way.
 * - `no_table`: the tables were not made yet.
 */
export type Failure = 'taken' | 'not_run' | 'unknown' | 'no_table'

/** What differs between databases, beside what Kysely hides. */
export interface SqlDialect {
  /** How an operator makes or upgrades the tables, as an imperative. */
  readonly migrateHint: string
  /** Tells what an error means; undefined when it is none of these. */
  classify(error: unknown): Failure | undefined
  /** Says in a sentence what an operator can do about an error that will not pass; undefined when nothing is known. */
  explain?(error: unknown): string | undefined
}

/** What to do about a statement that may have run. */
export interface RunOptions {
  /**
   * `again`, the default: like one that did not run; it bears to run twice, or the caller looks what became of it.
   * `stop`: it must not run twice. `persist`: again, and for longer, because nobody else can find out what became of it.
   */
  readonly afterUnknown?: 'again' | 'stop' | 'persist'
}

/** The ways to run a statement; all of them try again when it failed for the moment. */
export interface Runner {
  /** Reads rows. */
  readonly read: <N extends StatementName>(
    name: N,
    values: Values<N>,
    options?: RunOptions,
  ) => Promise<Row<N>[]>
  /** Changes rows; how many. */
  readonly change: <N extends StatementName>(
    name: N,
    values: Values<N>,
    options?: RunOptions,
  ) => Promise<number>
  /** Runs an INSERT. True: a row was added; false: the guard did not hold; null: a unique value is taken. */
  readonly insert: <N extends StatementName>(
    name: N,
    values: Values<N>,
    options?: RunOptions,
  ) => Promise<boolean | null>
  /**
   * Runs an UPDATE and tells whether its guard held.
   *
   * @param isOwn Looks whether our own values are there: asked when a second try met no row, perhaps since the first had gone through.
   */
  readonly update: <N extends StatementName>(
    name: N,
    values: Values<N>,
    isOwn: () => Promise<boolean>,
    options?: RunOptions,
  ) => Promise<boolean>
}

/** Delays before trying again, in milliseconds; each is stretched by up to half, by chance. */
const DELAYS = [5, 20, 80, 200]
/** The same for `persist`: long enough for a database server to come back. */
const LONG_DELAYS = [...DELAYS, 400, 800, 1_500, 2_500, 4_000]
/** No further try after so many milliseconds: the request has waited enough. */
const PATIENCE = 4_000
const LONG_PATIENCE = 15_000

/** Runs a statement; a passing failure is met with more tries, then with `ERR_PAIRGATE_STORE_UNAVAILABLE`. */
export async function withRetries<T>(
  dialect: SqlDialect,
  statement: () => Promise<T>,
  { afterUnknown = 'again' }: RunOptions = {},
): Promise<T> {
  const start = performance.now()
  let [delays, patience] = [DELAYS, PATIENCE]
  for (let tries = 0; ; tries++) {
    try {
      return await statement()
    } catch (error) {
      const failure = dialect.classify(error)
      if (failure !== 'not_run' && failure !== 'unknown') throw error
      if (failure === 'unknown' && afterUnknown === 'persist')
        [delays, patience] = [LONG_DELAYS, LONG_PATIENCE]
      const delay = failure === 'unknown' && afterUnknown === 'stop' ? undefined : delays[tries]
      if (delay === undefined || performance.now() - start > patience) {
        throw new PairgateError('ERR_PAIRGATE_STORE_UNAVAILABLE', 'The database does not answer', error)
      }
      await new Promise((resolve) => setTimeout(resolve, delay * (1 + Math.random() / 2)))
    }
  }
}

/** The ways to run a statement on one kind of database. */
export function createRunner(dialect: SqlDialect, execute: Execute): Runner {
  return {
    read: async (name, values, options) =>
      (await withRetries(dialect, () => execute(name, values), options)).rows,
    change: async (name, values, options) =>
      (await withRetries(dialect, () => execute(name, values), options)).changes,
    insert: (name, values, options) =>
      withRetries(
        dialect,
        async () => {
          try {
            return (await execute(name, values)).changes === 1
          } catch (error) {
            if (dialect.classify(error) === 'taken') return null
            throw error
          }
        },
        options,
      ),
    async update(name, values, isOwn, options) {
      let tries = 0
      const attempt = () => {
        tries++
        return execute(name, values)
      }
      const { changes } = await withRetries(dialect, attempt, options)
      return changes === 1 || (tries > 1 && (await isOwn()))
    },
  }
}

/** Puts values in a compiled statement's parameters. */
export function bindValues({ parameters }: CompiledStatement, values: object): unknown[] {
  return parameters.map((parameter) => {
    if (typeof parameter !== 'string') return parameter[0]
    const value = (values as Record<string, unknown>)[parameter]
    if (value === undefined) throw new TypeError(`A statement lacks the value "${parameter}"`)
    return value
  })
}
