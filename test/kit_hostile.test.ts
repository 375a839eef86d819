/** The login kit against a server that means harm, or is none: whatever it answers, it harms itself alone. @module */

import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  type ClientOptions,
  createClient,
  credentialStore,
  type LoginError,
  type LoginPrompt,
} from '../clients/mod.ts'

const SERVER = 'https://evil.example/auth'
const OTHER = {
  ...{ server: 'https://gateway.example', client_id: 'mytool', issuer: 'i', subject: 'alice', name: null },
  ...({ kind: 'session', scope: '', expires_at: 2_000_000_000, refresh_token: null } as const),
  access_token: 'pgs_other',
}

/** What a good server answers. */
const GOOD: Readonly<Record<string, object>> = {
  'device.authorize': {
    ...{ device_code: 'd', user_code: 'WDJB-MJHT', expires_in: 600, interval: 5 },
    verification_uri: `${SERVER}/device`,
    verification_uri_complete: `${SERVER}/device?user_code=WDJB-MJHT`,
  },
  'device.token': { status: 'issued', access_token: 'pgk_secret', token_type: 'Bearer', expires_in: 60 },
  'session.whoami': {
    ...{ issuer: SERVER, subject: 'mallory', name: null, client_id: 'mytool' },
    ...{ kind: 'api_key', scope: '', expires_in: 60 },
  },
}

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pairgate-hostile-'))
})
afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

const openStore = () => credentialStore({ name: 'mytool', mode: 'file', directory })

/** A client of a server that answers so; data for the procedure, or a whole answer. */
function connect(answers: Readonly<Record<string, unknown>> = {}, options: Partial<ClientOptions> = {}) {
  const requests: Request[] = []
  const client = createClient({
    ...{ server: SERVER, clientId: 'mytool', store: openStore(), token: null },
    fetch: async (input, init) => {
      const request = new Request(input, init)
      requests.push(request)
      const name = new URL(request.url).pathname.split('/').pop() ?? ''
      const answer = name in answers ? answers[name] : GOOD[name]
      if (typeof answer === 'function') return answer()
      return answer instanceof Response ? answer.clone() : Response.json({ result: { data: answer } })
    },
    ...options,
  })
  return { client, requests }
}

/** Signs in; what was shown, how long it waited between polls, and how it ended. */
async function login(answers: Readonly<Record<string, unknown>>) {
  const shown: LoginPrompt[] = []
  const waits: number[] = []
  let now = 1_800_000_000_000
  const { client } = connect(answers, { now: () => now })
  const error = await client
    .login({
      ...{ via: 'device', browser: false, deviceName: 'test' },
      onPrompt: (prompt) => shown.push(prompt),
      async wait(ms) {
        waits.push(ms)
        now += ms
        if (waits.length > 100_000) throw new Error('It never ends')
      },
    })
    .then(
      () => null,
      (error: LoginError) => error,
    )
  return { error, shown, waits }
}

const changed = (name: string, change: object) => ({ [name]: { ...GOOD[name], ...change } })

test('a good server signs somebody in', async () => {
  expect((await login({})).error).toBe(null)
  expect(await openStore().list()).toMatchObject([{ subject: 'mallory', server: SERVER }])
})

describe('what it says of a login', () => {
  test.each([
    ...Object.entries({ issuer: null, subject: {}, scope: 7, kind: 'root', name: 5, client_id: [] }),
    ['subject', '\u001b]0;x\u0007alice'],
    ...[undefined, null, '60'].map((value): [string, unknown] => ['expires_in', value]),
  ])('never makes the kept logins unreadable: %s is %j', async (name, value) => {
    await openStore().save(OTHER, { activate: true })
    const { error } = await login(changed('session.whoami', { [name]: value }))
    expect(error).toMatchObject({ name: 'LoginError', code: 'not_pairgate' })
    expect(await openStore().list()).toMatchObject([{ subject: 'alice' }])
  })

  test('is kept whole or not at all, whoever calls the store', async () => {
    await openStore().save(OTHER)
    const half = { ...OTHER, subject: 'bob', expires_at: Number.NaN }
    await expect(openStore().save(half)).rejects.toMatchObject({ code: 'bad_credential_file' })
    expect(await openStore().list()).toMatchObject([{ subject: 'alice' }])
  })

  test('ends it only in those words', async () => {
    const login = { ...OTHER, server: SERVER, refresh_token: 'pgr_1', expires_at: 0 }
    for (const answer of [null, {}, { status: 'gone' }, { status: 'issued' }, { status: 'slow_down' }]) {
      await openStore().save(login)
      const { client } = connect({ 'session.refresh': answer })
      await expect(client.refresh()).rejects.toMatchObject({ code: 'not_pairgate' })
      expect(await openStore().find(SERVER)).toMatchObject({ refresh_token: 'pgr_1' })
    }
    const { client } = connect({ 'session.refresh': { status: 'invalid_grant' } })
    await expect(client.refresh()).rejects.toMatchObject({ code: 'not_signed_in' })
    expect(await openStore().find(SERVER)).toBe(null)
  })
})

describe('a start', () => {
  test.each([
    ['user_code', '\u001b[2JABCD'],
    ['user_code', { a: 1 }],
    ['user_code', ''],
    ['expires_in', 'soon'],
    ['expires_in', null],
    ['interval', 'often'],
  ])('is refused, and nothing is shown: %s is %j', async (name, value) => {
    const { error, shown } = await login(changed('device.authorize', { [name]: value }))
    expect([error?.code, shown]).toEqual(['not_pairgate', []])
  })

  test.each([[null], ['text'], [[]]])('is refused: %j', async (answer) => {
    expect((await login({ 'device.authorize': answer })).error?.code).toBe('not_pairgate')
  })

  test('leads to web pages of the server alone', async () => {
    for (const url of [
      `blob:${SERVER}/x`,
      'https://other.example/',
      'https://evil.example@other.example/',
      7,
    ]) {
      const { error } = await login(changed('device.authorize', { verification_uri_complete: url }))
      expect(error?.code).toBe('untrusted_url')
    }
  })
})

describe('polls', () => {
  test.each([
    ['token', changed('device.token', { access_token: 5 })],
    ['token', changed('device.token', { access_token: 'pgk_a\nhost=other.example' })],
    ['token', changed('device.token', { refresh_token: '' })],
    ['status', changed('device.token', { status: 'constructor' })],
    ['answer', { 'device.token': null }],
    ['interval', { 'device.token': { status: 'slow_down', interval: 'x' } }],
    ['interval', { 'device.token': { status: 'slow_down', interval: 1e12 } }],
    // a second is the least there is: not for a day, here
    [
      'interval',
      {
        ...changed('device.authorize', { expires_in: 3_600 }),
        'device.token': { status: 'authorization_pending', interval: -1 },
      },
    ],
  ])(
    'go on at a pace, and end: the %s is none',
    async (_, answers) => {
      const { error, waits } = await login({
        ...changed('device.authorize', { expires_in: 1e13 }),
        ...answers,
      })
      expect(error?.code).toBe('expired_token')
      expect(Math.min(...waits)).toBeGreaterThanOrEqual(1000)
      // a timer that is told to wait longer than 2^31 milliseconds does not wait at all
      expect(Math.max(...waits)).toBeLessThanOrEqual(86_400_000)
      expect(await openStore().list()).toEqual([])
    },
    20_000,
  )

  test('wait as long as they are told to, a day at most', async () => {
    const answer = new Response('{}', {
      status: 503,
      headers: { 'content-type': 'application/json', 'retry-after': '99999999999' },
    })
    const { error, waits } = await login({
      ...changed('device.authorize', { expires_in: 1e13 }),
      'device.token': answer,
    })
    expect([error?.code, waits]).toEqual(['expired_token', [86_400_000]])
  })
})

test('what it says of a failure cannot steer a terminal', async () => {
  const refusal = { message: 'no\u001b]0;x\u0007\u202e', code: -32_600, data: { code: 'BAD_REQUEST' } }
  const { error } = await login({ 'device.authorize': Response.json({ error: refusal }, { status: 400 }) })
  expect([error?.code, error?.message]).toEqual(['refused', 'no ]0;x '])
})

describe('a token that is none', () => {
  const TOKEN = 'pgk_secret\nsecond line'

  test('is in no message', async () => {
    const { client, requests } = connect({}, { token: TOKEN })
    const adopting = connect().client
    const calls = [
      () => client.fetch('/x'),
      () => client.api.session.whoami.query(),
      () => client.access(),
      () => adopting.adopt(TOKEN),
    ]
    for (const call of calls) {
      const error = await call().then(
        () => null,
        (error: LoginError) => error,
      )
      expect(error).toMatchObject({ name: 'LoginError', code: 'refused' })
      expect(JSON.stringify([error?.message, String(error?.cause)])).not.toContain('pgk_secret')
    }
    expect(requests).toEqual([])
  })

  test('white space around one in the environment is none of it', async () => {
    process.env.HOSTILE_TOKEN = ' pgk_secret\r\n'
    try {
      const { client } = connect({}, { name: 'hostile', token: undefined })
      expect((await client.access())?.access_token).toBe('pgk_secret')
    } finally {
      delete process.env.HOSTILE_TOKEN
    }
  })
})

describe('fetch', () => {
  test('sends no credential in clear text, except on this machine', () => {
    for (const origin of ['http://other.example', 'other.example', 'data:,']) {
      expect(() => connect({}, { origins: [origin] })).toThrow(
        expect.objectContaining({ code: 'bad_server' }),
      )
    }
    connect({}, { origins: ['https://other.example', 'http://127.0.0.1:3000'] })
  })

  test('does not refresh again and again for who refuses fresh tokens too', async () => {
    const store = openStore()
    await store.save({ ...OTHER, server: SERVER, refresh_token: 'pgr_1' })
    const issued = { ...GOOD['device.token'], expires_in: 3600, refresh_token: 'pgr_2' }
    const answers: Record<string, unknown> = {
      'session.refresh': issued,
      x: () => new Response('', { status: 401 }),
    }
    const { client, requests } = connect(answers)
    const refreshes = () => requests.filter(({ url }) => url.endsWith('session.refresh')).length
    for (let i = 0; i < 5; i++) expect((await client.fetch('/x')).status).toBe(401)
    expect(refreshes()).toBe(1)
  })

  test('reads the login once', async () => {
    const store = openStore()
    await store.save({ ...OTHER, server: SERVER })
    let count = 0
    const counted = {
      ...store,
      find: (...args: Parameters<typeof store.find>) => {
        count++
        return store.find(...args)
      },
    }
    await connect({}, { store: counted }).client.fetch('/x')
    expect(count).toBe(1)
    expect(await readFile(join(directory, 'credentials.json'), 'utf8')).toContain('pgs_other')
  })
})
