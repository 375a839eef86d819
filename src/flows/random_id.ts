/** Names for rows and requests, by chance. They are no secrets, so that their bytes may be drawn beforehand. @module */

import { base64url } from '../hash.ts'

/** Bytes drawn at once: each call into the runtime costs as much as a statement. */
const POOL = 1024

/** Makes names that nobody has had; `bytes` is how many of chance, the name has a third more characters. */
export type RandomId = (bytes: number) => string

/** Makes a source of names. */
export function createRandomId(): RandomId {
  const pool = new Uint8Array(POOL)
  let used = POOL
  return (bytes) => {
    if (used + bytes > POOL) {
      crypto.getRandomValues(pool)
      used = 0
    }
    used += bytes
    return base64url(pool.subarray(used - bytes, used))
  }
}
