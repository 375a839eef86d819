/** What the adapters use of the inside, and nobody else: it may change at any time. @module */

export {
  addressBucket,
  isInRanges,
  isLoopbackHost,
  isProtected,
  isPublicHost,
  PRIVATE_NETWORKS,
  parseRange,
} from './core/address.ts'
export { hasDotSegments } from './core/path.ts'
export { Reply } from './endpoints/reply.ts'
export { createChanges } from './flows/changes.ts'
export { createRecent } from './flows/recent.ts'
export { lendSha256, sameSecret } from './hash.ts'
export { answerRequest, createGate } from './pairgate.ts'
