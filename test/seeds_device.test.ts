/** The second seed's client and frontend, replayed over real sockets against the real standalone server. @module */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { DeviceStart, TestBrowser } from './support/gate.ts'
import {
  createSecretNotes,
  findLeaks,
  type StandaloneServer,
  sqlBeside,
  startStandalone,
} from './support/standalone.ts'

let compat: StandaloneServer
beforeAll(async () => {
  compat = await startStandalone({ PAIRGATE_SEED_COMPAT: '1', PAIRGATE_LOG: 'json:debug' })
})
afterAll(async () => {
  await compat?.stop()
  compat?.remove()
})

const { secrets, noted, signIn } = createSecretNotes()
const signedIn = (name: string, server = compat) => signIn(server, name)

const answer = async (response: Response) => [response.status, await response.text()]

const AUTHORIZE = '/oauth/device/authorize'
const BODIES: [string, RequestInit][] = [
  ['no body', {}],
  ['an empty form', { body: new URLSearchParams() }],
  ['JSON {}', { body: '{}', headers: { 'content-type': 'application/json' } }],
]

describe('seed 2: device code to API key, as its client and frontend speak', () => {
  const post = (path: string, init: RequestInit = {}) =>
    fetch(compat.base + path, { method: 'POST', ...init })
  const authorize = async (init: RequestInit = {}) => {
    const response = await post(AUTHORIZE, init)
    expect(response.status).toBe(200)
    const start = (await response.json()) as DeviceStart
    noted(start.device_code)
    return start
  }
  const poll = async (device_code: string) => {
    const response = await post('/oauth/device/token', { body: new URLSearchParams({ device_code }) })
    expect(response.headers.get('cache-control')).toBe('no-store')
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }
  const collect = async (device_code: string) => {
    const { status, body } = await poll(device_code)
    expect([status, body]).toEqual([
      200,
      { access_token: expect.stringMatching(/^pgk_\w{49}$/), token_type: 'Bearer', expires_in: 86_400 },
    ])
    return noted(String(body.access_token))
  }
  const verify = async (browser: TestBrowser | null, form: Record<string, string>, headers = {}) => {
    const cookie = [...(browser?.cookies ?? [])].map((pair) => pair.join('=')).join('; ')
    const response = await post('/oauth/device/verify-authenticated', {
      headers: { cookie, origin: compat.base, ...headers },
      body: new URLSearchParams(form),
    })
    expect(response.headers.get('deprecation')).toBe('true')
    return [response.status, await response.json()]
  }
  const secured = async (key: string, accept = 'text/plain') =>
    await fetch(`${compat.base}/secured`, { headers: { authorization: `Bearer ${key}`, accept } })

  test.each(BODIES)('DF-02 DF-03 authorize with %s answers exactly six fields', async (_, init) => {
    const start = await authorize(init)
    expect(start).toEqual({
      device_code: expect.stringMatching(/^[\w-]{43}$/),
      user_code: expect.stringMatching(/^[A-Z]{4}-[A-Z]{4}$/),
      verification_uri: `${compat.base}/device`,
      verification_uri_complete: `${compat.base}/device?user_code=${start.user_code}`,
      expires_in: 600,
      interval: 5,
    })
  })

  test('DF-04 DF-15 a key by device_code alone, once; several devices each have one, named and for a day', async () => {
    const alice = await signedIn('alice')
    const starts = [await authorize(), await authorize()]
    const keys: string[] = []
    for (const { device_code, user_code, verification_uri_complete } of starts) {
      expect(await poll(device_code)).toMatchObject({ status: 400, body: { error: 'authorization_pending' } })
      expect((await alice.decide(verification_uri_complete, 'allow')).status).toBe(200)
      const key = await collect(device_code)
      keys.push(key)
      expect(await poll(device_code)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
      expect(await answer(await secured(key))).toEqual([200, 'You are authenticated as: alice'])
      const name = `Device Link Access Key (${user_code})`
      const headers = { authorization: `Bearer ${key}` }
      const who = await (await fetch(`${compat.base}/trpc/session.whoami`, { headers })).json()
      expect(who).toMatchObject({
        result: { data: { subject: 'alice', kind: 'api_key', credential_name: name } },
      })
      expect(
        sqlBeside(compat, 'SELECT kind, expires_at - created_at AS ms FROM credentials WHERE name = ?', name),
      ).toEqual([{ kind: 'api_key', ms: 86_400_000 }])
    }
    expect(new Set(keys).size).toBe(2)
    for (const key of keys) expect((await secured(key)).status).toBe(200)
  })

  test('KEY-06 a revoked and an expired key answer exactly 401', async () => {
    const alice = await signedIn('alice')
    for (const end of ['revoke', 'expire']) {
      const { device_code, verification_uri_complete } = await authorize()
      await alice.decide(verification_uri_complete, 'allow')
      const key = await collect(device_code)
      expect((await secured(key)).status).toBe(200)
      const form = new URLSearchParams({ client_id: 'seed', token: key })
      if (end === 'revoke') expect((await post('/oauth/revoke', { body: form })).status).toBe(200)
      else sqlBeside(compat, "UPDATE credentials SET expires_at = ? WHERE kind = 'api_key'", Date.now() - 1)
      expect(await answer(await secured(key))).toEqual([401, 'Not authenticated'])
      const headers = { authorization: `Bearer ${key}` }
      expect((await fetch(`${compat.base}/trpc/session.whoami`, { headers })).status).toBe(401)
    }
  })

  test('DF-12 slow_down adds 5 s each time, up to 60, and is stored', async () => {
    const { device_code, user_code } = await authorize()
    expect((await poll(device_code)).body).toMatchObject({ error: 'authorization_pending', interval: 5 })
    for (const interval of [10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 60]) {
      const { status, body } = await poll(device_code)
      expect([status, body]).toEqual([
        400,
        { error: 'slow_down', error_description: expect.any(String), interval },
      ])
      const [row] = sqlBeside(
        compat,
        'SELECT poll_interval FROM grants WHERE user_code = ?',
        user_code.replace('-', ''),
      )
      expect(row).toEqual({ poll_interval: interval })
    }
  })

  test('DF-06 DF-13 DF-19 invalid_grant, access_denied by Deny on the page, expired_token', async () => {
    expect(await poll('x'.repeat(43))).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    const alice = await signedIn('alice')
    const denied = await authorize()
    await alice.decide(denied.verification_uri_complete, 'deny')
    for (const _ of [1, 2])
      expect(await poll(denied.device_code)).toMatchObject({ status: 400, body: { error: 'access_denied' } })
    const expired = await authorize()
    sqlBeside(compat, 'UPDATE grants SET expires_at = ? WHERE status = ?', Date.now() - 1, 'pending')
    expect(await poll(expired.device_code)).toMatchObject({ status: 400, body: { error: 'expired_token' } })
  })

  test('DF-14 DF-17 verify-authenticated: 401, then 200, then 400, in the words of the seed', async () => {
    const { device_code, user_code } = await authorize()
    expect(await verify(null, { user_code })).toEqual([401, { detail: 'Authentication required' }])
    expect((await poll(device_code)).body).toMatchObject({ error: 'authorization_pending' })
    const [alice, bob] = [await signedIn('alice'), await signedIn('bob')]
    expect(await verify(alice, { user_code })).toEqual([200, { message: 'Device authorized successfully!' }])
    const processed = [400, { detail: 'This device code has already been processed.' }]
    expect(await verify(alice, { user_code })).toEqual(processed)
    expect(await verify(bob, { user_code })).toEqual(processed)
    const unknown = [400, { detail: 'The device code is invalid or has expired.' }]
    expect(await verify(alice, { user_code: 'BCDF-GHJK' })).toEqual(unknown)
    const late = await authorize()
    sqlBeside(
      compat,
      'UPDATE grants SET expires_at = ? WHERE user_code = ?',
      1,
      late.user_code.replace('-', ''),
    )
    expect(await verify(alice, { user_code: late.user_code })).toEqual(unknown)
    expect((await verify(alice, {}))[0]).toBe(400)
    const key = await collect(device_code)
    expect(await answer(await secured(key))).toEqual([200, 'You are authenticated as: alice'])
    const old = await alice.get(`/oauth/device/verify?user_code=${user_code}`)
    expect([old.status, old.headers.get('location')]).toEqual([302, `/device?user_code=${user_code}`])
  })

  test('WEB-01 verify-authenticated refuses a form from another site', async () => {
    const { user_code, device_code } = await authorize()
    const alice = await signedIn('alice')
    for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }])
      expect((await verify(alice, { user_code }, headers))[0]).toBe(403)
    expect((await poll(device_code)).body).toMatchObject({ error: 'authorization_pending' })
  })

  test('OPS-04 after a failed write: 500, the code not left authorized, no poll stuck at 500', async () => {
    const alice = await signedIn('alice')
    const { device_code, user_code } = await authorize()
    const breaking = async (event: string, call: () => Promise<unknown>) => {
      sqlBeside(compat, `CREATE TRIGGER broken BEFORE ${event} BEGIN SELECT RAISE(ABORT, 'broken'); END`)
      try {
        return await call()
      } finally {
        sqlBeside(compat, 'DROP TRIGGER broken')
      }
    }
    const failed = await breaking('UPDATE OF status ON grants', () => verify(alice, { user_code }))
    expect(failed).toMatchObject([500, { error: 'server_error' }])
    expect((await poll(device_code)).body).toMatchObject({ error: 'authorization_pending' })
    expect((await verify(alice, { user_code }))[0]).toBe(200)
    const stuck = await breaking('INSERT ON credentials', () => poll(device_code))
    expect(stuck).toMatchObject({ status: 500, body: { error: 'server_error' } })
    await collect(device_code)
  })
})

describe('the log, and the end', () => {
  test('OPS-03 STO-03 after SIGTERM: exit 0, and no secret in the log or the database', async () => {
    for (const prefix of ['pgk_', 'pgb_'])
      expect(secrets.filter((one) => one.startsWith(prefix)).length).toBeGreaterThan(1)
    expect(await compat.stop()).toBe(0)
    expect(compat.output()).toContain('audit: issued')
    expect(findLeaks(compat, secrets)).toEqual([])
  })
})
