/** nginx, Caddy and HAProxy as the documentation configures them: who may go on to the backend, and what others are told. @module */

import { decodeJwt } from 'jose'
import { describe, expect, test } from 'vitest'
import { postForm } from './support/credentials.ts'
import { PROXIES } from './support/proxies.ts'
import { type Outcome, type ProxyWorld, useProxyWorld } from './support/proxy_world.ts'
import type { RawRequest } from './support/raw.ts'

const ALICE = { subject: 'alice' }
const CHALLENGE = 'Bearer realm="pairgate"'
const INVALID = `${CHALLENGE}, error="invalid_token"`
const INSUFFICIENT = `${CHALLENGE}, error="insufficient_scope", scope="write"`

interface Refusal {
  readonly status: number
  readonly error: string
  readonly challenge?: string
}

const NOBODY: Refusal = { status: 401, error: 'missing_token', challenge: CHALLENGE }
const NO_GOOD: Refusal = { status: 401, error: 'invalid_token', challenge: INVALID }
const TOO_LITTLE: Refusal = { status: 403, error: 'insufficient_scope', challenge: INSUFFICIENT }

function expectRefusal(outcome: Outcome, { status, error, challenge }: Refusal, about = ''): void {
  const { headers, text } = outcome
  expect([about, outcome.status, outcome.seen]).toEqual([about, status, null])
  expect([about, headers['www-authenticate'], JSON.parse(text).error]).toEqual([about, challenge, error])
  expect([about, headers['content-type'], headers['cache-control']]).toEqual([
    about,
    'application/json',
    'no-store',
  ])
}

/** The value of a header that the backend got exactly once. */
function header({ seen }: Outcome, name: string): string | undefined {
  const values = seen?.headers.filter(([one]) => one.toLowerCase() === name).map(([, value]) => value) ?? []
  return values.length === 1 ? values[0] : undefined
}

function expectLetIn(outcome: Outcome, subject: string, about = ''): void {
  expect([about, outcome.status, header(outcome, 'remote-user')]).toEqual([about, 200, subject])
}

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`

/** Requests that nobody makes who is known: what is wrong, the request, and what is said. */
const REFUSED: Readonly<Record<string, (key: string) => [RawRequest, Refusal]>> = {
  'KEY-03 no credential': () => [{}, NOBODY],
  'KEY-03 Bearer and nothing': () => [{ headers: [['Authorization', 'Bearer']] }, NOBODY],
  'KEY-03 a key with one character more': (key) => [
    { headers: [['Authorization', `Bearer ${key}x`]] },
    NO_GOOD,
  ],
  'KEY-03 a key that was never made': (key) => [
    { headers: [['Authorization', `Bearer ${key.slice(0, -3)}abc`]] },
    NO_GOOD,
  ],
  'KEY-03 two words': (key) => [{ headers: [['Authorization', `Bearer ${key} ${key}`]] }, NOBODY],
  'KEY-03 the scheme Basic': (key) => [{ headers: [['Authorization', basic(`alice:${key}`)]] }, NOBODY],
  'KEY-03 a key without a scheme': (key) => [{ headers: [['Authorization', key]] }, NOBODY],
  'KEY-03 a key in Proxy-Authorization': (key) => [
    { headers: [['Proxy-Authorization', `Bearer ${key}`]] },
    NOBODY,
  ],
  'KEY-04 a key in the query': (key) => [{ path: `/?access_token=${key}` }, NOBODY],
  'KEY-04 a key in a cookie': (key) => [
    { headers: [['Cookie', `pairgate=${key}; pairgate-session=${key}; access_token=${key}`]] },
    NOBODY,
  ],
  'KEY-04 a key in a form': (key) => [
    {
      method: 'POST',
      headers: [['Content-Type', 'application/x-www-form-urlencoded']],
      body: `access_token=${key}`,
    },
    NOBODY,
  ],
}

async function revoke({ t }: ProxyWorld, token: string): Promise<void> {
  expect((await postForm(t, '/oauth/revoke', { token, client_id: 'tool' })).status).toBe(200)
}

describe.each(PROXIES)('%s', (name) => {
  const start = useProxyWorld(name)

  test('KEY-02 a good API key and a good session go on, and the backend is told whose they are', async (context) => {
    const world = start(context)
    for (const flow of ['device', 'pair'] as const) {
      const token = await world.login(ALICE, flow)
      const outcome = await world.sendAs(token, { path: '/some/thing?x=1' })
      expectLetIn(outcome, 'alice', flow)
      expect(outcome.seen?.target).toBe('/some/thing?x=1')
      expect(JSON.parse(outcome.text).target).toBe('/some/thing?x=1')
      const lower = await world.send({ headers: [['authorization', `bEARER ${token}`]] })
      expectLetIn(lower, 'alice', flow)
    }
  })

  test.for(Object.entries(REFUSED))('%s: refused, with a challenge', async ([, make], context) => {
    const world = start(context)
    const key = await world.login(ALICE)
    const [raw, refusal] = make(key)
    expectRefusal(await world.send(raw), refusal)
    expectLetIn(await world.sendAs(key), 'alice')
  })

  test('KEY-03 two Authorization headers are refused, whichever of them is good', async (context) => {
    const world = start(context)
    const key = `Bearer ${await world.login(ALICE)}`
    for (const pair of [
      [key, 'Bearer x'],
      ['Bearer x', key],
      [key, key],
      ['', key],
      [key, ''],
    ]) {
      const outcome = await world.send({ headers: pair.map((value) => ['Authorization', value] as const) })
      expect([400, 401]).toContain(outcome.status)
      expect(outcome.seen).toBeNull()
    }
  })

  test('KEY-06 a revoked key is refused from the next request on', async (context) => {
    const world = start(context)
    for (const flow of ['device', 'pair'] as const) {
      const [ended, other] = [await world.login(ALICE, flow), await world.login(ALICE, flow)]
      expectLetIn(await world.sendAs(ended), 'alice')
      await revoke(world, ended)
      expectRefusal(await world.sendAs(ended), NO_GOOD)
      expectLetIn(await world.sendAs(other), 'alice')
    }
  })

  test('KEY-11 a disabled person is refused, and nobody else', async (context) => {
    const world = start(context)
    const [key, session] = [
      await world.login({ subject: 'dora' }),
      await world.login({ subject: 'dora' }, 'pair'),
    ]
    const other = await world.login(ALICE)
    expectLetIn(await world.sendAs(key), 'dora')
    const issuer = `http://127.0.0.1:${world.pairgate.port}`
    expect(await world.t.gate.users.disable({ issuer, subject: 'dora' })).toBe(2)
    expectRefusal(await world.sendAs(key), NO_GOOD)
    expectRefusal(await world.sendAs(session), NO_GOOD)
    expectLetIn(await world.sendAs(other), 'alice')
  })

  test('KEY-11 a key is refused once its day is over, a session goes on', async (context) => {
    const world = start(context)
    const [key, session] = [await world.login(ALICE), await world.login(ALICE, 'pair')]
    world.t.advance(86_399)
    expectLetIn(await world.sendAs(key), 'alice')
    world.t.advance(1)
    expectRefusal(await world.sendAs(key), NO_GOOD)
    expectLetIn(await world.sendAs(session), 'alice')
  })

  test('the route with a policy takes the scope, and its backend gets an assertion of its own', async (context) => {
    const world = start(context)
    const [reader, writer] = [
      await world.login(ALICE),
      await world.login({ subject: 'walt' }, 'pair', 'read write'),
    ]
    for (const path of ['/write', '/write/', '/write/deep?x=/api', '/write?scope=write']) {
      expectRefusal(await world.sendAs(reader, { path }), TOO_LITTLE, path)
      expectRefusal(await world.send({ path }), NOBODY, path)
      const outcome = await world.sendAs(writer, { path, method: 'DELETE' })
      expectLetIn(outcome, 'walt', path)
      const { aud } = decodeJwt(header(outcome, 'x-pairgate-assertion') ?? '')
      expect([path, outcome.seen?.target, aud]).toEqual([path, path, 'https://write.example'])
    }
    const elsewhere = await world.sendAs(writer, { path: '/other' })
    const { aud } = decodeJwt(header(elsewhere, 'x-pairgate-assertion') ?? '')
    expect(aud).toBe(`http://127.0.0.1:${world.pairgate.port}`)
  })
})

describe.each(PROXIES)('%s, when pairgate has no such policy', (name) => {
  const start = useProxyWorld(name, { policies: {} })

  test('its route is closed to everybody, the others are not', async (context) => {
    const world = start(context)
    const writer = await world.login(ALICE, 'pair', 'read write')
    expectRefusal(await world.sendAs(writer, { path: '/write' }), { status: 403, error: 'unknown_policy' })
    expectLetIn(await world.sendAs(writer, { path: '/other' }), 'alice')
  })
})
