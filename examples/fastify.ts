/** pairgate in a Fastify 5 application. @module */

import { fastify } from 'fastify'
import type { Pairgate } from 'pairgate'
import { toNodeGuard, toNodeHandler, whoIs } from 'pairgate/node'

/** Makes the application. */
export function createApp(gate: Pairgate) {
  const app = fastify()

  app.addHook('onRequest', toNodeHandler(gate))

  app.get('/api/hello', { onRequest: toNodeGuard(gate.guard({ scopes: ['read'] })) }, (request) => ({
    hello: whoIs(request).user.subject,
  }))
  return app
}
