/** A test gate on a real socket, for real browsers and for identity providers that send people back. @module */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '../../adapters/node.ts'
import type { Pairgate, PairgateOptions } from '../../src/mod.ts'
import { createTestGate, type TestGate } from './gate.ts'

/** A test gate that listens. What programs post goes under the mount by itself, without the socket. */
export interface LiveGate extends TestGate {
  /** The base URL, without a trailing slash. */
  readonly base: string
  /** Where it listens; differs from the base URL's when that was replaced. */
  readonly port: number
  /** Told of each request that comes by the socket; its signal tells when the connection is cut. */
  onRequest: (request: Request) => void
  close(): Promise<void>
}

/**
 * Serves a test gate on a free port, through the adapter for Node.
 *
 * @param options Given the base URL, since that is what identity providers must know before the gate does.
 * @param mount Path of the base URL, such as `/auth`; empty for the root.
 * @param host Host of the base URL: `localhost` is another site than providers on `127.0.0.1`.
 */
export async function listenGate(
  options: (base: string) => Partial<PairgateOptions> | Promise<Partial<PairgateOptions>> = () => ({}),
  mount = '',
  host: '127.0.0.1' | 'localhost' = '127.0.0.1',
): Promise<LiveGate> {
  let live: LiveGate | undefined
  const gate: Pick<Pairgate, 'fetch'> = {
    async fetch(request, info) {
      live?.onRequest(request)
      return (await live?.gate.fetch(request, info)) ?? new Response(null, { status: 503 })
    },
  }
  const server = await serve(gate as Pairgate, { hostname: '127.0.0.1', port: 0 })
  const base = `http://${host}:${server.port}${mount}`
  const test = createTestGate({ baseUrl: base, ...(await options(base)) })
  const { fetch } = test
  const post: TestGate['post'] = (path, form, address) =>
    fetch(mount + path, { method: 'POST', body: new URLSearchParams(form) }, address)
  live = { ...test, post, base, port: server.port, onRequest: () => {}, close: server.close }
  return live
}

/** A web site of somebody else's. */
export interface OtherSite {
  /** Its origin, by the name `localhost`, which is another site than `127.0.0.1`. */
  readonly origin: string
  /** Its origin by the name `127.0.0.1`: the same site as a gate there, and yet another origin. */
  readonly sameSiteOrigin: string
  /** Path of every request so far, in order. */
  readonly requests: readonly string[]
  close(): Promise<void>
}

/**
 * Serves a page from another origin.
 *
 * @param html The page under every path.
 * @param pages Other pages, by path.
 */
export async function listenPage(
  html: string,
  pages: Readonly<Record<string, string>> = {},
): Promise<OtherSite> {
  const requests: string[] = []
  const server = createServer((request: IncomingMessage, response: ServerResponse) => {
    requests.push(request.url ?? '')
    response.setHeader('content-type', 'text/html; charset=utf-8').end(pages[request.url ?? ''] ?? html)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://localhost:${port}`,
    sameSiteOrigin: `http://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
