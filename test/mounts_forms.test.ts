/** Ways to mount pairgate and its guard beside those of the examples: order, routers, body parsers, errors. @module */

import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer, type RequestListener } from 'node:http'
import { createAdaptorServer } from '@hono/node-server'
import express, {
  type Request as ExpressRequest,
  type Response as ExpressResponse,
  type NextFunction,
} from 'express'
import { type FastifyInstance, fastify } from 'fastify'
import { Hono } from 'hono'
import { afterEach, describe, expect, test } from 'vitest'
import { toNodeGuard, toNodeHandler, toRequest, whoIs } from '../adapters/node.ts'
import { createHandlers } from '../examples/next.ts'
import type { Pairgate, PairgateOptions } from '../src/mod.ts'
import {
  HOSTS,
  type LiveHost,
  listenHost,
  type MakeServer,
  serveWeb,
  tokenAt,
  write,
} from './support/hosts.ts'

const DEVICE = '/auth/oauth/device/authorize'
const TRPC = '/auth/trpc/device.authorize'
const CLIENT = { client_id: 'pairgate-cli' }
const FORM: RequestInit = { method: 'POST', body: new URLSearchParams(CLIENT) }
const JSON_BODY: RequestInit = {
  method: 'POST',
  body: JSON.stringify(CLIENT),
  headers: { 'content-type': 'application/json' },
}

const open: LiveHost[] = []
afterEach(async () => {
  for (const host of open.splice(0)) await host.close()
})

async function listen(make: MakeServer, options: Partial<PairgateOptions> = {}): Promise<LiveHost> {
  const host = await listenHost(make, '/auth', options)
  open.push(host)
  return host
}

const listenExpress = (
  build: (app: ReturnType<typeof express>, gate: Pairgate) => void,
  identify?: PairgateOptions['identify'],
) =>
  listen(
    (gate) => {
      const app = express()
      build(app, gate)
      return createServer(app)
    },
    { identify },
  )

const listenFastify = (build: (app: FastifyInstance, gate: Pairgate) => void) =>
  listen(async (gate) => {
    const app = fastify()
    build(app, gate)
    await app.ready()
    return createServer(app.routing)
  })

/** Logs the app in, so far as that goes without a person. */
async function expectStarts(host: LiveHost): Promise<void> {
  for (const [path, init] of [
    [DEVICE, FORM],
    [TRPC, JSON_BODY],
  ] as const)
    expect([path, (await host.fetch(path, init)).status]).toEqual([path, 200])
  expect(host.rows('SELECT flow FROM grants')).toHaveLength(2)
}

/** What a body that somebody else has read leads to: words, one line in the log, nothing stored. */
async function expectTooLate(host: LiveHost, path: string, init: RequestInit): Promise<void> {
  const response = await host.fetch(path, init)
  const body = (await response.json()) as Record<string, string>
  expect([response.status, body.error]).toEqual([500, 'server_error'])
  expect(body.error_description).toContain('mount pairgate before body parsers')
  expect(host.errors).toEqual([expect.stringContaining('mount pairgate before body parsers')])
  expect(host.rows('SELECT flow FROM grants')).toEqual([])
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

describe('Express', () => {
  test.each<[string, (app: ReturnType<typeof express>, gate: Pairgate) => void]>([
    ['under a path of its own', (app, gate) => app.use('/auth', toNodeHandler(gate))],
    ['behind a router', (app, gate) => app.use(express.Router().use(toNodeHandler(gate)))],
    [
      'behind a router under the path',
      (app, gate) => app.use('/auth', express.Router().use(toNodeHandler(gate))),
    ],
    ['in an application of its own', (app, gate) => app.use(express().use(toNodeHandler(gate)))],
    ['as a route', (app, gate) => app.all('/auth/*path', toNodeHandler(gate))],
    ['after parsers of other bodies', (app, gate) => app.use(express.text(), toNodeHandler(gate))],
  ])('GW-03 mounted %s it gets the whole path', async (_, build) => {
    const host = await listenExpress(build)
    await expectStarts(host)
    const elsewhere = await host.fetch('/authx')
    expect([elsewhere.status, await elsewhere.text()]).toEqual([404, expect.stringContaining('Cannot GET')])
  })

  test.each<[string, express.RequestHandler, string, RequestInit, string, RequestInit]>([
    ['express.json()', express.json(), TRPC, JSON_BODY, DEVICE, FORM],
    ['express.urlencoded()', express.urlencoded(), DEVICE, FORM, TRPC, JSON_BODY],
    ['express.raw()', express.raw({ type: '*/*' }), TRPC, JSON_BODY, '/auth/healthz', {}],
  ])('after %s a body that it has read is refused in words, others are not', async (_, parser, ...rest) => {
    const [path, init, otherPath, other] = rest
    const host = await listenExpress((app, gate) => app.use(parser, toNodeHandler(gate)))
    await expectTooLate(host, path, init)
    expect((await host.fetch(otherPath, other)).status).toBe(200)
    expect((await host.fetch('/auth/device')).status).toBe(303)
    const empty = await host.fetch('/auth/sign-out', { method: 'POST' })
    expect([empty.status, host.errors]).toEqual([expect.any(Number), [expect.any(String)]])
  })

  test('a chunked body of no bytes that a parser has read is an empty one', async () => {
    const host = await listenExpress((app, gate) => app.use(express.json(), toNodeHandler(gate)))
    const headers = ['Content-Type: application/json', 'Transfer-Encoding: chunked\r\n\r\n0']
    expect((await write(host, `POST ${TRPC}`, headers)).status).toBe(400)
  })

  test('headers that earlier middleware has set stay', async () => {
    const host = await listenExpress((app, gate) =>
      app.use(
        (_request, response, next) => next(void response.setHeader('x-host', 'here')),
        toNodeHandler(gate),
      ),
    )
    expect((await host.fetch('/auth/device')).headers.get('x-host')).toBe('here')
  })

  test('KEY-03 a guard under a router, after body parsers: the handler knows who it is', async () => {
    const host = await listenExpress((app, gate) => {
      const api = express.Router().use(express.json(), toNodeGuard(gate.guard()))
      api.post('/echo', (request, response) => {
        response.json({ who: whoIs(request).user.subject, body: request.body })
      })
      app.use(toNodeHandler(gate)).use('/api', api)
    })
    expect((await host.fetch('/api/echo', JSON_BODY)).status).toBe(401)
    const { headers } = bearer(await tokenAt(host))
    const init = { ...JSON_BODY, headers: { ...JSON_BODY.headers, ...headers } }
    expect(await (await host.fetch('/api/echo', init)).json()).toEqual({ who: 'alice', body: CLIENT })
    const [row] = host.rows("SELECT last_used_address FROM credentials WHERE kind = 'api_key'")
    expect(row).toEqual({ last_used_address: '127.0.0.1' })
  })

  test('GW-02 `identify` reads the session that earlier middleware has opened, each request its own', async () => {
    const current = new AsyncLocalStorage<ExpressRequest>()
    const identify = () => {
      const name = current.getStore()?.get('x-session')
      return name === undefined ? null : { subject: name }
    }
    const host = await listenExpress((app, gate) => {
      app.use((request, _response, next) => current.run(request, next), toNodeHandler(gate))
    }, identify)
    const answers = await Promise.all(
      ['alice', 'bob', 'carol'].map(async (name) => {
        const response = await host.fetch('/auth/secured', { headers: { 'x-session': name } })
        return await response.text()
      }),
    )
    const said = (name: string) => `You are authenticated as: ${name}`
    expect(answers).toEqual(['alice', 'bob', 'carol'].map(said))
    expect((await host.fetch('/auth/secured')).status).toBe(401)
  })

  test('what goes wrong inside a guard, and in handlers behind it, reaches the host’s error handler once', async () => {
    const seen: string[] = []
    const host = await listenExpress((app, gate) => {
      app.use(toNodeHandler(gate))
      app.get('/api/throws', toNodeGuard(gate.guard()), () => {
        throw new Error('thrown')
      })
      app.get('/api/rejects', toNodeGuard(gate.guard()), () => Promise.reject(new Error('rejected')))
      app.get('/api/unguarded', (request) => void whoIs(request))
      app.use((error: Error, _request: ExpressRequest, response: ExpressResponse, _next: NextFunction) => {
        seen.push(error.message)
        response.sendStatus(500)
      })
    })
    const init = bearer(await tokenAt(host))
    for (const path of ['/api/throws', '/api/rejects', '/api/unguarded'])
      expect((await host.fetch(path, init)).status).toBe(500)
    host.database.exec('DROP TABLE credentials')
    expect((await host.fetch('/api/throws', init)).status).toBe(500)
    expect(seen).toEqual([
      'thrown',
      'rejected',
      'No guard of pairgate came before this handler',
      expect.stringContaining('credentials'),
    ])
  })
})

describe('Fastify', () => {
  test('parsers of the host and pairgate do not meet; hooks see the answer, and its headers stay', async () => {
    const answered: string[] = []
    const host = await listenFastify((app, gate) => {
      app.addHook('onRequest', async (_request, reply) => void reply.header('x-host', 'here'))
      app.addHook('onRequest', toNodeHandler(gate))
      app.addHook('onResponse', async (request) => void answered.push(request.url))
      app.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_r, text, done) =>
        done(null, text),
      )
      app.post('/echo', (request) => ({ body: request.body }))
      app.get('/api/me', { onRequest: toNodeGuard(gate.guard()) }, (request) => whoIs(request).user)
    })
    await expectStarts(host)
    expect(await (await host.fetch('/echo', JSON_BODY)).json()).toEqual({ body: CLIENT })
    for (const path of ['/auth/device', '/api/me', '/nowhere'])
      expect([path, (await host.fetch(path)).headers.get('x-host')]).toEqual([path, 'here'])
    expect(answered).toEqual([DEVICE, TRPC, '/echo', '/auth/device', '/api/me', '/nowhere'])
  })

  test('as a route handler it comes after body parsers, and says so', async () => {
    const host = await listenFastify((app, gate) => {
      const handler = toNodeHandler(gate)
      app.all('/auth/*', (request, reply) => handler(request, reply))
    })
    await expectTooLate(host, TRPC, JSON_BODY)
    expect((await host.fetch('/auth/device')).status).toBe(303)
  })

  test('requests that the tests of a host inject are answered too', async () => {
    const host = await listen((gate) => {
      const app = fastify()
      app.addHook('onRequest', toNodeHandler(gate))
      app.get('/api/me', { onRequest: toNodeGuard(gate.guard()) }, (request) => whoIs(request).user)
      return createServer((async (_request, response) => {
        const headers = { host: new URL(host.origin).host }
        const page = await app.inject({ url: '/auth/.well-known/oauth-authorization-server', headers })
        const me = await app.inject({ url: '/api/me' })
        response.end(JSON.stringify([page.statusCode, page.json().issuer, me.statusCode]))
      }) as RequestListener)
    })
    expect(await (await host.fetch('/')).json()).toEqual([200, `${host.origin}/auth`, 401])
  })
})

describe('Hono and Next', () => {
  const readers: [string, string, RequestInit, (request: Request) => Promise<unknown>][] = [
    ['request.json()', TRPC, JSON_BODY, (request) => request.json()],
    ['request.text()', TRPC, JSON_BODY, (request) => request.text()],
    ['request.formData()', DEVICE, FORM, (request) => request.formData()],
    ['request.arrayBuffer()', DEVICE, FORM, (request) => request.arrayBuffer()],
  ]

  test.each(readers)('a route handler of Next after %s', async (_, path, init, read) => {
    const host = await listen((gate) =>
      serveWeb(async (request) => {
        await read(request)
        return await createHandlers(gate).POST(request)
      }),
    )
    await expectTooLate(host, path, init)
  })

  test('reading a clone is no harm', async () => {
    const host = await listen((gate) =>
      serveWeb(async (request) => {
        await request.clone().text()
        return await createHandlers(gate).POST(request)
      }),
    )
    await expectStarts(host)
  })

  test.each([
    ['c.req.json()', TRPC, JSON_BODY],
    ['c.req.parseBody()', DEVICE, FORM],
    ['c.req.text()', DEVICE, FORM],
  ] as const)('Hono after %s', async (call, path, init) => {
    const host = await listen((gate) => {
      const app = new Hono()
      app.use(async (c, next) => {
        if (call === 'c.req.json()') await c.req.json()
        else if (call === 'c.req.text()') await c.req.text()
        else await c.req.parseBody()
        await next()
      })
      app.all('/auth/*', (c) => gate.fetch(c.req.raw))
      return createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as ReturnType<
        typeof createServer
      >
    })
    await expectTooLate(host, path, init)
  })
})

describe('node:http', () => {
  test('without `next` everything else is 404', async () => {
    const host = await listen((gate) => createServer(toNodeHandler(gate)))
    await expectStarts(host)
    for (const target of ['/', '//', '/authx', '/api/hello', 'http://[', '*', '//auth/device'])
      expect([400, 404, 421], target).toContain((await write(host, `GET ${target}`)).status)
  })

  test('a target and a header Host that name different hosts are refused', async () => {
    const host = await listen(HOSTS['node:http'])
    expect((await write(host, 'GET http://evil.example/auth/device')).status).toBe(421)
    const named = `127.0.0.1:${host.port}/auth/device`
    for (const user of ['a:b@', 'a@', '@'])
      expect((await write(host, `GET http://${user}${named}`)).status).toBe(421)
    const hono = await listen(HOSTS.hono)
    expect((await write(hono, `GET http://a:b@127.0.0.1:${hono.port}/auth/device`)).status).toBe(400)
    expect([...host.errors, ...hono.errors]).toEqual([])
    expect((await write(host, `GET ${host.origin}/auth/device`)).status).toBe(303)
  })

  test.each(['node:http', 'express', 'fastify'] as const)(
    'GW-03 in %s a target whose dot segments lead to pairgate, or out of its /authz, is refused',
    async (name) => {
      const host = await listen(HOSTS[name])
      // the last one, asked by a proxy, would be answered by a page of the host
      const climbing = '/auth/authz/ext/write/../../../../'
      for (const path of ['/x/../auth/device', '/auth/./device', '/x/%2e%2e/auth/authz/ext', climbing])
        expect([path, (await write(host, `GET ${path}`)).status]).toEqual([path, 400])
    },
  )

  test('methods and targets that no Request can have are guarded all the same', async () => {
    const host = await listen((gate) => {
      const guard = toNodeGuard(gate.guard())
      return createServer((request, response) => guard(request, response, () => response.end('in')))
    })
    const lines = ['TRACE /', 'GET //', 'GET http://[', 'OPTIONS *', 'POST //x:99999999/']
    for (const line of [...lines, 'GET http://a:b@host.example/', 'GET file:///x']) {
      expect([line, (await write(host, line)).status]).toEqual([line, 401])
      const { status } = await write(host, line, [`Authorization: Bearer x`])
      expect([line, status]).toEqual([line, 401])
    }
  })

  test('what a handler behind a guard throws does not come back to it', async () => {
    let calls = 0
    const thrown = new Promise<unknown>((resolve) => {
      const others = process.listeners('unhandledRejection')
      process.removeAllListeners('unhandledRejection')
      process.once('unhandledRejection', (error) => {
        for (const one of others) process.on('unhandledRejection', one)
        resolve(error)
      })
    })
    const host = await listen((gate) => {
      const [pairgate, guard] = [toNodeHandler(gate), toNodeGuard(gate.guard())]
      return createServer((request, response) =>
        pairgate(request, response, () =>
          guard(request, response, () => {
            calls++
            response.end('once')
            throw new Error('of the host')
          }),
        ),
      )
    })
    const response = await host.fetch('/api', bearer(await tokenAt(host)))
    expect(await response.text()).toBe('once')
    expect(await thrown).toMatchObject({ message: 'of the host' })
    expect(calls).toBe(1)
  })

  test('a Request for `gate.authenticate` has the path that came, and all headers', () => {
    const headers = { host: 'x', cookie: 'a=1', 'set-cookie': ['a', 'b'] }
    const request = toRequest({ url: '/x', originalUrl: '//auth/x?y=%2f', method: 'PUT', headers } as never)
    expect([request.url, request.method]).toEqual(['http://localhost//auth/x?y=%2f', 'PUT'])
    expect(request.headers.get('cookie')).toBe('a=1')
  })
})

describe.each(Object.keys(HOSTS) as (keyof typeof HOSTS)[])('in %s', (name) => {
  test('OPS-01 a body over 64 KB is answered 413, chunked too, and what comes after it is heard', async () => {
    const host = await listen(HOSTS[name])
    const long = new URLSearchParams({ ...CLIENT, device_name: 'x'.repeat(200_000) }).toString()
    const type = { 'content-type': 'application/x-www-form-urlencoded' }
    const chunked = new ReadableStream({
      start(controller) {
        for (let at = 0; at < long.length; at += 10_000)
          controller.enqueue(new TextEncoder().encode(long.slice(at, at + 10_000)))
        controller.close()
      },
    })
    const bodies: RequestInit[] = [{ body: long }, { body: chunked, duplex: 'half' } as RequestInit]
    for (const body of bodies) {
      const response = await host.fetch(DEVICE, { method: 'POST', headers: type, ...body })
      expect([response.status, await response.json()]).toMatchObject([413, { error: 'invalid_request' }])
    }
    expect(host.rows('SELECT flow FROM grants')).toEqual([])
    await expectStarts(host)
  })
})
