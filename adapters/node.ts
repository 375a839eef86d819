/** pairgate on Node: a socket of its own, or inside Express, Fastify and whatever else is built on `node:http`. @module */

import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import {
  addressBucket,
  answerRequest,
  hasDotSegments,
  isInRanges,
  parseRange,
  Reply,
} from '../src/internal.ts'
import type { Authenticated, Guard, Pairgate } from '../src/mod.ts'
import { type Address, endInTime, type Listening } from './standalone.ts'

/** A slow or silent client is cut off: milliseconds for the headers, and for the whole request. */
const TIMEOUTS = { headersTimeout: 10_000, requestTimeout: 30_000, keepAliveTimeout: 5_000 }
/** What a server is made with: how long clients may take, and how often that is checked, in milliseconds. */
export const SERVER_OPTIONS = { ...TIMEOUTS, connectionsCheckingInterval: 1_000 }
/** Sockets held at once, and requests on one of them. */
const BOUNDS = { maxConnections: 20_000, maxRequestsPerSocket: 1_000 }
/** Sockets of one IPv4 address or IPv6 /64 at once: whoever takes all of them would keep others from signing in. */
const PER_ADDRESS = 1_000

/** Hangs up on an address that has too many sockets. Proxies that are trusted have as many as they like. */
function boundPerAddress(server: Server, trustedProxies: readonly string[]): void {
  const trusted = trustedProxies.flatMap((text) => parseRange(text) ?? [])
  const open = new Map<string, number>()
  server.on('connection', (socket: Socket) => {
    const { remoteAddress = '' } = socket
    if (isInRanges(remoteAddress, trusted)) return
    const address = addressBucket(remoteAddress)
    const count = open.get(address) ?? 0
    if (count >= PER_ADDRESS) {
      socket.destroy()
      return
    }
    open.set(address, count + 1)
    socket.once('close', () => {
      const left = (open.get(address) ?? 0) - 1
      if (left > 0) open.set(address, left)
      else open.delete(address)
    })
  })
}

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

/** A request as a host hands it on: Node's own, or Fastify's around it. */
export type HostRequest = NodeRequest | { readonly raw: NodeRequest }

/** What is answered with: Node's own, or Fastify's around it. */
export type HostResponse =
  | ServerResponse
  | {
      readonly raw: ServerResponse
      getHeaders(): Record<string, number | string | string[] | undefined>
      hijack(): unknown
    }

/** What a server or a framework calls for each request; `next` when the host has more to say. */
export type NodeHandler = (
  request: HostRequest,
  response: HostResponse,
  next?: (error?: Error) => void,
) => void

/** Finds Node's own request. */
function rawRequest(request: HostRequest): NodeRequest {
  return 'raw' in request && !('rawHeaders' in request) ? request.raw : (request as NodeRequest)
}

/** Takes the answer out of the host's hands, with the headers that it has so far. */
function takeOver(response: HostResponse): ServerResponse {
  if (!('hijack' in response)) return response
  response.hijack()
  for (const [name, value] of Object.entries(response.getHeaders()))
    if (value !== undefined) response.raw.setHeader(name, value)
  return response.raw
}

/** The target as it came, whatever the host has mounted this under. */
const targetOf = ({ originalUrl, url = '/' }: NodeRequest) => originalUrl ?? url

/** Tells whether a target names a host of its own, and not to the letter that of the header: credentials count too. */
function namesOtherHost(target: string, host: string | undefined): boolean {
  return /^https?:/i.test(target) && /^https?:\/\/([^/?#]*)/i.exec(target)?.[1] !== host
}

/** Makes a Request of what has been read already, so that it is refused as such. */
async function spent({ url, headers }: Request): Promise<Request> {
  const request = new Request(url, { method: 'POST', headers, body: ' ' })
  await request.arrayBuffer()
  return request
}

/** What is sent in one piece. */
type Sendable = Pick<Reply, 'status' | 'body'> & { readonly headers: OutgoingHttpHeaders }

/** Sends an answer in one piece; not when the host has sent one meanwhile. */
function sendReply(outgoing: ServerResponse, { status, headers, body }: Sendable): void {
  if (outgoing.headersSent) return
  const length = { 'Content-Length': body === null ? 0 : Buffer.byteLength(body) }
  outgoing.writeHead(status, { ...headers, ...length }).end(body)
}

/** Takes a Response of text apart: to send its stream would cost several times as much. */
async function takeApart(response: Response): Promise<Sendable> {
  const { status, headers } = response
  const cookies = headers.getSetCookie()
  const fields = { ...Object.fromEntries(headers), ...(cookies.length > 0 && { 'set-cookie': cookies }) }
  return { status, headers: fields, body: await response.text() }
}

/**
 * Lets pairgate answer what is for it, inside Express 5, Fastify 5, Connect or `node:http`. Mount it before body parsers.
 *
 * @returns A handler. What is not for pairgate goes to `next`; without one it is answered 404.
 * @example
 * ```ts
 * app.use(toNodeHandler(gate)) // Express
 * app.addHook('onRequest', toNodeHandler(gate)) // Fastify
 * createServer(toNodeHandler(gate))
 * ```
 */
export function toNodeHandler(gate: Pairgate): NodeHandler {
  const listener = getRequestListener(async (request, env) => {
    const { incoming, outgoing } = env as { incoming: IncomingMessage; outgoing: ServerResponse }
    const isSpent = incoming.readableDidRead && request.method !== 'GET' && request.method !== 'HEAD'
    const { remoteAddress } = incoming.socket
    const answer = await answerRequest(gate, isSpent ? await spent(request) : request, { remoteAddress })
    // a stream is handed on as it comes
    const isText =
      answer instanceof Reply || !(answer.body === null || answer.headers.has('transfer-encoding'))
    if (!isText) return answer
    sendReply(outgoing, answer instanceof Reply ? answer : await takeApart(answer))
    return RESPONSE_ALREADY_SENT
  }, LISTENER)
  return (request, response, next) => {
    const incoming = rawRequest(request)
    const url = targetOf(incoming)
    if (next && !gate.handles({ url })) {
      next()
      return
    }
    const outgoing = takeOver(response)
    // the listener resolves them
    if (hasDotSegments(url)) {
      outgoing.writeHead(400).end('The path has dot segments')
      return
    }
    // with an absolute target the header does not count (RFC 9112 section 3.2.2)
    if (namesOtherHost(url, incoming.headers.host)) {
      outgoing.writeHead(421).end('The target and the header Host name different hosts')
      return
    }
    // the path that pairgate is mounted under is part of its own
    incoming.url = url
    listener(incoming, outgoing)
  }
}

/** A request that went through {@link toNodeGuard}; {@link whoIs} reads it. */
export type GuardedRequest = IncomingMessage & {
  /** Who makes it. */
  pairgate?: Authenticated
}

/** Sends an answer by what Node has for that; not when the host has sent one meanwhile, such as that it took too long. */
async function send(response: HostResponse, answer: Response): Promise<void> {
  const text = await answer.text()
  if (('hijack' in response ? response.raw : response).headersSent) return
  takeOver(response).writeHead(answer.status, Object.fromEntries(answer.headers)).end(text)
}

/**
 * Makes of a guard what Express, Fastify, Connect and `node:http` take. Who it is: {@link whoIs}.
 *
 * @example
 * ```ts
 * const guard = toNodeGuard(gate.guard({ scopes: ['read'] }))
 * app.get('/api/me', guard, (request, response) => response.json(whoIs(request).user)) // Express
 * app.get('/api/me', { onRequest: guard }, (request) => whoIs(request).user) // Fastify
 * ```
 */
export function toNodeGuard(
  guard: Guard,
): (request: HostRequest, response: HostResponse, next: (error?: Error) => void) => void {
  return (request, response, next) => {
    const incoming: GuardedRequest = rawRequest(request)
    const { remoteAddress } = incoming.socket
    const check = async () => await guard.check(toRequest(incoming), { remoteAddress })
    const pass = (who: Authenticated) => {
      incoming.pairgate = who
      next()
    }
    const fail = (error: unknown) => next(error instanceof Error ? error : new Error(String(error)))
    // what the rest of the host throws is its own, and does not come back here
    check().then((who) => (who instanceof Response ? send(response, who) : pass(who)), fail)
  }
}

/**
 * Tells who makes a request that has passed {@link toNodeGuard}.
 *
 * @throws {TypeError} When no guard came before.
 */
export function whoIs(request: HostRequest): Authenticated {
  const { pairgate }: GuardedRequest = rawRequest(request)
  if (!pairgate) throw new TypeError('No guard of pairgate came before this handler')
  return pairgate
}

/**
 * Makes a Request of what Node has, without its body: for `gate.authenticate` and `gate.router` in hosts that know no
 * such thing.
 */
export function toRequest(request: HostRequest): Request {
  const incoming = rawRequest(request)
  const { headers, method = 'GET' } = incoming
  // HTTP/2 has the request line among them
  const pairs = Object.entries(headers).flatMap(([name, value]) =>
    name.startsWith(':') ? [] : [value].flat().map((one): [string, string] => [name, one ?? '']),
  )
  // a path is all that it has of the target: a URL with credentials makes no Request, and no Request is a TRACE or CONNECT
  const target = targetOf(incoming)
  const { pathname = '/', search = '' } =
    URL.parse(target.startsWith('/') ? `http://localhost${target}` : target) ?? {}
  const isMethod = !['TRACE', 'TRACK', 'CONNECT'].includes(method)
  return new Request(`http://localhost${pathname.startsWith('/') ? pathname : '/'}${search}`, {
    method: isMethod ? method : 'GET',
    headers: pairs,
  })
}

/**
 * Serves a pairgate on a socket of its own.
 *
 * @param address.port 0 picks a free one.
 * @param address.trustedProxies Proxies, as CIDRs, that may have more than 1000 sockets at once. Default: none.
 * @returns Once it listens. Rejects when the port is taken.
 */
export async function serve(gate: Pairgate, address: Address): Promise<Listening> {
  const server = createServer(SERVER_OPTIONS, toNodeHandler(gate))
  Object.assign(server, BOUNDS)
  boundPerAddress(server, address.trustedProxies ?? [])
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address.port, address.hostname, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    close: () => closeServer(server),
  }
}
