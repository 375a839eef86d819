/** HTTP/1.1 requests as they are written: no path is tidied up, and headers have the names and the number that they are given. @module */

import { type Agent, type IncomingHttpHeaders, request } from 'node:http'

/** A request. */
export interface RawRequest {
  readonly method?: string
  /** The target, exactly. */
  readonly path?: string
  /** In this order; a name may be there twice. */
  readonly headers?: readonly (readonly [string, string])[]
  readonly body?: string | Uint8Array
  /** Whether the body comes in chunks, without a length. */
  readonly isChunked?: boolean
  /** Address that it is sent from. */
  readonly from?: string
  /** Keeps connections; without one each request has its own. */
  readonly agent?: Agent
}

/** An answer. */
export interface RawAnswer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
  /** Which connection it came on. */
  readonly localPort: number
}

/** Sends a request to a port of 127.0.0.1. */
export function sendRaw(port: number, raw: RawRequest = {}): Promise<RawAnswer> {
  const { method = 'GET', path = '/', headers = [], body, isChunked = false, from, agent } = raw
  const framing: [string, string][] = []
  if (isChunked) framing.push(['Transfer-Encoding', 'chunked'])
  else if (body !== undefined) framing.push(['Content-Length', String(Buffer.byteLength(body))])
  const all = [['Host', 'app.example'], ...framing, ...headers]
  return new Promise((resolve, reject) => {
    const sent = request({
      host: '127.0.0.1',
      port,
      method,
      path,
      headers: all.flat(),
      agent: agent ?? false,
      ...(from !== undefined && { localAddress: from }),
    })
    sent.on('error', reject)
    sent.on('response', (response) => {
      const chunks: Buffer[] = []
      // it is given back before the end
      const { localPort = 0 } = response.socket
      response.on('error', reject)
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: Buffer.concat(chunks).toString(),
          localPort,
        }),
      )
    })
    sent.end(body)
  })
}
