/** A server that does nothing but hold connections: what `node:http` itself takes for one. @module */

import { createServer } from 'node:http'
import process from 'node:process'
import { type Contender, check } from '../contender.ts'
import { pathOf, startServer } from '../servers.ts'

/** Answers a device authorization with nothing, and holds every poll for ever. */
export const bareHttp: Contender = {
  name: 'node:http',
  start: () =>
    startServer('node:http', (port) => ({
      command: [process.execPath, pathOf('contenders/bare_http.ts')],
      env: { PORT: String(port) },
    })),
  moves: (wire) => ({
    async authorize(send) {
      const answer = await send(wire.form('/authorize', { client_id: 'bench' }))
      check(answer.status === 200, 'authorize', answer)
      return { deviceCode: 'x'.repeat(43), userCode: '' }
    },
    async collect(send, { deviceCode: device_code }) {
      const answer = await send(wire.form('/token', { client_id: 'bench', device_code }))
      check(false, 'an answer', answer)
    },
  }),
}

if (import.meta.main) {
  const server = createServer((request, response) => {
    request.resume().on('end', () => {
      if (request.url === '/authorize') response.end('{}')
    })
  })
  server.listen(Number(process.env.PORT), '127.0.0.1')
}
