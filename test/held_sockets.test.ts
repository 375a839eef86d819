/** Held polls on real sockets: how they end, and what ten thousand of them do to others. @module */

import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { connect, type Socket } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { serve } from '../adapters/node.ts'
import { serveStandalone } from '../adapters/standalone.ts'
import { DEVICE_GRANT, SECRET } from './support/gate.ts'
import { type Login, openDecision, poll, type Send, signIn, startLogin } from './support/logins.ts'
import {
  findFreePort,
  SERVERS,
  type ServerRuntime,
  type StandaloneServer,
  startStandalone,
} from './support/standalone.ts'

const sendTo =
  ({ base }: StandaloneServer): Send =>
  (path, init) =>
    fetch(new URL(path, base), { redirect: 'manual', ...init })

/** As somebody at another address of this machine. */
const sendFrom =
  (localAddress: string, { base }: StandaloneServer): Send =>
  (path, init) =>
    new Promise((resolve, reject) => {
      const { method, headers, body } = new Request(new URL(path, base), init)
      const options = { method, localAddress, headers: Object.fromEntries(headers), agent: false }
      const request = httpRequest(new URL(path, base), options, (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.once('end', () => {
          const answer = new Headers()
          for (const [name, values = []] of Object.entries(incoming.headersDistinct))
            for (const value of values) answer.append(name, value)
          const status = incoming.statusCode ?? 0
          const text = status === 204 || status === 304 ? null : Buffer.concat(chunks)
          resolve(new Response(text, { status, headers: answer }))
        })
      })
      request.once('error', reject)
      if (body) new Response(body).arrayBuffer().then((bytes) => request.end(Buffer.from(bytes)))
      else request.end()
    })

async function allow(send: Send, { base }: StandaloneServer, login: Login): Promise<void> {
  const { origin } = new URL(base)
  const alice = await signIn(send, origin, 'alice')
  expect(await (await openDecision(send, origin, alice, login))('allow')).toBe('approved')
}

/** A whole request for a poll to be held; its answer is left to come. */
function holdOnSocket({ base }: StandaloneServer, { secret }: Login): Socket {
  const { port, host } = new URL(base)
  const form = new URLSearchParams({
    grant_type: DEVICE_GRANT,
    client_id: 'pairgate-cli',
    device_code: secret,
  })
  const body = form.toString()
  const head = [
    'POST /oauth/device/token HTTP/1.1',
    `Host: ${host}`,
    'Content-Type: application/x-www-form-urlencoded',
    `Content-Length: ${body.length}`,
    'Prefer: wait=30',
  ]
  const socket = connect(Number(port), '127.0.0.1').resume()
  socket.on('error', () => {})
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  return socket
}

/** A poll that is held; what it is answered, as it comes. */
async function holdAnswer(send: Send, { secret }: Login): Promise<string> {
  const form = { grant_type: DEVICE_GRANT, client_id: 'pairgate-cli', device_code: secret }
  const headers = { prefer: 'wait=30' }
  const body = new URLSearchParams(form)
  return await (await send('/oauth/device/token', { method: 'POST', headers, body })).text()
}

const RUNTIMES = Object.keys(SERVERS) as ServerRuntime[]

/** A server that ends with the test, also when that fails. */
async function startForThisTest(runtime: ServerRuntime): Promise<StandaloneServer> {
  const server = await startStandalone({}, '', runtime)
  onTestFinished(async () => {
    await server.stop()
    server.remove()
  })
  return server
}

test.each(RUNTIMES)(
  '%s: the end of the server answers a poll that is held',
  { timeout: 60_000 },
  async (runtime) => {
    const server = await startForThisTest(runtime)
    const send = sendTo(server)
    let login: Login
    let answer: Promise<string>
    // another poll is too fast when the one to be held came first; otherwise a new login is tried
    do {
      login = await startLogin(send, 'device')
      answer = holdAnswer(send, login)
    } while ((await poll(send, login)).status !== 'slow_down')
    expect(await server.stop()).toBe(0)
    // workerd is not told of the end: the edge in front of it answers
    expect(await answer).toMatch(
      runtime === 'workers' ? 'The Worker does not answer' : 'authorization_pending',
    )
  },
)

// workerd notices that a client has gone when it answers, and not before
test.each(RUNTIMES.filter((runtime) => runtime !== 'workers'))(
  '%s: who hangs up is issued nothing; what the person allows is there for the next poll',
  { timeout: 60_000 },
  async (runtime) => {
    const server = await startForThisTest(runtime)
    const send = sendTo(server)
    let login: Login
    let socket: Socket
    do {
      login = await startLogin(send, 'device')
      socket = holdOnSocket(server, login)
    } while ((await poll(send, login)).status !== 'slow_down')
    socket.destroy()
    await once(socket, 'close')
    await allow(send, server, login)
    expect((await poll(send, login)).status).toBe('issued')
    expect(await server.stop()).toBe(0)
  },
)

test('OPS-02 at a public URL a private address is that of a proxy, and has as many sockets as it takes', async () => {
  vi.spyOn(console, 'log').mockImplementation(() => {})
  onTestFinished(() => void vi.restoreAllMocks())
  const port = await findFreePort()
  const env = {
    PORT: String(port),
    DATABASE_URL: 'sqlite::memory:',
    PAIRGATE_BASE_URL: 'https://gateway.example',
    PAIRGATE_SECRET: SECRET,
    PAIRGATE_GITHUB_CLIENT_ID: 'id',
    PAIRGATE_GITHUB_CLIENT_SECRET: 'secret',
  }
  const close = await serveStandalone(env, serve, false)
  const sockets = Array.from({ length: 1_000 }, () => connect(port, '127.0.0.1').on('error', () => {}))
  await Promise.all(sockets.map((socket) => once(socket, 'connect')))
  expect(await (await fetch(`http://127.0.0.1:${port}/healthz`)).text()).toBe('ok')
  for (const socket of sockets) socket.destroy()
  await close()
})

test('RPC-08 OPS-02 ten thousand sockets that hold polls keep nobody from signing in', {
  timeout: 60_000,
}, async () => {
  const server = await startForThisTest('node')
  const near = sendTo(server)
  const logins = await Promise.all(Array.from({ length: 100 }, () => startLogin(near, 'device')))
  const sockets: Socket[] = []
  for (let i = 0; i < 10_000; i++) {
    sockets.push(holdOnSocket(server, logins[i % logins.length] as Login))
    if (i % 500 === 499) await new Promise((resolve) => setImmediate(resolve))
  }
  const far = sendFrom('127.0.0.2', server)
  const login = await startLogin(far, 'device')
  const answer = poll(far, login, 'form', { wait: 30 })
  await allow(far, server, login)
  expect((await answer).status).toBe('issued')
  // an address has a thousand; the others are hung up on, as fast as this process learns of it
  const refused = () => sockets.filter(({ destroyed, bytesRead }) => destroyed && bytesRead === 0).length
  while (refused() < 1_000) await new Promise((resolve) => setImmediate(resolve))
  for (const socket of sockets) socket.destroy()
  // it has seen to all of them
  expect(await (await far('/readyz')).text()).toBe('ok')
  expect(await server.stop()).toBe(0)
})
