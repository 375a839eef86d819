/**
 * The listener that the browser comes to after Allow (RFC 8252 section 7.3). It listens on 127.0.0.1 alone, takes one
 * request, the one that knows the state, and sends the browser on.
 *
 * @module
 */

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the browser brought. */
export type Callback =
  | { readonly code: string; readonly error?: never }
  | { readonly error: string; readonly code?: never }

/** A listener, and what came of it. */
export interface Loopback {
  /** The port on 127.0.0.1. */
  readonly port: number
  /** Resolves once the browser was here; never rejects. */
  readonly callback: Promise<Callback>
  /** Where to send the browser on to, known after the start of the login. */
  finishAt(url: string): void
  /** Stops listening, and hangs up on whoever is there. */
  close(): void
}

const HEADERS = {
  'Cache-Control': 'no-store',
  'Referrer-Policy': 'no-referrer',
  'Content-Type': 'text/plain; charset=utf-8',
  Connection: 'close',
}

/** What the browser has to bring; nobody else can know it. */
export interface Expected {
  readonly state: string
  /** Origin of the server that the login was started at. */
  readonly origin: string
}

/** Reads what the server sent the browser with; null when this is somebody else's request. */
function readCallback(request: IncomingMessage, port: number, { state, origin }: Expected): Callback | null {
  const own = `127.0.0.1:${port}`
  // another name would mean that a foreign page found its way here (DNS rebinding)
  if (request.method !== 'GET' || request.headers.host !== own) return null
  const target = `http://${own}${request.url}`
  const url = URL.canParse(target) ? new URL(target) : null
  if (url?.pathname !== '/callback' || url.searchParams.get('state') !== state) return null
  // a server that we signed in at may have led the browser through another one, to get that one's code (RFC 9207)
  const issuer = url.searchParams.get('iss') ?? ''
  if (!URL.canParse(issuer) || new URL(issuer).origin !== origin) return null
  const code = url.searchParams.get('code')
  const error = url.searchParams.get('error')
  if (error !== null) return { error }
  return code ? { code } : null
}

/**
 * Starts listening on a free port.
 */
export async function listenOnLoopback(expected: Expected): Promise<Loopback> {
  // loaded here, because most runs of a program never listen
  const { createServer } = await import('node:http')
  let arrived: (callback: Callback) => void = () => {}
  const callback = new Promise<Callback>((resolve) => {
    arrived = resolve
  })
  let next: string | null = null
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    const { port } = server.address() as AddressInfo
    const found = readCallback(request, port, expected)
    if (!found) {
      response.writeHead(404, HEADERS).end('Not found\n')
      return
    }
    response.writeHead(next ? 303 : 200, { ...HEADERS, ...(next && { Location: next }) })
    response.end('Go back to your terminal.\n')
    arrived(found)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port: 0, host: '127.0.0.1' }, resolve)
  })
  return {
    port: (server.address() as AddressInfo).port,
    callback,
    finishAt: (url) => {
      next = url
    },
    close: () => {
      server.close()
      // browsers connect in advance, and others may say half a word: the program would not end before they do
      server.closeAllConnections()
    },
  }
}
