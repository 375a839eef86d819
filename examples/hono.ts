/** pairgate in a Hono application. @module */

import { getConnInfo } from '@hono/node-server/conninfo'
import { Hono } from 'hono'
import type { GuardVariables, Pairgate } from 'pairgate'

/** Makes the application. */
export function createApp(gate: Pairgate) {
  const app = new Hono<{ Variables: GuardVariables }>()

  app.use((c, next) =>
    gate.handles(c.req) ? gate.fetch(c.req.raw, { remoteAddress: getConnInfo(c).remote.address }) : next(),
  )

  app.get('/api/hello', gate.guard({ scopes: ['read'] }), (c) =>
    c.json({ hello: c.get('pairgate').user.subject }),
  )
  return app
}
