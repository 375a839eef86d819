/** A host application with a tRPC router of its own: its context, its transformer, its error shape, its links. @module */

import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { createTRPCClient, httpBatchLink, httpBatchStreamLink, httpLink, type TRPCClient } from '@trpc/client'
import { initTRPC } from '@trpc/server'
import { fetchRequestHandler } from '@trpc/server/adapters/fetch'
import superjson from 'superjson'
import { closeServer } from '../../adapters/node.ts'
import type { PairgateOptions } from '../../src/mod.ts'
import { createBrowser, createTestGate, type TestBrowser, type TestGate } from './gate.ts'
import { findFreePort } from './standalone.ts'

/** What the host makes of each request. */
export interface HostContext {
  readonly web: Request
  readonly ip: string | undefined
  readonly at: Date
}

/** The host's tRPC: Dates travel, errors have a shape that nobody else's have, and stacks are shown. */
export const host = initTRPC.context<HostContext>().create({
  transformer: superjson,
  isDev: true,
  errorFormatter: ({ shape, error, path }) => ({
    code: shape.code,
    message: shape.message,
    data: { kind: error.code, where: path ?? null, when: new Date(0), stack: shape.data.stack },
  }),
})

/** The host's router around that of a gate. */
export function createHostRouter({ gate }: TestGate) {
  return host.router({
    clock: host.procedure.query(({ ctx }) => ctx.at),
    cli: gate.router({
      procedure: host.procedure,
      resolve: ({ web, ip }) => ({ request: web, remoteAddress: ip }),
    }),
  })
}

/** What the host's clients are typed by. */
export type HostRouter = ReturnType<typeof createHostRouter>

const LINKS = { httpLink, httpBatchLink, httpBatchStreamLink }

/** A link of tRPC's that ends a chain. */
export type LinkName = keyof typeof LINKS

/** Their names. */
export const LINK_NAMES = Object.keys(LINKS) as LinkName[]

/** The host's own client. */
export function createHostClient(
  url: string,
  link: LinkName = 'httpBatchLink',
  headers: Record<string, string> = {},
): TRPCClient<HostRouter> {
  const links = [LINKS[link]<HostRouter>({ url, transformer: superjson, headers })]
  return createTRPCClient<HostRouter>({ links })
}

/** A host that listens: its API under `/api`, pairgate's pages under `/auth`. */
export interface Host {
  readonly t: TestGate
  readonly origin: string
  /** The base URL of the pages. */
  readonly base: string
  readonly api: string
  /** Somebody's browser, in which they have signed in by the dev sign-in. */
  person(name: string): Promise<TestBrowser>
  close(): Promise<void>
}

/** Serves a host on a free port. */
export async function startHost(
  options: Partial<PairgateOptions> = {},
  createRouter: (t: TestGate) => HostRouter = createHostRouter,
): Promise<Host> {
  const port = await findFreePort()
  const origin = `http://127.0.0.1:${port}`
  const base = `${origin}/auth`
  const t = createTestGate({ baseUrl: base, ...options })
  const router = createRouter(t)
  const listener = getRequestListener(async (web, { incoming }) => {
    const { remoteAddress } = (incoming as { socket: { remoteAddress?: string } }).socket
    if (t.gate.handles(web)) return await t.gate.fetch(web, { remoteAddress })
    const createContext = () => ({ web, ip: remoteAddress, at: new Date(0) })
    return new URL(web.url).pathname.startsWith('/api/')
      ? await fetchRequestHandler({ endpoint: '/api', req: web, router, createContext })
      : new Response('<h1>No such page</h1>', { status: 404, headers: { 'content-type': 'text/html' } })
  })
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  return {
    t,
    origin,
    base,
    api: `${origin}/api`,
    async person(name) {
      const browser = createBrowser((path, init) => fetch(new URL(path, origin), init), origin)
      await browser.post('/auth/sign-in/dev', { username: name })
      return browser
    },
    close: () => closeServer(server),
  }
}
