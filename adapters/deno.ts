/** pairgate on Deno. @module */

import type { Pairgate } from '../src/mod.ts'
import { endInTime, type Listening } from './standalone.ts'

/** The part of Deno that is used here. */
interface DenoServe {
  serve(
    options: { hostname: string; port: number; onListen: () => void },
    handler: (request: Request, info: { remoteAddr: { hostname: string } }) => Response | Promise<Response>,
  ): { addr: { port: number }; shutdown(): Promise<void> }
}

/**
 * Serves a pairgate on a socket of its own.
 *
 * @param address.port 0 picks a free one.
 * @returns Once it listens. Rejects when the port is taken.
 */
export async function serve(gate: Pairgate, address: { hostname: string; port: number }): Promise<Listening> {
  const { Deno } = globalThis as unknown as { Deno: DenoServe }
  const { hostname, port } = address
  const server = Deno.serve({ hostname, port, onListen() {} }, (request, info) =>
    gate.fetch(request, { remoteAddress: info.remoteAddr.hostname }),
  )
  // those that are left end with the process
  return { port: server.addr.port, close: () => endInTime(server.shutdown(), () => {}) }
}
