/** A gateway whose API is one tRPC router, with pairgate's procedures under `cli`, and pairgate's pages under /auth. @module */

import process from 'node:process'
import { type HttpBindings, serve } from '@hono/node-server'
import { initTRPC, TRPCError } from '@trpc/server'
import { fetchRequestHandler } from '@trpc/server/adapters/fetch'
import { Hono } from 'hono'
import superjson from 'superjson'
import { sqlite } from '../adapters/sqlite.ts'
import { createPairgate } from '../src/mod.ts'

const ORIGIN = 'http://127.0.0.1:3000'

const gate = createPairgate({
  baseUrl: `${ORIGIN}/auth`,
  secrets: [process.env.PAIRGATE_SECRET ?? crypto.randomUUID()],
  database: sqlite(process.env.DATABASE_FILE ?? 'gateway.db'),
  clients: { mytool: { name: 'My Tool', scopes: ['read'] } },
  scopes: { read: 'Read your projects' },
  devSignIn: true, // any name, on this machine only: yours has `identify` or `signIn`
})

interface Context {
  readonly request: Request
  readonly remoteAddress: string | undefined
}

const t = initTRPC.context<Context>().create({ transformer: superjson })

const mayRead = t.procedure.use(async ({ ctx, next }) => {
  const who = await gate.authenticate(ctx.request, { scopes: ['read'] })
  if (!who)
    throw new TRPCError({ code: 'UNAUTHORIZED', message: 'This takes a credential with the scope read' })
  return await next({ ctx: { who } })
})

/** The gateway's API. A CLI needs no more of it than `type AppRouter = typeof appRouter`. */
export const appRouter = t.router({
  projects: mayRead.query(({ ctx }) => [{ owner: ctx.who.user.subject, since: new Date(0) }]),
  cli: gate.router({ procedure: t.procedure, resolve: (ctx) => ctx }),
})

/** The gateway. */
export const app = new Hono<{ Bindings: HttpBindings }>()

app.all('/auth/*', (c) => gate.fetch(c.req.raw, { remoteAddress: c.env.incoming.socket.remoteAddress }))
app.all('/api/*', (c) =>
  fetchRequestHandler({
    endpoint: '/api',
    req: c.req.raw,
    router: appRouter,
    maxBatchSize: 10,
    createContext: () => ({ request: c.req.raw, remoteAddress: c.env.incoming.socket.remoteAddress }),
  }),
)

if (process.argv[1] === import.meta.filename) serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 3000 })
