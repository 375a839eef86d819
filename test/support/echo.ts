/** A backend behind a proxy: it remembers every request that it gets, and says it back. @module */

import { createHash } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request, as it came to the backend. */
export interface Echo {
  readonly method: string
  readonly target: string
  /** In their order, with their names as they were spelled. */
  readonly headers: readonly (readonly [string, string])[]
  readonly bodyLength: number
  readonly bodySha256: string
}

/** A running backend. */
export interface Backend {
  readonly port: number
  /** Every request so far. */
  readonly seen: readonly Echo[]
  /** Connections so far. */
  readonly connections: number
  close(): Promise<void>
}

/** Serves a backend on a free port. It answers with the request, as JSON. */
export async function startBackend(): Promise<Backend> {
  const seen: Echo[] = []
  let connections = 0
  const server = createServer((request, response) => {
    const hash = createHash('sha256')
    let bodyLength = 0
    request.on('data', (chunk: Buffer) => {
      hash.update(chunk)
      bodyLength += chunk.length
    })
    request.on('end', () => {
      const { method = '', url: target = '', rawHeaders } = request
      const headers = rawHeaders.flatMap((name, i) =>
        i % 2 === 0 ? [[name, rawHeaders[i + 1] ?? ''] as const] : [],
      )
      const echo = { method, target, headers, bodyLength, bodySha256: hash.digest('hex') }
      seen.push(echo)
      response.setHeader('content-type', 'application/json').end(JSON.stringify(echo))
    })
  })
  server.on('connection', () => connections++)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    seen,
    get connections() {
      return connections
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
