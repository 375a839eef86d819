/** The login kit against a real server: a login that is kept, used, refreshed and ended. @module */

import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import {
  type ClientOptions,
  type CredentialStore,
  createClient,
  credentialStore,
  type LoginError,
  type LoginPrompt,
} from '../clients/mod.ts'
import { type LiveGate, listenGate } from './support/listen.ts'

const OPTIONS = {
  clients: { mytool: { scopes: ['read', 'offline_access'] } },
  limits: { startPerMinute: 10_000 },
}

let gate: LiveGate
beforeAll(async () => {
  gate = await listenGate(() => OPTIONS, '/auth')
})
afterAll(async () => {
  await gate.close()
  await gate.gate.close()
})

let store: CredentialStore
/** What the client's clock is ahead of the server's, in seconds. */
let ahead: number
beforeEach(() => {
  store = credentialStore({ name: 'mytool', mode: 'ephemeral' })
  ahead = 0
})

/** A client on the server's clock. */
const connect = (options: Partial<ClientOptions> = {}) =>
  createClient({
    server: gate.base,
    clientId: 'mytool',
    store,
    now: () => clock() + ahead * 1000,
    ...options,
  })
let passed = 0
const clock = () => Date.now() + passed * 1000
/** Moves both clocks on. */
const pass = (seconds: number) => {
  passed += seconds
  gate.advance(seconds)
}

/** How a login is told what to do: a person decides before the second poll. */
async function decidedBy(name: string, decision: 'allow' | 'deny' = 'allow', scope = '') {
  const person = gate.browser()
  await person.post('/auth/sign-in/dev', { username: name })
  let decided: Promise<Response> | undefined
  return {
    via: 'device' as const,
    browser: false,
    onPrompt: ({ url }: LoginPrompt) => {
      // what a form of a browser has ticked, when boxes were shown
      const ticked = Object.fromEntries(
        scope
          .split(' ')
          .filter(Boolean)
          .map((token) => [`scope:${token}`, '1']),
      )
      decided = person.decide(new URL(url).pathname + new URL(url).search, decision, ticked)
    },
    async wait(ms: number) {
      pass(ms / 1000)
      expect((await decided)?.status).toBe(200)
    },
  }
}

const REFRESHABLE = { scope: 'read offline_access' }

async function signedIn(
  name = 'alice',
  how: { scope?: string; deviceName?: string } = {},
  client = connect(),
) {
  const login = await client.login({ ...(await decidedBy(name, 'allow', how.scope)), ...how })
  return { client, login }
}

const failure = async (work: Promise<unknown>) =>
  await work.then(
    () => null,
    (error: LoginError) => error,
  )
const codeOf = async (work: Promise<unknown>) => (await failure(work))?.code

const count = (type: string) => gate.rows('select id from events where type = ?', type).length

describe('a login', () => {
  test('is kept, and the next run of the program uses it', async () => {
    const { login } = await signedIn()
    expect(login).toMatchObject({ server: gate.base, subject: 'alice', kind: 'api_key', replaced: null })
    expect(JSON.stringify(login)).not.toMatch(/pg[ksr]_/)
    const next = connect()
    expect(await next.api.session.whoami.query()).toMatchObject({ subject: 'alice', client_id: 'mytool' })
    const answer = await next.fetch(`${gate.base}/secured`)
    expect(await answer.text()).toBe('You are authenticated as: alice')
  })

  test('is called by the name of the user and the machine, unless told otherwise', async () => {
    const { client } = await signedIn()
    expect((await client.api.session.whoami.query()).credential_name).toMatch(/^\S+@\S+/)
    await signedIn('alice', { deviceName: 'build box' }, client)
    expect((await client.api.session.whoami.query()).credential_name).toContain('build box')
  })

  test('takes the place of the one before, which is revoked', async () => {
    const { client } = await signedIn()
    const before = await client.access()
    const { login } = await signedIn('alice', {}, client)
    expect(login.replaced).toBe('revoked')
    const old = connect({ token: before?.access_token })
    expect((await old.fetch(`${gate.base}/secured`)).status).toBe(401)
    expect(await store.list()).toHaveLength(1)
  })

  test('of another person stands beside, and is the active one', async () => {
    const { client } = await signedIn('alice')
    await signedIn('bob', {}, client)
    expect((await store.list()).map(({ subject, active }) => [subject, active])).toEqual(
      expect.arrayContaining([
        ['alice', false],
        ['bob', true],
      ]),
    )
    const [alice] = (await store.list()).filter(({ subject }) => subject === 'alice')
    expect(await connect().api.session.whoami.query()).toMatchObject({ subject: 'bob' })
    expect(await connect({ account: alice }).api.session.whoami.query()).toMatchObject({ subject: 'alice' })
  })

  test('of the wrong person is ended and not kept', async () => {
    const { client, login } = await signedIn('alice')
    const revoked = count('revoked')
    const wrong = client.login({ ...(await decidedBy('bob')), account: login })
    expect(await codeOf(wrong)).toBe('wrong_account')
    expect(await store.list()).toHaveLength(1)
    expect(count('revoked')).toBe(revoked + 1)
  })

  test('that was denied keeps nothing', async () => {
    expect(await codeOf(connect().login(await decidedBy('alice', 'deny')))).toBe('access_denied')
    expect(await store.list()).toEqual([])
  })

  test('that cannot be kept is revoked', async () => {
    const broken: CredentialStore = { ...store, save: () => Promise.reject(new Error('disk full')) }
    const revoked = count('revoked')
    const client = connect({ store: broken })
    await expect(client.login(await decidedBy('alice'))).rejects.toThrow('disk full')
    expect(count('revoked')).toBe(revoked + 1)
  })

  test('asks nobody for anything where it could not be kept', async () => {
    const full = credentialStore({ name: 'mytool', mode: 'file', directory: '/dev/null/mytool' })
    const client = connect({ store: full })
    const login = client.login({ via: 'device', browser: false, onPrompt: () => expect.unreachable() })
    expect(await codeOf(login)).toBe('bad_credential_file')
    expect(await codeOf(client.start({}))).toBe('bad_credential_file')
  })

  test('in two runs is completed at the server that it was started at', async () => {
    const client = connect()
    const pending = await client.start({})
    const elsewhere = { ...pending, server: 'https://other.example' }
    expect(await codeOf(client.complete(elsewhere, {}))).toBe('bad_server')
    const { onPrompt, wait } = await decidedBy('alice')
    onPrompt({ url: pending.verification_uri_complete } as LoginPrompt)
    expect(await client.complete(pending, { wait })).toMatchObject({ subject: 'alice', kind: 'api_key' })
  })

  test('by a key that was made elsewhere is checked first', async () => {
    const { client } = await signedIn('alice')
    const { access_token = '' } = (await client.access()) ?? {}
    const other = connect({ store: credentialStore({ name: 'other', mode: 'ephemeral' }) })
    expect(await other.adopt(access_token)).toMatchObject({ subject: 'alice', replaced: null })
    expect(await other.api.session.whoami.query()).toMatchObject({ subject: 'alice' })
    expect(await codeOf(other.adopt('pgk_nonsense'))).toBe('not_signed_in')
    // the same one again ends nothing
    expect(await other.adopt(access_token)).toMatchObject({ replaced: null })
    expect((await client.fetch(`${gate.base}/secured`)).status).toBe(200)
  })
})

describe('fetch', () => {
  test('goes to the server’s origin, and to those that are named', async () => {
    const { client } = await signedIn()
    expect((await client.fetch('/auth/secured')).status).toBe(200)
    expect((await client.fetch(new URL('/auth/secured', gate.base))).status).toBe(200)
    expect((await client.fetch(new Request(`${gate.base}/secured`))).status).toBe(200)
    const seen: (string | null)[] = []
    const inner: typeof fetch = async (input, init) => {
      const request = new Request(input, init)
      seen.push(request.headers.get('authorization'))
      return new Response()
    }
    const wide = connect({ origins: ['https://api.example'], fetch: inner })
    await wide.fetch('https://api.example/x', { method: 'POST', body: 'hello' })
    expect(seen).toEqual([expect.stringMatching(/^Bearer pgk_/)])
    for (const url of [
      'https://evil.example/',
      'http://api.example/',
      '//evil.example/',
      'https://api.example.evil/',
    ])
      expect(await codeOf(wide.fetch(url))).toBe('untrusted_url')
    expect(seen).toHaveLength(1)
  })

  test('says who nobody is', async () => {
    expect(await codeOf(connect().fetch('/auth/secured'))).toBe('not_signed_in')
    expect(await connect().access()).toBeNull()
  })
})

describe('a refresh', () => {
  test('comes a minute early, once, and keeps what came of it', async () => {
    const { client } = await signedIn('alice', REFRESHABLE)
    const first = await client.access()
    pass(3600 - 70)
    expect(await client.access()).toEqual(first)
    pass(11)
    const refreshed = count('refreshed')
    const all = await Promise.all(Array.from({ length: 5 }, () => client.fetch('/auth/secured')))
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect(count('refreshed')).toBe(refreshed + 1)
    const next = await connect().access()
    expect(next?.access_token).not.toBe(first?.access_token)
    expect(next?.login?.refresh_token).not.toBe(first?.login?.refresh_token)
  })

  /** The gateway's own service: says back what it was sent, to whoever may. */
  function echo(seen: string[] = []): typeof fetch {
    return async (input, init) => {
      const request = new Request(input, init)
      if (!request.url.endsWith('/api/echo')) return await fetch(request)
      seen.push(await request.clone().text())
      return (await gate.gate.authenticate(request, { remoteAddress: '127.0.0.1' }))
        ? new Response(request.body)
        : new Response(null, { status: 401 })
    }
  }

  test('follows a 401, and the request is made once more, body included', async () => {
    await signedIn('alice', REFRESHABLE)
    pass(4000)
    // here the token still looks good
    ahead = -4000
    const seen: string[] = []
    const answer = await connect({ fetch: echo(seen) }).fetch('/api/echo', { method: 'POST', body: 'hello' })
    expect([answer.status, await answer.text(), seen]).toEqual([200, 'hello', ['hello', 'hello']])
  })

  test('is tried once: a second 401 is the answer', async () => {
    await signedIn('alice', REFRESHABLE)
    const refreshed = count('refreshed')
    let calls = 0
    const never: typeof fetch = async (input, init) => {
      const request = new Request(input, init)
      if (!request.url.endsWith('/api/echo')) return await fetch(request)
      calls++
      return new Response('no', { status: 401 })
    }
    expect((await connect({ fetch: never }).fetch('/api/echo')).status).toBe(401)
    expect([calls, count('refreshed') - refreshed]).toEqual([2, 1])
  })

  test('is not tried for a login that has none', async () => {
    const { client } = await signedIn('alice')
    expect(await codeOf(client.refresh())).toBe('refused')
    const { access_token = '' } = (await client.access()) ?? {}
    await connect({ token: access_token }).api.session.signOut.mutate({})
    const seen: string[] = []
    expect((await connect({ fetch: echo(seen) }).fetch('/api/echo')).status).toBe(401)
    expect(seen).toHaveLength(1)
  })

  test('on demand brings another access token', async () => {
    const { client } = await signedIn('alice', REFRESHABLE)
    const before = await client.access()
    expect(await client.refresh()).toMatchObject({ subject: 'alice', scope: 'read offline_access' })
    expect((await client.access())?.access_token).not.toBe(before?.access_token)
  })

  test('of a login that is over forgets it', async () => {
    const { client } = await signedIn('alice', REFRESHABLE)
    const login = await store.find(gate.base)
    await connect({ token: login?.access_token }).api.session.signOut.mutate({})
    expect(await codeOf(client.fetch('/auth/secured'))).toBe('not_signed_in')
    expect(await store.list()).toEqual([])
  })

  test('that fails for now leaves the login alone, and uses the token while it is good', async () => {
    const { client } = await signedIn('alice', REFRESHABLE)
    const before = await client.access()
    const down: typeof fetch = async (input, init) =>
      String(input instanceof Request ? input.url : input).includes('session.refresh')
        ? new Response('<h1>Bad Gateway</h1>', { status: 502, headers: { 'content-type': 'text/html' } })
        : await fetch(input, init)
    const shaky = connect({ fetch: down })
    pass(3600 - 30)
    expect(await shaky.access()).toEqual(before)
    pass(31)
    expect(await codeOf(shaky.access())).toBe('busy')
    expect(await store.list()).toHaveLength(1)
    expect((await client.fetch('/auth/secured')).status).toBe(200)
  })
})

describe('signing out', () => {
  test('revokes the login with all its tokens, and forgets it', async () => {
    const { client } = await signedIn('alice', REFRESHABLE)
    const { refresh_token = '', access_token = '' } = (await store.find(gate.base)) ?? {}
    expect(await client.logout()).toMatchObject({ login: { subject: 'alice' }, error: null })
    expect(await store.list()).toEqual([])
    expect(await client.logout()).toBeNull()
    const old = connect({ token: access_token })
    expect((await old.fetch('/auth/secured')).status).toBe(401)
    const again = await old.api.session.refresh.mutate({
      client_id: 'mytool',
      refresh_token: refresh_token ?? '',
    })
    expect(again).toEqual({ status: 'invalid_grant' })
  })

  test('also ends a login whose access token is over', async () => {
    const { client } = await signedIn('alice', REFRESHABLE)
    const revoked = count('revoked')
    pass(4000)
    expect((await client.logout())?.error).toBeNull()
    expect(count('revoked')).toBe(revoked + 1)
  })

  test('forgets a login also where the server is away, and says so', async () => {
    await signedIn('alice')
    const away: typeof fetch = () => Promise.reject(new TypeError('fetch failed'))
    const result = await connect({ fetch: away }).logout()
    expect(result?.error?.code).toBe('unreachable')
    expect(await store.list()).toEqual([])
  })
})

describe('a token of the environment', () => {
  test('stands above all logins, and is named where it is in the way', async () => {
    const { client } = await signedIn('alice')
    const { access_token = '' } = (await client.access()) ?? {}
    vi.stubEnv('MYTOOL_TOKEN', access_token)
    try {
      const other = connect({ store: credentialStore({ name: 'none', mode: 'ephemeral' }) })
      expect(await other.api.session.whoami.query()).toMatchObject({ subject: 'alice' })
      expect(await other.access()).toEqual({ access_token, login: null })
      for (const work of [
        () => other.logout(),
        () => other.refresh(),
        () => other.adopt('x'),
        () => other.login({ onPrompt: () => expect.unreachable() }),
      ]) {
        const error = await failure(work())
        expect([error?.code, error?.message]).toEqual([
          'environment_token',
          expect.stringContaining('MYTOOL_TOKEN'),
        ])
        expect(error?.message).not.toContain(access_token)
      }
      expect(await connect({ token: null }).access()).toMatchObject({ login: { subject: 'alice' } })
    } finally {
      vi.unstubAllEnvs()
    }
  })

  test('has the name of the program', async () => {
    vi.stubEnv('ACME_DEPLOY_TOKEN', 'pgk_x')
    try {
      expect(await connect({ clientId: 'acme/deploy' }).access()).toMatchObject({ access_token: 'pgk_x' })
      expect(await connect({ name: 'acme.deploy' }).access()).toMatchObject({ access_token: 'pgk_x' })
    } finally {
      vi.unstubAllEnvs()
    }
  })
})
