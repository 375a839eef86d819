/** The device flow (RFC 8628), through its form endpoints and pages. @module */

import { describe, expect, test } from 'vitest'
import { BASE, createTestGate, pollDevice, startDevice, type TestGate } from './support/gate.ts'

/** Somebody signs in and decides on a user code's page. */
async function decide(t: TestGate, link: string, decision: 'allow' | 'deny', name = 'alice') {
  const person = t.browser()
  await person.signIn(name)
  return await person.decide(link, decision)
}

const bearer = (token: unknown) => new Request(BASE, { headers: { authorization: `Bearer ${token}` } })

describe('device authorization', () => {
  test('DF-02 the answer has the fields of RFC 8628 section 3.2, no-store', async () => {
    const t = createTestGate()
    const response = await t.post('/oauth/device/authorize', { client_id: 'pairgate-cli' })
    expect(response.headers.get('cache-control')).toBe('no-store')
    const start = (await response.json()) as Record<string, unknown>
    expect(start).toEqual({
      device_code: expect.stringMatching(/^[\w-]{43}$/),
      user_code: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/),
      verification_uri: `${BASE}/device`,
      verification_uri_complete: `${BASE}/device?user_code=${start.user_code}`,
      expires_in: 600,
      interval: 5,
    })
  })

  test('DF-08 DF-09 DF-10 codes are unique, unrelated and not interchangeable', async () => {
    const t = createTestGate({ limits: { startPerMinute: 1000, pendingPerAddress: 1000 } })
    const starts = await Promise.all(Array.from({ length: 200 }, () => startDevice(t)))
    expect(new Set(starts.map((start) => start.user_code)).size).toBe(200)
    expect(new Set(starts.map((start) => start.device_code)).size).toBe(200)
    const [start] = starts
    const swapped = await pollDevice(t, start?.user_code ?? '')
    expect([swapped.status, swapped.body.error]).toEqual([400, 'invalid_grant'])
    const person = t.browser()
    await person.signIn('alice')
    expect((await person.get(`/device?user_code=${start?.device_code}`)).status).toBe(404)
  })

  test('DF-10 the device code never reaches the browser', async () => {
    const t = createTestGate()
    const { device_code, verification_uri_complete } = await startDevice(t)
    const person = t.browser()
    await person.signIn('alice')
    const page = await (await person.get(verification_uri_complete)).text()
    expect(page).not.toContain(device_code)
    expect(verification_uri_complete).not.toContain(device_code)
  })

  test('DF-19 lifetimes are an option', async () => {
    const t = createTestGate({ deviceCodeSeconds: 5, pollSeconds: 1 })
    expect(await startDevice(t)).toMatchObject({ expires_in: 5, interval: 1 })
  })

  test('DF-24 a flow can be off, for all and for one client', async () => {
    const off = createTestGate({ flows: ['pair'] })
    const response = await off.post('/oauth/device/authorize', { client_id: 'pairgate-cli' })
    expect([response.status, await response.json()]).toMatchObject([400, { error: 'unauthorized_client' }])
    const t = createTestGate({ clients: { tool: { flows: ['pair'] } } })
    const tool = await t.post('/oauth/device/authorize', { client_id: 'tool' })
    expect(await tool.json()).toMatchObject({ error: 'unauthorized_client' })
  })
})

describe('polling', () => {
  test('DF-21 an allowed login answers 200 with a Bearer key, once, no-store', async () => {
    const t = createTestGate()
    const start = await startDevice(t, { device_name: 'laptop' })
    expect((await decide(t, start.verification_uri_complete, 'allow')).status).toBe(200)
    const { status, body, headers } = await pollDevice(t, start.device_code)
    expect(status).toBe(200)
    expect(body).toEqual({
      access_token: expect.stringMatching(/^pgk_[0-9A-Za-z]{49}$/),
      token_type: 'Bearer',
      expires_in: 86_400,
    })
    expect(headers.get('cache-control')).toBe('no-store')
    const who = await t.gate.authenticate(bearer(body.access_token))
    expect(who).toMatchObject({ user: { subject: 'alice' }, credential: { kind: 'api_key' } })
    expect(who?.credential.name).toBe(`laptop (${start.user_code})`)
  })

  test('DF-15 a collected code is invalid_grant ever after', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    await decide(t, start.verification_uri_complete, 'allow')
    await pollDevice(t, start.device_code)
    for (const wait of [0, 10, 700]) {
      t.advance(wait)
      const { status, body } = await pollDevice(t, start.device_code)
      expect([status, body.error]).toEqual([400, 'invalid_grant'])
    }
    expect(t.rows('SELECT id FROM credentials WHERE kind = ?', 'api_key')).toHaveLength(1)
    expect(t.rows("SELECT type FROM events WHERE type = 'replayed'")).toHaveLength(3)
  })

  test('DF-12 slow_down grows the interval for all later polls', async () => {
    const t = createTestGate()
    const { device_code } = await startDevice(t)
    expect((await pollDevice(t, device_code)).body).toMatchObject({
      error: 'authorization_pending',
      interval: 5,
    })
    t.advance(4)
    expect((await pollDevice(t, device_code)).body).toMatchObject({ error: 'slow_down', interval: 10 })
    t.advance(9.8)
    expect((await pollDevice(t, device_code)).body).toMatchObject({
      error: 'authorization_pending',
      interval: 10,
    })
    for (let interval = 15; interval <= 60; interval += 5) {
      expect((await pollDevice(t, device_code)).body).toMatchObject({ error: 'slow_down', interval })
    }
    expect((await pollDevice(t, device_code)).body).toMatchObject({ error: 'slow_down', interval: 60 })
    expect(t.rows('SELECT poll_interval FROM grants')).toMatchObject([{ poll_interval: 60 }])
  })

  test('DF-12 the first poll is never slow_down, and an allowed code is answered even when polled fast', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    expect((await pollDevice(t, start.device_code)).body.error).toBe('authorization_pending')
    await decide(t, start.verification_uri_complete, 'allow')
    expect((await pollDevice(t, start.device_code)).status).toBe(200)
  })

  test('DF-13 a denied code is access_denied for good', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    expect(await (await decide(t, start.verification_uri_complete, 'deny')).text()).toContain('Denied')
    for (const wait of [0, 1, 700]) {
      t.advance(wait)
      const { status, body } = await pollDevice(t, start.device_code)
      expect([status, body.error]).toEqual([400, 'access_denied'])
    }
  })

  test('DF-19 an expired code is expired_token, even when polled fast, even when it had been allowed', async () => {
    const t = createTestGate()
    const pending = await startDevice(t)
    const allowed = await startDevice(t)
    await decide(t, allowed.verification_uri_complete, 'allow')
    t.advance(600)
    for (const { device_code } of [pending, pending, allowed]) {
      expect((await pollDevice(t, device_code)).body.error).toBe('expired_token')
    }
    expect(t.rows("SELECT id FROM credentials WHERE kind = 'api_key'")).toHaveLength(0)
  })

  test('DF-19 an expired code can no longer be allowed', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    const person = t.browser()
    await person.signIn('alice')
    const page = await (await person.get(start.verification_uri_complete)).text()
    t.advance(600)
    expect((await person.submit(page, { decision: 'allow' })).status).toBe(410)
    expect((await person.get(start.verification_uri_complete)).status).toBe(410)
  })

  test('DF-06 an unknown code is 400 invalid_grant', async () => {
    const t = createTestGate()
    for (const code of ['x', 'A'.repeat(43), '\u00e4', "' OR 1=1 --"]) {
      const { status, body, headers } = await pollDevice(t, code)
      expect([status, body.error, headers.get('cache-control')]).toEqual([400, 'invalid_grant', 'no-store'])
    }
  })

  test('DF-07 a code is bound to its client; another client neither succeeds nor consumes', async () => {
    const t = createTestGate({ clients: { other: {} } })
    const start = await startDevice(t)
    await decide(t, start.verification_uri_complete, 'allow')
    const foreign = await pollDevice(t, start.device_code, { client_id: 'other' })
    expect([foreign.status, foreign.body.error]).toEqual([400, 'invalid_grant'])
    const unknown = await pollDevice(t, start.device_code, { client_id: 'nobody' })
    expect([unknown.status, unknown.body.error]).toEqual([400, 'invalid_client'])
    expect((await pollDevice(t, start.device_code)).status).toBe(200)
  })

  test('DF-20 the scope is fixed when the person allows; a poll cannot raise it', async () => {
    const t = createTestGate({
      clients: { tool: { scopes: ['read', 'write'] } },
      scopes: { read: 'Read your files' },
    })
    const refused = await t.post('/oauth/device/authorize', { client_id: 'tool', scope: 'read admin' })
    expect([refused.status, await refused.json()]).toMatchObject([400, { error: 'invalid_scope' }])
    const start = await startDevice(t, { client_id: 'tool', scope: 'read' })
    const person = t.browser()
    await person.signIn('alice')
    const page = await (await person.get(start.verification_uri_complete)).text()
    expect(page).toContain('Read your files')
    await person.submit(page, { decision: 'allow', scope: 'read write' })
    const { body } = await pollDevice(t, start.device_code, { client_id: 'tool', scope: 'read write' })
    expect(body.scope).toBe('read')
    expect((await t.gate.authenticate(bearer(body.access_token)))?.scopes).toEqual(['read'])
  })

  test('DF-26 a person disabled after allowing gets no key', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    await decide(t, start.verification_uri_complete, 'allow')
    await t.gate.users.disable({ issuer: 'urn:pairgate:dev', subject: 'alice' })
    expect((await pollDevice(t, start.device_code)).body.error).toBe('access_denied')
    expect(t.rows("SELECT id FROM credentials WHERE kind = 'api_key'")).toHaveLength(0)
  })
})

describe('approval', () => {
  test('DF-14 an anonymous visitor is sent to sign in and comes back with the code', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    const person = t.browser()
    const away = await person.get(start.verification_uri_complete)
    expect(away.status).toBe(303)
    const signIn = away.headers.get('location') ?? ''
    const page = await (await person.get(signIn)).text()
    const back = await person.submit(page, { username: 'alice' })
    expect(back.headers.get('location')).toBe(`/device?user_code=${start.user_code}`)
    expect(await (await person.get(back.headers.get('location') ?? '')).text()).toContain('Allow')
  })

  test('DF-14 without a session the decision form is refused', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    const person = t.browser()
    await person.signIn('alice')
    const page = await (await person.get(start.verification_uri_complete)).text()
    person.cookies.delete('pairgate-session')
    expect((await person.submit(page, { decision: 'allow' })).status).toBe(403)
    expect((await pollDevice(t, start.device_code)).body.error).toBe('authorization_pending')
  })

  test('DF-11 the code may be typed in any case, with spaces and dashes', async () => {
    const t = createTestGate()
    const { user_code } = await startDevice(t)
    const person = t.browser()
    await person.signIn('alice')
    for (const typed of [
      user_code,
      user_code.toLowerCase(),
      user_code.replace('-', ''),
      ` ${user_code.replace('-', '  ')} `,
    ]) {
      expect((await person.get(`/device?user_code=${encodeURIComponent(typed)}`)).status).toBe(200)
    }
  })

  test('DF-17 the first decision is final, for everybody', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    const [alice, bob] = [t.browser(), t.browser()]
    await alice.signIn('alice')
    await bob.signIn('bob')
    const pages = await Promise.all(
      [alice, bob].map(async (p) => (await p.get(start.verification_uri_complete)).text()),
    )
    expect((await alice.submit(pages[0] ?? '', { decision: 'deny' })).status).toBe(200)
    expect((await bob.submit(pages[1] ?? '', { decision: 'allow' })).status).toBe(409)
    const again = await alice.submit(pages[0] ?? '', { decision: 'allow' })
    expect([again.status, await again.text()]).toEqual([409, expect.stringContaining('You denied this')])
    expect((await pollDevice(t, start.device_code)).body.error).toBe('access_denied')
  })

  test('DF-22 the page tells who asks, from where, when, for what, for how long, as whom, and the code', async () => {
    const t = createTestGate({ clients: { tool: { name: 'The Tool', keyTtl: 7200 } } })
    const start = await startDevice(t, { client_id: 'tool', device_name: 'work laptop' })
    const person = t.browser()
    await person.signIn('alice')
    t.advance(120)
    const page = await (await person.get(start.verification_uri_complete)).text()
    for (const text of [
      'The Tool',
      'work laptop',
      'unverified',
      '127.0.0.1',
      '2 minutes ago',
      '2 hours',
      'alice',
      start.user_code,
    ]) {
      expect(page).toContain(text)
    }
    expect(page).toMatch(/if you started this/i)
    expect(page.match(/<button type="submit" name="decision"/g)).toHaveLength(2)
  })

  test('DF-25 from another network the code must be typed, and only the right one allows', async () => {
    const t = createTestGate()
    const start = await startDevice(t, {}, '198.51.100.7')
    const person = t.browser('203.0.113.9')
    await person.signIn('alice')
    const page = await (await person.get(start.verification_uri_complete)).text()
    expect(page).toContain('another network')
    expect(page).not.toContain(`>${start.user_code}<`)
    expect((await person.submit(page, { decision: 'allow' })).status).toBe(400)
    expect((await person.submit(page, { decision: 'allow', code: 'BCDF-GHJK' })).status).toBe(400)
    expect((await pollDevice(t, start.device_code)).body.error).toBe('authorization_pending')
    expect(
      (await person.submit(page, { decision: 'allow', code: start.user_code.toLowerCase() })).status,
    ).toBe(200)
  })

  test('DF-25 an unknown address is never the same network', async () => {
    const t = createTestGate({ baseUrl: 'https://gateway.example', identify: () => ({ subject: 'alice' }) })
    const start = await startDevice(t, {}, '10.0.0.1')
    expect(await (await t.browser('10.0.0.1').get(start.verification_uri_complete)).text()).toContain(
      'another network',
    )
  })
})
