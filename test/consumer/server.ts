/** A gateway as TypeScript sees it. @module */

import { Hono } from 'hono'
import { createPairgate, type GuardVariables, oidc, type Pairgate } from 'pairgate'
import { d1 } from 'pairgate/d1'
import { trustedHeader } from 'pairgate/gateway'
import { mysql } from 'pairgate/mysql'
import { serve, toNodeHandler } from 'pairgate/node'
import { sqlite } from 'pairgate/sqlite'
import { createWorker } from 'pairgate/workers'

/** All that a gateway does with it. */
export function start(secret: string): { gate: Pairgate; app: Hono<{ Variables: GuardVariables }> } {
  const gate = createPairgate({
    baseUrl: 'https://gateway.example/auth',
    secrets: [secret],
    database: sqlite('pairgate.db'),
    identify: async (request) => ({ subject: request.headers.get('x-user') ?? '' }),
    signInUrl: (returnTo) => `/login?next=${returnTo}`,
  })
  const app = new Hono<{ Variables: GuardVariables }>()
  app.get('/api/hello', gate.guard(), (c) => c.json({ hello: c.get('pairgate').user.subject }))
  // @ts-expect-error there is no such variable
  app.get('/api/bye', gate.guard(), (c) => c.json({ bye: c.get('pairgate').person }))
  // @ts-expect-error the base URL is needed
  createPairgate({ secrets: [secret], database: sqlite('pairgate.db') })
  void serve(gate, { hostname: '127.0.0.1', port: 0 })
  return { gate, app }
}

/** The other ways to have one. */
export const others = [
  d1,
  mysql,
  trustedHeader,
  toNodeHandler,
  createWorker,
  oidc({ issuer: 'https://id.example', clientId: 'x', clientSecret: 'y' }),
]
