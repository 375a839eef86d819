/** Tidying up: a bounded piece of work now and then, so that no table grows for ever. @module */

import type { PurgedKind } from '../store.ts'
import type { Deps } from './deps.ts'

const DAY = 86_400_000
/** A webhook that was out of reach for so long gets no more of what it missed. */
const WEEK = 7 * DAY
const EVERY = 60_000
/** Rows that go at once: some milliseconds on SQLite, which holds up all else, and locks that nobody waits for long. */
const BATCH = 100
/** How often at most in one run for each kind: 20 statements, of the 50 that a request has on a Worker that costs nothing. */
const ROUNDS = 4
/** Longest pause between two statements: what waits for a server holds up nobody here. Milliseconds. */
const MOST_PAUSE = 20
const next = new WeakMap<Deps, number>()

/** Until when each kind has to have ended to go now. */
function ends({ config }: Deps, now: number): [PurgedKind, number][] {
  const ended = now - DAY
  const events = now - config.eventSeconds * 1000
  return Object.entries({
    ...{ grants: ended, credentials: ended, limits: ended },
    ...{ events, deliveries: now - WEEK },
  }) as [PurgedKind, number][]
}

async function purge(deps: Deps, now: number): Promise<void> {
  let left = ends(deps, now)
  let took = 0
  for (let round = 0; round < ROUNDS && left.length > 0; round++) {
    const full: typeof left = []
    for (const [kind, before] of left) {
      // the answer goes out first; then the others have two thirds of the time, should there be much to do
      await new Promise((resolve) => setTimeout(resolve, Math.min(2 * took, MOST_PAUSE)))
      const start = performance.now()
      if ((await deps.store.purge(kind, before, BATCH)) >= BATCH) full.push([kind, before])
      took = performance.now() - start
    }
    left = full
  }
  if (left.length > 0) next.set(deps, now)
}

/**
 * Deletes what ended more than a day ago (kept that long so that a replay is still recognised), and what is too old of
 * the audit trail, after the answer: at most 400 rows of a kind, in 4 statements. When there is no more it comes back
 * after a minute, otherwise with whatever is written next; whoever writes a few rows clears away many, so that the
 * tables stay as large as what they have to hold, at any load. Each process does one run at a time.
 */
export function purgeSometimes(deps: Deps): void {
  const now = deps.now()
  if (now < (next.get(deps) ?? 0)) return
  // also when this run should never end, as on a Worker that is stopped
  next.set(deps, now + EVERY)
  deps.defer(purge(deps, now))
}
