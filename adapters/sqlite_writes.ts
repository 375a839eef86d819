/**
 * The writes of SQLite: those that come in the same turn of the event loop share one transaction, since it is the
 * transaction that costs, not the statement. Nobody is answered before it is committed.
 *
 * @module
 */

import { setImmediate } from 'node:timers'

/** One write that waits for its turn. */
interface Write {
  readonly run: () => number
  readonly resolve: (changes: number) => void
  readonly reject: (error: unknown) => void
}

/** What writes need of a database. */
export interface WriteTarget {
  /** Runs a statement without values. */
  exec(sql: 'BEGIN IMMEDIATE' | 'COMMIT' | 'ROLLBACK'): void
  /** Tells of an error whether it undoes its own statement only: SQLite then goes on with the transaction. */
  isOwn(error: unknown): boolean
  /** Tells of an error whether somebody else holds the database. */
  isLocked(error: unknown): boolean
}

/** Runs writes. */
export interface Writes {
  /** Runs one, soon; resolves with the number of rows that it changed, once they are there to stay. */
  add(run: () => number): Promise<number>
  /** Runs those that wait, now. */
  flush(): void
}

/** Runs one write by itself, in the transaction that SQLite makes of it. */
function runAlone({ run, resolve, reject }: Write): void {
  try {
    resolve(run())
  } catch (error) {
    reject(error)
  }
}

/** Makes the queue of a database. */
export function createWrites(target: WriteTarget): Writes {
  let waiting: Write[] = []

  const undo = () => {
    try {
      target.exec('ROLLBACK')
    } catch {
      // SQLite has done so by itself
    }
  }

  /** @returns What each write came to; null when none of them was run. */
  function runTogether(writes: readonly Write[]): (() => void)[] | null {
    try {
      target.exec('BEGIN IMMEDIATE')
    } catch (error) {
      // each by itself would wait for the lock again, and everybody with it
      if (target.isLocked(error))
        return writes.map(
          ({ reject }) =>
            () =>
              reject(error),
        )
      return null
    }
    try {
      const outcomes = writes.map(({ run, resolve, reject }) => {
        try {
          const changes = run()
          return () => resolve(changes)
        } catch (error) {
          if (!target.isOwn(error)) throw error
          return () => reject(error)
        }
      })
      target.exec('COMMIT')
      return outcomes
    } catch {
      undo()
      return null
    }
  }

  const flush = () => {
    const writes = waiting
    waiting = []
    const outcomes = writes.length > 1 ? runTogether(writes) : null
    // whoever failed hears why, and takes nobody along
    if (outcomes) for (const answer of outcomes) answer()
    else for (const write of writes) runAlone(write)
  }

  return {
    flush,
    add: (run) =>
      new Promise((resolve, reject) => {
        if (waiting.push({ run, resolve, reject }) === 1) setImmediate(flush)
      }),
  }
}
