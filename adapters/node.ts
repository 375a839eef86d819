/** pairgate on Node: a socket of its own, or inside Express, Fastify and whatever else is built on `node:http`. @module */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { type Authenticated, type Guard, hasDotSegments, type Pairgate } from '../src/mod.ts'
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

/** Not the globals of the host are replaced; health checks by HTTP/1.0 name no host. */
const LISTENER = { overrideGlobalObjects: false, hostname: 'localhost' }

/** A request, as Express hands it on too: with the path that came, whatever it was mounted under. */
export type NodeRequest = IncomingMessage & { readonly originalUrl?: string }

/** What a server or a framework calls for each request; `next` when the host has more to say. */
export type NodeHandler = (
  request: NodeRequest,
  response: ServerResponse,
  next?: (error?: unknown) => void,
) => void

/** Makes a Request of what has been read already, so that it is refused as such. */
async function spent({ url, headers }: Request): Promise<Request> {
  const request = new Request(url, { method: 'POST', headers, body: ' ' })
  await request.arrayBuffer()
  return request
}

/**
 * Lets pairgate answer what is for it, inside Express 5, Fastify 5, Connect or `node:http`. Mount it before body parsers.
 *
 * @returns A handler. What is not for pairgate goes to `next`; without one it is answered 404.
 * @example
 * ```ts
 * app.use(toNodeHandler(gate)) // Express
 * fastify.addHook('onRequest', (request, reply, next) => toNodeHandler(gate)(request.raw, reply.raw, next))
 * createServer(toNodeHandler(gate))
 * ```
 */
export function toNodeHandler(gate: Pairgate): NodeHandler {
  const listener = getRequestListener(async (request, env) => {
    const { socket, readableDidRead } = (env as { incoming: IncomingMessage }).incoming
    const isSpent = readableDidRead && request.method !== 'GET' && request.method !== 'HEAD'
    return await gate.fetch(isSpent ? await spent(request) : request, { remoteAddress: socket.remoteAddress })
  }, LISTENER)
  return (request, response, next) => {
    const url = request.originalUrl ?? request.url ?? '/'
    if (next && !gate.handles({ url })) {
      next()
      return
    }
    if (hasDotSegments(url)) {
      response.writeHead(400).end('The path has dot segments')
      return
    }
    // with an absolute target the header does not count (RFC 9112 section 3.2.2)
    if (/^https?:/i.test(url) && URL.canParse(url) && new URL(url).host !== request.headers.host) {
      response.writeHead(421).end('The target and the header Host name different hosts')
      return
    }
    // the path that pairgate is mounted under is part of its own
    request.url = url
    listener(request, response)
  }
}

/** A request that went through {@link toNodeGuard}. */
export type GuardedRequest = IncomingMessage & {
  /** Who makes it. */
  pairgate?: Authenticated
}

/**
 * Makes of a guard what Express, Connect and `node:http` take. Who it is: `request.pairgate`.
 *
 * @example
 * ```ts
 * app.use('/api', toNodeGuard(gate.guard({ scopes: ['read'] })))
 * ```
 */
export function toNodeGuard(
  guard: Guard,
): (request: GuardedRequest, response: ServerResponse, next: (error?: unknown) => void) => void {
  return (incoming, response, next) => {
    const request = toRequest(incoming)
    guard
      .check(request, { remoteAddress: incoming.socket.remoteAddress })
      .then(async (who) => {
        if (!(who instanceof Response)) {
          incoming.pairgate = who
          next()
          return
        }
        response.writeHead(who.status, Object.fromEntries(who.headers)).end(await who.text())
      })
      .catch(next)
  }
}

/**
 * Makes a Request of what Node has, without its body: for `gate.authenticate` and `gate.router` in hosts that know no
 * such thing.
 */
export function toRequest({ headers, method = 'GET', originalUrl, url = '/' }: NodeRequest): Request {
  const pairs = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map((one) => [name, one ?? ''] as [string, string]),
  )
  // the path alone matters: who asks is in the headers
  return new Request(new URL(originalUrl ?? url, 'http://localhost'), { method, headers: pairs })
}

/**
 * Serves a pairgate on a socket of its own.
 *
 * @param address.port 0 picks a free one.
 * @returns Once it listens. Rejects when the port is taken.
 */
export async function serve(gate: Pairgate, address: { hostname: string; port: number }): Promise<Listening> {
  const server = createServer(SERVER_OPTIONS, toNodeHandler(gate))
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
