/** The typed client and its two logins, most of it against a real server over real sockets. @module */

import { createHash } from 'node:crypto'
import { getEventListeners } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { serve } from '../adapters/node.ts'
import {
  LoginError,
  type LoginPrompt,
  parseServer,
  type SignInOptions,
  toLoginError,
} from '../clients/mod.ts'
import { createBrowser, createTestGate, type TestBrowser, type TestGate } from './support/gate.ts'
import { createClient, loginWithDevice, loginWithPaircode } from './support/kit.ts'
import { findFreePort } from './support/standalone.ts'

let server: string
let gate: TestGate
let close: () => Promise<void>

beforeAll(async () => {
  const port = await findFreePort()
  server = `http://127.0.0.1:${port}/auth`
  // one that holds no polls: they come at a pace
  gate = createTestGate({ baseUrl: server, limits: { heldPerAddress: 0 } })
  ;({ close } = await serve(gate.gate, { hostname: '127.0.0.1', port }))
})
afterAll(async () => {
  await close()
  await gate.gate.close()
})

async function signedIn(username: string): Promise<TestBrowser> {
  const browser = createBrowser((path, init) => fetch(new URL(path, server), init), new URL(server).origin)
  await browser.post('/auth/sign-in/dev', { username })
  return browser
}

/** Options with the server's clock: waiting moves it on, and nobody sleeps. `onWait` comes first. */
function quick(onWait: (prompt: LoginPrompt) => unknown, options: Partial<SignInOptions> = {}) {
  const prompts: LoginPrompt[] = []
  const waits: number[] = []
  let now = 0
  const login: SignInOptions = {
    onPrompt: (prompt) => prompts.push(prompt),
    now: () => now,
    async wait(ms) {
      waits.push(ms / 1000)
      now += ms
      gate.advance(ms / 1000)
      await onWait(prompts[0]!)
    },
    ...options,
  }
  return { login, prompts, waits }
}

async function decided(decision: 'allow' | 'deny', username: string) {
  const browser = await signedIn(username)
  let done = false
  return async ({ url }: LoginPrompt) => {
    if (!done) expect((await browser.decide(url, decision)).status).toBe(200)
    done = true
  }
}

const failure = (login: Promise<unknown>) =>
  login.then(
    () => null,
    (error: LoginError) => error,
  )

const FLOWS = [
  ['device', loginWithDevice, 'api_key'],
  ['pair', loginWithPaircode, 'session'],
] as const

describe.each(FLOWS)('%s flow', (flow, signIn, kind) => {
  test('ends in a credential of the person who allowed it', async () => {
    const { login, prompts, waits } = quick(await decided('allow', 'alice'), { deviceName: 'alice@laptop' })
    const token = await signIn(createClient({ server }), login)
    expect(Object.keys(token).sort()).toEqual(['access_token', 'expires_in', 'token_type'])
    expect(waits).toEqual([5])
    expect(prompts).toHaveLength(1)
    expect(prompts[0]).toMatchObject({ via: flow === 'pair' ? 'link' : flow, expires_in: 600 })
    expect(prompts[0]!.url.startsWith(`${server}/`)).toBe(true)
    const { api } = createClient({ server, token: token.access_token })
    const who = await api.session.whoami.query()
    expect(who).toMatchObject({ subject: 'alice', kind, client_id: 'pairgate-cli' })
    expect(who.credential_name).toContain('alice@laptop')
  })

  test('ends in access_denied when the person says no', async () => {
    const { login } = quick(await decided('deny', 'alice'))
    const error = await failure(signIn(createClient({ server }), login))
    expect(error).toBeInstanceOf(LoginError)
    expect(error?.code).toBe('access_denied')
  })

  test('ends in expired_token when nobody decides', async () => {
    const { login, waits } = quick(() => {})
    expect((await failure(signIn(createClient({ server }), login)))?.code).toBe('expired_token')
    expect(waits.reduce((sum, seconds) => sum + seconds)).toBeLessThanOrEqual(605)
  })

  test('stops at the signal, and leaves no listener on it', async () => {
    const controller = new AbortController()
    const { signal } = controller
    const onPrompt = () => setTimeout(() => controller.abort(), 50)
    const error = await failure(signIn(createClient({ server }), { onPrompt, signal }))
    expect(error?.name).toBe('AbortError')
    expect(getEventListeners(signal, 'abort')).toEqual([])
    await expect(signIn(createClient({ server }), { onPrompt, signal })).rejects.toThrow(signal.reason)
  })
})

test('PC-12 the verifier travels only in POST bodies, the link holds its S256', async () => {
  const requests: { url: string; method: string; body: string }[] = []
  const recorded: typeof fetch = async (input, init) => {
    const request = new Request(input, init)
    const { url, method } = request
    requests.push({ url, method, body: await request.clone().text() })
    return await fetch(request)
  }
  const { login, prompts } = quick(await decided('allow', 'alice'))
  await loginWithPaircode(createClient({ server, fetch: recorded }), login)
  const polls = requests.filter(({ body }) => body.includes('verifier'))
  const { verifier } = JSON.parse(polls[0]!.body) as { verifier: string }
  const paircode = createHash('sha256').update(verifier).digest('base64url')
  expect(verifier).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(prompts[0]!.url).toBe(`${server}/pair/${paircode}`)
  expect(polls.map(({ url, method }) => [url, method])).toEqual(
    polls.map(() => [`${server}/trpc/pair.token`, 'POST']),
  )
  expect(requests.filter(({ url, body }) => (url + body).includes(verifier))).toEqual(polls)
})

/** A client whose server answers from a script: a status and a body each, or an error to throw. */
function scripted(...answers: (Error | { status?: number; headers?: HeadersInit; body: unknown })[]) {
  return createClient({
    server: 'http://127.0.0.1:8787',
    async fetch() {
      const answer = answers.shift()
      if (!answer) throw new TypeError('The script is over')
      if (answer instanceof Error) throw answer
      const { status = 200, headers = { 'content-type': 'application/json' }, body } = answer
      return new Response(typeof body === 'string' ? body : JSON.stringify(body), { status, headers })
    },
  })
}

const result = (data: object) => ({ body: { result: { data } } })
const START = {
  device_code: 'd',
  user_code: 'BCDF-GHJK',
  verification_uri: 'http://127.0.0.1:8787/device',
  verification_uri_complete: 'http://127.0.0.1:8787/device?user_code=BCDF-GHJK',
  expires_in: 600,
  interval: 5,
}
const ISSUED = { status: 'issued', access_token: 'pgk_x', token_type: 'Bearer', expires_in: 60, scope: 'a b' }
const html = { 'content-type': 'text/html' }

test('polls slower when told to, for all later polls', async () => {
  const slower: number[] = []
  const { login, waits } = quick(() => {}, { onSlowDown: (interval) => slower.push(interval) })
  const pending = { status: 'authorization_pending', interval: 10 }
  const answers = [START, { status: 'slow_down', interval: 10 }, pending, ISSUED]
  const { status: _, ...token } = ISSUED
  expect(await loginWithDevice(scripted(...answers.map(result)), login)).toEqual(token)
  expect({ waits, slower }).toEqual({ waits: [10, 10], slower: [10] })
})

test('outlasts a server that is away, in trouble, or asks for a pause', async () => {
  const retries: string[] = []
  const { login, waits } = quick(() => {}, { onRetry: ({ code }) => retries.push(code) })
  const limited = { error: { message: 'Too many requests', code: -32029, data: {} } }
  const client = scripted(
    result(START),
    new TypeError('fetch failed', { cause: { code: 'ECONNREFUSED' } }),
    { status: 502, headers: html, body: '<h1>Bad Gateway</h1>' },
    { status: 404, headers: html, body: '<h1>Not yet</h1>' },
    { status: 429, headers: { 'content-type': 'application/json', 'retry-after': '30' }, body: limited },
    result(ISSUED),
  )
  expect((await loginWithDevice(client, login)).access_token).toBe('pgk_x')
  expect(retries).toEqual(['unreachable', 'busy', 'not_pairgate', 'busy'])
  expect(waits).toEqual([5, 5, 5, 30])
})

test('gives up at the deadline when the server stays away', async () => {
  const { login } = quick(() => {})
  const error = await failure(loginWithDevice(scripted(result({ ...START, expires_in: 60 })), login))
  expect(error?.code).toBe('expired_token')
  expect((error?.cause as LoginError | undefined)?.code).toBe('unreachable')
})

test('a code that was collected before ends in invalid_grant', async () => {
  const { login } = quick(() => {})
  const client = scripted(result(START), result({ status: 'invalid_grant' }))
  expect((await failure(loginWithDevice(client, login)))?.code).toBe('invalid_grant')
})

test.each([
  'https://evil.example/device',
  'http://127.0.0.1:8788/device',
  'http://user@127.0.0.1:8787/device',
  'javascript:alert(1)',
  'nonsense',
])('refuses to show the page %s', async (url) => {
  const { login, prompts } = quick(() => {})
  for (const name of ['verification_uri', 'verification_uri_complete']) {
    const error = await failure(loginWithDevice(scripted(result({ ...START, [name]: url })), login))
    expect(error?.code).toBe('untrusted_url')
  }
  const pair = { login_url: url, match_code: 'maple 42', expires_in: 600, interval: 5 }
  expect((await failure(loginWithPaircode(scripted(result(pair)), login)))?.code).toBe('untrusted_url')
  expect(prompts).toEqual([])
})

test('names what is wrong with the server', async () => {
  const start = (options: { server: string; clientId?: string }) =>
    failure(loginWithDevice(createClient(options), { onPrompt() {} }))
  expect((await start({ server: `http://127.0.0.1:${await findFreePort()}` }))?.code).toBe('unreachable')
  expect((await start({ server: new URL(server).origin }))?.code).toBe('not_pairgate')
  expect((await start({ server: server.replace('127.0.0.1', 'localhost') }))?.message).toContain('host name')
  const refused = await start({ server, clientId: 'nobody' })
  expect([refused?.code, refused?.message]).toEqual(['refused', expect.stringContaining('invalid_client')])
  const { api } = createClient({ server, token: 'pgs_wrong' })
  expect(toLoginError(await failure(api.session.whoami.query())).code).toBe('not_signed_in')
})

test('says what a server said that failed outside of tRPC, and nothing about tRPC', async () => {
  const text = 'The body of this request was read before pairgate got it: mount pairgate before body parsers'
  const json = { 'content-type': 'application/json' }
  const answers = [
    [
      {
        status: 500,
        headers: json,
        body: JSON.stringify({ error: 'server_error', error_description: text }),
      },
      text,
    ],
    [{ status: 500, headers: json, body: '{"error_description":7}' }, 'The server is in trouble'],
    [
      { status: 502, headers: { 'content-type': 'text/html' }, body: '<html></html>' },
      'The server is in trouble',
    ],
  ] as const
  for (const [answer, words] of answers) {
    const error = await failure(loginWithDevice(scripted(answer), { onPrompt() {} }))
    expect([error?.code, error?.message]).toEqual(['busy', `${words} (HTTP ${answer.status})`])
  }
})

test('follows no redirect, which would take secrets along', async () => {
  const headers = { location: 'https://evil.example/' }
  const error = await failure(
    loginWithDevice(scripted({ status: 307, headers, body: '' }), { onPrompt() {} }),
  )
  expect(error?.code).toBe('not_pairgate')
})

test('gives up on a server that accepts and says nothing', async () => {
  const silent: typeof fetch = (_, init) =>
    new Promise((_resolve, reject) =>
      init?.signal?.addEventListener('abort', () => reject(init.signal?.reason)),
    )
  const client = createClient({ server: 'http://127.0.0.1:8787', timeout: 20, fetch: silent })
  expect((await failure(loginWithDevice(client, { onPrompt() {} })))?.code).toBe('unreachable')
})

test('reads a base URL', () => {
  expect(parseServer('https://gateway.example/auth/')).toBe('https://gateway.example/auth')
  expect(parseServer('http://127.0.0.1:8787')).toBe('http://127.0.0.1:8787')
  expect(parseServer('http://[::1]:8787/?a=b#c')).toBe('http://[::1]:8787')
  for (const wrong of [
    'gateway',
    'http://gateway.example',
    'http://127.0.0.1.evil.example',
    'ftp://x',
    'https://a:b@x',
  ]) {
    expect(() => parseServer(wrong)).toThrow(expect.objectContaining({ code: 'bad_server' }))
  }
})
