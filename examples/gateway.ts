/** A gateway that knows its users, and gives command-line apps a login by mounting pairgate under /auth. @module */

import process from 'node:process'
import { serve } from '@hono/node-server'
import { getConnInfo } from '@hono/node-server/conninfo'
import { Hono } from 'hono'
import { deleteCookie, setSignedCookie } from 'hono/cookie'
import { parseSigned } from 'hono/utils/cookie'
import { sqlite } from '../adapters/sqlite.ts'
import { createPairgate, type GuardVariables } from '../src/mod.ts'

const SECRET = process.env.PAIRGATE_SECRET ?? crypto.randomUUID()
const ORIGIN = 'http://127.0.0.1:3000'

/** The gateway. Its own login believes any name: it stands for whatever a real one has. */
export const app = new Hono<{ Variables: GuardVariables }>()

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
app.use((c, next) =>
  gate.handles(c.req) ? gate.fetch(c.req.raw, { remoteAddress: getConnInfo(c).remote.address }) : next(),
)

app.get('/api/hello', gate.guard(), (c) => c.json({ hello: c.get('pairgate').user.subject }))

if (process.argv[1] === import.meta.filename) serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 3000 })
