/** Tidying up: a bounded piece of work now and then, so that no table grows for ever. @module */

import type { Deps } from './deps.ts'

const DAY = 86_400_000
/** A webhook that was out of reach for so long gets no more of what it missed. */
const WEEK = 7 * DAY
const EVERY = 60_000
const BATCH = 2_000
const last = new WeakMap<Deps, number>()

/**
 * Deletes what ended more than a day ago (kept that long so that a replay is still recognised), and what is too old of
 * the audit trail, at most once a minute per process and 2000 rows of a kind at a time, after the answer has gone out.
 */
export function purgeSometimes(deps: Deps): void {
  const now = deps.now()
  if (now - (last.get(deps) ?? 0) < EVERY) return
  last.set(deps, now)
  const ended = now - DAY
  const before = { grants: ended, credentials: ended, limits: ended, deliveries: now - WEEK }
  deps.defer(deps.store.purge({ ...before, events: now - deps.config.eventSeconds * 1000 }, BATCH))
}
