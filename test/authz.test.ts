/** The endpoints that proxies ask: who may go on, and how each dialect says that somebody may not. @module */

import { describe, expect, test } from 'vitest'
import type { PairgateOptions } from '../src/mod.ts'
import { ALICE, ask, bearer, createAuthzGate, createShakyGate, endKey, keyFor } from './support/authz.ts'
import { loginAs, personAt } from './support/credentials.ts'
import { BASE, createTestGate } from './support/gate.ts'

const DIALECTS = ['nginx', 'forward', 'ext'] as const
const CHALLENGE = 'Bearer realm="pairgate"'
const UNKNOWN_KEY = `pgk_${'0'.repeat(49)}`

describe.each(DIALECTS)('%s', (dialect) => {
  test('KEY-02 KEY-03 a good credential goes on; without one, or with a bad one, 401 asks for one', async () => {
    const t = createAuthzGate()
    const key = await keyFor(t)
    for (const scheme of ['Bearer', 'bearer', 'BEARER'])
      expect(await ask(t, dialect, null, { headers: { authorization: `${scheme} ${key}` } })).toMatchObject({
        status: 200,
        error: null,
      })
    const refusals = [
      [{}, 'missing_token', CHALLENGE],
      [{ authorization: 'Basic eDp5' }, 'missing_token', CHALLENGE],
      [{ authorization: `Bearer${key}` }, 'missing_token', CHALLENGE],
      [{ authorization: `Bearer ${key} x` }, 'missing_token', CHALLENGE],
      [bearer(`${key}x`), 'invalid_token', `${CHALLENGE}, error="invalid_token"`],
      [bearer(UNKNOWN_KEY), 'invalid_token', `${CHALLENGE}, error="invalid_token"`],
      [bearer(`${key}, Bearer ${key}`), 'missing_token', CHALLENGE],
    ] as const
    for (const [headers, error, challenge] of refusals) {
      const response = await t.fetch(`/authz/${dialect}`, { headers })
      const text = await response.text()
      expect([headers, response.status]).toEqual([headers, 401])
      // nginx throws a body away, and the connection with it
      if (dialect === 'nginx') expect([text, response.headers.get('content-length')]).toEqual(['', '0'])
      else expect(JSON.parse(text)).toMatchObject({ error })
      expect(response.headers.get('x-pairgate-error')).toBe(error)
      expect(response.headers.get('www-authenticate')).toBe(challenge)
      expect(response.headers.get('cache-control')).toBe('no-store')
      expect(response.headers.has('remote-user')).toBe(false)
    }
  })

  test('KEY-03 KEY-11 one that was revoked, has expired, or is of somebody disabled is 401', async () => {
    const t = createAuthzGate()
    const [ended, disabled, kept] = [await keyFor(t), await keyFor(t, { subject: 'bob' }), await keyFor(t)]
    await endKey(t, ended)
    await t.gate.users.disable({ issuer: BASE, subject: 'bob' })
    for (const token of [ended, disabled])
      expect(await ask(t, dialect, token)).toMatchObject({ status: 401, error: 'invalid_token' })
    expect((await ask(t, dialect, kept)).status).toBe(200)
    t.advance(86_400)
    expect(await ask(t, dialect, kept)).toMatchObject({ status: 401, error: 'invalid_token' })
  })

  test('KEY-04 a credential in a query, a body or a cookie is nobody’s', async () => {
    const t = createAuthzGate()
    const key = await keyFor(t)
    const query = new URLSearchParams({ access_token: key, token: key, authorization: `Bearer ${key}` })
    const cookie = ['access_token', 'authorization', 'pairgate-session']
      .map((one) => `${one}=${key}`)
      .join('; ')
    expect((await ask(t, `${dialect}?${query}`, null, { headers: { cookie } })).status).toBe(401)
    expect((await ask(t, dialect, null, { method: 'POST', body: query })).status).toBe(401)
  })

  test('SES-06 a browser’s session and a refresh token are no credentials here, a CLI’s session is', async () => {
    const t = createTestGate({ clients: { tool: { refresh: true } } })
    const person = await personAt(t, 'alice')
    const cookie = person.cookies.get('pairgate-session') ?? ''
    const { access_token, refresh_token } = await loginAs(t, person, 'device', { client_id: 'tool' })
    const session = await loginAs(t, person, 'pair')
    for (const token of [cookie, refresh_token ?? ''])
      expect(await ask(t, dialect, token)).toMatchObject({ status: 401, error: 'invalid_token' })
    const headers = { cookie: `pairgate-session=${cookie}` }
    expect(await ask(t, dialect, null, { headers })).toMatchObject({ status: 401, error: 'missing_token' })
    for (const token of [access_token, session.access_token])
      expect((await ask(t, dialect, token)).headers.get('remote-user')).toBe('alice')
  })

  test('GW-03 a policy takes all of its scopes, and is found by its name in the path alone', async () => {
    const t = createAuthzGate()
    const [none, read, write, both] = [
      await keyFor(t),
      await keyFor(t, ALICE, { scope: 'read' }),
      await keyFor(t, ALICE, { scope: 'write' }),
      await keyFor(t, ALICE, { scope: 'read write' }),
    ]
    const judge = async (path: string) => {
      const statuses: number[] = []
      for (const key of [none, read, write, both])
        statuses.push((await ask(t, `${dialect}${path}`, key)).status)
      return statuses
    }
    expect(await judge('')).toEqual([200, 200, 200, 200])
    expect(await judge('/any')).toEqual([200, 200, 200, 200])
    expect(await judge('/Team_2-x')).toEqual([200, 200, 200, 200])
    expect(await judge('/write')).toEqual([403, 403, 200, 200])
    expect(await judge('/both')).toEqual([403, 403, 403, 200])
    const nowhere = [
      '/Write',
      '/WRITE',
      '/%77rite',
      '/write%20',
      '/write%00',
      '/nosuch',
      '/__proto__',
      '/',
      '//write',
    ]
    for (const path of [...nowhere, '/constructor', '/write;x', '/wri te', '/write,any', '/any%2fwrite'])
      expect([path, await judge(path)]).toEqual([path, [403, 403, 403, 403]])
    const refused = await ask(t, `${dialect}/both`, write)
    expect(refused.error).toBe('insufficient_scope')
    expect(refused.headers.get('www-authenticate')).toBe(
      `${CHALLENGE}, error="insufficient_scope", scope="read write"`,
    )
    expect(await ask(t, `${dialect}/nosuch`, both)).toMatchObject({ status: 403, error: 'unknown_policy' })
    expect(await ask(t, `${dialect}/nosuch`)).toMatchObject({ status: 403, error: 'unknown_policy' })
    expect(await ask(t, `${dialect}/both`)).toMatchObject({ status: 401, error: 'missing_token' })
  })

  test('a policy that is not there is warned of by its name, once an hour', async () => {
    const warnings: unknown[] = []
    const log = { debug() {}, info() {}, error() {}, warn: (...line: unknown[]) => void warnings.push(line) }
    const t = createAuthzGate({ log })
    const text = 'A proxy asks for a policy that the option "policies" does not name'
    for (const name of ['wrte', 'wrte', 'read']) await ask(t, `${dialect}/${name}x`)
    expect(warnings).toEqual([[text, { policy: 'wrtex' }]])
    t.advance(3600)
    // nothing that somebody made up for the log
    await ask(t, `${dialect}/x%0Ay`)
    expect(warnings.slice(1)).toEqual([[text, { policy: 'no name of a policy' }]])
  })

  test('GW-03 the query is never read: it neither names a policy nor leaves one out', async () => {
    const t = createAuthzGate()
    const key = await keyFor(t)
    const hostile = 'policy=any&policies=any&scope=write&scopes=&allowed_groups=admin&Remote-User=root'
    for (const query of [
      hostile,
      '/any',
      '/../any',
      '#any',
      'policy[]=any&__proto__[x]=1',
      '%00',
      '?'.repeat(99),
    ]) {
      expect([query, (await ask(t, `${dialect}/write?${query}`, key)).status]).toEqual([query, 403])
      const open = await ask(t, `${dialect}/any?${query}`, key)
      expect([open.status, open.headers.get('remote-user')]).toEqual([200, 'alice'])
      expect(open.headers.get('x-pairgate-scope')).toBe('')
    }
  })

  test('GW-01 any Host, any method, any Origin; headers about the original request change nothing', async () => {
    const t = createAuthzGate()
    const key = await keyFor(t)
    const original = {
      'x-original-url': 'http://x.example/authz/nginx/any',
      'x-original-uri': '/any',
      'x-original-method': 'TRACE',
      'x-forwarded-uri': '/any?policy=any',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-method': 'GET',
      'x-http-method-override': 'GET',
      'x-rewrite-url': '/authz/nginx/any',
      origin: 'https://evil.example',
      'sec-fetch-site': 'cross-site',
      'remote-user': 'mallory',
    }
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND', 'x']) {
      for (const host of ['http://app.example', 'https://APP.example:8443', 'http://[::1]:9', BASE]) {
        const init = { method, headers: original, ...(method === 'POST' && { body: 'x=1' }) }
        const open = await ask(t, dialect, key, init)
        expect([method, open.status, open.headers.get('remote-user')]).toEqual([method, 200, 'alice'])
        const request = new Request(`${host}/authz/${dialect}/write`, {
          ...init,
          headers: { ...original, ...bearer(key), host: new URL(host).host },
        })
        expect([method, host, (await t.gate.fetch(request)).status]).toEqual([method, host, 403])
      }
    }
  })
})

describe('ext', () => {
  test('what comes after the policy is the original request’s path, and is not looked at', async () => {
    const t = createAuthzGate()
    const [none, write] = [await keyFor(t), await keyFor(t, ALICE, { scope: 'write' })]
    for (const path of ['/', '/any', '/authz/ext/any', '/%2e%2e%2fany', '//any', '/a%00b', '/;any', '/%zz']) {
      expect([path, (await ask(t, `ext/write${path}`, none)).status]).toEqual([path, 403])
      expect([path, (await ask(t, `ext/write${path}`, write)).status]).toEqual([path, 200])
      expect([path, (await ask(t, `ext/any${path}`, none)).status]).toEqual([path, 200])
    }
    for (const dialect of ['nginx', 'forward'])
      expect(await ask(t, `${dialect}/write/any`, write)).toMatchObject({
        status: 403,
        error: 'unknown_policy',
      })
  })

  test('without policies all of it is the original path, and the log says what that means', async () => {
    const warnings: string[] = []
    const warn = (message: string) => void warnings.push(message)
    const log = { debug() {}, info() {}, warn, error() {} }
    const t = createAuthzGate({ policies: undefined, log })
    const key = await keyFor(t)
    for (const path of ['ext', 'ext/any', 'ext/any/write', 'nginx', 'nginx/any', 'forward/any'])
      expect([path, (await ask(t, path, key)).status]).toEqual([path, 200])
    expect(warnings).toEqual([])
    for (const path of ['ext/', 'ext/files/1', 'ext/write'])
      expect([path, (await ask(t, path, key)).status]).toEqual([path, 200])
    expect(warnings).toEqual([expect.stringContaining('any good credential goes on')])
    expect((await ask(t, 'ext/files/1')).status).toBe(401)
    for (const path of ['nginx/write', 'forward/files/1', 'nginx/'])
      expect(await ask(t, path, key)).toMatchObject({ status: 403, error: 'unknown_policy' })
  })

  test('GW-03 a URL that came as it was written, as on Deno, climbs to no other policy', async () => {
    const t = createAuthzGate()
    const headers = bearer(await keyFor(t))
    const asDeno = (url: string) =>
      Object.defineProperty(new Request(BASE, { headers }), 'url', { value: url })
    for (const path of ['/../any', '/%2e%2e/any', '/..\\any', '/../../../a']) {
      const url = `${BASE}/authz/ext/write${path}`
      expect([path, t.gate.handles({ url })]).toEqual([path, true])
      expect([path, (await t.gate.fetch(asDeno(url))).status]).toEqual([path, 400])
    }
  })
})

describe('no other path', () => {
  test('GW-03 lets anybody on', async () => {
    const t = createAuthzGate()
    const key = await keyFor(t)
    const paths = [
      '/authz',
      '/authz/',
      '/authz/apache',
      '/authz/NGINX',
      '/Authz/nginx',
      '/authz//nginx',
      '//authz/nginx',
    ]
    for (const path of [...paths, '/%61uthz/nginx', '/authz/n%67inx', '/authz/nginxx', '/auth/authz/nginx']) {
      const response = await t.gate.fetch(new Request(BASE + path, { headers: bearer(key) }))
      expect([path, response.status]).toEqual([path, expect.toSatisfy((status) => status >= 400)])
      expect(response.headers.has('remote-user')).toBe(false)
    }
  })

  test('GW-03 under a mount they are below it, and nowhere else', async () => {
    const base = `${BASE}/a/b`
    const t = createAuthzGate({ baseUrl: base })
    const key = await keyFor(Object.assign(t, { base }))
    const status = async (path: string) =>
      (await t.gate.fetch(new Request(BASE + path, { headers: bearer(key) }))).status
    expect(await status('/a/b/authz/nginx')).toBe(200)
    expect(await status('/a/b/authz/nginx/write')).toBe(403)
    expect(await status('/a/b/authz/ext/write/x')).toBe(403)
    for (const path of ['/authz/nginx', '/a/authz/nginx', '/a/b/a/b/authz/nginx', '/a/bauthz/nginx'])
      expect([path, await status(path)]).toEqual([path, 404])
  })
})

describe('the database', () => {
  const AWAY = [
    ['nginx', 403],
    ['forward', 503],
    ['ext', 503],
  ] as const

  test.each(AWAY)('OPS-04 of %s: while it is away nobody goes on, and it is %i', async (dialect, status) => {
    const logged: unknown[] = []
    const log = { debug() {}, info() {}, warn() {}, error: (...line: unknown[]) => void logged.push(line) }
    const t = createShakyGate({ log })
    const key = await keyFor(t)
    await t.settle()
    t.breakDown()
    for (const path of [dialect, `${dialect}/write`, `${dialect}/any`]) {
      const response = await t.fetch(`/authz/${path}`, { headers: bearer(key) })
      expect([path, response.status]).toEqual([path, status])
      expect(response.headers.get('x-pairgate-error')).toBe('temporarily_unavailable')
      expect(response.headers.get('retry-after')).toBe('5')
      expect(await response.text()).not.toContain('zzdetail')
    }
    expect(logged).toHaveLength(3)
    // who has no credential at all is told so, without asking the database
    expect((await ask(t, dialect)).status).toBe(401)
    expect(await ask(t, `${dialect}/nosuch`, key)).toMatchObject({ status: 403, error: 'unknown_policy' })
    t.mend()
    expect((await ask(t, dialect, key)).status).toBe(200)
  })

  test.each(AWAY)(
    'OPS-04 of %s: away from the very first request on, the same %i',
    async (dialect, status) => {
      const t = createShakyGate()
      t.breakDown()
      const verdict = await ask(t, dialect, UNKNOWN_KEY)
      expect(verdict).toMatchObject({ status, error: 'temporarily_unavailable' })
      expect(verdict.headers.get('retry-after')).toBe('5')
      t.mend()
      expect((await ask(t, dialect, UNKNOWN_KEY)).status).toBe(401)
    },
  )

  test('OPS-04 a failure that nobody knows: nginx is told 403, the others 500, and nobody what it was', async () => {
    const t = createShakyGate()
    const key = await keyFor(t)
    t.breakDown(new Error('zzdetail'))
    expect(await ask(t, 'nginx', key)).toMatchObject({ status: 403, error: 'server_error' })
    for (const dialect of ['forward', 'ext']) {
      const response = await t.fetch(`/authz/${dialect}`, { headers: bearer(key) })
      expect(response.status).toBe(500)
      expect(await response.text()).not.toContain('zzdetail')
    }
  })

  test('after the first use nothing is written but when it was used last, at most once a minute', async () => {
    const t = createAuthzGate()
    const [key, poor] = [await keyFor(t, ALICE, { scope: 'write' }), await keyFor(t)]
    for (const token of [key, poor]) await ask(t, 'nginx', token)
    const settled = async () => {
      await t.settle()
      const tables = ['users', 'credentials', 'grants', 'limits', 'events']
      return tables.map((table) => t.rows(`SELECT * FROM ${table}`))
    }
    const before = await settled()
    expect(before.at(-1)).not.toEqual([])
    for (const dialect of DIALECTS)
      for (const token of [key, poor, null, 'x', UNKNOWN_KEY])
        for (const policy of ['', '/write', '/nosuch']) await ask(t, dialect + policy, token)
    expect(await settled()).toEqual(before)
    t.advance(61)
    for (let i = 0; i < 3; i++) await ask(t, 'ext/write/x', key)
    const after = await settled()
    const differences = before.flatMap((rows, i) =>
      rows.filter((row, j) => JSON.stringify(row) !== JSON.stringify(after[i]?.[j])),
    )
    expect(differences).toHaveLength(1)
    const [was] = differences as [Record<string, unknown>]
    const is = after[1]?.find(({ id }) => id === was.id)
    expect(is).toEqual({ ...was, last_used_at: Number(was.last_used_at) + 61_000 })
  })
})

describe('the option "policies"', () => {
  const wrong = [
    [{ write: { scopes: ['a b'] } }, 'policies.write.scopes.0', 'scope token'],
    [{ write: { scopes: ['"'] } }, 'policies.write.scopes.0', 'scope token'],
    [{ write: { scopes: 'write' } }, 'policies.write.scopes', 'Array'],
    [{ write: { scope: ['write'] } }, 'policies.write.scope', 'no such option'],
    [{ constructor: { scopes: ['write'] } }, 'policies', 'may be called "constructor"'],
    [{ write: { audience: '' } }, 'policies.write.audience', '1'],
    [{ write: null }, 'policies.write', 'Object'],
    [{ any: {} }, 'policies.any', 'for any good credential'],
    [{ 'a/b': {} }, 'policies.a/b', '1-64'],
    [{ 'a b': {} }, 'policies.a b', '1-64'],
    [{ '': {} }, 'policies.', '1-64'],
    [{ ä: {} }, 'policies.ä', '1-64'],
    [{ ['x'.repeat(65)]: {} }, 'policies.x', '1-64'],
    [[{ scopes: ['write'] }], 'policies', 'got a list'],
    [[], 'policies', 'got a list'],
  ] as const

  test.each(wrong)('OPS-06 %j is refused', (policies, option, words) => {
    const make = () => createAuthzGate({ policies: policies as unknown as PairgateOptions['policies'] })
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_PAIRGATE_OPTION' }))
    expect(make).toThrow(`Option "${option}`)
    expect(make).toThrow(words)
  })
})
