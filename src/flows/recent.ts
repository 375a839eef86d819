/** When something happened last, remembered in this process only: a well-paced poll costs the database no write. @module */

/** Times by key. */
export interface Recent {
  /** Epoch milliseconds of the last time, if it is remembered. */
  last(key: string): number | undefined
  /** Notes that it happened. */
  note(key: string, now: number): void
}

/** Makes a memory for `capacity` keys; the one not seen for longest is forgotten first. */
export function createRecent(capacity = 50_000): Recent {
  const times = new Map<string, number>()
  return {
    last: (key) => times.get(key),
    note(key, now) {
      times.delete(key)
      times.set(key, now)
      if (times.size > capacity) for (const oldest of times.keys()) return void times.delete(oldest)
    },
  }
}
