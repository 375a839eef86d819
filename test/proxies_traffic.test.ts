/** nginx, Caddy and HAProxy as the documentation configures them: methods, bodies, and many requests on few connections. @module */

import { createHash } from 'node:crypto'
import { Agent } from 'node:http'
import { decodeJwt } from 'jose'
import { describe, expect, test } from 'vitest'
import type { Echo } from './support/echo.ts'
import { PROXIES } from './support/proxies.ts'
import { useProxyWorld } from './support/proxy_world.ts'
import { sendRaw } from './support/raw.ts'

const valuesOf = ({ headers }: Echo, name: string) =>
  headers.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value)

describe.each(PROXIES)('%s', (name) => {
  const start = useProxyWorld(name)

  test('any method goes on, and is refused without a credential', async (context) => {
    const world = start(context)
    const key = await world.login({ subject: 'alice' })
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'POST', 'PROPFIND']) {
      const outcome = await world.sendAs(key, { method, path: '/thing' })
      expect([method, outcome.status, outcome.seen?.method]).toEqual([method, 200, method])
      expect([method, outcome.text === '']).toEqual([method, method === 'HEAD'])
      const refused = await world.send({ method, path: '/thing' })
      expect([method, refused.status, refused.seen]).toEqual([method, 401, null])
    }
  })

  test('a body arrives whole, with a length or in chunks, and pairgate is asked once and without it', async (context) => {
    const world = start(context)
    const key = await world.login({ subject: 'alice' })
    for (const length of [1, 70_000, 900_000]) {
      const body = Buffer.alloc(length, 'pairgate ')
      const sha256 = createHash('sha256').update(body).digest('hex')
      for (const isChunked of [false, true]) {
        const before = world.pairgate.asked.length
        const { status, seen } = await world.sendAs(key, { method: 'POST', path: '/in', body, isChunked })
        expect([status, seen?.bodyLength, seen?.bodySha256]).toEqual([200, length, sha256])
        const asked = world.pairgate.asked.slice(before)
        expect(asked.map(({ method, length: announced }) => [method, announced])).toEqual([['GET', 0]])
      }
    }
  })

  test('a body that comes with no good credential is not kept for the backend', async (context) => {
    const world = start(context)
    const key = await world.login({ subject: 'alice' })
    for (const isChunked of [false, true]) {
      const refused = await world.sendAs('pgk_none', { method: 'POST', body: 'x'.repeat(5000), isChunked })
      expect([refused.status, refused.seen]).toEqual([401, null])
      const { seen } = await world.sendAs(key, { method: 'POST', body: 'mine', isChunked })
      expect(seen?.bodyLength).toBe(4)
    }
  })

  test('1,000 requests on eight connections: each is answered as its own credential deserves', async (context) => {
    const world = start(context)
    const owners = ['ann', 'bob', 'cho']
    const tokens: [string, string][] = []
    for (const [i, subject] of owners.entries()) {
      const flow = i % 2 ? 'pair' : 'device'
      tokens.push([subject, await world.login({ subject, name: subject.toUpperCase() }, flow)])
    }
    const kinds = [...tokens, [null, `${tokens[0]?.[1]}x`], [null, null]] as const
    const [before, opened] = [world.pairgate.connections, world.backend.connections]
    const agent = new Agent({ keepAlive: true, maxSockets: 8 })
    const sockets = new Set<number>()
    const ask = async (i: number) => {
      // no two of them in the same order
      const [owner, token] = kinds[(i * 7 + Math.floor(i / 13)) % kinds.length] ?? [null, null]
      const path = i % 11 === 0 ? `/write/${i}` : `/${i}`
      const headers = token === null ? [] : [['Authorization', `Bearer ${token}`] as const]
      const answer = await sendRaw(world.proxy.port, { agent, path, headers })
      sockets.add(answer.localPort)
      const expected = owner === null ? 401 : i % 11 === 0 ? 403 : 200
      expect([i, answer.status]).toEqual([i, expected])
      if (expected !== 200) return
      const echo = JSON.parse(answer.text) as Echo
      expect([echo.target, ...valuesOf(echo, 'remote-user')]).toEqual([path, owner])
      const [assertion = ''] = valuesOf(echo, 'x-pairgate-assertion')
      expect(decodeJwt(assertion)).toMatchObject({ name: owner?.toUpperCase(), sub_id: { sub: owner } })
    }
    await Promise.all(Array.from({ length: 1000 }, (_, i) => ask(i)))
    agent.destroy()
    expect(sockets.size).toBe(8)
    expect(world.backend.connections - opened).toBeLessThanOrEqual(20)
    expect(world.pairgate.connections - before).toBeLessThanOrEqual(20)
  })
})
