/** Who is signed in by the session of another library: the real Better Auth, and the real Auth.js. @module */

import { randomBytes } from 'node:crypto'
import { Auth, type AuthConfig, skipCSRFCheck } from '@auth/core'
import type { Adapter, AdapterSession, AdapterUser } from '@auth/core/adapters'
import Credentials from '@auth/core/providers/credentials'
import GitHub from '@auth/core/providers/github'
import { type BetterAuthOptions, betterAuth } from 'better-auth'
import { type MemoryDB, memoryAdapter } from 'better-auth/adapters/memory'
import { admin, bearer } from 'better-auth/plugins'
import { describe, expect, test } from 'vitest'
import { authJsSession, betterAuthSession } from '../adapters/gateway.ts'
import type { Identify, PairgateOptions } from '../src/mod.ts'
import { loginAs } from './support/credentials.ts'
import { BASE, type TestBrowser } from './support/gate.ts'
import { gateWith } from './support/identify.ts'

const PASSWORD = 'a long enough password'
const KEY = randomBytes(32).toString('hex')

/** A gate, and a browser whose cookies it sees. */
function gateFor(identify: Identify, options: Partial<PairgateOptions> = {}) {
  const t = gateWith(identify, options)
  const person = t.browser()
  return { ...t, person, status: async () => (await person.get('/secured')).status }
}

/** Puts the cookies of an answer into a browser. */
function keepCookies({ cookies }: TestBrowser, { headers }: Response) {
  for (const cookie of headers.getSetCookie()) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
    if (/max-age=0/i.test(cookie)) cookies.delete(name)
    else cookies.set(name, value)
  }
}

const headersOf = ({ cookies }: TestBrowser) =>
  new Headers({ cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') })

describe('Better Auth', () => {
  function makeAuth<Options extends BetterAuthOptions>(options: Options) {
    const tables: MemoryDB = { user: [], session: [], account: [], verification: [] }
    const auth = betterAuth({
      baseURL: BASE,
      basePath: '/api/auth',
      secret: KEY,
      database: memoryAdapter(tables),
      emailAndPassword: { enabled: true },
      telemetry: { enabled: false },
      logger: { disabled: true },
      ...options,
    })
    const signUp = async (person: TestBrowser, name: string) => {
      const body = JSON.stringify({ name, email: `${name}@example.com`, password: PASSWORD })
      const headers = { 'content-type': 'application/json', origin: BASE }
      const request = new Request(`${BASE}/api/auth/sign-up/email`, { method: 'POST', headers, body })
      const answered = await auth.handler(request)
      expect(answered.status).toBe(200)
      keepCookies(person, answered)
      return (await answered.json()) as { token: string; user: { id: string } }
    }
    return { auth, tables, signUp }
  }

  test.each(['device', 'pair'] as const)('whoever is signed in allows a login: %s', async (flow) => {
    const { auth, tables, signUp } = makeAuth({})
    const t = gateFor(betterAuthSession(auth), { maxAuthAgeSeconds: 60 })
    expect(await t.status()).toBe(401)
    const { user } = await signUp(t.person, 'alice')
    const { access_token } = await loginAs(t, t.person, flow)
    const answered = await t.fetch('/secured', { headers: { authorization: `Bearer ${access_token}` } })
    expect(await answered.text()).toContain('alice')
    const row = { issuer: BASE, subject: user.id, name: 'alice' }
    expect(t.rows('SELECT issuer, subject, name, email FROM users')).toEqual([{ ...row, email: null }])
    for (const one of tables.user ?? []) one.emailVerified = true
    await loginAs(t, t.person, flow)
    expect(t.rows('SELECT email FROM users')).toEqual([{ email: 'alice@example.com' }])
    // the sign-in is as old as its session
    for (const one of tables.session ?? []) one.createdAt = new Date(Date.now() - 61_000)
    await expect(loginAs(t, t.person, flow)).rejects.toThrow()
    await auth.api.signOut({ headers: headersOf(t.person) })
    expect(await t.status()).toBe(401)
  })

  test('GW-02 a session that was ended is nobody at once, whatever its copy in a cookie says', async () => {
    const { auth, tables, signUp } = makeAuth({ session: { cookieCache: { enabled: true, maxAge: 300 } } })
    const t = gateFor(betterAuthSession(auth))
    await signUp(t.person, 'alice')
    expect(await t.status()).toBe(200)
    const cached = async () => await auth.api.getSession({ headers: headersOf(t.person) })
    expect(await cached()).not.toBeNull()
    tables.session?.splice(0)
    expect(await cached()).not.toBeNull()
    expect(await t.status()).toBe(401)
  })

  test('without a database the copy in the cookie is the session', async () => {
    const { auth, signUp } = makeAuth({
      database: undefined,
      session: { cookieCache: { enabled: true, maxAge: 300, strategy: 'jwe' } },
    })
    const t = gateFor(betterAuthSession(auth))
    await signUp(t.person, 'alice')
    expect(await t.status()).toBe(200)
  })

  test('GW-02 a session that comes as a Bearer token allows nothing', async () => {
    const { auth, signUp } = makeAuth({ plugins: [bearer()] })
    const t = gateFor(betterAuthSession(auth))
    const { token } = await signUp(t.person, 'alice')
    expect((await t.person.get('/account')).status).toBe(200)
    const headers = { authorization: `Bearer ${token}`, cookie: 'theme=dark', accept: 'text/html' }
    expect(await auth.api.getSession({ headers: new Headers(headers) })).not.toBeNull()
    expect((await t.fetch('/account', { headers })).status).toBe(401)
  })

  test('GW-02 an administrator who impersonates somebody allows nothing as them', async () => {
    const { auth, tables, signUp } = makeAuth({ plugins: [admin()] })
    const t = gateFor(betterAuthSession(auth))
    const { user } = await signUp(t.browser(), 'alice')
    await signUp(t.person, 'root')
    for (const one of tables.user ?? []) if (one.id !== user.id) one.role = 'admin'
    const headers = new Headers(headersOf(t.person))
    headers.set('content-type', 'application/json')
    headers.set('origin', BASE)
    const body = JSON.stringify({ userId: user.id })
    const url = `${BASE}/api/auth/admin/impersonate-user`
    const answered = await auth.handler(new Request(url, { method: 'POST', headers, body }))
    expect(answered.status).toBe(200)
    expect(await t.status()).toBe(200)
    keepCookies(t.person, answered)
    expect((await auth.api.getSession({ headers: headersOf(t.person) }))?.user.id).toBe(user.id)
    expect(await t.status()).toBe(401)
  })

  test('toIdentity adds organisations, and can refuse; what fails inside is an error, not nobody', async () => {
    const { auth, tables, signUp } = makeAuth({})
    const identify = betterAuthSession(auth, {
      toIdentity: ({ user }, identity) =>
        user.name === 'bob'
          ? null
          : { ...identity, issuer: 'https://people.example', tenants: [{ id: 'acme' }] },
    })
    const t = gateFor(identify)
    await signUp(t.person, 'alice')
    await loginAs(t, t.person, 'pair')
    expect(t.rows('SELECT issuer FROM users')).toEqual([{ issuer: 'https://people.example' }])
    expect(t.rows('SELECT tenant FROM credentials')).toEqual([{ tenant: 'acme' }])
    for (const one of tables.user ?? []) one.name = 'bob'
    expect(await t.status()).toBe(401)
    Reflect.deleteProperty(tables, 'session')
    expect(await t.status()).toBe(500)
  })
})

/** The least of a database of Auth.js, for one user. */
function memoryOf(user: AdapterUser) {
  const sessions = new Map<string, AdapterSession>()
  const unused = async () => await Promise.reject(new Error('not asked for here'))
  const adapter: Adapter = {
    createUser: unused,
    getUser: unused,
    getUserByEmail: unused,
    getUserByAccount: unused,
    updateUser: unused,
    linkAccount: unused,
    createSession: unused,
    getSessionAndUser: async (token) => {
      const session = sessions.get(token)
      return session ? { session, user } : null
    },
    updateSession: async () => null,
    deleteSession: async (token) => void sessions.delete(token),
  }
  return { adapter, sessions }
}

describe('Auth.js', () => {
  const withId: AuthConfig['callbacks'] = {
    session: ({ session, token }) => ({ ...session, user: { ...session.user, id: token.sub ?? '' } }),
  }
  const makeConfig = (config: Partial<AuthConfig> = {}): AuthConfig => ({
    basePath: '/auth',
    secret: KEY,
    trustHost: true,
    skipCSRFCheck,
    logger: { error: () => {}, warn: () => {} },
    providers: [
      Credentials({
        credentials: { username: {} },
        authorize: ({ username }) => ({
          ...{ id: `id-${username}`, name: String(username), email: `${username}@example.com` },
        }),
      }),
    ],
    ...config,
  })
  const handlerOf = (config: AuthConfig) => async (request: Request) => await Auth(request, config)

  async function signIn(person: TestBrowser, config: AuthConfig, username: string, base = BASE) {
    const body = new URLSearchParams({ username })
    const request = new Request(`${base}/auth/callback/credentials`, { method: 'POST', body })
    const answered = await Auth(request, config)
    expect(answered.status).toBe(302)
    keepCookies(person, answered)
  }

  test.each(['device', 'pair'] as const)('whoever is signed in allows a login: %s', async (flow) => {
    const config = makeConfig({ callbacks: withId })
    const t = gateFor(authJsSession({ handler: handlerOf(config), url: `${BASE}/auth` }))
    expect(await t.status()).toBe(401)
    await signIn(t.person, config, 'alice')
    await loginAs(t, t.person, flow)
    const row = { issuer: BASE, subject: 'id-alice', name: 'alice' }
    expect(t.rows('SELECT issuer, subject, name, email FROM users')).toEqual([{ ...row, email: null }])
    t.person.cookies.set('authjs.session-token', 'made-up')
    expect(await t.status()).toBe(401)
  })

  test('GW-02 a session without user.id is an error that says what to do; no address stands in for it', async () => {
    const config = makeConfig()
    const t = gateFor(authJsSession({ handler: handlerOf(config), url: `${BASE}/auth/` }))
    await signIn(t.person, config, 'alice')
    expect(await t.status()).toBe(500)
    expect(t.errors().join()).toMatch(/has no "user.id".*set it in the callback "session"/)
    expect(t.errors().join()).not.toContain('alice')
    expect(t.rows('SELECT id FROM users')).toEqual([])
  })

  test('cookies are those of the public URL, whatever the request came by', async () => {
    const config = makeConfig({ callbacks: withId })
    const t = gateFor(authJsSession({ handler: handlerOf(config), url: 'https://gateway.example/auth' }))
    await signIn(t.person, config, 'alice', 'https://gateway.example')
    expect([...t.person.cookies.keys()].join()).toContain('__Secure-authjs.session-token')
    expect(await t.status()).toBe(200)
  })

  test('sessions in a database: an end counts at once, a verified address is passed on', async () => {
    const user = { id: 'u1', name: 'Alice', email: 'alice@example.com', emailVerified: new Date() }
    const { adapter, sessions } = memoryOf(user)
    const callbacks: AuthConfig['callbacks'] = { session: ({ session }) => session }
    const providers = [GitHub({ clientId: 'x', clientSecret: 'y' })]
    const config = makeConfig({ adapter, callbacks, session: { strategy: 'database' }, providers })
    const t = gateFor(authJsSession({ handler: handlerOf(config), url: `${BASE}/auth` }))
    sessions.set('s1', { sessionToken: 's1', userId: 'u1', expires: new Date(Date.now() + 86_400_000) })
    t.person.cookies.set('authjs.session-token', 's1')
    await loginAs(t, t.person, 'device')
    expect(t.rows('SELECT subject, email FROM users')).toEqual([{ subject: 'u1', email: user.email }])
    sessions.clear()
    expect(await t.status()).toBe(401)
  })

  test('a function of the framework will do, and toIdentity adds what Auth.js does not know', async () => {
    const session = {
      user: { id: 'u1', name: 'Alice', email: 'alice@example.com' },
      provider: 'github',
      at: 7,
    }
    const identify = authJsSession({
      session: ({ headers }) => (headers.get('cookie')?.includes('me=1') ? session : null),
      toIdentity: ({ provider, at, user: { email } }, identity) =>
        provider === 'github' ? { ...identity, issuer: 'https://github.com', email, auth_time: at } : null,
    })
    const t = gateFor(identify)
    expect(await t.status()).toBe(401)
    t.person.cookies.set('me', '1')
    await loginAs(t, t.person, 'pair')
    expect(t.rows('SELECT issuer, subject, email FROM users')).toEqual([
      { issuer: 'https://github.com', subject: 'u1', email: 'alice@example.com' },
    ])
  })

  test('when Auth.js fails the answer is an error, not nobody', async () => {
    const t = gateFor(authJsSession({ handler: handlerOf(makeConfig({ secret: '' })), url: `${BASE}/auth` }))
    t.person.cookies.set('authjs.session-token', 'x')
    expect(await t.status()).toBe(500)
    expect(t.errors().join()).toContain('Auth.js answered 500')
  })
})

test('wrong options are refused', () => {
  const handler = () => new Response()
  const wrong: [() => unknown, RegExp][] = [
    [() => authJsSession({ handler, url: '/auth' }), /"url" must be an absolute URL/],
    [() => authJsSession({ handler, url: 'http://gateway.example/auth' }), /"url" must be https/],
    [() => authJsSession({ handler, url: `${BASE}/auth?x=1` }), /without query/],
    [() => authJsSession({ url: `${BASE}/auth` } as never), /"handler" must be a function/],
    [() => authJsSession({ session: null } as never), /"session" must be a function/],
    [() => authJsSession({ session: () => null, url: BASE } as never), /"url" is unknown/],
    [() => betterAuthSession({} as never), /"auth" must be what betterAuth\(\) returned/],
    [() => betterAuthSession(undefined as never), /"auth" must be what betterAuth\(\) returned/],
  ]
  for (const [make, message] of wrong) {
    expect(make).toThrow(message)
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_PAIRGATE_OPTION' }))
  }
})
