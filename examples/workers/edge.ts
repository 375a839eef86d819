/** What Cloudflare's network does in front of a Worker, for workerd on this machine: it says who makes a request. @module */

import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  type ServerResponse,
  request as send,
} from 'node:http'
import { closeServer, SERVER_OPTIONS } from '../../adapters/node.ts'
import type { Listening } from '../../adapters/standalone.ts'

/** Headers that are about one connection only (RFC 9110 section 7.6.1). */
const OF_CONNECTION = /^(connection|keep-alive|proxy-connection|transfer-encoding|upgrade)$/i

/** A flat list of names and values, without those for the connection it came on. */
function passOn(rawHeaders: readonly string[]): string[] {
  const pairs = rawHeaders.map((name, i) => (i % 2 ? [] : [name, rawHeaders[i + 1] ?? '']))
  return pairs.filter(([name = 'connection']) => !OF_CONNECTION.test(name)).flat()
}

/** Tells whether a Host header names a host and a port, and nothing else. */
function isHost(host = ''): boolean {
  if (!URL.canParse(`http://${host}`)) return false
  const { host: parsed } = new URL(`http://${host}`)
  return [parsed, `${parsed}:80`].includes(host.toLowerCase())
}

/** Requests that may take long to be answered: a Worker is not told that it has to end. */
type Patient = Set<ClientRequest>

function relay(worker: URL, patient: Patient, incoming: IncomingMessage, outgoing: ServerResponse): void {
  const { upgrade: _upgrade, ...headers } = incoming.headers
  if (!incoming.url?.startsWith('/') || !isHost(headers.host)) {
    outgoing.writeHead(400).end('The request does not name a path and a host')
    return
  }
  const address = incoming.socket.remoteAddress
  // whoever sends this header itself is not believed
  Object.assign(headers, { connection: 'close', 'cf-connecting-ip': address })
  const { hostname, port } = worker
  const { method, url: path } = incoming
  // a socket each: workerd closes those that were used before whenever it likes, and a request on its way is lost
  const upstream = send({ hostname, port, method, path, headers, agent: false })
  upstream.once('response', (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, passOn(answer.rawHeaders))
    answer.pipe(outgoing)
    answer.once('error', () => outgoing.destroy())
  })
  upstream.on('error', () => {
    if (outgoing.headersSent) return
    // who does not read a body to its end has had enough of it
    if (!incoming.complete) outgoing.writeHead(413).end('The body is too long')
    else outgoing.writeHead(503, { 'retry-after': '5' }).end('The Worker does not answer')
  })
  if (headers.prefer) patient.add(upstream)
  outgoing.once('close', () => {
    patient.delete(upstream)
    upstream.destroy()
  })
  incoming.pipe(upstream)
}

/**
 * Listens for the Worker.
 *
 * @param worker Tells where workerd listens at the moment.
 * @returns Once it listens. Rejects when the port is taken.
 */
export async function serveEdge(
  worker: () => URL,
  address: { hostname: string; port: number },
): Promise<Listening> {
  const patient: Patient = new Set()
  const server = createServer(SERVER_OPTIONS, (incoming, outgoing) =>
    relay(worker(), patient, incoming, outgoing),
  )
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(address.port, address.hostname, resolve)
  })
  return {
    port: address.port,
    close: async () => {
      for (const upstream of patient) upstream.destroy(new Error('The end'))
      await closeServer(server)
    },
  }
}
