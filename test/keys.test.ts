/** API keys and sessions through the router: a CLI with the scope to manage, one without, and a page's script. @module */

import { describe, expect, test } from 'vitest'
import { callAs, loginAs, personAt, postForm, useToken } from './support/credentials.ts'
import { BASE, createTestGate, type TestBrowser, type TestGate } from './support/gate.ts'
import { FLOWS, pageHeaders } from './support/logins.ts'

const OPTIONS = {
  clients: {
    manager: { scopes: ['pairgate:manage', 'read', 'write', 'offline_access'] },
    plain: { scopes: ['read'] },
  },
  scopes: { read: 'Read everything', write: 'Change things', admin: 'Do anything' },
}
const createGate = (options: Parameters<typeof createTestGate>[0] = {}) =>
  createTestGate({ ...OPTIONS, ...options })

/** Calls a procedure as a page's script would. */
async function callFromPage(t: TestGate, person: TestBrowser, path: string, input?: object) {
  const headers = { ...pageHeaders(person, BASE), 'content-type': 'application/json' }
  const init = input === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(input) }
  const response = await t.fetch(`/trpc/${path}`, init)
  const body = (await response.json()) as {
    result?: { data: never }
    error?: { message: string; data: object }
  }
  return {
    status: response.status,
    data: body.result?.data as never as Record<string, unknown>,
    error: body.error,
  }
}

const MANAGE = { client_id: 'manager', scope: 'pairgate:manage read' }

describe('KEY-05 what a CLI may do with its own credential', () => {
  test.each(FLOWS)('%s: without the scope it may neither see, make, rotate nor end any', async (flow) => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    const { access_token } = await loginAs(t, person, flow, { client_id: 'plain', scope: 'read' })
    const [{ id } = {}] = t.rows("SELECT id FROM credentials WHERE kind <> 'browser'")
    const before = t.rows('SELECT id, secret_hash, revoked_at FROM credentials')
    for (const [path, input] of [
      ['keys.list', undefined],
      ['session.list', undefined],
      ['keys.create', { name: 'more' }],
      ['keys.rotate', { id }],
      ['keys.revoke', { id }],
      ['session.revoke', { id }],
      ['keys.revokeAll', {}],
      ['keys.revokeOthers', {}],
      ['session.revokeAll', {}],
      ['session.revokeOthers', {}],
    ] as const) {
      const { status, body } = await callAs(t, access_token, path, input)
      expect([path, status, body.code]).toEqual([path, 403, 'FORBIDDEN'])
      expect(body.message).toContain('insufficient_scope')
    }
    expect(t.rows('SELECT id, secret_hash, revoked_at FROM credentials')).toEqual(before)
  })

  test('with the scope it still cannot allow a login, nor hand on what it has not', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    const { access_token } = await loginAs(t, person, 'pair', MANAGE)
    const start = await postForm(t, '/oauth/device/authorize', { client_id: 'plain' })
    const input = { user_code: String(start.body.user_code) }
    for (const path of ['device.review', 'device.approve', 'device.deny'])
      expect((await callAs(t, access_token, path, input)).status).toBe(403)
    for (const scope of ['write', 'admin', 'pairgate:manage', 'offline_access', 'read write', 'unheard-of']) {
      const { status, body } = await callAs(t, access_token, 'keys.create', { name: 'x', scope })
      expect([scope, status, body.message]).toEqual([scope, 400, expect.stringContaining('invalid_scope')])
    }
    expect((await callAs(t, access_token, 'keys.create', { name: 'x', scope: 'read' })).status).toBe(200)
  })

  test('it does not get at the secret of a key that may more than itself', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    const { data } = await callFromPage(t, person, 'keys.create', { name: 'admin', scope: 'admin' })
    const { access_token } = await loginAs(t, person, 'pair', MANAGE)
    const { status, body } = await callAs(t, access_token, 'keys.rotate', { id: String(data.id) })
    expect([status, body.message]).toEqual([403, expect.stringContaining('insufficient_scope')])
    expect(await useToken(t, String(data.secret))).toBe(200)
  })

  test('nobody at all: 401; a made-up credential too', async () => {
    const t = createGate()
    for (const token of ['x', `pgs_${'a'.repeat(49)}`]) {
      const { status, body, headers } = await callAs(t, token, 'keys.list')
      expect([status, body.code]).toEqual([401, 'UNAUTHORIZED'])
      expect(headers.get('www-authenticate')).toBe('Bearer realm="pairgate", error="invalid_token"')
    }
    expect((await callAs(t, null, 'keys.list')).body.code).toBe('UNAUTHORIZED')
  })
})

describe('keys', () => {
  test('KEY-08 made, listed without its secret, used, rotated with an overlap, ended', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    const { access_token: cli } = await loginAs(t, person, 'pair', MANAGE)
    const made = await callAs(t, cli, 'keys.create', {
      name: ' build\u202e box ',
      scope: 'read',
      expires_in: 3600,
    })
    const { id, secret } = made.body
    const hint = `pgk_…${String(secret).slice(-4)}`
    const list = async () => (await callAs(t, cli, 'keys.list')).body as never as Record<string, unknown>[]
    const row = {
      id,
      kind: 'api_key',
      name: 'build box',
      hint,
      scope: 'read',
      tenant: null,
      client_id: null,
      created_at: expect.any(Number),
      remote_address: '127.0.0.1',
      approved_address: '127.0.0.1',
      last_used_at: null,
      last_used_address: null,
      expires_at: made.body.expires_at,
      previous_until: null,
      status: 'active',
      current: false,
      can_rotate: true,
    }
    expect(await list()).toEqual([row])
    expect(await useToken(t, String(secret))).toBe(200)
    const used = { ...row, last_used_at: expect.any(Number), last_used_address: '127.0.0.1' }
    expect(await list()).toEqual([used])

    const rotated = await callAs(t, cli, 'keys.rotate', { id, overlap_seconds: 600 })
    expect(rotated.body).toEqual({
      status: 'rotated',
      id,
      secret: expect.stringMatching(/^pgk_/),
      expires_at: row.expires_at,
    })
    const both = [String(secret), String(rotated.body.secret)]
    expect(await Promise.all(both.map((one) => useToken(t, one)))).toEqual([200, 200])
    t.advance(600)
    expect(await Promise.all(both.map((one) => useToken(t, one)))).toEqual([401, 200])
    const again = await callAs(t, cli, 'keys.rotate', { id })
    expect(await useToken(t, both[1] ?? '')).toBe(401)
    expect(await useToken(t, String(again.body.secret))).toBe(200)

    expect((await callAs(t, cli, 'keys.revoke', { id })).body).toEqual({ status: 'revoked' })
    expect(await useToken(t, String(again.body.secret))).toBe(401)
    expect((await callAs(t, cli, 'keys.revoke', { id })).body).toEqual({ status: 'not_found' })
    expect((await callAs(t, cli, 'keys.rotate', { id })).body).toEqual({ status: 'not_found' })
    expect(await list()).toMatchObject([{ id, status: 'revoked', can_rotate: false }])
    const types = t.rows('SELECT type FROM events WHERE credential_id = ? ORDER BY rowid', String(id))
    expect(types.map(({ type }) => type)).toEqual(['issued', 'first_used', 'rotated', 'rotated', 'revoked'])
  })

  test('KEY-11 lives no longer than maxKeySeconds; a bad request changes nothing', async () => {
    const t = createGate({ maxKeySeconds: 7200 })
    const person = await personAt(t, 'alice')
    for (const bad of [
      { name: 'x', expires_in: 7201 },
      { name: 'x', expires_in: 59 },
      { name: 'x', expires_in: 100.5 },
      { name: ' \u200b ' },
      { name: 'x', tenant: 'acme' },
      { name: 'x', extra: 1 },
      {},
    ])
      expect([bad, (await callFromPage(t, person, 'keys.create', bad)).status]).toEqual([bad, 400])
    expect(t.rows("SELECT id FROM credentials WHERE kind = 'api_key'")).toEqual([])
    const { data } = await callFromPage(t, person, 'keys.create', { name: 'x' })
    expect(Number(data.expires_at)).toBe(
      Number(t.rows('SELECT created_at / 1000 AS s FROM credentials WHERE id = ?', String(data.id))[0]?.s) +
        7200,
    )
    t.advance(7200)
    expect(await useToken(t, String(data.secret))).toBe(401)
  })

  test('KEY-11 at most keysPerUser live ones, made by hand or by a login; ended ones make room', async () => {
    const t = createGate({ limits: { keysPerUser: 3 } })
    const person = await personAt(t, 'alice')
    const made = await Promise.all(
      Array.from({ length: 6 }, (_, i) => callFromPage(t, person, 'keys.create', { name: `key ${i}` })),
    )
    expect(made.map(({ status }) => status).toSorted()).toEqual([200, 200, 200, 403, 403, 403])
    const page = await postForm(t, '/oauth/device/authorize', { client_id: 'plain' })
    const review = await person.get(String(page.body.verification_uri_complete))
    expect([review.status, await review.text()]).toEqual([409, expect.stringContaining('3')])
    const other = await personAt(t, 'bob')
    await loginAs(t, other, 'device', { client_id: 'plain' })
    const live = made.find(({ status }) => status === 200)
    await callFromPage(t, person, 'keys.revoke', { id: String(live?.data.id) })
    await loginAs(t, person, 'device', { client_id: 'plain' })
    expect((await callFromPage(t, person, 'keys.create', { name: 'one more' })).status).toBe(403)
  })

  test('KEY-09 somebody else’s keys and sessions are not there, whatever is asked', async () => {
    const t = createGate()
    const [alice, bob] = [await personAt(t, 'alice'), await personAt(t, 'bob')]
    const { data } = await callFromPage(t, alice, 'keys.create', { name: 'mine' })
    const id = String(data.id)
    const sessions = t.rows("SELECT id FROM credentials WHERE kind = 'browser'").map(({ id }) => String(id))
    for (const path of ['keys.revoke', 'keys.rotate'])
      expect((await callFromPage(t, bob, path, { id })).data).toEqual({ status: 'not_found' })
    const own = (await callFromPage(t, bob, 'session.list')).data as never as { id: string }[]
    const foreign = sessions.find((one) => one !== own[0]?.id) ?? ''
    expect((await callFromPage(t, bob, 'session.revoke', { id: foreign })).data).toEqual({
      status: 'not_found',
    })
    expect((await callFromPage(t, bob, 'keys.revokeAll', {})).data).toEqual({ status: 'revoked', count: 0 })
    expect((await callFromPage(t, bob, 'keys.list')).data).toEqual([])
    expect(await useToken(t, String(data.secret))).toBe(200)
  })

  test('a key is no session and a session no key: each list ends only its own', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    const { data } = await callFromPage(t, person, 'keys.create', { name: 'key' })
    const cli = await loginAs(t, person, 'pair', { client_id: 'plain' })
    expect((await callFromPage(t, person, 'session.revoke', { id: String(data.id) })).data).toEqual({
      status: 'not_found',
    })
    expect((await callFromPage(t, person, 'session.revokeOthers', {})).data).toEqual({
      status: 'revoked',
      count: 1,
    })
    expect([await useToken(t, cli.access_token), await useToken(t, String(data.secret))]).toEqual([401, 200])
    expect((await callFromPage(t, person, 'keys.revokeAll', {})).data).toEqual({
      status: 'revoked',
      count: 1,
    })
    expect(await useToken(t, String(data.secret))).toBe(401)
    expect((await callFromPage(t, person, 'session.revokeAll', {})).data).toEqual({
      status: 'revoked',
      count: 1,
    })
    expect((await callFromPage(t, person, 'session.list')).status).toBe(401)
  })

  test('a login with a refresh token is not rotated by hand', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    await loginAs(t, person, 'device', { client_id: 'manager', scope: 'offline_access' })
    const [row] = (await callFromPage(t, person, 'keys.list')).data as never as {
      id: string
      can_rotate: boolean
    }[]
    expect(row?.can_rotate).toBe(false)
    expect((await callFromPage(t, person, 'keys.rotate', { id: String(row?.id) })).data).toEqual({
      status: 'not_found',
    })
  })

  test('WEB-01 RPC-04 a page of another origin may not, with the person’s cookie', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'same-site' }, {}]) {
      const cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
      const init = { method: 'POST', body: JSON.stringify({ name: 'x' }) }
      const all = { ...headers, cookie, 'content-type': 'application/json' }
      expect((await t.fetch('/trpc/keys.create', { ...init, headers: all as HeadersInit })).status).toBe(403)
    }
    expect(t.rows("SELECT id FROM credentials WHERE kind = 'api_key'")).toEqual([])
  })
})

describe('KEY-01 the prefix', () => {
  test('is an option; what has another one never reaches the database', async () => {
    const t = createGate({ secretPrefix: 'acme', clients: { mytool: { refresh: true } } })
    const person = await personAt(t, 'alice')
    const tokens = await loginAs(t, person, 'device', { client_id: 'mytool' })
    const pattern = new RegExp(`^(${t.gate.secretPattern})$`)
    for (const secret of [tokens.access_token, tokens.refresh_token]) expect(secret).toMatch(pattern)
    expect(tokens.access_token).toMatch(/^acmek_/)
    expect(await useToken(t, tokens.access_token)).toBe(200)
    expect(await useToken(t, tokens.access_token.replace('acme', 'pg'))).toBe(401)
    expect(t.rows("SELECT hint FROM credentials WHERE kind = 'api_key'")).toEqual([
      { hint: `acmek_…${tokens.access_token.slice(-4)}` },
    ])
  })

  test.each(['', 'P', 'a', 'a-b', 'toolongprefix', 'ab_'])('%j is refused', (secretPrefix) => {
    expect(() => createGate({ secretPrefix })).toThrow('secretPrefix')
  })
})

describe('the operator', () => {
  test('sees a person’s credentials and ends one, or all', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    const one = await loginAs(t, person, 'device', { client_id: 'plain' })
    const two = await loginAs(t, person, 'pair', { client_id: 'plain' })
    const alice = { issuer: 'urn:pairgate:dev', subject: 'alice' }
    const list = await t.gate.users.credentials(alice)
    expect(list.map(({ kind }) => kind).toSorted()).toEqual(['api_key', 'browser', 'session'])
    const key = list.find(({ kind }) => kind === 'api_key')
    expect(await t.gate.users.revoke({ ...alice, subject: 'bob' }, key?.id)).toBe(0)
    expect(await t.gate.users.revoke(alice, key?.id)).toBe(1)
    expect([await useToken(t, one.access_token), await useToken(t, two.access_token)]).toEqual([401, 200])
    expect(await t.gate.users.revoke(alice)).toBe(2)
    expect(await useToken(t, two.access_token)).toBe(401)
    expect(await t.gate.users.revoke(alice)).toBe(0)
  })
})
