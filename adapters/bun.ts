/** pairgate on Bun. @module */

import type { Pairgate } from '../src/mod.ts'
import { endInTime, type Listening } from './standalone.ts'

/** The part of Bun that is used here. */
interface BunServe {
  serve(options: {
    hostname: string
    port: number
    /** Seconds without a byte after which a connection is closed; 10 by default, too short for a held poll. */
    idleTimeout: number
    fetch(request: Request, server: BunServer): Promise<Response>
  }): BunServer
}

interface BunServer {
  readonly port: number
  requestIP(request: Request): { address: string } | null
  stop(closeActiveConnections?: boolean): Promise<void>
}

/**
 * Serves a pairgate on a socket of its own.
 *
 * @param address.port 0 picks a free one.
 * @returns Once it listens. Rejects when the port is taken.
 */
export async function serve(gate: Pairgate, address: { hostname: string; port: number }): Promise<Listening> {
  const { Bun } = globalThis as unknown as { Bun: BunServe }
  const server = Bun.serve({
    ...address,
    idleTimeout: 60,
    fetch(request, peer) {
      const info = { remoteAddress: peer.requestIP(request)?.address }
      // health checks by HTTP/1.0 name no host, and then this is no URL
      if (!request.url.startsWith('/')) return gate.fetch(request, info)
      return gate.fetch(new Request(`http://localhost${request.url}`, request), info)
    },
  })
  return { port: server.port, close: () => endInTime(server.stop(), () => server.stop(true)) }
}
