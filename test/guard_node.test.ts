/** Guards in Node's style in hosts that do more than wait: one that has answered already, one of HTTP/2. @module */

import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect, createServer as createHttp2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { fastify } from 'fastify'
import { expect, onTestFinished, test, vi } from 'vitest'
import { type NodeHandler, toNodeGuard } from '../adapters/node.ts'
import { createTestGate } from './support/gate.ts'

/** A guard, and when all of its judgements are there. */
function createWatchedGuard() {
  const guard = createTestGate().gate.guard()
  const checks: Promise<unknown>[] = []
  const check: typeof guard.check = (...request) => {
    const answer = guard.check(...request)
    checks.push(answer)
    return answer
  }
  return { guard: toNodeGuard(Object.assign(async () => undefined, { check })), checks }
}

/** Counts the rejections that nobody handles: each would end the host. */
function watchRejections() {
  const unhandled = vi.fn()
  const others = process.listeners('unhandledRejection')
  process.removeAllListeners('unhandledRejection')
  process.on('unhandledRejection', unhandled)
  onTestFinished(() => {
    process.off('unhandledRejection', unhandled)
    for (const one of others) process.on('unhandledRejection', one)
  })
  return unhandled
}

const hosts = {
  'node:http': (guard: NodeHandler) =>
    createServer((request, response) => {
      guard(request, response, () => response.end('in'))
      response.writeHead(503).end('It took too long')
    }),
  fastify: async (guard: NodeHandler) => {
    const app = fastify()
    app.get('/', (_, reply) => void reply.send('in'))
    app.addHook('onRequest', (request, reply, next) => {
      guard(request, reply, next)
      void reply.code(503).send('It took too long')
    })
    await app.ready()
    return createServer(app.routing)
  },
}

test.each(Object.entries(hosts))('OPS-02 %s that has answered meanwhile lives on', async (_, createHost) => {
  const unhandled = watchRejections()
  const { guard, checks } = createWatchedGuard()
  const server = await createHost(guard as NodeHandler)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  const response = await fetch(`http://127.0.0.1:${port}/`)
  expect([response.status, await response.text()]).toEqual([503, 'It took too long'])
  await Promise.all(checks)
  await setImmediate()
  await setImmediate()
  expect(checks).toHaveLength(1)
  expect(unhandled).not.toHaveBeenCalled()
})

test('OPS-02 over HTTP/2 too, whose headers have the request line among them', async () => {
  const { guard } = createWatchedGuard()
  const server = createHttp2((request, response) =>
    guard(request as never, response as never, () => response.end('in')),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  onTestFinished(() => {
    client.destroy()
    server.close()
  })
  const [headers] = await once(client.request({ ':path': '/' }), 'response')
  expect(headers[':status']).toBe(401)
})
