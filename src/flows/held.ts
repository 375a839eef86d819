/**
 * Polls that are held back until somebody decides, so that a CLI has its credential when the person clicks, and need
 * not ask again and again. Who decides in this process lets go of them at once; what other instances decide is looked
 * for by one query for all, every half second. Each poll has timers of its own: on Workers those end with their request.
 *
 * @module
 */

import type { Config } from '../config.ts'
import { addressBucket } from '../core/address.ts'
import type { Log } from '../options.ts'
import type { Store } from '../store.ts'

/** Longest time that a poll is held; seconds. Proxies cut a silent connection after 50 or 60. */
const MAX_WAIT = 30
/** How often decisions of other instances are looked for, and how soon again after a failure; milliseconds. */
const LOOK_EVERY = 500
const LOOK_LATER = 5_000
/** The clocks of instances may differ by this; milliseconds. What is missed is found when the poll's time is over. */
const SKEW = 10_000

/** A poll that would wait. */
export interface Wait {
  /** How long; more than 30 is 30. */
  readonly seconds: number
  /** Tell that nobody is there any more to be answered. */
  readonly signals: readonly AbortSignal[]
}

/** A poll that is being held. */
export interface HeldPoll {
  /** Resolves, and never rejects, when it is time to answer: false when nobody is there to be answered. */
  readonly released: Promise<boolean>
  /** To be called when it is answered. */
  end(): void
}

/** The polls that are held in this process. */
export interface Held {
  /** Tells whether a poll of this grant is being held. */
  has(grantId: string): boolean
  /**
   * Holds a poll.
   *
   * @param until When its grant expires, in epoch milliseconds.
   * @returns Null when it cannot be held: too many are, by this address or in all, or the end is near.
   */
  hold(grantId: string, until: number, address: string | null, wait: Wait): HeldPoll | null
  /** Lets go of the poll of a grant, which was decided. */
  release(grantId: string): void
  /** Lets go of all and holds no more. Resolves when they are answered. */
  drain(): Promise<void>
}

interface Entry {
  readonly bucket: string
  /** When it is over at the latest, by the clock that no one sets. On Workers a request that is cut off never says that it ended. */
  readonly until: number
  readonly letGo: (isThere: boolean) => void
}

/** Everything that holding takes. */
interface Parts {
  readonly config: Pick<Config, 'limits'>
  readonly store: Pick<Store, 'listDecided'>
  readonly log: Log
  readonly now: () => number
}

/** Finds out what was decided elsewhere. */
function createLook({ store, log, now }: Parts, release: (grantId: string) => void) {
  let next = 0
  let since = 0
  return {
    /** Polls are held from now on that were not before. */
    begin: () => {
      since = now()
    },
    /** Whichever poll comes first looks for all. */
    async look(): Promise<void> {
      if (performance.now() < next) return
      next = performance.now() + LOOK_EVERY
      const at = now()
      try {
        for (const grantId of await store.listDecided(since - SKEW)) release(grantId)
        since = at
      } catch (error) {
        next = performance.now() + LOOK_LATER
        log.error('Decisions could not be looked for', { error })
      }
    },
  }
}

/** Waits for the first of: a decision, the end of time, the end of the connection. */
function watch(seconds: number, signals: readonly AbortSignal[], look: () => void) {
  const { promise: released, resolve: letGo } = Promise.withResolvers<boolean>()
  const leave = () => letGo(false)
  for (const signal of signals) signal.addEventListener('abort', leave, { once: true })
  if (signals.some(({ aborted }) => aborted)) leave()
  const ticks = setInterval(look, LOOK_EVERY)
  const end = setTimeout(() => letGo(true), seconds * 1000)
  const stop = () => {
    clearInterval(ticks)
    clearTimeout(end)
    for (const signal of signals) signal.removeEventListener('abort', leave)
  }
  return { released, letGo, stop }
}

/** Makes a place to hold polls in. */
export function createHeld(parts: Parts): Held {
  const { config, now } = parts
  const { heldPerAddress, heldTotal } = config.limits
  /** By grant, the oldest first. */
  const held = new Map<string, Entry>()
  const perAddress = new Map<string, number>()
  let isOver = false
  const drained: (() => void)[] = []

  const forget = (grantId: string, entry: Entry) => {
    if (held.get(grantId) !== entry) return
    held.delete(grantId)
    const left = (perAddress.get(entry.bucket) ?? 0) - 1
    if (left > 0) perAddress.set(entry.bucket, left)
    else perAddress.delete(entry.bucket)
    if (held.size === 0) for (const resolve of drained) resolve()
  }
  const forgetOld = () => {
    for (const [grantId, entry] of held) {
      if (entry.until >= performance.now()) return
      forget(grantId, entry)
    }
  }
  const release = (grantId: string) => held.get(grantId)?.letGo(true)
  const { begin, look } = createLook(parts, release)

  return {
    has: (grantId) => (held.get(grantId)?.until ?? -1) >= performance.now(),
    hold(grantId, until, address, { seconds, signals }) {
      forgetOld()
      const bucket = addressBucket(address)
      const isFull = held.size >= heldTotal || (perAddress.get(bucket) ?? 0) >= heldPerAddress
      if (isFull || isOver || held.has(grantId)) return null
      if (held.size === 0) begin()
      const time = Math.min(seconds, MAX_WAIT, (until - now()) / 1000)
      const { released, letGo, stop } = watch(time, signals, look)
      const entry: Entry = { bucket, until: performance.now() + (time + 1) * 1000, letGo }
      held.set(grantId, entry)
      perAddress.set(bucket, (perAddress.get(bucket) ?? 0) + 1)
      return {
        released,
        end() {
          stop()
          forget(grantId, entry)
        },
      }
    },
    release,
    async drain() {
      isOver = true
      for (const { letGo } of held.values()) letGo(true)
      if (held.size > 0) await new Promise<void>((resolve) => drained.push(resolve))
    },
  }
}
