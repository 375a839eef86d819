/** Browser sessions, kinds of credentials, users: R-SES. @module */

import { describe, expect, test } from 'vitest'
import { sqlite } from '../adapters/sqlite.ts'
import { secretKind } from '../src/core/secret.ts'
import {
  BASE,
  createTestGate,
  pollDevice,
  pollPair,
  SECRET,
  startDevice,
  startPair,
  type TestGate,
} from './support/gate.ts'

const NEW_SECRET = 'new-secret-new-secret-new-secret-new'

describe('browser session', () => {
  test('SES-01 on loopback http: HttpOnly, SameSite=Lax, Path=/, no Domain', async () => {
    const t = createTestGate()
    const cookie = (await t.browser().signIn('alice')).headers.getSetCookie()[0] ?? ''
    expect(cookie).toMatch(/^pairgate-session=pgb_\w{49}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Lax$/)
  })

  test('SES-01 on https: __Host- and Secure', async () => {
    const t = createTestGate({
      baseUrl: 'https://gateway.example/auth',
      identify: () => ({ subject: 'alice' }),
    })
    const start = await (await t.post('/auth/oauth/device/authorize', { client_id: 'pairgate-cli' })).json()
    const page = await t
      .browser()
      .get(new URL((start as { verification_uri_complete: string }).verification_uri_complete).href)
    expect(page.headers.getSetCookie()[0]).toMatch(
      /^__Host-pairgate-form=[\w-]+; .*Path=\/; HttpOnly; SameSite=Lax; Secure$/,
    )
    expect(page.headers.getSetCookie()[0]).not.toContain('Domain')
  })

  test('SES-02 each sign-in makes a new secret and ends the old one; made-up ids are nobody', async () => {
    const t = createTestGate()
    const person = t.browser()
    await person.signIn('alice')
    const first = person.cookies.get('pairgate-session') ?? ''
    await person.signIn('alice')
    expect(person.cookies.get('pairgate-session')).not.toBe(first)
    const read = (cookie: string) =>
      t.fetch('/secured', { headers: { cookie: `pairgate-session=${cookie}` } })
    expect((await read(first)).status).toBe(401)
    expect((await read(`pgb_${'A'.repeat(49)}`)).status).toBe(401)
    expect((await read('alice')).status).toBe(401)
    expect(await (await read(person.cookies.get('pairgate-session') ?? '')).text()).toBe(
      'You are authenticated as: alice',
    )
  })

  test('SES-03 signing secrets are a list: the first signs, all verify', async () => {
    const old = createTestGate()
    const both = createTestGate({ secrets: [NEW_SECRET, SECRET], database: sharedStore(old) })
    const only = createTestGate({ secrets: [NEW_SECRET], database: sharedStore(old) })
    const start = await startDevice(old)
    const person = old.browser()
    await person.signIn('alice')
    const page = await (await person.get(start.verification_uri_complete)).text()
    const submit = (t: typeof old) => {
      const other = t.browser()
      for (const [name, value] of person.cookies) other.cookies.set(name, value)
      return other.submit(page, { decision: 'allow' })
    }
    expect((await submit(only)).status).toBe(403)
    expect((await submit(both)).status).toBe(200)
  })

  test('SES-04 sign-out ends the session on the server, by POST from our own pages only', async () => {
    const t = createTestGate()
    const person = t.browser()
    await person.signIn('alice')
    const cookie = `pairgate-session=${person.cookies.get('pairgate-session')}`
    const read = async () => (await t.fetch('/secured', { headers: { cookie } })).status
    expect((await person.get('/sign-out')).status).toBe(405)
    expect(
      (await person.post('/sign-out', {}, { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }))
        .status,
    ).toBe(403)
    expect((await t.fetch('/sign-out', { method: 'POST', headers: { cookie } })).status).toBe(403)
    expect(await read()).toBe(200)
    await person.post('/sign-out', {})
    expect(await read()).toBe(401)
    expect(person.cookies.has('pairgate-session')).toBe(false)
  })

  test('SES-04 idle for two hours, or twelve hours old, and it is over', async () => {
    const t = createTestGate()
    const person = t.browser()
    await person.signIn('alice')
    const read = async () => (await person.get('/secured')).status
    for (let hours = 0; hours < 11; hours++) {
      t.advance(3600)
      expect(await read()).toBe(200)
    }
    t.advance(3600)
    expect(await read()).toBe(401)
    await person.signIn('alice')
    t.advance(7200)
    expect(await read()).toBe(401)
  })

  test('SES-04 disabling a person ends everything of theirs at once, for good; enabling lets them sign in again', async () => {
    const t = createTestGate()
    const alice = { issuer: 'urn:pairgate:dev', subject: 'alice' }
    const start = await startDevice(t)
    const person = t.browser()
    await person.signIn('alice')
    await person.decide(start.verification_uri_complete, 'allow')
    const { body } = await pollDevice(t, start.device_code)
    const request = new Request(BASE, { headers: { authorization: `Bearer ${body.access_token}` } })
    expect(await t.gate.authenticate(request)).not.toBeNull()
    await t.gate.users.disable(alice)
    expect(await t.gate.authenticate(request)).toBeNull()
    expect((await person.get('/secured')).status).toBe(401)
    expect((await t.browser().signIn('alice')).status).toBe(403)
    await t.gate.users.enable(alice)
    expect(await t.gate.authenticate(request)).toBeNull()
    expect((await person.get('/secured')).status).toBe(401)
    expect((await person.signIn('alice')).status).toBe(303)
    expect((await person.get('/secured')).status).toBe(200)
  })

  test('KEY-11 who is disabled in the table is nobody, whatever became of their credentials', async () => {
    const t = createTestGate()
    const [key] = await signInByBothFlows(t)
    const use = () => t.gate.authenticate(new Request(BASE, { headers: { authorization: `Bearer ${key}` } }))
    expect(await use()).not.toBeNull()
    t.database.exec('UPDATE users SET disabled_at = 1')
    expect(await use()).toBeNull()
  })

  test('SES-05 a cookie given twice, or with odd white space, does not win', async () => {
    const t = createTestGate()
    const person = t.browser()
    await person.signIn('alice')
    const own = `pairgate-session=${person.cookies.get('pairgate-session')}`
    const read = async (cookie: string) => (await t.fetch('/secured', { headers: { cookie } })).status
    expect(await read(own)).toBe(200)
    expect(await read(`pairgate-session=x; ${own}`)).toBe(401)
    expect(await read(`${own}; pairgate-session=x`)).toBe(401)
    expect(await read(own.replace('=', ' ='))).toBe(401)
    expect(await read(`a=b;\t${own}`)).toBe(401)
  })
})

/** Somebody allows a login of each flow; an API key and a session come of it. */
async function signInByBothFlows(t: TestGate): Promise<[string, string]> {
  const [device, pair] = [await startDevice(t), await startPair(t)]
  const person = t.browser()
  await person.signIn('alice')
  await person.decide(device.verification_uri_complete, 'allow')
  await person.decide(pair.login_url, 'allow')
  const key = (await pollDevice(t, device.device_code)).body.access_token
  const session = (await pollPair(t, pair.verifier)).body.access_token
  return [String(key), String(session)]
}

describe('kinds', () => {
  test('SES-06 KEY-05 a CLI’s session or key in a cookie is nobody and can approve nothing', async () => {
    const t = createTestGate()
    const secrets = await signInByBothFlows(t)
    const victim = await startDevice(t)
    for (const secret of secrets) {
      const thief = t.browser()
      thief.cookies.set('pairgate-session', secret)
      expect((await thief.get(victim.verification_uri_complete)).status).toBe(303)
      expect((await thief.get('/secured')).status).toBe(401)
    }
  })

  test('SES-06 a browser’s secret as a Bearer token is nobody', async () => {
    const t = createTestGate()
    const person = t.browser()
    await person.signIn('alice')
    const authorization = `Bearer ${person.cookies.get('pairgate-session')}`
    expect(await t.gate.authenticate(new Request(BASE, { headers: { authorization } }))).toBeNull()
    expect((await t.fetch('/secured', { headers: { authorization } })).status).toBe(401)
  })

  test('KEY-02 Bearer header only, scheme in any case; everything else is 401 with WWW-Authenticate', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    const person = t.browser()
    await person.signIn('alice')
    await person.decide(start.verification_uri_complete, 'allow')
    const key = String((await pollDevice(t, start.device_code)).body.access_token)
    const read = (authorization: string) => t.fetch('/secured', { headers: { authorization } })
    expect((await read(`bearer ${key}`)).status).toBe(200)
    const none = await t.fetch(`/secured?access_token=${key}`)
    expect([none.status, none.headers.get('www-authenticate')]).toEqual([401, 'Bearer realm="pairgate"'])
    for (const wrong of [`Bearer ${key.slice(0, -1)}${key.endsWith('x') ? 'y' : 'x'}`, `Bearer ${key}x`]) {
      const response = await read(wrong)
      expect([response.status, response.headers.get('www-authenticate')]).toEqual([
        401,
        'Bearer realm="pairgate", error="invalid_token"',
      ])
    }
    expect((await read(`Basic ${btoa(`:${key}`)}`)).status).toBe(401)
  })

  test('KEY-01 every credential that is handed out fits the published pattern, and a typo never does', async () => {
    const t = createTestGate()
    const pattern = new RegExp(`^${t.gate.secretPattern}$`)
    for (const secret of await signInByBothFlows(t)) {
      expect(secret).toMatch(pattern)
      const typo = secret.slice(0, 20) + (secret[20] === 'A' ? 'B' : 'A') + secret.slice(21)
      expect(secretKind('pg', secret)).not.toBeNull()
      expect(secretKind('pg', typo)).toBeNull()
    }
  })

  test('KEY-06 revocation: POST, immediate, 200 for unknown, bound to its client', async () => {
    const t = createTestGate({ clients: { other: {} } })
    const start = await startDevice(t)
    const person = t.browser()
    await person.signIn('alice')
    await person.decide(start.verification_uri_complete, 'allow')
    const token = String((await pollDevice(t, start.device_code)).body.access_token)
    const read = async () =>
      (await t.fetch('/secured', { headers: { authorization: `Bearer ${token}` } })).status
    expect((await t.fetch(`/oauth/revoke?token=${token}`)).status).toBe(405)
    expect((await t.post('/oauth/revoke', { client_id: 'other', token })).status).toBe(200)
    expect((await t.post('/oauth/revoke', { client_id: 'pairgate-cli', token: 'unknown' })).status).toBe(200)
    expect(await read()).toBe(200)
    expect((await t.post('/oauth/revoke', { client_id: 'pairgate-cli', token })).status).toBe(200)
    expect(await read()).toBe(401)
    expect((await t.post('/oauth/revoke', { client_id: 'pairgate-cli', token })).status).toBe(200)
  })
})

describe('identify', () => {
  test('the gateway’s own session decides who allows; identity is issuer and subject', async () => {
    const t = createTestGate({
      identify: (request) => {
        const subject = request.headers.get('cookie')?.match(/gateway=(\w+)/)?.[1]
        return subject ? { subject, name: 'Alice Example', email: 'alice@example.com' } : null
      },
      signInUrl: (returnTo) => `https://login.example/?back=${encodeURIComponent(returnTo)}`,
    })
    const start = await startDevice(t)
    const person = t.browser()
    const away = await person.get(start.verification_uri_complete)
    expect(away.headers.get('location')).toBe(
      `https://login.example/?back=${encodeURIComponent(start.verification_uri_complete)}`,
    )
    expect(away.headers.get('content-security-policy')).toContain("form-action 'self' https://login.example;")
    const signIn = await person.get('/sign-in?next=/pair/x')
    expect(signIn.headers.get('location')).toBe(
      `https://login.example/?back=${encodeURIComponent(`${BASE}/pair/x`)}`,
    )
    person.cookies.set('gateway', 'alice')
    expect(await (await person.decide(start.verification_uri_complete, 'allow')).text()).toContain('Allowed')
    const { body } = await pollDevice(t, start.device_code)
    const request = new Request(BASE, { headers: { authorization: `Bearer ${body.access_token}` } })
    expect((await t.gate.authenticate(request))?.user).toMatchObject({
      issuer: BASE,
      subject: 'alice',
      name: 'Alice Example',
    })
  })

  test('a person disabled here cannot decide', async () => {
    const t = createTestGate({ identify: () => ({ subject: 'alice' }) })
    const start = await startDevice(t)
    await t.gate.users.disable({ issuer: BASE, subject: 'alice' })
    expect((await t.browser().get(start.verification_uri_complete)).status).toBe(403)
  })

  test('WEB-01 the form token holds under identify too', async () => {
    const t = createTestGate({ identify: () => ({ subject: 'alice' }) })
    const start = await startDevice(t)
    const person = t.browser()
    const page = await (await person.get(start.verification_uri_complete)).text()
    person.cookies.clear()
    expect((await person.submit(page, { decision: 'allow' })).status).toBe(403)
  })
})

/** A second store on the database of another gate. */
function sharedStore(t: ReturnType<typeof createTestGate>) {
  return sqlite(t.database)
}
