/** Credentials, what their other tests leave open: where they count, whose they are, how they are kept and found. @module */

import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { Provider } from '../src/mod.ts'
import {
  BASE,
  createTestGate,
  pollDevice,
  pollPair,
  startDevice,
  startPair,
  type TestGate,
} from './support/gate.ts'
import { collectToken, createListened } from './support/statements.ts'

/** Signs a CLI in; the key is that of `name`. */
async function keyOf(t: TestGate, name: string): Promise<string> {
  const start = await startDevice(t)
  const person = t.browser()
  await person.signIn(name)
  await person.decide(start.verification_uri_complete, 'allow')
  return String((await pollDevice(t, start.device_code)).body.access_token)
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const status = async (t: TestGate, headers: Record<string, string>, path = '/secured') =>
  (await t.fetch(path, { headers })).status

describe('where a credential counts', () => {
  test('KEY-02 the scheme is read in any case; another scheme, a list or a bare token is nothing', async () => {
    const t = createTestGate()
    const key = await keyOf(t, 'alice')
    for (const scheme of ['Bearer', 'bearer', 'BEARER', 'bEaReR'])
      expect(await status(t, { authorization: `${scheme} ${key}` })).toBe(200)
    for (const value of [
      key,
      `Token ${key}`,
      `Bearer${key}`,
      `Bearer ${key}, Bearer ${key}`,
      `Bearer "${key}"`,
    ])
      expect(await status(t, { authorization: value })).toBe(401)
  })

  test('KEY-03 without a credential 401 asks for one, with a wrong, revoked or foreign one it says invalid_token', async () => {
    const t = createTestGate()
    const ask = async (headers: Record<string, string>) => {
      const response = await t.fetch('/secured', { headers })
      expect(await response.text()).toBe('Not authenticated')
      return [response.status, response.headers.get('www-authenticate')]
    }
    expect(await ask({})).toEqual([401, 'Bearer realm="pairgate"'])
    expect(await ask({ authorization: 'Basic eDp5' })).toEqual([401, 'Bearer realm="pairgate"'])
    const key = await keyOf(t, 'alice')
    await t.post('/oauth/revoke', { client_id: 'pairgate-cli', token: key })
    const person = t.browser()
    await person.signIn('bob')
    for (const token of [
      key,
      `${key}x`,
      'x',
      `pgk_${'0'.repeat(49)}`,
      person.cookies.get('pairgate-session') ?? '',
    ])
      expect(await ask(bearer(token))).toEqual([401, 'Bearer realm="pairgate", error="invalid_token"'])
    t.advance(90_000)
    expect(await ask(bearer(key))).toEqual([401, 'Bearer realm="pairgate", error="invalid_token"'])
  })

  test('KEY-04 a credential in a query, a body or a cookie is nobody’s', async () => {
    const t = createTestGate()
    const key = await keyOf(t, 'alice')
    expect(await status(t, bearer(key))).toBe(200)
    const query = new URLSearchParams({ access_token: key, token: key, authorization: `Bearer ${key}` })
    const cookies = ['access_token', 'token', 'authorization', 'pairgate-session', 'pairgate-seed']
    const cookie = cookies.map((name) => `${name}=${key}`).join('; ')
    for (const path of ['/secured', '/trpc/session.whoami']) {
      expect(await status(t, {}, `${path}?${query}`)).toBe(401)
      expect(await status(t, { cookie }, path)).toBe(401)
    }
    for (const body of [query, JSON.stringify({ access_token: key })]) {
      const request = new Request(`${BASE}/anything?${query}`, { method: 'POST', body, headers: { cookie } })
      expect(await t.gate.authenticate(request)).toBeNull()
    }
    const signOut = { method: 'POST', body: '{}', headers: { cookie, 'content-type': 'application/json' } }
    expect((await t.fetch(`/trpc/session.signOut?${query}`, signOut)).status).toBe(401)
    expect(await status(t, bearer(key))).toBe(200)
  })

  test('KEY-05 a CLI’s credential allows, denies and reviews nothing, as Bearer or as cookie', async () => {
    const t = createTestGate()
    const key = await keyOf(t, 'alice')
    const pair = await startPair(t)
    const person = t.browser()
    await person.signIn('alice')
    await person.decide(pair.login_url, 'allow')
    const session = String((await pollPair(t, pair.verifier)).body.access_token)
    const { user_code, device_code } = await startDevice(t)
    for (const secret of [key, session]) {
      for (const procedure of ['review', 'approve', 'deny']) {
        for (const carried of [bearer(secret), { cookie: `pairgate-session=${secret}` }]) {
          const headers = { 'content-type': 'application/json', origin: BASE, ...carried }
          const body = JSON.stringify({ user_code })
          const response = await t.fetch(`/trpc/device.${procedure}`, { method: 'POST', body, headers })
          expect([procedure, response.status]).toEqual([procedure, 401])
        }
      }
    }
    expect((await pollDevice(t, device_code)).body.error).toBe('authorization_pending')
  })
})

describe('whose it is', () => {
  test('KEY-09 who signs out or revokes ends one credential, and never one of somebody else’s', async () => {
    const t = createTestGate({ clients: { other: {} } })
    const [mine, second, hers] = [await keyOf(t, 'alice'), await keyOf(t, 'alice'), await keyOf(t, 'bob')]
    const alive = async () => {
      const found: boolean[] = []
      for (const key of [mine, second, hers]) found.push((await status(t, bearer(key))) === 200)
      return found
    }
    const json = { 'content-type': 'application/json' }
    const signOut = (headers: Record<string, string>, body = '{}') =>
      t.fetch('/trpc/session.signOut', { method: 'POST', body, headers: { ...json, ...headers } })
    expect((await signOut(bearer(mine), JSON.stringify({ token: hers }))).status).toBe(400)
    await t.post('/oauth/revoke', { client_id: 'other', token: hers })
    expect(await alive()).toEqual([true, true, true])
    expect((await signOut(bearer(mine))).status).toBe(200)
    expect(await alive()).toEqual([false, true, true])
    await t.post('/oauth/revoke', { client_id: 'pairgate-cli', token: second })
    expect(await alive()).toEqual([false, false, true])
  })
})

describe('how it is kept', () => {
  test.each(['device', 'pair'] as const)(
    'KEY-10 of %s: the SHA-256 of the whole, found by one equality on a unique index',
    async (flow) => {
      const t = await createListened()
      const token = await collectToken(t, flow)
      const hash = createHash('sha256').update(token).digest('hex')
      expect(t.rows('SELECT hint FROM credentials WHERE secret_hash = ?', hash)).toEqual([
        { hint: `${token.slice(0, 4)}…${token.slice(-4)}` },
      ])
      const statements = await t.during(async () => expect(await status(t, bearer(token))).toBe(200))
      expect(JSON.stringify(statements)).not.toContain(token)
      const [{ verb = '', text = '', values = [] } = {}, ...others] = statements.filter((one) =>
        one.values.includes(hash),
      )
      expect([verb, others]).toEqual(['SELECT', []])
      const plan = t
        .rows(`EXPLAIN QUERY PLAN ${text}`, ...values.map(String))
        .map(({ detail }) => String(detail))
      const [, index = ''] =
        plan.map((line) => /credentials USING INDEX (\w+) \(\w+=\?\)/.exec(line)).find(Boolean) ?? []
      expect(plan.join()).not.toContain('SCAN')
      const unique = t.rows('SELECT name FROM pragma_index_list(\'credentials\') WHERE "unique" = 1')
      expect(unique.map(({ name }) => name)).toContain(index)
      expect(t.rows(`SELECT name FROM pragma_index_info('${index}')`)).toEqual([{ name: 'secret_hash' }])
    },
  )

  test('SES-02 SES-07 each cookie is HttpOnly, a session is 256 bits, and no page holds what a cookie holds', async () => {
    const upstream: Provider = {
      id: 'up',
      name: 'Up',
      issuer: 'https://up.example',
      authorize: async ({ state }) => new URL(`https://up.example/?state=${state}`),
      callback: async () => ({ issuer: 'https://up.example', subject: 'carol' }),
    }
    const t = createTestGate({ devSignIn: true, signIn: [upstream], seedCompat: true })
    const person = t.browser()
    const cookies: string[] = []
    const pages: string[] = []
    const take = async (response: Response) => {
      cookies.push(...response.headers.getSetCookie())
      pages.push(await response.text())
      return response
    }
    const away = await take(await person.get('/sign-in/up'))
    const { search } = new URL(away.headers.get('location') ?? '')
    await take(await person.get(`/sign-in/callback/up${search}`))
    await take(await person.signIn('alice'))
    const link = await (await t.fetch('/cli_login?paircode=abcdefghijklmnopqrstuv')).text()
    await take(await person.get(link))
    await take(await person.decide(link, 'allow'))
    await take(await t.fetch('/token?paircode=abcdefghijklmnopqrstuv'))
    for (const path of ['/device', '/sign-in', '/nowhere']) await take(await person.get(path))
    await take(await person.post('/sign-out', {}))
    const names = new Set(cookies.map((cookie) => cookie.split('=')[0]))
    expect(names).toEqual(new Set(['session', 'sign-in', 'form', 'seed'].map((use) => `pairgate-${use}`)))
    for (const cookie of cookies) expect(cookie).toMatch(/; HttpOnly(;|$)/)
    const values = cookies
      .map((cookie) => /=([^;]+)/.exec(cookie)?.[1] ?? '')
      .filter((value) => value.length > 20)
    const sessions = values.filter((value) => value.startsWith('pgb_'))
    // 43 letters of base62 are 256 bits
    for (const session of sessions) expect(session).toMatch(/^pgb_[0-9A-Za-z]{43}[0-9A-Za-z]{6}$/)
    expect(new Set(sessions).size).toBe(2)
    for (const value of values) expect(pages.join()).not.toContain(value)
  })
})
