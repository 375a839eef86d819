/** pairgate in an Express 5 application. @module */

import express from 'express'
import type { Pairgate } from 'pairgate'
import { toNodeGuard, toNodeHandler, whoIs } from 'pairgate/node'

/** Makes the application. */
export function createApp(gate: Pairgate) {
  const app = express()

  app.use(toNodeHandler(gate)) // before body parsers
  app.use(express.json())

  app.get('/api/hello', toNodeGuard(gate.guard({ scopes: ['read'] })), (request, response) => {
    response.json({ hello: whoIs(request).user.subject })
  })
  return app
}
