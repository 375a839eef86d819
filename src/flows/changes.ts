/** Which credentials and people were changed, and in which order: what was read before that may be old. @module */

import { createRecent } from './recent.ts'

/** How many are remembered, at least. */
const MANY = 5_000
/** Stands for all of them. */
const ALL = ''

/** The changes that this process has made. */
export interface Changes {
  /** How many there were. */
  readonly count: number
  /** Notes one; `id` is that of the credential or person, none when it may be any. */
  note(id?: string): void
  /** Tells whether none of these was changed since there had been `before` changes. */
  isSame(before: number, ids: readonly string[]): boolean
}

/** Makes a memory of changes. */
export function createChanges(): Changes {
  // by id: the number of its last change
  const changed = createRecent<number>(MANY)
  let count = 0
  return {
    get count() {
      return count
    },
    note: (id = ALL) => changed.note(id, ++count),
    isSame: (before, ids) =>
      // else a change might have been forgotten
      count - before < MANY && [ALL, ...ids].every((id) => (changed.last(id) ?? 0) <= before),
  }
}
