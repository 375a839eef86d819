/** Applications that pairgate is mounted in: the examples themselves, each on a socket of its own. @module */

import { createServer, type IncomingMessage, type Server } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { type HttpBindings, createAdaptorServer as serveFetch } from '@hono/node-server'
import { createApp as createExpress } from '../../examples/express.ts'
import { createApp as createFastify } from '../../examples/fastify.ts'
import { createApp as createHono } from '../../examples/hono.ts'
import { createHandlers, createHello } from '../../examples/next.ts'
import { createApp as createNodeHttp } from '../../examples/node_http.ts'
import { createHandle, createHello as createKitHello } from '../../examples/sveltekit.ts'
import { createWorker } from '../../examples/workers.ts'
import type { Pairgate, PairgateOptions } from '../../src/mod.ts'
import { loginAs } from './credentials.ts'
import { createBrowser, createTestGate, type TestBrowser, type TestGate } from './gate.ts'
import { findFreePort } from './standalone.ts'

/** Makes the server of a host; it does not listen yet. */
export type MakeServer = (gate: Pairgate) => Server | Promise<Server>

/** Serves what takes a Request, with the globals left alone. */
export function serveWeb(
  answer: (request: Request, incoming: IncomingMessage) => Response | Promise<Response>,
): Server {
  return serveFetch({
    fetch: (request, env) => answer(request, (env as HttpBindings).incoming),
    overrideGlobalObjects: false,
  }) as Server
}

const HOST_404 = () => new Response('No such page of the host', { status: 404 })

/** Next's part: files for paths, no address, and a URL whose host is made up. */
function serveNext(gate: Pairgate): Server {
  const handlers: Partial<Record<string, (request: Request) => Promise<Response>>> = createHandlers(gate)
  const hello = createHello(gate)
  return serveWeb(async (request) => {
    const { pathname, search } = new URL(request.url)
    const { method, headers, body } = request
    const made = `http://localhost:3000${pathname}${search}`
    const hasBody = body !== null && method !== 'GET' && method !== 'HEAD'
    const seen = new Request(made, { method, headers, ...(hasBody && { body, duplex: 'half' }) })
    if (pathname === '/api/hello') return await hello(seen)
    if (!/^\/auth(\/|$)|^\/\.well-known\/oauth-authorization-server\/auth$/.test(pathname)) return HOST_404()
    const handler = handlers[method === 'HEAD' ? 'GET' : method]
    return (await handler?.(seen)) ?? new Response(null, { status: 405 })
  })
}

/** SvelteKit's part. */
function serveKit(gate: Pairgate): Server {
  const handle = createHandle(gate)
  const hello = createKitHello(gate)
  return serveWeb(async (request, { socket }) => {
    const event = { request, getClientAddress: () => socket.remoteAddress ?? '' }
    const resolve = () => (new URL(request.url).pathname === '/api/hello' ? hello(event) : HOST_404())
    return await handle({ event, resolve })
  })
}

/** Cloudflare's part: the address is in a header. */
function serveWorker(gate: Pairgate): Server {
  const worker = createWorker(() => gate)
  return serveWeb((request, { socket }) => {
    const headers = new Headers(request.headers)
    headers.set('cf-connecting-ip', socket.remoteAddress ?? '')
    return worker.fetch(new Request(request, { headers }), {})
  })
}

async function serveFastify(gate: Pairgate): Promise<Server> {
  const app = createFastify(gate)
  await app.ready()
  return createServer(app.routing)
}

/** The hosts whose frameworks run here. */
export const FRAMEWORKS = {
  hono: (gate) => serveFetch(createHono(gate)) as Server,
  express: (gate) => createServer(createExpress(gate)),
  fastify: serveFastify,
  'node:http': (gate) => createNodeHttp(gate),
} as const satisfies Record<string, MakeServer>

/** All hosts: for the last three, this file does what their frameworks do. */
export const HOSTS = {
  ...FRAMEWORKS,
  next: serveNext,
  sveltekit: serveKit,
  workers: serveWorker,
} as const satisfies Record<string, MakeServer>

/** A host that listens, and the gate in it. */
export interface LiveHost extends Pick<TestGate, 'gate' | 'database' | 'rows' | 'advance'> {
  readonly port: number
  readonly origin: string
  /** The path of the base URL; empty for the root. */
  readonly mount: string
  /** Everything that was logged as an error. */
  readonly errors: readonly string[]
  /** Sends a request to a path of the origin, through the socket. */
  fetch(path: string, init?: RequestInit): Promise<Response>
  /** A fresh browser. */
  browser(): TestBrowser
  close(): Promise<void>
}

/** An answer, as it came. */
export interface Written {
  readonly status: number
  readonly headers: Headers
  readonly text: string
}

/** Writes a request line and headers as they are, and reads the answer to its end. */
export async function write(
  { port }: Pick<LiveHost, 'port'>,
  line: string,
  headers: readonly string[] = [],
): Promise<Written> {
  const socket = connect(port, '127.0.0.1')
  socket.end(
    [`${line} HTTP/1.1`, `Host: 127.0.0.1:${port}`, 'Connection: close', ...headers, '', ''].join('\r\n'),
  )
  const [head = '', ...rest] = (await text(socket)).split('\r\n\r\n')
  const [status = '', ...fields] = head.split('\r\n')
  const pairs = fields.map((field): [string, string] => {
    const at = field.indexOf(':')
    return [field.slice(0, at), field.slice(at + 1).trim()]
  })
  return { status: Number(status.split(' ')[1]), headers: new Headers(pairs), text: rest.join('\r\n\r\n') }
}

const OPTIONS = { clients: { tool: { scopes: ['read'] } }, scopes: { read: 'Read' } }

/** Opens a host on a free port. Its client `tool` may ask for the scope `read`. */
export async function listenHost(
  make: MakeServer,
  mount = '/auth',
  options: Partial<PairgateOptions> = {},
): Promise<LiveHost> {
  const port = await findFreePort()
  const origin = `http://127.0.0.1:${port}`
  const errors: string[] = []
  const quiet = () => {}
  const log = {
    debug: quiet,
    info: quiet,
    warn: quiet,
    error: (message: string) => void errors.push(message),
  }
  const { gate, database, rows, advance } = createTestGate({
    baseUrl: origin + mount,
    log,
    ...OPTIONS,
    ...options,
  })
  await gate.migrate()
  const server = await make(gate)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()))
  const send = (path: string, init?: RequestInit) =>
    fetch(new URL(path, origin), { redirect: 'manual', ...init })
  return {
    ...{ gate, database, rows, advance, port, origin, mount, errors },
    fetch: send,
    browser: () => createBrowser(send, origin),
    async close() {
      await new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      await gate.close()
    },
  }
}

/** Logs alice in, beside the mount; returns her API key. */
export async function tokenAt(
  { gate, origin, mount }: Pick<LiveHost, 'origin' | 'mount'> & { gate: Pick<Pairgate, 'fetch'> },
  scope?: string,
): Promise<string> {
  const send = (path: string, init?: RequestInit) =>
    gate.fetch(new Request(new URL(path, origin), init), { remoteAddress: '127.0.0.1' })
  const person = createBrowser(send, origin)
  await person.post(`${mount}/sign-in/dev`, { username: 'alice' })
  const below = { fetch: (path: string, init?: RequestInit) => send(mount + path, init) }
  const start = { client_id: 'tool', ...(scope !== undefined && { scope }) }
  return (await loginAs(below as TestGate, person, 'device', start)).access_token
}
