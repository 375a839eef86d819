/** nginx, Caddy and HAProxy as the documentation configures them: when pairgate cannot say who it is, nobody goes on. @module */

import { describe, expect, test } from 'vitest'
import { watchSqlite } from './support/faults.ts'
import { demand } from './support/matrix.ts'
import { PROXIES } from './support/proxies.ts'
import { lookForProxy, type ProxyWorld, startProxyWorld } from './support/proxy_world.ts'

/** Sends a good credential, and headers that pretend that it has been judged already. Nothing may get to the backend. */
async function sendInVain(world: ProxyWorld, token: string, path: string): Promise<number> {
  const headers = [
    ['Remote-User', 'alice'],
    ['X-Pairgate-Id', 'a'.repeat(64)],
  ] as const
  const { status, seen } = await world.sendAs(token, { path, headers })
  expect([path, seen]).toEqual([path, null])
  return status
}

async function expectClosed(world: ProxyWorld, token: string): Promise<void> {
  const statuses = await Promise.all(['/', '/write'].map((path) => sendInVain(world, token, path)))
  for (const status of statuses) expect([500, 502, 503, 504]).toContain(status)
}

async function expectOpen(world: ProxyWorld, token: string): Promise<void> {
  const { status, seen } = await world.sendAs(token)
  expect([status, seen?.method]).toEqual([200, 'GET'])
}

describe('nobody goes on while pairgate cannot say who it is, and everybody does afterwards', () => {
  test.concurrent.for(PROXIES)('%s', async (name, context) => {
    const found = await lookForProxy(name)
    if ('reason' in found) return demand(context, found.reason)
    let failure: string | null = null
    const database = watchSqlite(':memory:', (point) => {
      if (failure && point.startsWith('sql:before')) throw new Error(failure)
    })
    const world = await startProxyWorld(name, found.root, { database })
    try {
      const token = await world.login({ subject: 'alice' }, 'device', 'read write')
      await expectOpen(world, token)

      // nobody listens
      await world.pairgate.stop()
      await expectClosed(world, token)
      await world.pairgate.start()
      await expectOpen(world, token)

      // the database is away
      failure = 'database is locked'
      await expectClosed(world, token)
      const { headers, text } = await world.sendAs(token)
      expect([headers['retry-after'], JSON.parse(text).error]).toEqual(['5', 'temporarily_unavailable'])
      // it is broken
      failure = 'database disk image is malformed'
      await expectClosed(world, token)
      failure = null
      await expectOpen(world, token)

      // somebody else answers there
      const { handler } = world.pairgate
      for (const status of [302, 404, 500]) {
        world.pairgate.handler = (_request, response) => response.writeHead(status, { location: '/x' }).end()
        await sendInVain(world, token, '/')
      }
      // the connection breaks
      world.pairgate.handler = (request) => request.socket.destroy()
      await expectClosed(world, token)
      // somebody listens, and says nothing
      world.pairgate.handler = () => {}
      expect(await sendInVain(world, token, '/')).toBeGreaterThanOrEqual(500)
      world.pairgate.handler = handler
      await expectOpen(world, token)
    } finally {
      await world.close()
    }
  })
})
