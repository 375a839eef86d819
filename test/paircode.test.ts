/** The paircode flow, through its form endpoints and pages. @module */

import { describe, expect, test } from 'vitest'
import { BASE, createPaircode, createTestGate, pollPair, startPair, type TestGate } from './support/gate.ts'

async function decide(t: TestGate, link: string, decision: 'allow' | 'deny') {
  const person = t.browser()
  await person.signIn('alice')
  return await person.decide(link, decision)
}

const bearer = (token: unknown) => new Request(BASE, { headers: { authorization: `Bearer ${token}` } })

describe('paircode flow', () => {
  test('PC-01 start, open the link, sign in, one click, done', async () => {
    const t = createTestGate()
    const start = await startPair(t, { device_name: 'laptop' })
    expect(start).toMatchObject({ login_url: `${BASE}/pair/${start.paircode}`, expires_in: 600, interval: 5 })
    expect(start.match_code).toMatch(/^[a-z]+ \d\d$/)
    const person = t.browser()
    const away = await person.get(start.login_url)
    const signIn = await (await person.get(away.headers.get('location') ?? '')).text()
    const back = await person.submit(signIn, { username: 'alice' })
    const done = await person.decide(back.headers.get('location') ?? '', 'allow')
    expect(await done.text()).toContain('Allowed')
    const { status, body } = await pollPair(t, start.verifier)
    expect([status, body]).toEqual([
      200,
      {
        access_token: expect.stringMatching(/^pgs_[0-9A-Za-z]{49}$/),
        token_type: 'Bearer',
        expires_in: 2_592_000,
      },
    ])
    expect(await t.gate.authenticate(bearer(body.access_token))).toMatchObject({
      user: { subject: 'alice' },
      credential: { kind: 'session', name: 'laptop' },
    })
  })

  test('PC-02 opening the link, signed in or not, any number of times, completes nothing', async () => {
    const t = createTestGate()
    const start = await startPair(t)
    const person = t.browser()
    await person.get(start.login_url)
    await person.signIn('alice')
    for (let i = 0; i < 3; i++) expect((await person.get(start.login_url)).status).toBe(200)
    await t.fetch(start.login_url, { method: 'HEAD' })
    expect((await pollPair(t, start.verifier)).body.error).toBe('authorization_pending')
  })

  test('PC-02 WEB-02 under seedCompat HEAD starts nothing and collects nothing', async () => {
    const t = createTestGate({ seedCompat: true })
    const paircode = 'abcdefghijklmnopqrstuv'
    expect((await t.fetch(`/cli_login?paircode=${paircode}`, { method: 'HEAD' })).status).toBe(405)
    expect(t.rows('SELECT id FROM grants')).toEqual([])
    const link = await (await t.fetch(`/cli_login?paircode=${paircode}`)).text()
    await decide(t, link, 'allow')
    expect((await t.fetch(`/token?paircode=${paircode}`, { method: 'HEAD' })).status).toBe(405)
    expect(await (await t.fetch(`/token?paircode=${paircode}`)).text()).toBe('alice')
  })

  test('PC-04 the first seed’s terminal shows no match code, so nobody is asked to type it', async () => {
    const t = createTestGate({ seedCompat: true })
    const link = await t.fetch('/cli_login?paircode=abcdefghijklmnopqrstuv', {}, '198.51.100.7')
    const person = t.browser('203.0.113.9')
    await person.signIn('alice')
    const page = await (await person.get(await link.text())).text()
    expect(page).toMatch(/match code of\s+this request:.*[a-z]+ \d\d/s)
    expect(page).not.toContain('Your terminal must show')
    expect((await person.submit(page, { decision: 'allow' })).status).toBe(200)
  })

  test('PC-03 the page tells who asks, from where, when, for how long, as whom', async () => {
    const t = createTestGate()
    const start = await startPair(t, { device_name: 'work laptop' })
    const person = t.browser()
    await person.signIn('alice')
    const page = await (await person.get(start.login_url)).text()
    for (const text of [
      'pairgate CLI',
      'work laptop',
      'unverified',
      '127.0.0.1',
      'less than a minute ago',
      '30 days',
      'alice',
    ]) {
      expect(page).toContain(text)
    }
  })

  test('PC-04 the page shows the match code that the terminal shows, or demands it', async () => {
    const t = createTestGate()
    const near = await startPair(t)
    const person = t.browser()
    await person.signIn('alice')
    expect(await (await person.get(near.login_url)).text()).toContain(near.match_code)
    const far = await startPair(t, {}, '198.51.100.7')
    const page = await (await person.get(far.login_url)).text()
    expect(page).not.toContain(far.match_code)
    expect((await person.submit(page, { decision: 'allow', code: near.match_code })).status).toBe(400)
    expect(
      (await person.submit(page, { decision: 'allow', code: far.match_code.toUpperCase() })).status,
    ).toBe(200)
  })

  test('PC-05 collecting needs the verifier; the link is worth nothing, wrong tries consume nothing', async () => {
    const t = createTestGate()
    const start = await startPair(t)
    await decide(t, start.login_url, 'allow')
    for (const wrong of [
      start.paircode,
      createPaircode().verifier,
      start.verifier.slice(1),
      `${start.verifier}A`,
    ]) {
      const { status, body } = await pollPair(t, wrong)
      expect([status, body.error]).toEqual([400, 'invalid_grant'])
    }
    expect((await pollPair(t, start.verifier)).status).toBe(200)
  })

  test('PC-06 a paircode is exactly 43 base64url characters', async () => {
    const t = createTestGate()
    const { paircode } = createPaircode()
    const wrong = [
      paircode.slice(1),
      `${paircode}A`,
      `${paircode.slice(0, 42)}+`,
      'a'.repeat(22),
      `${paircode}=`,
      `${paircode.slice(0, 42)}\u00e4`,
    ]
    for (const value of wrong) {
      const response = await t.post('/cli_login', { client_id: 'pairgate-cli', paircode: value })
      expect([response.status, await response.json()]).toMatchObject([400, { error: 'invalid_request' }])
    }
    expect(t.rows('SELECT id FROM grants')).toEqual([])
  })

  test('PC-06 another spelling of the same hash is the same request', async () => {
    const t = createTestGate()
    const { paircode } = await startPair(t)
    const twin = paircode.slice(0, 42) + String.fromCharCode(paircode.charCodeAt(42) + 1)
    expect((await t.post('/cli_login', { client_id: 'pairgate-cli', paircode: twin })).status).toBe(409)
  })

  test('PC-07 a known paircode is 409, and nothing is reset or re-labelled', async () => {
    const t = createTestGate({ clients: { other: {} } })
    const start = await startPair(t, { device_name: 'mine' })
    const before = t.rows('SELECT * FROM grants')
    for (const client_id of ['pairgate-cli', 'other']) {
      const again = await t.post('/cli_login', { client_id, paircode: start.paircode, device_name: 'evil' })
      expect([again.status, await again.json()]).toMatchObject([409, { error: 'invalid_request' }])
    }
    expect(t.rows('SELECT * FROM grants')).toEqual(before)
    await decide(t, start.login_url, 'allow')
    await pollPair(t, start.verifier)
    t.advance(700)
    expect((await t.post('/cli_login', { client_id: 'pairgate-cli', paircode: start.paircode })).status).toBe(
      409,
    )
  })

  test('PC-08 polling or opening an unknown paircode creates nothing', async () => {
    const t = createTestGate()
    const { verifier, paircode } = createPaircode()
    const person = t.browser()
    await person.signIn('alice')
    expect((await person.get(`/pair/${paircode}`)).status).toBe(404)
    expect((await pollPair(t, verifier)).body.error).toBe('invalid_grant')
    expect(t.rows('SELECT id FROM grants')).toEqual([])
  })

  test('PC-09 one collection', async () => {
    const t = createTestGate()
    const start = await startPair(t)
    await decide(t, start.login_url, 'allow')
    expect((await pollPair(t, start.verifier)).status).toBe(200)
    expect((await pollPair(t, start.verifier)).body.error).toBe('invalid_grant')
    expect(t.rows("SELECT id FROM credentials WHERE kind = 'session'")).toHaveLength(1)
  })

  test('PC-10 the first decision is final; deny is', async () => {
    const t = createTestGate()
    const start = await startPair(t)
    const person = t.browser()
    await person.signIn('alice')
    const page = await (await person.get(start.login_url)).text()
    expect((await person.submit(page, { decision: 'deny' })).status).toBe(200)
    expect((await person.submit(page, { decision: 'allow' })).status).toBe(409)
    expect((await pollPair(t, start.verifier)).body.error).toBe('access_denied')
  })

  test('PC-12 the session is in no URL and no page, the verifier is read from a POST body only', async () => {
    const t = createTestGate()
    const start = await startPair(t)
    const done = await decide(t, start.login_url, 'allow')
    const page = await done.text()
    const query = await t.post(`/token?verifier=${start.verifier}`, { client_id: 'pairgate-cli' })
    expect(query.status).toBe(400)
    expect((await t.fetch(`/token?paircode=${start.paircode}`)).status).toBe(405)
    const { body } = await pollPair(t, start.verifier)
    expect(page).not.toContain(String(body.access_token))
    expect(start.login_url).not.toContain(start.verifier)
  })

  test('PC-13 link pages are not stored and leak no referrer to others', async () => {
    const t = createTestGate()
    const start = await startPair(t)
    const person = t.browser()
    await person.signIn('alice')
    const { headers } = await person.get(start.login_url)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('referrer-policy')).toBe('same-origin')
  })

  test('a code of one flow is worth nothing in the other', async () => {
    const t = createTestGate()
    const start = await startPair(t)
    await decide(t, start.login_url, 'allow')
    const response = await t.post('/oauth/device/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      client_id: 'pairgate-cli',
      device_code: start.verifier,
    })
    expect(await response.json()).toMatchObject({ error: 'invalid_grant' })
    expect((await pollPair(t, start.verifier)).status).toBe(200)
  })
})
