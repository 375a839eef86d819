/** Limits: counted in the database, so they hold over all instances. @module */

import { addressBucket } from '../core/address.ts'
import type { Flow, Grant } from '../core/grant.ts'
import { bucketAt, bucketLength, type Limit, oldestBucket } from '../core/limit.ts'
import type { EventType } from '../store.ts'
import type { Caller, Deps } from './deps.ts'
import { type EventSubject, recordEvent } from './events.ts'

/** Counts at `now` (epoch ms). Null when all limits had room and were counted; otherwise the one that had none, and nothing was counted. */
export async function takeLimits(deps: Deps, limits: readonly Limit[], now: number): Promise<Limit | null> {
  const older = await deps.store.readLimits(
    limits.map((limit) => ({ key: limit.key, since: oldestBucket(limit, now), until: bucketAt(limit, now) })),
  )
  const rooms = limits.map((limit, i) => ({ limit, room: limit.max - (older[i] ?? 0) }))
  const full = rooms.find(({ room }) => room <= 0)
  if (full) return full.limit
  // all at once, for which SQLite has one transaction
  const taken = await Promise.all(
    rooms.map(({ limit, room }) => deps.store.takeLimit(limit.key, bucketAt(limit, now), room)),
  )
  const refused = limits.find((_, i) => !taken[i]) ?? null
  if (refused) {
    const counted = limits.filter((_, i) => taken[i])
    await releaseLimits(deps, counted, now)
  }
  return refused
}

/**
 * Records what somebody can make happen at will: once a minute, so that it does not fill the audit trail.
 *
 * @param key What is the same thing again.
 */
export async function recordSometimes(
  deps: Deps,
  caller: Caller,
  type: EventType,
  about: EventSubject & { detail: string },
  key = `${type} ${about.detail}`,
): Promise<void> {
  const now = deps.now()
  if (now - (deps.recent.last(key) ?? 0) < 60_000) return
  deps.recent.note(key, now)
  await recordEvent(deps, caller, type, about)
}

/** Records that somebody must be guessing. */
export function recordGuessing(deps: Deps, caller: Caller): Promise<void> {
  return recordSometimes(deps, caller, 'guessing', { detail: guessingLimit(deps).key })
}

/** Counts once against all of these, and records when one had no room: that one, and when to try again in seconds. */
export async function takeOrRecord(
  deps: Deps,
  caller: Caller,
  limits: readonly Limit[],
  now: number,
  about: EventSubject,
): Promise<{ readonly limit: Limit; readonly retry_after: number } | null> {
  const limit = await takeLimits(deps, limits, now)
  if (!limit) return null
  await recordSometimes(deps, caller, 'limit_hit', { ...about, detail: limit.key })
  return { limit, retry_after: retryAfter(limit) }
}

/** Gives back what was counted at `takenAt` (epoch ms). A failure stops nobody: time gives it back as well. */
export async function releaseLimits(deps: Deps, limits: readonly Limit[], takenAt: number): Promise<void> {
  try {
    await Promise.all(limits.map((limit) => deps.store.releaseLimit(limit.key, bucketAt(limit, takenAt))))
  } catch (error) {
    deps.log.error('A counter could not be given back', { error })
  }
}

/** How long the answer is remembered; milliseconds. It is about a whole minute anyway. */
const LOOK_EVERY = 1000
const looked = new WeakMap<Deps, { readonly at: number; readonly isGuessing: boolean }>()

/** Tells whether somebody is guessing user codes, or was within the last minute. */
export async function isAnybodyGuessing(deps: Deps): Promise<boolean> {
  const now = deps.now()
  const last = looked.get(deps)
  if (last && Math.abs(now - last.at) < LOOK_EVERY) return last.isGuessing
  const limit = guessingLimit(deps)
  const [sum = 0] = await deps.store.readLimits([
    { key: limit.key, since: oldestBucket(limit, now), until: Number.MAX_SAFE_INTEGER },
  ])
  const isGuessing = sum >= limit.max
  looked.set(deps, { at: now, isGuessing })
  return isGuessing
}

/** When it makes sense to try again, in seconds. */
function retryAfter(limit: Limit): number {
  return Math.max(1, Math.ceil(bucketLength(limit) / 1000))
}

/** How often one address may start a login. */
export function startLimit(deps: Deps, address: string | null): Limit {
  return { key: `start:${addressBucket(address)}`, max: deps.config.limits.startPerMinute, seconds: 60 }
}

/** How many logins may wait at once: for one address, and in all. Counted until the decision or the expiry. */
export function pendingLimits(deps: Deps, flow: Flow, address: string | null): [Limit, Limit] {
  const { limits, deviceCodeSeconds, paircodeSeconds } = deps.config
  const seconds = flow === 'device' ? deviceCodeSeconds : paircodeSeconds
  return [
    { key: `pending:${flow}:${addressBucket(address)}`, max: limits.pendingPerAddress, seconds },
    { key: `pending:${flow}`, max: limits.pendingTotal, seconds },
  ]
}

/** How often one person's keys may be made and rotated: every time leaves rows for a month, and for a year. */
export function keyLimit(deps: Deps, userId: string): Limit {
  return { key: `keys:user:${userId}`, max: Math.max(200, 2 * deps.config.limits.keysPerUser), seconds: 3600 }
}

/** Makes room again once a grant is decided. */
export function releasePending(deps: Deps, grant: Grant): Promise<void> {
  return releaseLimits(deps, pendingLimits(deps, grant.flow, grant.remote_address), grant.created_at)
}

/**
 * How many wrong user codes one account and one address may try. Unknown addresses are not counted as one: a single
 * guesser would lock everybody out, and accounts are counted anyway.
 */
export function wrongCodeLimits(deps: Deps, userId: string, address: string | null): Limit[] {
  const { wrongCodesPerAccount, wrongCodesPerAddress } = deps.config.limits
  const perAccount = { key: `wrong:user:${userId}`, max: wrongCodesPerAccount, seconds: 600 }
  if (address === null) return [perAccount]
  return [perAccount, { key: `wrong:${addressBucket(address)}`, max: wrongCodesPerAddress, seconds: 600 }]
}

/** How many wrong user codes all people together may try before somebody must be guessing. */
export function guessingLimit(deps: Deps): Limit {
  return { key: 'wrong', max: deps.config.limits.wrongCodesTotal, seconds: 60 }
}
