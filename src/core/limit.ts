/**
 * Sliding counters: a limit of `max` in `seconds` is counted in ten buckets, and only the newest is ever raised, so
 * that one guarded UPDATE decides and nothing has to be reset.
 *
 * @module
 */

/** A limit: at most `max` in any `seconds`. */
export interface Limit {
  /** What is counted, for example `start:203.0.113.7`. */
  readonly key: string
  readonly max: number
  readonly seconds: number
}

const BUCKETS = 10

/** Length of one bucket of a limit, in milliseconds. */
export function bucketLength(limit: Limit): number {
  return Math.ceil((limit.seconds * 1000) / BUCKETS)
}

/** The bucket that `time` (epoch ms) falls into, named by its first millisecond. */
export function bucketAt(limit: Limit, time: number): number {
  const length = bucketLength(limit)
  return Math.floor(time / length) * length
}

/** The oldest bucket that still counts at `now`. */
export function oldestBucket(limit: Limit, now: number): number {
  return bucketAt(limit, now) - (BUCKETS - 1) * bucketLength(limit)
}
