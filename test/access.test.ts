/** Who may have what: scopes, organisations, networks, the gateway's own rules, switches, the age of a sign-in. @module */

import { describe, expect, test } from 'vitest'
import type { Identity, PairgateOptions } from '../src/mod.ts'
import { callAs, loginAs, personAt, postForm, scopeFields, startAs, useToken } from './support/credentials.ts'
import { BASE, createTestGate, type TestGate } from './support/gate.ts'
import { FLOWS, pageHeaders } from './support/logins.ts'

const ASKS = { client_id: 'mytool', scope: 'read write admin' }
const SCOPES = { read: 'Read everything', write: 'Change things', admin: 'Do anything' }
const withScopes = (options: Partial<PairgateOptions> = {}) =>
  createTestGate({ clients: { mytool: { scopes: Object.keys(SCOPES) } }, scopes: SCOPES, ...options })

/** Allows a login, with fields of its review page. */
async function allow(
  t: TestGate,
  flow: 'device' | 'pair',
  fields: Record<string, string>,
  start: object = ASKS,
) {
  const person = await personAt(t, 'alice')
  const login = await startAs(t, flow, start)
  const response = await person.submit(await (await person.get(login.page)).text(), {
    decision: 'allow',
    ...fields,
  })
  return { login, person, response }
}

const request = (token: string) => new Request(BASE, { headers: { authorization: `Bearer ${token}` } })

describe('DF-20 scopes', () => {
  test.each(FLOWS)(
    '%s: the page says them in words, and the person may narrow them; that is final',
    async (flow) => {
      const t = withScopes()
      const { login, response } = await allow(t, flow, scopeFields('admin read'))
      expect(response.status).toBe(200)
      const { body } = await login.poll()
      expect(body).toMatchObject({ scope: 'read admin' })
      const who = await t.gate.authenticate(request(String(body.access_token)))
      expect(who?.scopes).toEqual(['read', 'admin'])
      expect((await callAs(t, String(body.access_token), 'session.whoami')).body.scope).toBe('read admin')
    },
  )

  test('words are shown for each', async () => {
    const t = withScopes()
    const person = await personAt(t, 'alice')
    const html = await (await person.get((await startAs(t, 'device', ASKS)).page)).text()
    for (const words of Object.values(SCOPES)) expect(html).toContain(words)
  })

  test('nothing left, or more than was asked for: nothing is decided', async () => {
    const t = withScopes()
    for (const fields of [{}, scopeFields('read other')]) {
      const { login, response } = await allow(t, 'device', fields, { ...ASKS, scope: 'read write' })
      expect([response.status, (await login.poll()).body.error]).toEqual([400, 'authorization_pending'])
    }
    const start = await postForm(t, '/oauth/device/authorize', { ...ASKS, scope: 'read write' })
    const person = await personAt(t, 'alice')
    const init = {
      method: 'POST',
      headers: { ...pageHeaders(person, BASE), 'content-type': 'application/json' },
    }
    const decide = async (scope: string) => {
      const body = JSON.stringify({ user_code: start.body.user_code, scope })
      const answer = await (await t.fetch('/trpc/device.approve', { ...init, body })).json()
      return (answer as { result?: { data: { status: string } } }).result?.data.status
    }
    expect(await decide('read admin')).toBe('scope_required')
    expect(await decide('write')).toBe('approved')
  })

  test('gate.authenticate takes the scopes that are needed: all of them, or nobody', async () => {
    const t = withScopes()
    const { access_token } = await loginAs(t, await personAt(t, 'alice'), 'device', {
      ...ASKS,
      scope: 'read write',
    })
    const has = async (...scopes: string[]) =>
      (await t.gate.authenticate(request(access_token), { scopes })) !== null
    expect([await has(), await has('read'), await has('write', 'read')]).toEqual([true, true, true])
    expect([await has('admin'), await has('read', 'admin'), await has('rea')]).toEqual([false, false, false])
  })
})

describe('organisations', () => {
  const TENANTS = [
    { id: 'acme', name: 'Acme <Ltd>' },
    { id: 'umbrella', name: 'Umbrella' },
  ]
  const gateOf = (identity: Partial<Identity>, options: Partial<PairgateOptions> = {}) =>
    createTestGate({
      resourceServers: { api: { secret: 'x'.repeat(32) } },
      identify: () => ({ subject: 'alice', ...identity }),
      ...options,
    })

  test.each(FLOWS)('%s: with several the person chooses one, and the credential carries it', async (flow) => {
    const t = gateOf({ tenants: TENANTS })
    const login = await startAs(t, flow)
    const person = t.browser()
    const html = await (await person.get(login.page)).text()
    expect(html).toContain('Acme &lt;Ltd&gt;')
    for (const tenant of [undefined, 'other']) {
      const response = await person.submit(html, { decision: 'allow', ...(tenant && { tenant }) })
      expect([tenant, response.status]).toEqual([tenant, 400])
    }
    expect((await person.submit(html, { decision: 'allow', tenant: 'umbrella' })).status).toBe(200)
    const token = String((await login.poll()).body.access_token)
    expect((await t.gate.authenticate(request(token)))?.credential.tenant).toBe('umbrella')
    expect((await callAs(t, token, 'session.whoami')).body.tenant).toBe('umbrella')
    const headers = { authorization: `Basic ${btoa(`api:${'x'.repeat(32)}`)}` }
    expect((await postForm(t, '/oauth/introspect', { token }, headers)).body.tenant).toBe('umbrella')
  })

  test('with one it is that one, with none there is none; Deny needs no choice', async () => {
    for (const [tenants, expected] of [
      [TENANTS.slice(0, 1), 'acme'],
      [[], null],
    ] as const) {
      const t = gateOf({ tenants })
      const { access_token } = await loginAs(t, t.browser(), 'device')
      expect((await t.gate.authenticate(request(access_token)))?.credential.tenant).toBe(expected)
    }
    const t = gateOf({ tenants: TENANTS })
    const login = await startAs(t, 'device')
    expect((await t.browser().decide(login.page, 'deny')).status).toBe(200)
  })

  test('isAllowed is told which', async () => {
    const asked: (string | null)[] = []
    const isAllowed: PairgateOptions['isAllowed'] = ({ tenant }) => {
      asked.push(tenant)
      return tenant === 'acme'
    }
    const t = gateOf({ tenants: TENANTS }, { isAllowed })
    const login = await startAs(t, 'pair')
    const person = t.browser()
    const html = await (await person.get(login.page)).text()
    expect((await person.submit(html, { decision: 'allow', tenant: 'umbrella' })).status).toBe(403)
    expect((await person.submit(html, { decision: 'allow', tenant: 'acme' })).status).toBe(200)
    expect((await login.poll()).status).toBe(200)
    expect(asked).toEqual(['umbrella', 'acme', 'acme'])
  })

  test.each([{ id: '' }, { id: 'x'.repeat(256) }, { id: 7 as never }])(
    '%j is no organisation',
    async (tenant) => {
      const t = gateOf({ tenants: [tenant] })
      const login = await startAs(t, 'device')
      expect((await t.browser().get(login.page)).status).toBe(500)
    },
  )
})

describe('DF-26 whether the person may is asked again when the credential is issued', () => {
  test.each(FLOWS)('%s: disabled between Allow and the poll', async (flow) => {
    const t = createTestGate()
    const { login } = await allow(t, flow, {}, {})
    await t.gate.users.disable({ issuer: 'urn:pairgate:dev', subject: 'alice' })
    expect((await login.poll()).body.error).toBe('access_denied')
    expect(t.rows("SELECT id FROM credentials WHERE kind <> 'browser'")).toEqual([])
    expect(t.rows("SELECT detail FROM events WHERE type = 'refused'")).toEqual([{ detail: 'user_disabled' }])
  })

  test.each(FLOWS)('%s: isAllowed says no, at Allow or at the poll', async (flow) => {
    let allowed = false
    const t = createTestGate({ isAllowed: async () => allowed })
    const first = await allow(t, flow, {}, {})
    expect(first.response.status).toBe(403)
    expect((await first.login.poll()).body.error).toBe('authorization_pending')
    allowed = true
    const second = await allow(t, flow, {}, {})
    expect(second.response.status).toBe(200)
    allowed = false
    expect((await second.login.poll()).body.error).toBe('access_denied')
    expect(t.rows("SELECT id FROM credentials WHERE kind <> 'browser'")).toEqual([])
    allowed = true
    expect((await second.login.poll()).status).toBe(200)
  })

  test('only true lets somebody in, and an error lets nobody in', async () => {
    for (const answer of [undefined, 'yes', 1, {}, Promise.resolve(0)]) {
      const t = createTestGate({ isAllowed: () => answer as never })
      expect((await allow(t, 'device', {}, {})).response.status).toBe(403)
    }
    const t = createTestGate({
      isAllowed: () => {
        throw new Error('directory is away')
      },
    })
    const { response, login } = await allow(t, 'device', {}, {})
    expect([response.status, (await login.poll()).body.error]).toEqual([500, 'authorization_pending'])
  })

  test('KEY-11 too many sessions: said at Allow, and held at the poll', async () => {
    const t = createTestGate({ limits: { sessionsPerUser: 1 } })
    const [one, two] = [await allow(t, 'pair', {}, {}), await allow(t, 'pair', {}, {})]
    expect((await one.login.poll()).status).toBe(200)
    expect((await two.login.poll()).body.error).toBe('access_denied')
    expect(t.rows("SELECT detail FROM events WHERE type = 'refused'")).toEqual([
      { detail: 'too_many_credentials' },
    ])
    const third = await startAs(t, 'pair')
    expect((await one.person.get(third.page)).status).toBe(409)
    await loginAs(t, one.person, 'device')
  })
})

describe('DF-24 switches', () => {
  test('all logins off: nothing starts, and the metadata names no device flow', async () => {
    const t = createTestGate({ flows: [] })
    for (const [path, form] of [
      ['/oauth/device/authorize', {}],
      ['/cli_login', { paircode: 'a'.repeat(43) }],
    ] as const)
      expect((await postForm(t, path, { client_id: 'pairgate-cli', ...form })).body.error).toBe(
        'unauthorized_client',
      )
    const metadata = (await (await t.fetch('/.well-known/oauth-authorization-server')).json()) as object
    expect(metadata).not.toHaveProperty('device_authorization_endpoint')
    expect(t.rows('SELECT id FROM grants')).toEqual([])
  })

  test('flows are off for one client, or for all', async () => {
    const t = createTestGate({ clients: { a: { flows: ['pair'] }, b: { flows: [] } } })
    const device = async (client_id: string) =>
      (await postForm(t, '/oauth/device/authorize', { client_id })).body.error
    expect([await device('a'), await device('b'), await device('pairgate-cli')]).toEqual([
      'unauthorized_client',
      'unauthorized_client',
      undefined,
    ])
  })

  test.each(FLOWS)('%s: trusted networks: logins start and are allowed nowhere else', async (flow) => {
    const t = createTestGate({
      trustedNetworks: ['10.0.0.0/8', '2001:db8::/32'],
      clients: { open: { trustedNetworks: ['0.0.0.0/0'] } },
    })
    const start = async (address: string | undefined, client_id = 'pairgate-cli') => {
      const paircode = Array.from({ length: 43 }, () => 'abcdef'[Math.floor(Math.random() * 6)]).join('')
      const path = flow === 'device' ? '/oauth/device/authorize' : '/cli_login'
      const body = new URLSearchParams({ client_id, ...(flow === 'pair' && { paircode }) })
      const response = await t.gate.fetch(new Request(BASE + path, { method: 'POST', body }), {
        remoteAddress: address,
      })
      const answer = (await response.json()) as Record<string, string>
      return {
        status: response.status,
        answer,
        page: answer.verification_uri_complete ?? answer.login_url ?? '',
      }
    }
    for (const address of ['192.0.2.1', '11.0.0.1', '2001:db9::1', undefined])
      expect([address, (await start(address)).status]).toEqual([address, 403])
    expect((await start('192.0.2.1')).answer.error).toBe('access_denied')
    expect((await start('192.0.2.1', 'open')).status).toBe(200)
    expect((await start('2001:db8::5')).status).toBe(200)
    const { status, page } = await start('10.1.2.3')
    expect(status).toBe(200)
    const outside = t.browser('192.0.2.1')
    await outside.signIn('alice')
    expect((await outside.get(page)).status).toBe(403)
    const inside = t.browser('10.1.2.3')
    await inside.signIn('alice')
    const html = await (await inside.get(page)).text()
    for (const [name, value] of inside.cookies) outside.cookies.set(name, value)
    expect((await outside.submit(html, { decision: 'allow' })).status).toBe(403)
    expect((await inside.submit(html, { decision: 'allow' })).status).toBe(200)
    expect(t.rows("SELECT id FROM events WHERE type = 'refused'").length).toBeGreaterThan(0)
  })

  test('a network that is none is refused at the start', () => {
    expect(() => createTestGate({ trustedNetworks: ['10.0.0.0/33'] })).toThrow('trustedNetworks')
    expect(() => createTestGate({ clients: { a: { trustedNetworks: ['x'] } } })).toThrow(
      'clients.a.trustedNetworks',
    )
  })
})

describe('DF-27 the age of the sign-in that may allow', () => {
  test.each(FLOWS)('%s: too old: sign in again, and come back to the request', async (flow) => {
    const t = createTestGate({ maxAuthAgeSeconds: 300 })
    const person = await personAt(t, 'alice')
    t.advance(300)
    const login = await startAs(t, flow)
    const html = await (await person.get(login.page)).text()
    t.advance(1)
    const page = new URL(login.page)
    for (const response of [await person.get(login.page), await person.submit(html, { decision: 'allow' })]) {
      expect(response.status).toBe(303)
      const to = new URL(response.headers.get('location') ?? '', BASE)
      expect([to.pathname, to.searchParams.get('next')]).toEqual(['/sign-in', page.pathname + page.search])
      expect((await person.get(to.pathname + to.search)).status).toBe(200)
    }
    expect((await login.poll()).body.error).toBe('authorization_pending')
    expect((await person.submit(html, { decision: 'deny' })).status).toBe(200)
    await person.signIn('alice')
    await loginAs(t, person, flow)
  })

  test('under identify it is auth_time; without one nobody may', async () => {
    let auth_time: number | undefined
    const t = createTestGate({ maxAuthAgeSeconds: 300, identify: () => ({ subject: 'alice', auth_time }) })
    const login = await startAs(t, 'device')
    expect((await t.browser().get(login.page)).status).toBe(401)
    auth_time = Math.floor(Date.now() / 1000) - 60
    const { access_token } = await loginAs(t, t.browser(), 'device')
    expect(await useToken(t, access_token)).toBe(200)
  })
})

describe('SES-04 sessions of CLIs end', () => {
  test('unused for sessionIdleSeconds; each use starts the time anew', async () => {
    const t = createTestGate({ sessionIdleSeconds: 3600 })
    const { access_token } = await loginAs(t, await personAt(t, 'alice'), 'pair')
    for (let i = 0; i < 3; i++) {
      t.advance(3599)
      expect(await useToken(t, access_token)).toBe(200)
    }
    t.advance(3600)
    expect(await useToken(t, access_token)).toBe(401)
  })

  test('an API key may lie idle until it expires', async () => {
    const t = createTestGate({ sessionIdleSeconds: 60, keySeconds: 7200 })
    const { access_token } = await loginAs(t, await personAt(t, 'alice'), 'device')
    t.advance(7199)
    expect(await useToken(t, access_token)).toBe(200)
    t.advance(1)
    expect(await useToken(t, access_token)).toBe(401)
  })

  test('a client’s sessionTtl is their absolute end', async () => {
    const t = createTestGate({ clients: { short: { sessionTtl: 120 } } })
    const tokens = await loginAs(t, await personAt(t, 'alice'), 'pair', { client_id: 'short' })
    expect(tokens.expires_in).toBe(120)
    t.advance(119)
    expect(await useToken(t, tokens.access_token)).toBe(200)
    t.advance(1)
    expect(await useToken(t, tokens.access_token)).toBe(401)
  })
})
