/** pairgate inside other applications: the examples of `examples/`, on sockets. What is pairgate's reaches it, the rest does not. @module */

import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HOSTS, type LiveHost, listenHost, tokenAt, type Written, write } from './support/hosts.ts'

const NAMES = Object.keys(HOSTS) as (keyof typeof HOSTS)[]
/** What can be used by a program alone. */
const CLIENT = { client_id: 'pairgate-cli' }

const form = (fields: Record<string, string>): RequestInit => ({
  method: 'POST',
  body: new URLSearchParams(fields),
})

/** Who answered: pairgate sets this header everywhere, and no host does. */
const whose = ({ headers }: Pick<Written, 'headers'>) =>
  headers.has('cross-origin-opener-policy') ? 'pairgate' : 'host'

/** Paths that are somebody else's, however much they look like ours. */
const FOREIGN = [
  ...['/', '/authx', '/authx/device', '/auth;x', '/AUTH/device', '/Auth', '/x/auth/device', '/%zz'],
  ...['/%61uth/device', '/%2561uth/device', '/auth%2fdevice', '/auth%5cdevice', '/auth%00/device'],
  ...['//', '//auth/device', '///auth/device', '//evil.example/auth/device', '/.//auth/device'],
  ...['/.well-known/oauth-authorization-server', '/.well-known/oauth-authorization-server/authx'],
  ...['/.well-known/oauth-authorization-server//auth', '/.well-known/jwks.json', '/secured', '/healthz'],
]

/** Dot segments: nothing but the page that anybody may see, or a refusal; some frameworks resolve them before anybody. */
const DOTTED = [
  ...['/x/../auth/device', '/auth/../auth/device', '/auth/./device', '/auth/%2e%2e/auth/device'],
  ...['/auth/../api/hello', '/auth/%2E%2e/api/hello', '/api/../auth/../api/hello', '/auth/x/../../api/hello'],
]

describe.each(NAMES)('mounted in %s at /auth', (name) => {
  let host: LiveHost
  beforeAll(async () => {
    host = await listenHost(HOSTS[name])
  })
  afterAll(() => host.close())

  test('its paths are all pairgate’s, also those where nothing is', async () => {
    const statuses = {
      '/auth': 302,
      '/auth/': 302,
      '/auth?x=1': 302,
      '/auth/device': 303,
      '/auth/healthz': 200,
    }
    for (const [path, status] of Object.entries(statuses)) {
      const answer = await write(host, `GET ${path}`)
      expect([path, whose(answer), answer.status]).toEqual([path, 'pairgate', status])
    }
    for (const path of ['/auth/nowhere', '/auth//device', '/auth/auth/device', '/auth/api/hello']) {
      const answer = await write(host, `GET ${path}`)
      expect([path, whose(answer), answer.status]).toEqual([path, 'pairgate', 404])
    }
  })

  test('both forms of the metadata’s path', async () => {
    for (const path of [
      '/auth/.well-known/oauth-authorization-server',
      '/.well-known/oauth-authorization-server/auth',
    ])
      expect(await (await host.fetch(path)).json()).toMatchObject({ issuer: `${host.origin}/auth` })
  })

  test.each(FOREIGN)('GW-03 %s is not pairgate’s', async (path) => {
    const answer = await write(host, `GET ${path}`, ['Authorization: Bearer x'])
    expect(whose(answer)).toBe('host')
    expect([400, 404]).toContain(answer.status)
    expect(answer.headers.getSetCookie()).toEqual([])
  })

  test.each(DOTTED)('GW-03 %s gets nobody past the sign-in or the guard', async (path) => {
    const { status, text } = await write(host, `GET ${path}`)
    expect([303, 400, 401, 404]).toContain(status)
    expect(text).not.toContain('"hello"')
  })

  test('HEAD is answered as GET, OPTIONS and a wrong method are refused', async () => {
    const head = await write(host, 'HEAD /auth/.well-known/oauth-authorization-server')
    expect([head.status, head.text]).toEqual([200, ''])
    const get = await write(host, 'GET /auth/oauth/device/token')
    expect([get.status, get.headers.get('allow')]).toEqual([405, 'POST'])
    for (const method of ['OPTIONS', 'PUT', 'DELETE', 'PATCH'])
      expect([method, (await write(host, `${method} /auth/device`)).status]).toEqual([method, 405])
  })

  test('GW-05 cookies of the host come to no harm, and pairgate sets its own alone', async () => {
    const person = host.browser()
    person.cookies.set('sid', 'of-the-host')
    const response = await person.post('/auth/sign-in/dev', { username: 'alice' })
    expect(response.status).toBe(303)
    expect(response.headers.getSetCookie().join()).toMatch(/^pairgate-[^,]*$/)
    expect(person.cookies.get('sid')).toBe('of-the-host')
    expect((await person.get('/auth/account')).status).toBe(200)
    const elsewhere = await person.get('/elsewhere')
    expect([elsewhere.status, elsewhere.headers.getSetCookie()]).toEqual([404, []])
  })

  test('GW-04 the address of the socket’s other end arrives; in Next there is none', async () => {
    const headers = {
      'x-forwarded-for': '203.0.113.9',
      'x-real-ip': '203.0.113.9',
      forwarded: 'for=203.0.113.9',
    }
    const response = await host.fetch('/auth/oauth/device/authorize', { ...form(CLIENT), headers })
    expect(response.status).toBe(200)
    const rows = host.rows('SELECT remote_address FROM grants ORDER BY rowid DESC LIMIT 1')
    expect(rows).toEqual([{ remote_address: name === 'next' ? null : '127.0.0.1' }])
  })

  test('KEY-03 a guarded route: 401 with a challenge, 403 with what is missing, who it is', async () => {
    const ask = (token?: string) =>
      host.fetch('/api/hello', token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } })
    const none = await ask()
    expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="pairgate"'])
    expect(none.headers.get('content-type')).toContain('application/json')
    expect(await none.json()).toMatchObject({ error: 'missing_token' })
    for (const wrong of ['x', `pgk_${'0'.repeat(49)}`]) {
      const response = await ask(wrong)
      expect([response.status, await response.json()]).toMatchObject([401, { error: 'invalid_token' }])
      expect(response.headers.get('www-authenticate')).toContain('error="invalid_token"')
    }
    const poor = await ask(await tokenAt(host))
    expect([poor.status, await poor.json()]).toMatchObject([403, { error: 'insufficient_scope' }])
    expect(poor.headers.get('www-authenticate')).toContain('scope="read"')
    const good = await ask(await tokenAt(host, 'read'))
    expect([good.status, await good.json()]).toEqual([200, { hello: 'alice' }])
  })

  test('clients that break off: the next ones are answered', async () => {
    const { length } = host.errors
    for (const head of [
      'POST /auth/oauth/device/authorize HTTP/1.1\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 50',
      'POST /auth/trpc/device.authorize HTTP/1.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked',
      'GET /auth/device HTTP/1.1',
      'GET /api/hello HTTP/1.1',
    ]) {
      const socket = connect(host.port, '127.0.0.1')
      const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
      socket.write(`${head}\r\nhost: 127.0.0.1:${host.port}\r\n\r\n`, () => socket.resetAndDestroy())
      await closed
    }
    for (let i = 0; i < 3; i++) expect((await host.fetch('/auth/readyz')).status).toBe(200)
    expect(host.errors.slice(length)).toEqual([])
  })
})

test('WEB-01 in SvelteKit forms of other origins reach no route of the host, and programs’ forms reach pairgate', async () => {
  const host = await listenHost(HOSTS.sveltekit)
  try {
    for (const [headers, status] of [
      [{}, 403],
      [{ origin: 'https://evil.example' }, 403],
      [{ origin: 'null' }, 403],
      [{ origin: host.origin }, 404],
    ] as const)
      expect((await host.fetch('/of-the-host', { ...form({ a: 'b' }), headers })).status).toBe(status)
    expect((await host.fetch('/auth/oauth/device/authorize', form(CLIENT))).status).toBe(200)
    const json = { method: 'POST', body: '{}', headers: { 'content-type': 'application/json' } }
    expect((await host.fetch('/of-the-host', json)).status).toBe(404)
  } finally {
    await host.close()
  }
})

// at the root everything is pairgate's: hosts for which that is no use have no example of it
describe.each(NAMES.filter((name) => name !== 'next'))('mounted in %s at /', (name) => {
  test('GW-03 odd paths lead nowhere, and nothing of the host is left', async () => {
    const host = await listenHost(HOSTS[name], '')
    try {
      for (const [path, status] of Object.entries({ '/': 302, '/device': 303, '/healthz': 200 }))
        expect([path, (await write(host, `GET ${path}`)).status]).toEqual([path, status])
      for (const path of [
        '//',
        '//device',
        '///',
        '/auth/device',
        '/DEVICE',
        '/device%2f',
        '/api/hello',
        '/%zz',
      ])
        expect([path, [400, 404].includes((await write(host, `GET ${path}`)).status)]).toEqual([path, true])
      const metadata = await host.fetch('/.well-known/oauth-authorization-server')
      expect(await metadata.json()).toMatchObject({ issuer: host.origin })
    } finally {
      await host.close()
    }
  })
})

describe.each(NAMES)('in %s, when something of the host breaks', (name) => {
  test('RPC-02 what `identify` throws is logged, and not told', async () => {
    const identify = () => {
      throw new Error('the password of the database is swordfish')
    }
    const host = await listenHost(HOSTS[name], '/auth', { identify })
    try {
      for (const accept of ['text/html', 'application/json']) {
        const response = await host.fetch('/auth/device', { headers: { accept } })
        expect(response.status).toBe(500)
        expect(await response.text()).not.toContain('swordfish')
      }
      expect(host.errors).toEqual(['A request failed', 'A request failed'])
    } finally {
      await host.close()
    }
  })

  test('a guard whose database is gone lets nobody through, and the host goes on', async () => {
    const host = await listenHost(HOSTS[name])
    try {
      const headers = { authorization: `Bearer ${await tokenAt(host, 'read')}` }
      host.database.exec('ALTER TABLE credentials RENAME TO elsewhere')
      const response = await host.fetch('/api/hello', { headers })
      expect(response.status).toBeGreaterThanOrEqual(500)
      expect(await response.text()).not.toContain('alice')
      host.database.exec('ALTER TABLE elsewhere RENAME TO credentials')
      expect(await (await host.fetch('/api/hello', { headers })).json()).toEqual({ hello: 'alice' })
    } finally {
      await host.close()
    }
  })
})
