/** pairgate on Node. @module */

import type { IncomingMessage, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createAdaptorServer } from '@hono/node-server'
import type { Pairgate } from '../src/mod.ts'
import { endInTime, type Listening } from './standalone.ts'

/** A slow or silent client is cut off: milliseconds for the headers, and for the whole request. */
const TIMEOUTS = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 }
/** What a server is made with: how long clients may take, and how often that is checked, in milliseconds. */
export const SERVER_OPTIONS = { ...TIMEOUTS, connectionsCheckingInterval: 1_000 }
/** Sockets held at once, and requests on one of them. */
const BOUNDS = { maxConnections: 10_000, maxRequestsPerSocket: 1_000 }

/** Takes no new requests, finishes those under way, and cuts off whoever stalls. */
export async function closeServer(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  // a socket is kept alive after its answer, also after the last one
  const sweep = setInterval(() => server.closeIdleConnections(), 100)
  server.closeIdleConnections()
  await endInTime(closed, () => server.closeAllConnections())
  clearInterval(sweep)
}

/**
 * Serves a pairgate on a socket of its own.
 *
 * @param address.port 0 picks a free one.
 * @returns Once it listens. Rejects when the port is taken.
 */
export async function serve(gate: Pairgate, address: { hostname: string; port: number }): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: (request, { incoming }) =>
      gate.fetch(request, { remoteAddress: (incoming as IncomingMessage).socket.remoteAddress }),
    overrideGlobalObjects: false,
    serverOptions: SERVER_OPTIONS,
    // for health checks by HTTP/1.0, which name no host
    hostname: 'localhost',
  }) as Server
  Object.assign(server, BOUNDS)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address.port, address.hostname, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () => closeServer(server),
  }
}
