/** A proxy, the pairgate that it asks and the backend behind it, with people who have credentials. @module */

import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, type TestContext } from 'vitest'
import { SERVER_OPTIONS, toNodeHandler } from '../../adapters/node.ts'
import type { Identity, PairgateOptions } from '../../src/mod.ts'
import { loginAs } from './credentials.ts'
import { type Backend, type Echo, startBackend } from './echo.ts'
import { createTestGate, type TestGate } from './gate.ts'
import type { Flow } from './logins.ts'
import { demand } from './matrix.ts'
import { findProxy, type ProxyName, type RunningProxy, startProxy } from './proxies.ts'
import { type RawAnswer, type RawRequest, sendRaw } from './raw.ts'

/** What a proxy asked. */
export interface Question {
  readonly method: string
  readonly target: string
  /** Of the body: what is announced; Infinity for chunks. */
  readonly length: number
}

/** A pairgate's socket. */
export interface PairgateSocket {
  readonly port: number
  /** Connections so far. */
  readonly connections: number
  /** Requests so far: what proxies asked. */
  readonly asked: readonly Question[]
  /** What answers. */
  handler: RequestListener
  /** Ends it, with all connections. */
  stop(): Promise<void>
  /** Starts it again, on the same port. */
  start(): Promise<void>
}

/** Opens a socket that something answers on. */
export async function openSocket(): Promise<PairgateSocket> {
  const asked: Question[] = []
  let connections = 0
  const server = createServer(SERVER_OPTIONS, (request, response) => {
    const { headers, method = '', url: target = '' } = request
    const isChunked = headers['transfer-encoding'] !== undefined
    asked.push({ method, target, length: isChunked ? Infinity : Number(headers['content-length'] ?? 0) })
    socket.handler(request, response)
  })
  server.on('connection', () => connections++)
  const listen = (port: number) =>
    new Promise<void>((resolve) => server.listen(port, '127.0.0.1', () => resolve()))
  await listen(0)
  const { port } = server.address() as AddressInfo
  const socket: PairgateSocket = {
    port,
    asked,
    handler: (_request, response) => response.writeHead(503).end(),
    get connections() {
      return connections
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
    start: () => listen(port),
  }
  return socket
}

/** What came of a request. */
export interface Outcome extends RawAnswer {
  /** What the backend got of it; null: nothing. */
  readonly seen: Echo | null
}

/** All of it, running. */
export interface ProxyWorld {
  readonly t: TestGate
  readonly pairgate: PairgateSocket
  readonly backend: Backend
  readonly proxy: RunningProxy
  /** Sends a request to the proxy; no other one may be under way. */
  send(raw?: RawRequest): Promise<Outcome>
  /** The same with a credential. */
  sendAs(token: string, raw?: RawRequest): Promise<Outcome>
  /** Logs somebody in: the device flow gives an API key, a paircode a session. */
  login(who: Identity, flow?: Flow, scope?: string): Promise<string>
  close(): Promise<void>
}

/** What proxies may ask for in these tests. */
export const POLICIES = { write: { scopes: ['write'], audience: 'https://write.example' } }

/** Where people log in from. */
const HOME = '198.51.100.7'

/** Starts all of it. */
export async function startProxyWorld(
  name: ProxyName,
  root: string,
  options: Partial<PairgateOptions> = {},
): Promise<ProxyWorld> {
  let current: Identity | null = null
  const pairgate = await openSocket()
  const t = createTestGate({
    baseUrl: `http://127.0.0.1:${pairgate.port}`,
    identify: () => current,
    clients: { tool: { scopes: ['read', 'write'] } },
    policies: POLICIES,
    trustedProxies: ['127.0.0.1'],
    limits: { startPerMinute: 10_000 },
    ...options,
  })
  pairgate.handler = toNodeHandler(t.gate)
  const backend = await startBackend()
  const close = async () => {
    await Promise.all([proxy?.stop(), pairgate.stop(), backend.close()])
    await t.gate.close()
  }
  let proxy: RunningProxy | undefined
  try {
    proxy = await startProxy(name, root, { pairgate: pairgate.port, backend: backend.port })
  } catch (error) {
    await close()
    throw error
  }
  const { port } = proxy
  const elsewhere: TestGate = { ...t, fetch: (path, init) => t.fetch(path, init, HOME) }
  const send: ProxyWorld['send'] = async (raw) => {
    const before = backend.seen.length
    const answer = await sendRaw(port, raw)
    if (backend.seen.length > before + 1) throw new Error('The backend got a request twice')
    return { ...answer, seen: backend.seen[before] ?? null }
  }
  return {
    t,
    pairgate,
    backend,
    proxy,
    send,
    sendAs: (token, raw = {}) =>
      send({ ...raw, headers: [['Authorization', `Bearer ${token}`], ...(raw.headers ?? [])] }),
    async login(who, flow = 'device', scope = 'read') {
      current = who
      const { access_token } = await loginAs(elsewhere, t.browser(HOME), flow, { client_id: 'tool', scope })
      return access_token
    },
    close,
  }
}

/** Looks for a proxy; says loudly when it cannot be had. */
export async function lookForProxy(name: ProxyName): Promise<{ root: string } | { reason: string }> {
  try {
    return { root: await findProxy(name) }
  } catch (error) {
    const reason = `there is no ${name}: ${error instanceof Error ? error.message : error}`
    console.warn(`\n!!! TESTS WILL BE SKIPPED: ${reason} !!!\n`)
    return { reason }
  }
}

/**
 * Has all of it started before the tests of a group, and ended after them.
 *
 * @returns What a test calls first: it skips the test where the proxy cannot be had; with CI set, the test fails.
 */
export function useProxyWorld(
  name: ProxyName,
  options: Partial<PairgateOptions> = {},
): (context: TestContext) => ProxyWorld {
  let reason: string | null = null
  let world: ProxyWorld | undefined
  beforeAll(async () => {
    const found = await lookForProxy(name)
    if ('reason' in found) reason = found.reason
    else world = await startProxyWorld(name, found.root, options)
  })
  afterAll(() => world?.close())
  return (context) => {
    demand(context, reason)
    if (!world) throw new Error(`Expected ${name} to run`)
    return world
  }
}
