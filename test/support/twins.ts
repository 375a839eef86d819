/** Two gates over one database, as behind a balancer. @module */

import { createPairgate, type Pairgate, type PairgateOptions } from '../../src/mod.ts'
import { BASE, SECRET } from './gate.ts'
import type { Send } from './logins.ts'

const MANY = 1_000_000

/** Two gates over one database. */
export interface Twins {
  /** Asks each in turn. */
  readonly send: Send
  /** Asks the one, or the other one. */
  readonly at: readonly [Send, Send]
  readonly gates: readonly [Pairgate, Pairgate]
}

/** Makes two gates, each with a store of its own. Their clock stands still. */
export function createTwins(
  stores: readonly [PairgateOptions['database'], PairgateOptions['database']],
  { now, keysPerUser = MANY }: { now: number; keysPerUser?: number },
): Twins {
  const limits = {
    ...{ startPerMinute: MANY, pendingPerAddress: MANY, pendingTotal: MANY, sessionsPerUser: MANY },
    ...{ wrongCodesPerAccount: MANY, wrongCodesPerAddress: MANY, wrongCodesTotal: MANY, keysPerUser },
  }
  const common = { baseUrl: BASE, secrets: [SECRET], devSignIn: true, now: () => now, limits }
  const gates = [
    createPairgate({ ...common, database: stores[0] }),
    createPairgate({ ...common, database: stores[1] }),
  ] as const
  const sendTo =
    (gate: Pairgate): Send =>
    (path, init) =>
      gate.fetch(new Request(new URL(path, BASE), { redirect: 'manual', ...init }), {
        remoteAddress: '127.0.0.1',
      })
  const at = [sendTo(gates[0]), sendTo(gates[1])] as const
  let turn = 0
  return { send: (path, init) => at[turn++ % 2 ? 1 : 0](path, init), at, gates }
}

/**
 * The two at once, the one first in every other round; what each answered, in the order given here. The other, which has
 * less to do, starts later and later, so that the two meet at another place each time.
 *
 * @param wait What passes the time, for as long as a statement takes.
 */
export async function both<A, B>(
  round: number,
  wait: () => Promise<unknown>,
  one: () => Promise<A>,
  other: () => Promise<B>,
): Promise<[A, B]> {
  const late = async () => {
    for (let i = 0; i < (round >> 1) % 4; i++) await wait()
    return await other()
  }
  if (round % 2 === 0) return await Promise.all([one(), late()])
  const [second, first] = await Promise.all([late(), one()])
  return [first, second]
}
