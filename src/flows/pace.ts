/** How fast each grant is polled. Kept in this process only: a well-paced poll costs the database no write. @module */

/** Remembers when each grant was polled last. */
export interface Pace {
  /** Epoch milliseconds of the last poll, if it is remembered. */
  last(grantId: string): number | undefined
  /** Notes a poll. */
  note(grantId: string, now: number): void
}

/** Makes a memory for `capacity` grants; the one not polled for longest is forgotten first. */
export function createPace(capacity = 50_000): Pace {
  const times = new Map<string, number>()
  return {
    last: (grantId) => times.get(grantId),
    note(grantId, now) {
      times.delete(grantId)
      times.set(grantId, now)
      if (times.size > capacity) for (const oldest of times.keys()) return void times.delete(oldest)
    },
  }
}
