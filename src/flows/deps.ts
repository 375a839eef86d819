/** What every flow is given: the outside world, so that flows themselves have no clock, no chance and no globals. @module */

import type { Config } from '../config.ts'
import { clientAddress } from '../core/address.ts'
import type { Random } from '../core/text.ts'
import type { Log } from '../options.ts'
import type { Signer } from '../signing.ts'
import type { Store } from '../store.ts'
import type { Held } from './held.ts'
import type { RandomId } from './random_id.ts'
import type { Recent } from './recent.ts'

/** Everything that a flow may touch. Built once, in `pairgate.ts`. */
export interface Deps {
  readonly config: Config
  readonly store: Store
  /** Epoch milliseconds. */
  readonly now: () => number
  /** For secrets. */
  readonly random: Random
  readonly randomId: RandomId
  readonly signer: Signer
  readonly log: Log
  /** When each grant was polled, and each limit was hit, last. */
  readonly recent: Recent<number>
  /** When a use of each credential was noted last. */
  readonly uses: Recent<number>
  /** The polls that wait for a decision. */
  readonly held: Held
  /** Lets work go on after the answer; a failure is logged. */
  readonly defer: (work: Promise<unknown>) => void
}

/** Who makes a request, as the transport found out. */
export interface Caller {
  readonly request: Request
  /** Canonical address; null when it is not known for sure. */
  readonly remoteAddress: string | null
  /** Address of the socket's other end, as the transport gave it: a proxy's, mostly. */
  readonly peer: string | undefined
  /** Names this request in logs and error pages. */
  readonly requestId: string
}

const HOUR = 3_600_000

/** Warns of what the operator should mend, once an hour and process. */
export function warnHourly(
  { log, recent, now }: Deps,
  message: string,
  properties: Record<string, unknown> = {},
): void {
  if (now() - (recent.last(message) ?? 0) < HOUR) return
  recent.note(message, now())
  log.warn(message, properties)
}

let lastTime = 0
let nth = 0

/**
 * Names a new row, with the time in front: rows that are made one after the other then stand side by side in the index,
 * where each random name would take a page of it to be written. Those of one process sort as they were made, within a
 * millisecond too: a poll that is held is answered in that of the decision.
 *
 * @param bytes How many of chance.
 */
export function createId({ randomId }: Pick<Deps, 'randomId'>, now: number, bytes: number): string {
  // a request may bring the time at which it began
  nth = now > lastTime ? 0 : nth + 1
  lastTime = Math.max(lastTime, now)
  return now.toString(36) + nth.toString(36).padStart(2, '0') + randomId(bytes)
}

/** Finds out who makes a request; `peer` is the address of the socket's other end. */
export function toCaller(deps: Deps, request: Request, peer: string | undefined): Caller {
  const { trustedProxies, isPublic } = deps.config
  let remoteAddress: string | null | undefined
  let requestId: string | undefined
  // most requests ask for neither
  return {
    request,
    peer,
    get remoteAddress() {
      if (remoteAddress === undefined) {
        const forwardedFor = request.headers.get('x-forwarded-for')
        remoteAddress = clientAddress(peer, forwardedFor, { trustedProxies, isPublic })
      }
      return remoteAddress
    },
    get requestId() {
      requestId ??= deps.randomId(9)
      return requestId
    },
  }
}
