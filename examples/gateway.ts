/** A gateway that knows its users, and gives command-line apps a login by mounting pairgate under /auth. @module */

import process from 'node:process'
import { type HttpBindings, serve } from '@hono/node-server'
import { Hono } from 'hono'
import { deleteCookie, setSignedCookie } from 'hono/cookie'
import { parseSigned } from 'hono/utils/cookie'
import { sqlite } from '../adapters/sqlite.ts'
import { createPairgate } from '../src/mod.ts'

const SECRET = process.env.PAIRGATE_SECRET ?? 'only-for-this-example-only-for-this-example'
const ORIGIN = 'http://127.0.0.1:3000'

/** The gateway. Its own login believes any name: it stands for whatever a real one has. */
export const app = new Hono<{ Bindings: HttpBindings }>()

app.get('/login', (c) =>
  c.html(`<form method="post"><input name="name" aria-label="Name" required><button>Log in</button></form>`),
)
app.post('/login', async (c) => {
  const { name } = await c.req.parseBody()
  await setSignedCookie(c, 'user', String(name), SECRET, { httpOnly: true, sameSite: 'Lax' })
  return c.redirect(c.req.query('next')?.startsWith(`${ORIGIN}/auth/`) ? (c.req.query('next') ?? '/') : '/')
})
app.post('/logout', (c) => {
  deleteCookie(c, 'user')
  return c.redirect('/login')
})

async function currentUser(request: Request) {
  // the gateway's own session, read from the request that pairgate hands over
  const { user } = await parseSigned(request.headers.get('cookie') ?? '', SECRET, 'user')
  return user ? { subject: user, name: user } : null
}

const gate = createPairgate({
  baseUrl: `${ORIGIN}/auth`,
  secrets: [SECRET],
  database: sqlite(process.env.DATABASE_FILE ?? 'gateway.db'),
  identify: currentUser,
  signInUrl: (returnTo) => `/login?${new URLSearchParams({ next: returnTo })}`,
})
app.all('/auth/*', (c) => gate.fetch(c.req.raw, { remoteAddress: c.env.incoming.socket.remoteAddress }))
app.get('/.well-known/oauth-authorization-server/auth', (c) => gate.fetch(c.req.raw))

app.get('/api/hello', async (c) => {
  const who = await gate.authenticate(c.req.raw)
  return who ? c.json({ hello: who.user.subject }) : c.json({ error: 'Sign in first' }, 401)
})

if (process.argv[1] === import.meta.filename) serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 3000 })
