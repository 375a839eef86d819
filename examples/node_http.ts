/** pairgate in a server of `node:http`. @module */

import { createServer } from 'node:http'
import type { Pairgate } from 'pairgate'
import { toNodeGuard, toNodeHandler, whoIs } from 'pairgate/node'

/** Makes the server. */
export function createApp(gate: Pairgate) {
  const pairgate = toNodeHandler(gate)
  const guard = toNodeGuard(gate.guard({ scopes: ['read'] }))

  return createServer((request, response) => {
    pairgate(request, response, () => {
      if (request.url !== '/api/hello') {
        response.writeHead(404).end('Not found')
        return
      }
      guard(request, response, (error) => {
        if (error) response.writeHead(503).end('Try again')
        else response.end(JSON.stringify({ hello: whoIs(request).user.subject }))
      })
    })
  })
}
