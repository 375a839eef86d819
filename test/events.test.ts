/** The audit trail: what is told of what happens, to whom, and for how long it is kept. @module */

import { inspect } from 'node:util'
import { type LogRecord, reset } from '@logtape/logtape'
import { DummyDriver, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Tables } from '../adapters/migrations.ts'
import { compileStatement, type StatementName, statements } from '../adapters/statements.ts'
import type { PairgateOptions } from '../src/mod.ts'
import type { PairgateEvent } from '../src/options.ts'
import { EVENT_TYPES } from '../src/store.ts'
import { personAt, postForm, refreshAt, useToken } from './support/credentials.ts'
import { BASE, pollDevice, pollPair, SECRET, startDevice, startPair } from './support/gate.ts'
import { call, pageHeaders } from './support/logins.ts'
import { catchLog, createSettledGate, listenWebhook, type SettledGate } from './support/webhook_receiver.ts'

const DEV = 'urn:pairgate:dev'
const ALICE = { issuer: DEV, subject: 'alice' }
const YEAR = 31_536_000

let records: LogRecord[] = []
beforeEach(async () => {
  records = await catchLog()
})
afterEach(reset)

const errors = () =>
  records.filter(({ level }) => level === 'error').map(({ rawMessage }) => String(rawMessage))
const byId = (events: readonly PairgateEvent[]) => [...events].sort((a, b) => (a.id < b.id ? -1 : 1))

/** What a tour needs: everything that can be refused once is refused soon. */
const TOUR: Partial<PairgateOptions> = {
  clients: { mytool: { scopes: ['read', 'offline_access'] } },
  scopes: { read: 'Read' },
  limits: { wrongCodesTotal: 1, startPerMinute: 4 },
  isAllowed: ({ subject }) => subject !== 'mallory',
}

/** Makes everything happen that can. Returns every secret on the way. */
async function tour(t: SettledGate): Promise<string[]> {
  const alice = await personAt(t, 'alice')
  const headers = pageHeaders(alice, BASE)
  const act = async (path: string, input: Record<string, string>, as = headers) => {
    const { body } = await call(t.fetch, path, input, as)
    return body
  }
  const login = await startDevice(t, { client_id: 'mytool', scope: 'read offline_access' })
  for (const user_code of ['BCDF-GHJK', 'BCDF-GHJL']) await act('device.review', { user_code })
  await act('device.approve', { user_code: login.user_code })
  const tokens = (await pollDevice(t, login.device_code, { client_id: 'mytool' })).body
  await pollDevice(t, login.device_code, { client_id: 'mytool' })
  await useToken(t, String(tokens.access_token))
  const fresh = (await refreshAt(t, String(tokens.refresh_token))).body
  await postForm(t, '/oauth/revoke', { client_id: 'mytool', token: String(fresh.access_token) })

  const pair = await startPair(t)
  await act('pair.approve', { paircode: pair.paircode })
  const session = (await pollPair(t, pair.verifier)).body
  const denied = await startDevice(t)
  await act('device.deny', { user_code: denied.user_code })

  const key = await act('keys.create', { name: 'build' })
  const rotated = await act('keys.rotate', { id: String(key.id) })
  const page = await (await alice.get('/account')).text()
  const form = page.split('<form ').find((text) => text.includes(`value="${key.id}"`)) ?? ''
  const [, formToken = ''] = /name="form_token" value="([^"]+)"/.exec(form) ?? []
  await alice.post('/account', { form_token: formToken, action: 'report', id: String(key.id) })

  const mallory = await personAt(t, 'mallory')
  const refused = await startDevice(t)
  await act('device.approve', { user_code: refused.user_code }, pageHeaders(mallory, BASE))
  await postForm(t, '/oauth/device/authorize', { client_id: 'pairgate-cli' })

  const cookies = [...alice.cookies.values(), ...mallory.cookies.values()]
  await alice.post('/sign-out', {})
  await t.gate.users.disable({ issuer: DEV, subject: 'mallory' })
  await t.gate.users.enable({ issuer: DEV, subject: 'mallory' })
  await t.settle()
  const userCodes = [login, denied, refused].flatMap(({ user_code: code }) => [code, code.replace('-', '')])
  const deviceCodes = [login, denied, refused].map(({ device_code }) => device_code)
  const given = [tokens, fresh, session].flatMap((body) => [body.access_token, body.refresh_token])
  const secrets = [...given.filter((token) => token !== undefined), key.secret, rotated.secret].map(String)
  const typed = ['BCDF-GHJK', 'BCDFGHJK', pair.match_code, pair.paircode, pair.verifier]
  return [...secrets, ...typed, ...userCodes, ...deviceCodes, ...cookies, formToken, SECRET]
}

describe('a whole tour', () => {
  test('OPS-05 OPS-03 every event reaches the hook, the webhook and gate.events alike, and no secret does', async () => {
    const told: PairgateEvent[] = []
    const to = await listenWebhook()
    const t = createSettledGate({
      ...TOUR,
      onEvent: (event) => void told.push(event),
      webhooks: [{ url: to.url, secret: to.secret }],
    })
    const secrets = await tour(t)
    const { events, cursor } = await t.gate.events({ limit: 1000 })
    await to.close()

    expect(new Set(told.map(({ type }) => type))).toEqual(new Set(EVENT_TYPES))
    expect(cursor).toBeNull()
    expect(byId(told)).toEqual(byId(events))
    expect(byId(to.events())).toEqual(byId(events))
    expect(to.requests.map(({ headers }) => headers['webhook-id'])).toEqual(to.events().map(({ id }) => id))
    expect(t.rows('SELECT * FROM deliveries')).toEqual([])
    expect(errors()).toEqual([])

    expect(secrets.length).toBeGreaterThan(20)
    const text = inspect([told, events, to.requests, records], { depth: 12, maxArrayLength: null })
    for (const secret of [...secrets, to.secret]) {
      expect(secret.length).toBeGreaterThan(4)
      expect(text).not.toContain(secret)
    }
  })

  test('OPS-05 an event says who, which app, from where and in which request', async () => {
    const t = createSettledGate(TOUR)
    await tour(t)
    const { events } = await t.gate.events({ limit: 1000 })
    const find = (type: PairgateEvent['type'], client: string | null = 'mytool') =>
      events.find((event) => event.type === type && event.client_id === client)
    const [grant] = t.rows("SELECT id FROM grants WHERE client_id = 'mytool'")
    const [credential] = t.rows("SELECT id FROM credentials WHERE client_id = 'mytool'")
    expect(find('issued')).toEqual({
      id: expect.stringMatching(/^[\w-]{17}$/),
      type: 'issued',
      timestamp: new Date(t.now()).toISOString(),
      user: { ...ALICE, name: 'alice', email: null },
      client_id: 'mytool',
      grant_id: grant?.id,
      credential_id: credential?.id,
      remote_address: '127.0.0.1',
      request_id: expect.stringMatching(/^[\w-]{12}$/),
      detail: null,
    })
    expect(find('started')).toMatchObject({ detail: 'device', user: null })
    expect(find('issued', null)).toMatchObject({ detail: 'by hand' })
    expect(find('refused', 'pairgate-cli')).toMatchObject({
      detail: 'not_allowed',
      user: { subject: 'mallory' },
    })
    expect(find('refreshed')).toMatchObject({ client_id: 'mytool', credential_id: credential?.id })
    expect(find('limit_hit', 'pairgate-cli')).toMatchObject({ detail: 'start:127.0.0.1' })
    // nobody's request: the operator did it
    expect(find('user_disabled', null)).toMatchObject({ remote_address: null, request_id: null })
  })
})

describe('onEvent', () => {
  const failing: [string, PairgateOptions['onEvent']][] = [
    [
      'throws',
      () => {
        throw new Error('broken hook')
      },
    ],
    ['rejects', async () => await Promise.reject(new Error('broken hook'))],
  ]
  test.each(failing)('a hook that %s is logged, and nothing else happens', async (_, onEvent) => {
    const to = await listenWebhook()
    const t = createSettledGate({ onEvent, webhooks: [{ url: to.url, secret: to.secret }] })
    expect(await startDevice(t)).toHaveProperty('device_code')
    await t.settle()
    await to.close()
    expect(errors()).toEqual(['The onEvent hook failed'])
    expect(to.events()).toMatchObject([{ type: 'started' }])
    expect((await t.gate.events()).events).toHaveLength(1)
  })

  test('a hook that takes for ever delays no answer', async () => {
    const t = createSettledGate({ onEvent: () => new Promise(() => undefined) })
    expect(await startDevice(t)).toHaveProperty('device_code')
  })

  test('DF-27 it knows name and e-mail of the person, also of one that the operator disables', async () => {
    const told: PairgateEvent[] = []
    const alice = { subject: 'alice', name: 'Alice', email: 'alice@example.com' }
    const t = createSettledGate({
      onEvent: (event) => void told.push(event),
      devSignIn: false,
      identify: () => alice,
    })
    const login = await startDevice(t)
    const headers = pageHeaders(t.browser(), BASE)
    await call(t.fetch, 'device.approve', { user_code: login.user_code }, headers)
    await pollDevice(t, login.device_code)
    await t.gate.users.disable({ issuer: BASE, subject: 'alice' })
    await t.settle()
    const types = ['approved', 'issued', 'user_disabled']
    const about = told.filter(({ type }) => types.includes(type))
    expect(about.map(({ type, user }) => [type, user])).toEqual(
      types.map((type) => [type, { issuer: BASE, ...alice }]),
    )
  })
})

describe('gate.events', () => {
  const stretch = async (t: SettledGate) => {
    for (const subject of ['alice', 'bob', 'alice']) {
      await personAt(t, subject)
      t.advance(10)
      await t.gate.users.enable({ issuer: DEV, subject })
      t.advance(10)
    }
  }
  const list = async (t: SettledGate, filter: Parameters<typeof t.gate.events>[0]) =>
    (await t.gate.events(filter)).events.map(({ type, user }) => `${type} ${user?.subject}`)

  test('OPS-05 newest first, by person, by type, since a time, and all of it together', async () => {
    const t = createSettledGate()
    const start = t.now()
    await stretch(t)
    const [alice, bob] = ['alice', 'bob'].map((name) => [`user_enabled ${name}`, `signed_in ${name}`])
    expect(await list(t, {})).toEqual([...alice!, ...bob!, ...alice!])
    expect(await list(t, { user: ALICE })).toEqual([...alice!, ...alice!])
    expect(await list(t, { user: { issuer: 'https://other.example', subject: 'alice' } })).toEqual([])
    expect(await list(t, { type: 'signed_in' })).toEqual([alice![1], bob![1], alice![1]])
    expect(await list(t, { type: 'approved' })).toEqual([])
    expect(await list(t, { since: start / 1000 + 40 })).toEqual(alice)
    expect(await list(t, { since: start / 1000 + 40.001 })).toEqual([alice![0]])
    expect(await list(t, { user: ALICE, type: 'signed_in', since: start / 1000 + 1 })).toEqual([alice![1]])
    expect(await list(t, { limit: 2 })).toEqual(alice)
  })

  test('pages follow each other without a gap or a repetition, also within one millisecond', async () => {
    const t = createSettledGate()
    for (let i = 0; i < 6; i++) await t.gate.users.enable({ issuer: DEV, subject: `person ${i}` })
    const all = (await t.gate.events()).events
    const pages: PairgateEvent[][] = []
    let cursor: string | null = null
    do {
      const page: Awaited<ReturnType<typeof t.gate.events>> = await t.gate.events(
        cursor === null ? { limit: 2 } : { limit: 2, cursor },
      )
      pages.push(page.events)
      cursor = page.cursor
      // what happens meanwhile moves nothing
      t.advance(1)
      await t.gate.users.enable(ALICE)
    } while (cursor !== null)
    expect(pages.map(({ length }) => length)).toEqual([2, 2, 2])
    expect(pages.flat()).toEqual(all)
    expect(new Set(all.map(({ id }) => id)).size).toBe(6)
  })

  test('a page holds 100 unless something else is asked for', async () => {
    const t = createSettledGate()
    for (let i = 0; i < 101; i++) await t.gate.users.enable(ALICE)
    const { events, cursor } = await t.gate.events()
    expect(events).toHaveLength(100)
    expect((await t.gate.events({ cursor: cursor ?? '' })).events).toHaveLength(1)
    expect((await t.gate.events({ limit: 1000 })).events).toHaveLength(101)
  })

  const wrong: [string, Record<string, unknown>, RegExp][] = [
    ['a limit of 0', { limit: 0 }, /limit/],
    ['a limit of 1001', { limit: 1001 }, /limit/],
    ['half a limit', { limit: 1.5 }, /limit/],
    ['an empty cursor', { cursor: '' }, /cursor/],
    ['a cursor that is no base64url', { cursor: '!?' }, /cursor/],
    ['a made-up cursor', { cursor: Buffer.from("1 ' OR 1").toString('base64url') }, /cursor/],
    ['an unknown type', { type: 'stolen' }, /type/],
    ['no time', { since: Number.NaN }, /since/],
  ]
  test.each(wrong)('%s is refused', async (_, filter, message) => {
    const t = createSettledGate()
    const result = t.gate.events(filter)
    await expect(result).rejects.toThrow(message)
    await expect(result).rejects.toMatchObject({ code: 'ERR_PAIRGATE_OPTION' })
  })
})

describe('what stays', () => {
  test('OPS-05 the trail is only added to: no statement but that of purging changes or deletes a row', () => {
    const db = new Kysely<Tables>({
      dialect: {
        createAdapter: () => new SqliteAdapter(),
        createDriver: () => new DummyDriver(),
        createIntrospector: (own) => new SqliteIntrospector(own),
        createQueryCompiler: () => new SqliteQueryCompiler(),
      },
    })
    const names = Object.keys(statements) as StatementName[]
    const writing = names.filter((name) => {
      const { sql } = compileStatement(db, name)
      return /\bevents\b/.test(sql) && !/^(select|insert) /.test(sql)
    })
    expect(writing).toEqual(['dropEvents'])
  })

  test.each([
    ['a year by default', {}, YEAR],
    ['for eventSeconds', { eventSeconds: 86_400 }, 86_400],
  ])('events are kept %s', async (_, options, seconds) => {
    const t = createSettledGate(options)
    await t.gate.users.enable(ALICE)
    t.advance(seconds)
    // a login that starts tidies up
    await startDevice(t)
    await t.settle()
    expect((await t.gate.events()).events.map(({ type }) => type)).toEqual(['started', 'user_enabled'])
    t.advance(60)
    await startDevice(t)
    await t.settle()
    expect((await t.gate.events()).events.map(({ type }) => type)).toEqual(['started', 'started'])
  })
})
