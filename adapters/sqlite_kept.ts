/**
 * Rows of credentials that were read before. To ask SQLite whether anybody has written meanwhile costs a third of reading
 * a row again, so that verifications are as cheap as if they trusted their memory, and as fresh as if they did not.
 *
 * @module
 */

import { createChanges, createRecent } from '../src/internal.ts'

/** How many rows are kept, of about 1.5 kB, at least; at most twice as many. */
const MANY = 5_000
/** What can change a row that was read. What adds one cannot: that nothing was found is not kept. */
const CHANGES = /^(update|delete from) "(credentials|users)"/

/** What a statement is about, where it says so. */
interface About {
  readonly id?: string
  readonly user_id?: string
}

interface KeptRow<Row> {
  readonly row: Row
  /** What the database had by then. */
  readonly version: unknown
  /** How many changes this process had made by then. */
  readonly changes: number
}

/** Keeps rows for as long as they are what the database has. */
export interface KeptRows<Row> {
  /** Finds the row of a secret: the one that is kept, or what is read now. */
  read(hash: string, read: () => Row[]): Row[]
  /** To be called with each statement that has changed rows through here. */
  note(sql: string, values: object): void
}

/** @param version Tells by another value that somebody else, who does not write through here, has written. */
export function createKeptRows<Row extends { readonly id: string; readonly user_id: string }>(
  version: () => unknown,
): KeptRows<Row> {
  const rows = createRecent<KeptRow<Row>>(MANY)
  const changes = createChanges()
  let latest: unknown

  return {
    read(hash, read) {
      const kept = rows.last(hash)
      if (kept) {
        latest = version()
        const { row, version: then, changes: before } = kept
        if (then === latest && changes.isSame(before, [row.id, row.user_id])) return [row]
      }
      const before = latest
      const found = read()
      const [row] = found
      if (row) {
        // asked afterwards: for what is not found it need not be
        latest = version()
        if (latest === before) rows.note(hash, { row, version: latest, changes: changes.count })
      }
      return found
    },
    note(sql, values: About) {
      if (CHANGES.test(sql)) changes.note(values.id ?? values.user_id)
    },
  }
}
