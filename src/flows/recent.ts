/** What happened last, remembered in this process only: a well-paced poll costs the database no write. @module */

/** The latest of each key. */
export interface Recent<T> {
  /** What was noted last, if it is remembered. */
  last(key: string): T | undefined
  /** Notes what happened. */
  note(key: string, value: T): void
}

/**
 * Makes a memory of at least the `capacity` keys that were noted last, and at most twice as many. They are forgotten
 * together: to look for the oldest key of a Map takes the longer the more were deleted before it.
 */
export function createRecent<T>(capacity = 25_000): Recent<T> {
  let young = new Map<string, T>()
  let old = new Map<string, T>()
  return {
    last: (key) => young.get(key) ?? old.get(key),
    note(key, value) {
      if (young.size >= capacity) {
        old = young
        young = new Map()
      }
      young.set(key, value)
    },
  }
}
