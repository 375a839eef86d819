/** How a person is named in the store. @module */

import { sha256Hex } from '../hash.ts'
import type { UserIdentity } from '../store.ts'

/** The id that a person has in the store: issuer and subject, nothing else. */
export function userId({ issuer, subject }: UserIdentity): string {
  return sha256Hex(JSON.stringify([issuer, subject]))
}
