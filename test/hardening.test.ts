/** What a review found: ways around the promises, each closed for good. @module */

import { describe, expect, test, vi } from 'vitest'
import { consoleLog } from '../adapters/log.ts'
import {
  callAs,
  loginAs,
  personAt,
  postForm,
  refreshAt,
  scopeFields,
  startAs,
  useToken,
} from './support/credentials.ts'
import { BASE, createTestGate, type TestGate } from './support/gate.ts'
import { FLOWS } from './support/logins.ts'

const MANAGE = { scope: 'pairgate:manage' }
const ALICE = { issuer: 'urn:pairgate:dev', subject: 'alice' }

/** Calls a procedure as a page's script does under `identify`, where there is no cookie of ours. */
async function callFromPage(t: TestGate, path: string, input: object, address?: string) {
  const headers = { origin: BASE, 'content-type': 'application/json' }
  const init = { method: 'POST', headers, body: JSON.stringify(input) }
  const response = await t.fetch(`/trpc/${path}`, init, address)
  const body = (await response.json()) as { result?: { data: Record<string, unknown> } }
  return { status: response.status, data: body.result?.data ?? {} }
}

describe('what a CLI that manages gets', () => {
  test('KEY-05 no secret of a key that is for another organisation', async () => {
    const t = createTestGate({
      identify: () => ({ subject: 'alice', tenants: [{ id: 'acme' }, { id: 'umbrella' }] }),
      clients: { mytool: { scopes: ['deploy', 'pairgate:manage'] } },
      scopes: { deploy: 'Deploy' },
    })
    const made = await callFromPage(t, 'keys.create', { name: 'prod', scope: 'deploy', tenant: 'acme' })
    const scope = 'deploy pairgate:manage'
    const login = await startAs(t, 'device', { client_id: 'mytool', scope })
    const person = t.browser()
    const page = await (await person.get(login.page)).text()
    await person.submit(page, { decision: 'allow', tenant: 'umbrella', ...scopeFields(scope) })
    const token = String((await login.poll()).body.access_token)
    expect((await callAs(t, token, 'keys.create', { name: 'x', tenant: 'acme' })).status).toBe(400)
    const rotated = await callAs(t, token, 'keys.rotate', { id: String(made.data.id) })
    expect([rotated.status, rotated.body.secret]).toEqual([403, undefined])
    expect(await useToken(t, String(made.data.secret))).toBe(200)
  })

  test('KEY-08 no key that hides behind others in its owner’s list', async () => {
    const t = createTestGate()
    const person = await personAt(t, 'alice')
    const { access_token } = await loginAs(t, person, 'device', MANAGE)
    const made = await callAs(t, access_token, 'keys.create', { name: 'backdoor', expires_in: 86_400 })
    for (let i = 0; i < 5; i++) {
      // within the limit on changes
      t.advance(1500)
      for (let j = 0; j < 45; j++)
        await callAs(t, access_token, 'keys.create', { name: 'noise', expires_in: 60 })
    }
    t.advance(61)
    expect(t.rows("SELECT id FROM credentials WHERE name = 'noise'")).toHaveLength(225)
    expect((await t.gate.users.credentials(ALICE)).some(({ id }) => id === made.body.id)).toBe(true)
    await person.signIn('alice')
    expect(await (await person.get('/account')).text()).toContain('backdoor')
  })

  test('DF-23 no flood of rows: keys are made and rotated 200 times an hour at most', async () => {
    const t = createTestGate()
    const { access_token } = await loginAs(t, await personAt(t, 'alice'), 'device', MANAGE)
    const statuses: number[] = []
    for (let i = 0; i < 210; i++) {
      const { status, body } = await callAs(t, access_token, 'keys.create', { name: 'x' })
      statuses.push(status)
      if (status === 200) await callAs(t, access_token, 'keys.revoke', { id: body.id })
    }
    expect(statuses).toEqual([...Array(200).fill(200), ...Array(10).fill(429)])
    expect(t.rows("SELECT id FROM credentials WHERE name = 'x'")).toHaveLength(200)
    const own = await callAs(t, access_token, 'keys.list')
    expect((own.body as never as unknown[]).length).toBeGreaterThan(0)
    t.advance(3600)
    expect((await callAs(t, access_token, 'keys.create', { name: 'x' })).status).toBe(200)
  })
})

describe('what ends with everything', () => {
  test.each(FLOWS)('KEY-06 %s: a login that was allowed and not collected yet', async (flow) => {
    const t = createTestGate()
    const person = await personAt(t, 'alice')
    const { access_token } = await loginAs(t, person, 'pair', MANAGE)
    for (const end of [
      () => callAs(t, access_token, flow === 'device' ? 'keys.revokeAll' : 'session.revokeOthers', {}),
      () => t.gate.users.revoke(ALICE),
      async () => [await t.gate.users.disable(ALICE), await t.gate.users.enable(ALICE)],
    ]) {
      const [login, other] = [await startAs(t, flow), await startAs(t, flow === 'device' ? 'pair' : 'device')]
      await person.signIn('alice')
      for (const { page } of [login, other]) await person.decide(page, 'allow')
      await end()
      expect((await login.poll()).body.error).toBe('expired_token')
    }
  })

  test('SES-04 sessions that lie idle can be ended, and make room then', async () => {
    const t = createTestGate({ limits: { sessionsPerUser: 2 } })
    const person = await personAt(t, 'alice')
    for (let i = 0; i < 2; i++) await loginAs(t, person, 'pair')
    t.advance(15 * 86_400)
    await person.signIn('alice')
    const login = await startAs(t, 'pair')
    expect((await person.get(login.page)).status).toBe(409)
    const html = await (await person.get('/account')).text()
    expect(html.match(/value="revoke"/g)).toHaveLength(3)
  })
})

describe('what is told of a secret', () => {
  test('KEY-07 one that was replaced ends when it ends, not when its successor does', async () => {
    const secret = 'x'.repeat(32)
    const clients = { mytool: { scopes: ['offline_access'] } }
    const t = createTestGate({ resourceServers: { api: { secret } }, clients })
    const person = await personAt(t, 'alice')
    const left = async (token: string) => {
      const ask = { client_id: 'api', client_secret: secret, token }
      const { exp } = (await postForm(t, '/oauth/introspect', ask)).body
      const { expires_in } = (await callAs(t, token, 'session.whoami')).body
      expect(Math.abs(Number(exp) - Math.floor(now / 1000) - Number(expires_in))).toBeLessThanOrEqual(1)
      return Number(expires_in)
    }
    let now = Date.now()
    const { access_token } = await loginAs(t, person, 'device', MANAGE)
    const key = await callAs(t, access_token, 'keys.create', { name: 'k', expires_in: 31_536_000 })
    await callAs(t, access_token, 'keys.rotate', { id: key.body.id, overlap_seconds: 3600 })
    expect(await left(String(key.body.secret))).toBeLessThanOrEqual(3600)
    const login = await loginAs(t, person, 'device', { client_id: 'mytool', scope: 'offline_access' })
    t.advance(3000)
    now += 3_000_000
    await refreshAt(t, String(login.refresh_token))
    expect(await left(login.access_token)).toBeLessThanOrEqual(600)
  })

  test('DF-22 the page says the longest life that the person can choose', async () => {
    const mytool = { scopes: ['read', 'offline_access'], sessionTtl: 31_536_000 }
    const t = createTestGate({ clients: { mytool } })
    const person = await personAt(t, 'alice')
    const login = await startAs(t, 'pair', { client_id: 'mytool', scope: 'read offline_access' })
    const page = await (await person.get(login.page)).text()
    expect(page).toContain('365 days')
    await person.submit(page, { decision: 'allow', ...scopeFields('read') })
    expect((await login.poll()).body.expires_in).toBe(31_536_000)
  })
})

describe('what the gateway says', () => {
  test.each([Number.NaN, Date.now(), Number.POSITIVE_INFINITY])(
    'DF-27 auth_time %d is no time',
    async (auth_time) => {
      const t = createTestGate({ identify: () => ({ subject: 'alice', auth_time }), maxAuthAgeSeconds: 60 })
      expect((await callFromPage(t, 'keys.create', { name: 'prod' })).status).toBe(401)
      expect((await t.browser().get((await startAs(t, 'device')).page)).status).toBe(401)
    },
  )

  test('WEB-10 an organisation that the page did not show is not chosen', async () => {
    let tenants: { id: string }[] = []
    const t = createTestGate({ identify: () => ({ subject: 'alice', tenants }) })
    const person = t.browser()
    const page = await (await person.get((await startAs(t, 'device')).page)).text()
    tenants = [{ id: 'late' }]
    expect((await person.submit(page, { decision: 'allow' })).status).toBe(400)
    expect(t.rows('SELECT status, tenant FROM grants')).toEqual([{ status: 'pending', tenant: null }])
  })

  test('DF-24 trusted networks are where keys are made and rotated, too', async () => {
    const t = createTestGate({ identify: () => ({ subject: 'alice' }), trustedNetworks: ['10.0.0.0/8'] })
    const make = (address: string) => callFromPage(t, 'keys.create', { name: 'prod' }, address)
    const { status, data } = await make('10.1.2.3')
    expect([status, (await make('203.0.113.9')).status]).toEqual([200, 403])
    const rotate = (address: string) => callFromPage(t, 'keys.rotate', { id: data.id }, address)
    expect([(await rotate('203.0.113.9')).status, (await rotate('10.1.2.3')).status]).toEqual([403, 200])
  })
})

describe('what strangers can make happen at will', () => {
  test('OPS-05 a refusal is written once a minute, whatever the address', async () => {
    const t = createTestGate({ trustedNetworks: ['10.0.0.0/8'] })
    for (let i = 0; i < 50; i++)
      await t.post(
        '/oauth/device/authorize',
        { client_id: 'pairgate-cli' },
        `2001:db8:1:${i.toString(16)}::1`,
      )
    expect(t.rows('SELECT type FROM events')).toEqual([{ type: 'refused' }])
  })

  test('OPS-05 nor does each refused poll or refresh write a row', async () => {
    let allowed = true
    const t = createTestGate({ isAllowed: () => allowed, clients: { mytool: { refresh: true } } })
    const person = await personAt(t, 'alice')
    const tokens = await loginAs(t, person, 'device', { client_id: 'mytool' })
    const login = await startAs(t, 'device')
    await person.decide(login.page, 'allow')
    allowed = false
    for (let i = 0; i < 20; i++) {
      expect((await login.poll()).body.error).toBe('access_denied')
      expect((await refreshAt(t, String(tokens.refresh_token))).body.error).toBe('invalid_grant')
    }
    expect(t.rows("SELECT id FROM events WHERE type = 'refused'")).toHaveLength(2)
  })

  test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty'])(
    'RPC-06 the method %s does nothing',
    async (method) => {
      const t = createTestGate()
      for (const path of ['/device', '/pair/x', '/oauth/device/token'])
        expect((await t.fetch(path, { method })).status).toBe(501)
      expect(Object.keys(Object.prototype)).toEqual([])
      expect(({} as Record<string, unknown>).params).toBeUndefined()
    },
  )

  test('OPS-03 the log for terminals passes no control or direction character on', () => {
    const spy = vi.spyOn(console, 'info').mockReturnValue()
    try {
      consoleLog('pretty', true).info('audit: approved', { subject: 'a\u009b31m\u202eb\u007f\u2028c\n' })
      expect(String(spy.mock.calls[0]?.[0])).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
    } finally {
      spy.mockRestore()
    }
  })
})
