/** Tidying up: a bounded piece of work now and then, so that no table grows for ever. @module */

import type { Deps } from './deps.ts'

const DAY = 86_400_000
const EVERY = 60_000
const BATCH = 2_000
const last = new WeakMap<Deps, number>()

/**
 * Deletes what ended more than a day ago (kept that long so that a replay is still recognised), at most once a minute
 * per process and 2000 rows of a kind at a time, after the answer has gone out.
 */
export function purgeSometimes(deps: Deps): void {
  const now = deps.now()
  if (now - (last.get(deps) ?? 0) < EVERY) return
  last.set(deps, now)
  deps.defer(deps.store.purge({ grants: now - DAY, credentials: now - DAY, limits: now - DAY }, BATCH))
}
