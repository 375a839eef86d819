/** Upstream sign-in: what is kept and written down, where it leads, and what happens when it goes wrong. @module */

import { inspect } from 'node:util'
import { configure, type LogRecord, reset } from '@logtape/logtape'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createSecret } from '../src/core/secret.ts'
import { github, oidc } from '../src/providers.ts'
import { createTestGate, type TestGate } from './support/gate.ts'
import { OCTOCAT } from './support/github.ts'
import {
  comeBack,
  gateWith,
  hub,
  issuer,
  PAGE,
  SESSION,
  signIn,
  TRANSACTION,
  title,
  whoIs,
} from './support/sign_in.ts'

afterEach(async () => {
  vi.restoreAllMocks()
  await reset()
})

/** Collects everything that is logged, as text. */
async function collectLog(): Promise<() => string> {
  const records: LogRecord[] = []
  await configure({
    reset: true,
    sinks: { all: (record) => records.push(record) },
    loggers: [
      { category: 'pairgate', lowestLevel: 'trace', sinks: ['all'] },
      { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: ['all'] },
    ],
  })
  return () => inspect(records, { depth: 12, maxArrayLength: null, maxStringLength: null })
}

/** Everything in the database, as text. */
function dump(gate: TestGate): string {
  const tables = gate
    .rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    .map(({ name }) => String(name))
  return JSON.stringify(tables.map((table) => [table, gate.rows(`SELECT * FROM "${table}"`)]))
}

/** Listens in on what the gate is told by providers. */
function overhear(): string[] {
  const heard: string[] = []
  const { fetch } = globalThis
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (...request) => {
    const response = await fetch(...request)
    heard.push(await response.clone().text())
    return response
  })
  return heard
}

/** The tokens, in whatever the gate was told. */
const tokensIn = (heard: readonly string[]) =>
  heard
    .flatMap((text) => [...text.matchAll(/"(?:access_token|id_token|refresh_token)":\s*"([^"]+)"/g)])
    .map(([, token = '']) => token)

describe('UP-06 what is kept', () => {
  test('UP-06 no upstream token, code or secret is in the database or in the log', async () => {
    const log = await collectLog()
    const heard = overhear()
    const first = await issuer()
    const octo = await hub()
    const gate = gateWith([first.provider, octo.provider])
    const person = gate.browser()
    const secrets: string[] = []
    for (const [id, { server }] of [
      ['oidc', first],
      ['github', octo],
    ] as const) {
      const callback = await comeBack(person, server, { id })
      const { code = '', state = '' } = Object.fromEntries(new URLSearchParams(callback.split('?')[1]))
      secrets.push(code, state, person.cookies.get(TRANSACTION) ?? '', server.clientSecret)
      expect((await person.get(callback)).status).toBe(303)
      secrets.push(person.cookies.get(SESSION) ?? '')
    }
    const tokens = tokensIn(heard)
    expect(tokens).toHaveLength(3)
    expect(tokens).toEqual(expect.arrayContaining([...octo.server.tokens]))
    const written = { database: dump(gate), log: log() }
    expect(written.database).toContain('ann@example.com')
    expect(written.log).toContain('audit: signed_in')
    for (const secret of [...secrets, ...tokens]) {
      expect(secret.length).toBeGreaterThan(15)
      expect(written.database).not.toContain(secret)
      expect(written.log).not.toContain(secret)
    }
  })

  test('UP-06 a failure tells the operator why, and neither log nor page holds a secret', async () => {
    const log = await collectLog()
    const { server } = await issuer()
    const wrong = oidc({ ...server, clientSecret: 'not-the-client-secret' })
    const person = gateWith([wrong]).browser()
    const callback = await comeBack(person, server)
    const response = await person.get(callback)
    expect(response.status).toBe(502)
    const page = await response.text()
    expect(page).not.toContain('Header')
    expect(log()).toMatch(/did not work: .*challenge in the WWW-Authenticate/)
    const code = new URLSearchParams(callback.split('?')[1]).get('code') ?? ''
    for (const secret of ['not-the-client-secret', code, person.cookies.get(TRANSACTION) ?? '']) {
      expect(secret).not.toBe('')
      expect(log()).not.toContain(secret)
      expect(page).not.toContain(secret)
    }
  })
})

describe('SES-02 the session that a sign-in makes', () => {
  test('SES-02 each sign-in makes a new secret and ends the old one, on the server too', async () => {
    const { server, provider } = await hub()
    const gate = gateWith([provider])
    const person = gate.browser()
    await signIn(person, server, { id: 'github' })
    const old = person.cookies.get(SESSION) ?? ''
    await signIn(person, server, { id: 'github' })
    const fresh = person.cookies.get(SESSION) ?? ''
    expect(old).toMatch(/^pgb_\w{49}$/)
    expect(fresh).toMatch(/^pgb_\w{49}$/)
    expect(fresh).not.toBe(old)
    const thief = gate.browser()
    thief.cookies.set(SESSION, old)
    expect(await whoIs(thief)).toBeNull()
    expect(await whoIs(person)).not.toBeNull()
    expect(dump(gate)).not.toContain(fresh)
  })

  test('SES-02 another person at the same browser ends the first one', async () => {
    const { server, provider } = await hub()
    const gate = gateWith([provider])
    const person = gate.browser()
    await signIn(person, server, { id: 'github' })
    const old = person.cookies.get(SESSION) ?? ''
    server.account = { ...OCTOCAT, id: 1, name: 'Somebody Else', emails: [] }
    await signIn(person, server, { id: 'github' })
    expect(await whoIs(person)).toBe('Somebody Else (1)')
    person.cookies.set(SESSION, old)
    expect(await whoIs(person)).toBeNull()
  })

  test('SES-02 a session cookie that somebody planted before is not taken over (fixation)', async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const mallory = gate.browser()
    await signIn(mallory, server, { login: 'mallory' })
    const planted = mallory.cookies.get(SESSION) ?? ''
    const victim = gate.browser()
    victim.cookies.set(SESSION, planted)
    await signIn(victim, server, { login: 'victim' })
    expect(victim.cookies.get(SESSION)).not.toBe(planted)
    expect(await whoIs(victim)).toBe('victim (victim@example.com)')
    expect(await whoIs(mallory)).toBeNull()
  })

  test('SES-02 made-up ids are nobody, in whatever form', async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const person = gate.browser()
    await signIn(person, server)
    const [{ id = '', secret_hash = '' } = {}] = gate.rows('SELECT id, secret_hash FROM credentials')
    const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))
    const real = person.cookies.get(SESSION) ?? ''
    const madeUp = [
      String(id),
      String(secret_hash),
      'x',
      `pgb_${'A'.repeat(49)}`,
      real.replace('pgb_', 'pgs_'),
      real.toUpperCase(),
      createSecret(random, 'pg', 'browser'),
      createSecret(random, 'pg', 'session'),
      createSecret(random, 'pg', 'api_key'),
    ]
    for (const value of madeUp) {
      const stranger = gate.browser()
      stranger.cookies.set(SESSION, value)
      expect([value, await whoIs(stranger)]).toEqual([value, null])
    }
    expect(await whoIs(person)).not.toBeNull()
  })
})

describe('WEB-09 where a sign-in leads', () => {
  const evil = [
    '//evil.example',
    'https://evil.example',
    'https://evil.example/auth/device',
    '/\\evil.example',
    '\\\\evil.example',
    '/%2f%2fevil.example',
    '/%5cevil.example',
    '/\t/evil.example',
    '/auth/..//evil.example',
    '/auth/%2e%2e//evil.example',
    '/auth/../admin',
    '/authentic/device',
    '/elsewhere',
    'javascript:alert(1)',
    'auth/device',
    'http://127.0.0.1:8787@evil.example/auth/',
    `/auth/${'a'.repeat(3000)}`,
    '',
  ]

  test.each(evil)('WEB-09 %j leads to the front door', async (next) => {
    const { server, provider } = await issuer()
    const person = gateWith([provider]).browser()
    const done = await signIn(person, server, { next })
    expect([done.status, done.headers.get('location')]).toEqual([303, '/auth/'])
    // who is signed in already is sent on at once, by the same rule
    const again = await person.get(`/auth/sign-in?${new URLSearchParams({ next })}`)
    expect(again.headers.get('location')).toBe('/auth/')
  })

  test('WEB-09 at the root, nothing leads to another host', async () => {
    for (const next of evil) {
      const person = createTestGate().browser()
      const done = await person.post('/sign-in/dev', { username: 'ann', next })
      const location = done.headers.get('location') ?? ''
      expect(done.status).toBe(303)
      expect([next, new URL(location, 'http://127.0.0.1:8787').host]).toEqual([next, '127.0.0.1:8787'])
      expect([next, /^\/(?![/\\])/.test(location)]).toEqual([next, true])
    }
  })

  test('WEB-09 the link in the terminal survives the sign-in, code included', async () => {
    const { server, provider } = await issuer()
    const person = gateWith([provider]).browser()
    const away = await person.get(PAGE)
    expect(away.status).toBe(303)
    const page = await (await person.get(away.headers.get('location') ?? '')).text()
    const button = /href="(\/auth\/sign-in\/oidc[^"]*)"/.exec(page)?.[1]?.replaceAll('&amp;', '&') ?? ''
    const start = await person.get(button)
    const back = await server.visit(start.headers.get('location') ?? '', 'ann')
    const done = await person.get(back.pathname + back.search)
    expect(done.headers.get('location')).toBe(PAGE)
  })

  test('WEB-08 line breaks in `next` reach no header', async () => {
    const { server, provider } = await issuer()
    const person = gateWith([provider]).browser()
    const done = await signIn(person, server, { next: '/auth/device?x=\r\nSet-Cookie: evil=1' })
    expect(done.headers.get('location')).not.toMatch(/[\r\n]/)
    expect(done.headers.getSetCookie().join()).not.toContain('evil')
  })
})

describe('a sign-in that goes wrong', () => {
  test('UP-01 cancelled at OpenID: said so, and the way on keeps where they were going', async () => {
    const { server, provider } = await issuer()
    const person = gateWith([provider]).browser()
    const response = await signIn(person, server, { login: null })
    const page = await response.text()
    expect(response.status).toBe(400)
    expect(page).toContain('Sign-in was cancelled at Example oidc')
    expect(page).toContain(`href="/auth/sign-in?next=${encodeURIComponent(PAGE)}"`)
    expect(page).not.toContain('The person cancelled')
    expect(await whoIs(person)).toBeNull()
  })

  test('UP-01 cancelled at GitHub, then tried again', async () => {
    const { server, provider } = await hub()
    const person = gateWith([provider]).browser()
    const response = await signIn(person, server, { id: 'github', login: null })
    expect([response.status, await title(response)]).toEqual([400, 'Sign-in cancelled'])
    expect(await response.text()).toContain('Sign-in was cancelled at GitHub')
    expect((await signIn(person, server, { id: 'github' })).status).toBe(303)
  })

  test('UP-01 an error in the answer is not repeated on the page', async () => {
    const { server, provider } = await issuer()
    const person = gateWith([provider]).browser()
    const state = new URLSearchParams((await comeBack(person, server)).split('?')[1]).get('state') ?? ''
    const query = new URLSearchParams({
      state,
      iss: server.issuer,
      error: 'server_error',
      error_description: 'Call 555-0100 <script>alert(1)</script>',
    })
    const response = await person.get(`/auth/sign-in/callback/oidc?${query}`)
    const page = await response.text()
    expect(response.status).toBe(502)
    expect(page).toContain('Sign-in at Example oidc did not work')
    expect(page).not.toContain('555-0100')
  })

  test('UP-04 a provider that is out of reach is a 502 page, on the way there and on the way back', async () => {
    const log = await collectLog()
    const away = await issuer('away')
    const { server, provider } = await issuer()
    await away.server.close()
    const person = gateWith([away.provider, provider]).browser()
    const there = await person.get(`/auth/sign-in/away?${new URLSearchParams({ next: PAGE })}`)
    expect([there.status, await title(there)]).toEqual([502, 'Sign-in failed'])
    const page = await there.text()
    expect(page).toContain('Sign-in at Example away did not work')
    expect(page).toContain(`href="/auth/sign-in?next=${encodeURIComponent(PAGE)}"`)
    expect(log()).toContain('ECONNREFUSED')
    const callback = await comeBack(person, server)
    await server.close()
    const back = await person.get(callback)
    expect([back.status, await title(back)]).toEqual([502, 'Sign-in failed'])
    expect(await whoIs(person)).toBeNull()
  })

  test('UP-04 a provider that comes back is asked again', async () => {
    const { server } = await hub()
    const person = gateWith([github(server)]).browser()
    const callback = await comeBack(person, server, { id: 'github' })
    const heard = vi.spyOn(globalThis, 'fetch').mockRejectedValueOnce(new TypeError('fetch failed'))
    expect((await person.get(callback)).status).toBe(502)
    expect(heard).toHaveBeenCalledOnce()
    expect((await signIn(person, server, { id: 'github' })).status).toBe(303)
  })

  test('UP-02 a callback that is garbage is a page, not a crash', async () => {
    const { provider } = await issuer()
    const person = gateWith([provider]).browser()
    await person.get('/auth/sign-in/oidc')
    for (const query of [
      '',
      '?',
      '?state',
      '?state=%',
      '?state=a&state=b',
      '?code=x&state=%00',
      '?error=access_denied',
    ]) {
      const response = await person.get(`/auth/sign-in/callback/oidc${query}`)
      expect([query, response.status]).toEqual([query, 400])
    }
    expect((await person.post('/auth/sign-in/callback/oidc', {})).status).toBe(405)
  })

  test('UP-04 the Host header does not change where a provider sends people back to', async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const response = await gate.gate.fetch(new Request('http://evil.example/auth/sign-in/oidc'), {
      remoteAddress: '127.0.0.1',
    })
    expect(response.status).toBe(421)
    expect(server.requests).toEqual([])
  })
})
