/** Malformed, oversized and foreign input at every tRPC procedure: refused, and nothing changed. @module */

import { describe, expect, test } from 'vitest'
import { CLIENT, chunked, createFixture, dump, type Fixture, sendAs } from './support/bad_input.ts'
import { BASE, createPaircode } from './support/gate.ts'

type Input = Record<string, unknown>
interface Procedure {
  /** An input that works. */
  readonly input: (fixture: Fixture) => Input
  /** Whether a person's browser calls it. */
  readonly byPerson?: boolean
}

const ofDevice = { input: ({ userCode }: Fixture) => ({ user_code: userCode }), byPerson: true }
const ofPair = { input: ({ paircode }: Fixture) => ({ paircode }), byPerson: true }
const MUTATIONS: Record<string, Procedure> = {
  'device.authorize': { input: () => ({ client_id: CLIENT, scope: '', device_name: 'laptop' }) },
  'device.token': {
    input: ({ forms }) => ({ client_id: CLIENT, device_code: forms['/oauth/token'].device_code }),
  },
  'device.review': ofDevice,
  'device.approve': ofDevice,
  'device.deny': ofDevice,
  'pair.start': {
    input: () => ({
      ...{ client_id: CLIENT, paircode: createPaircode().paircode },
      ...{ delivery: 'loopback', port: 4_000, state: 's' },
    }),
  },
  'pair.token': { input: ({ forms }) => ({ client_id: CLIENT, verifier: forms['/token'].verifier }) },
  'pair.review': ofPair,
  'pair.approve': ofPair,
  'pair.deny': ofPair,
  'session.signOut': { input: () => ({}), byPerson: true },
}

const JSON_TYPE = { 'content-type': 'application/json' }
const OWN = { origin: BASE, 'sec-fetch-site': 'same-origin' }

interface Sent {
  readonly method?: string
  /** How often the procedure is named in the path. */
  readonly calls?: number
  readonly query?: string
  readonly headers?: Record<string, string>
  readonly body?: BodyInit | null
}

function send(
  fixture: Fixture,
  path: string,
  { method = 'POST', calls = 1, query = '', headers, body = null }: Sent,
) {
  const all = { ...JSON_TYPE, ...OWN, ...headers }
  const init = { method, headers: all, body, duplex: 'half' } as RequestInit
  return sendAs(fixture.t, fixture.person)(`/trpc/${Array(calls).fill(path).join(',')}${query}`, init)
}

const batch = (calls: number, input: Input) =>
  JSON.stringify(Object.fromEntries(Array.from({ length: calls }, (_, i) => [i, input])))

type Row = readonly [name: string, status: number | readonly number[], spoil: (input: Input) => Sent]
const json = (change: (input: Input) => unknown) => (input: Input) => ({
  body: JSON.stringify(change(input)),
})
const raw = (body: BodyInit) => () => ({ body })
const typed = (type: string) => (input: Input) => ({
  body: JSON.stringify(input),
  headers: { 'content-type': type },
})
const each = (input: Input, value: unknown) =>
  Object.fromEntries(Object.keys(input).map((key) => [key, value]))
const padded = (input: Input) => JSON.stringify({ ...input, x: 'x'.repeat(65_536) })

const BAD: readonly Row[] = [
  [
    'RPC-01 GET',
    405,
    (input) => ({ method: 'GET', query: `?input=${encodeURIComponent(JSON.stringify(input))}` }),
  ],
  ['RPC-01 PUT', 405, (input) => ({ method: 'PUT', body: JSON.stringify(input) })],
  ['RPC-01 DELETE', 405, (input) => ({ method: 'DELETE', body: JSON.stringify(input) })],
  ['RPC-03 a batch of eleven', 400, (input) => ({ calls: 11, query: '?batch=1', body: batch(11, input) })],
  ['RPC-04 text', 415, typed('text/plain')],
  ['RPC-04 a form', 415, typed('application/x-www-form-urlencoded')],
  ['RPC-04 multipart', 415, typed('multipart/form-data; boundary=x')],
  ['RPC-04 octets', 415, typed('application/octet-stream')],
  ['RPC-04 a Latin-1 charset', 415, typed('application/json; charset=iso-8859-1')],
  ['RPC-04 two media types', 415, typed('application/json, text/plain')],
  ['RPC-06 an unknown key', 400, json((input) => ({ ...input, admin: true }))],
  [
    'RPC-06 __proto__',
    400,
    (input) => ({ body: `{"__proto__":{"a":1},${JSON.stringify(input).slice(1)}`.replace(',}', '}') }),
  ],
  ['RPC-06 constructor', 400, json((input) => ({ ...input, constructor: { prototype: { a: 1 } } }))],
  ['RPC-06 a list', 400, json((input) => [input])],
  ['RPC-06 a string', 400, json(() => 'x')],
  ['RPC-06 a number', 400, json(() => 1)],
  ['RPC-06 null', 400, json(() => null)],
  ['RPC-07 no body', 400, () => ({})],
  ['RPC-07 an empty body', 400, raw('')],
  ['RPC-07 half an object', 400, raw('{')],
  ['RPC-07 a byte order of UTF-16', 400, raw(new Uint8Array([0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00]))],
  ['RPC-07 lists 30000 deep', 400, raw('['.repeat(30_000) + ']'.repeat(30_000))],
  ['RPC-07 objects 10000 deep', 400, raw(`${'{"x":'.repeat(10_000)}1${'}'.repeat(10_000)}`)],
  ['RPC-07 over 64 KB', 413, (input) => ({ body: padded(input) })],
  ['RPC-07 over 64 KB, chunked', 413, (input) => ({ body: chunked(padded(input)) })],
]
const BAD_VALUES: readonly Row[] = [
  ['RPC-06 numbers for strings', 400, json((input) => each(input, 1))],
  ['RPC-06 objects for strings', 400, json((input) => each(input, { length: 1 }))],
  ['RPC-06 lists for strings', 400, json((input) => each(input, ['x']))],
  ['RPC-06 nulls for strings', 400, json((input) => each(input, null))],
  ['RPC-06 empty strings', 400, json((input) => each(input, ''))],
  ['RPC-06 strings of 2 KB', 400, json((input) => each(input, 'x'.repeat(2_048)))],
  ['RPC-06 nothing', 400, json(() => ({}))],
]

describe.each(Object.entries(MUTATIONS))('tRPC %s', (path, { input, byPerson }) => {
  const rows = path === 'session.signOut' ? BAD : [...BAD, ...BAD_VALUES]
  test.each(rows)('%s', async (_, status, spoil) => {
    const fixture = await createFixture()
    const before = dump(fixture.t)
    const response = await send(fixture, path, spoil(input(fixture)))
    expect(response.status).toBe(status)
    expect(response.headers.get('cache-control')).toBe('no-store')
    if (status === 405) expect(response.headers.get('allow')).not.toBeNull()
    expect(await response.text()).not.toMatch(/\bat .*\.(ts|js|mjs):|"stack"/)
    expect(dump(fixture.t)).toEqual(before)
    // and the input itself was fine
    const body = JSON.stringify(input(fixture))
    expect((await send(fixture, path, { body })).status).toBe(200)
    if (!path.endsWith('review')) expect(dump(fixture.t)).not.toEqual(before)
  })

  test('RPC-05 no origin is let in', async () => {
    const { t } = await createFixture()
    for (const origin of ['https://evil.example', 'null', BASE]) {
      const headers = {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'content-type',
      }
      const { status, headers: answered } = await t.fetch(`/trpc/${path}`, { method: 'OPTIONS', headers })
      expect(status).toBeGreaterThanOrEqual(400)
      expect([...answered.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })

  const foreign = [
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { origin: `${BASE}0` },
    { 'sec-fetch-site': 'same-site' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'none' },
  ]
  test.each(byPerson ? foreign : [])('RPC-04 a cookie from elsewhere: %j', async (headers) => {
    const fixture = await createFixture()
    const before = dump(fixture.t)
    const body = JSON.stringify(input(fixture))
    const { status } = await send(fixture, path, { body, headers: headers as Record<string, string> })
    expect([401, 403]).toContain(status)
    expect(dump(fixture.t)).toEqual(before)
  })
})

describe('tRPC, apart from single procedures', () => {
  test.each([
    ['no such procedure', 'device.nope', 404],
    ['__proto__', '__proto__', 404],
    ['constructor', 'device.constructor', 404],
    ['a broken escape', '%zz', 400],
    ['10 KB', 'x'.repeat(10_000), 404],
  ])('RPC-06 %s', async (_, path, status) => {
    const fixture = await createFixture()
    const before = dump(fixture.t)
    expect((await send(fixture, path, { body: '{}' })).status).toBe(status)
    expect(dump(fixture.t)).toEqual(before)
  })

  test('RPC-03 limits count calls: a batch of ten over a limit of five starts five', async () => {
    const fixture = await createFixture({ limits: { pendingPerAddress: 5 } })
    const [{ n = 0 } = {}] = fixture.t.rows(
      "SELECT COUNT(*) AS n FROM grants WHERE flow = 'device' AND status = 'pending'",
    )
    const sent = { calls: 10, query: '?batch=1', body: batch(10, { client_id: CLIENT }) }
    const response = await send(fixture, 'device.authorize', sent)
    const results = (await response.json()) as { error?: { data: { code: string } } }[]
    expect(results.filter(({ error }) => !error)).toHaveLength(5 - Number(n))
    for (const { error } of results) if (error) expect(error.data.code).toBe('TOO_MANY_REQUESTS')
  })

  test.each(['{', '[1]', '"x"', '{"__proto__":{}}', '{"a":1}'])(
    'RPC-06 whoami with the input %s',
    async (input) => {
      const fixture = await createFixture()
      const authorization = `Bearer ${fixture.forms['/oauth/revoke'].token}`
      const ask = (query: string) =>
        fixture.t.fetch(`/trpc/session.whoami${query}`, { headers: { authorization } })
      expect((await ask('')).status).toBe(200)
      expect((await ask(`?input=${encodeURIComponent(input)}`)).status).toBe(400)
      expect((await ask('?input=%zz')).status).toBeLessThan(500)
    },
  )
})
