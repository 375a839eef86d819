/** The typed tRPC router: R-RPC. @module */

import { createTRPCClient, httpBatchLink, httpLink, TRPCClientError } from '@trpc/client'
import { initTRPC } from '@trpc/server'
import { describe, expect, test } from 'vitest'
import type { PairgateRouter } from '../src/mod.ts'
import {
  BASE,
  createPaircode,
  createTestGate,
  pollDevice,
  startDevice,
  type TestGate,
} from './support/gate.ts'

/** A typed client over a test gate. */
function createClient(t: TestGate, headers: Record<string, string> = {}, batch = false) {
  const options = {
    url: `${BASE}/trpc`,
    headers,
    fetch: (url: URL | RequestInfo, init?: unknown) => t.fetch(String(url), init as RequestInit),
  }
  return createTRPCClient<PairgateRouter>({ links: [batch ? httpBatchLink(options) : httpLink(options)] })
}

/** A typed client in the page of a signed-in person. */
async function createPersonClient(t: TestGate, name: string) {
  const person = t.browser()
  await person.signIn(name)
  const cookie = `pairgate-session=${person.cookies.get('pairgate-session')}`
  return createClient(t, { cookie, origin: BASE, 'sec-fetch-site': 'same-origin' })
}

const failure = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => null,
    (e: unknown) => e,
  )
  if (!(error instanceof TRPCClientError)) throw new Error('The call was not refused')
  return {
    code: error.data?.code as string,
    status: error.data?.httpStatus as number,
    message: error.message,
  }
}

const call = (t: TestGate, path: string, body: unknown, headers: Record<string, string> = {}) =>
  t.fetch(`/trpc/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })

describe('both flows', () => {
  test('device: authorize, review, approve, token, whoami, signOut', async () => {
    const t = createTestGate()
    const cli = createClient(t)
    const start = await cli.device.authorize.mutate({ client_id: 'pairgate-cli', device_name: 'laptop' })
    const poll = () => cli.device.token.mutate({ client_id: 'pairgate-cli', device_code: start.device_code })
    expect(await poll()).toEqual({ status: 'authorization_pending', interval: 5 })
    expect(await poll()).toEqual({ status: 'slow_down', interval: 10 })
    const alice = await createPersonClient(t, 'alice')
    expect(await alice.device.review.mutate({ user_code: start.user_code })).toMatchObject({
      status: 'pending',
      flow: 'device',
      client_name: 'pairgate CLI',
      device_name: 'laptop',
      remote_address: '127.0.0.1',
      expires_in: 600,
      lifetime: 86_400,
      code: start.user_code,
      code_in_terminal: true,
      code_required: false,
    })
    expect(await alice.device.approve.mutate({ user_code: start.user_code })).toEqual({ status: 'approved' })
    expect(await alice.device.deny.mutate({ user_code: start.user_code })).toEqual({
      status: 'already_decided',
      your_decision: 'approved',
    })
    const token = await poll()
    if (token.status !== 'issued') throw new Error(token.status)
    expect(token).toMatchObject({ token_type: 'Bearer', expires_in: 86_400 })
    expect(await poll()).toEqual({ status: 'invalid_grant' })
    const signedIn = createClient(t, { authorization: `Bearer ${token.access_token}` })
    expect(await signedIn.session.whoami.query()).toMatchObject({
      subject: 'alice',
      kind: 'api_key',
      expires_in: 86_400,
    })
    await signedIn.session.signOut.mutate({})
    expect(await failure(signedIn.session.whoami.query())).toMatchObject({ code: 'UNAUTHORIZED' })
  })

  test('pair: start, review, deny, token', async () => {
    const t = createTestGate()
    const cli = createClient(t)
    const { verifier, paircode } = createPaircode()
    const start = await cli.pair.start.mutate({ client_id: 'pairgate-cli', paircode })
    const alice = await createPersonClient(t, 'alice')
    expect(await alice.pair.review.mutate({ paircode })).toMatchObject({
      flow: 'pair',
      code: start.match_code,
    })
    expect(await alice.pair.deny.mutate({ paircode })).toEqual({ status: 'denied' })
    expect(await cli.pair.token.mutate({ client_id: 'pairgate-cli', verifier })).toEqual({
      status: 'access_denied',
    })
  })

  test('RPC-09 both doors are one: a login started here is allowed and collected there, with the same limits', async () => {
    const t = createTestGate({ limits: { startPerMinute: 2 } })
    const cli = createClient(t)
    const start = await cli.device.authorize.mutate({ client_id: 'pairgate-cli' })
    const person = t.browser()
    await person.signIn('alice')
    await person.decide(start.verification_uri_complete, 'allow')
    expect((await pollDevice(t, start.device_code)).status).toBe(200)
    expect(
      await cli.device.token.mutate({ client_id: 'pairgate-cli', device_code: start.device_code }),
    ).toEqual({
      status: 'invalid_grant',
    })
    await startDevice(t)
    expect(await failure(cli.device.authorize.mutate({ client_id: 'pairgate-cli' }))).toMatchObject({
      code: 'TOO_MANY_REQUESTS',
      status: 429,
    })
  })

  test('a router nested in a host’s own works and keeps its checks', async () => {
    const t = createTestGate()
    interface HostContext {
      readonly req: Request
      readonly ip: string
    }
    const host = initTRPC.context<HostContext>().create()
    const router = host.router({
      cli: t.gate.router<HostContext>({ resolve: ({ req, ip }) => ({ request: req, remoteAddress: ip }) }),
    })
    const caller = router.createCaller({ req: new Request(`${BASE}/api`), ip: '127.0.0.1' })
    const start = await caller.cli.device.authorize({ client_id: 'pairgate-cli' })
    expect((await pollDevice(t, start.device_code)).body.error).toBe('authorization_pending')
    await expect(caller.cli.device.approve({ user_code: start.user_code })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    })
  })
})

describe('hardening', () => {
  test('RPC-01 everything that writes or carries a secret is a mutation: GET is 405', async () => {
    const t = createTestGate()
    const mutations = ['device.authorize', 'device.token', 'device.review', 'device.approve', 'device.deny']
    mutations.push(
      ...mutations.map((name) => name.replace('device.authorize', 'pair.start').replace('device', 'pair')),
    )
    for (const name of [...mutations, 'session.signOut']) {
      const input = encodeURIComponent(JSON.stringify({ client_id: 'pairgate-cli' }))
      expect([name, (await t.fetch(`/trpc/${name}?input=${input}`)).status]).toEqual([name, 405])
    }
    expect(t.rows('SELECT id FROM grants')).toEqual([])
  })

  test('RPC-02 OPS-04 an unknown error is quiet: an id, no stack, no message of the inside', async () => {
    const t = createTestGate()
    await startDevice(t)
    t.database.exec('DROP TABLE grants')
    const response = await call(t, 'device.token', { client_id: 'pairgate-cli', device_code: 'A'.repeat(43) })
    const text = await response.text()
    expect(response.status).toBe(500)
    expect(text).toMatch(/Internal error [\w-]{12}/)
    expect(text).not.toMatch(/stack|no such table|grants|node_modules/)
    const form = await pollDevice(t, 'A'.repeat(43))
    expect([form.status, form.body.error]).toEqual([500, 'server_error'])
    expect(JSON.stringify(form.body)).not.toMatch(/no such table|grants/)
  })

  test('RPC-02 bad input is told without a stack', async () => {
    const text = await (await call(createTestGate(), 'device.authorize', {})).text()
    expect(text).toContain('BAD_REQUEST')
    expect(text).not.toContain('stack')
  })

  test('RPC-02 what there is no procedure for is told without a stack', async () => {
    const text = await (await call(createTestGate(), 'device.nothing', {})).text()
    expect(text).toContain('NOT_FOUND')
    expect(text).not.toContain('stack')
  })

  test('RPC-03 a batch holds ten calls at most, and limits count calls, not requests', async () => {
    const t = createTestGate({ limits: { startPerMinute: 5 } })
    const batch = (n: number) => {
      const path = Array(n).fill('device.authorize').join(',')
      const inputs = Object.fromEntries(
        Array.from({ length: n }, (_, i) => [i, { client_id: 'pairgate-cli' }]),
      )
      return call(t, `${path}?batch=1`, inputs)
    }
    expect((await batch(11)).status).toBe(400)
    expect(t.rows('SELECT id FROM grants')).toEqual([])
    const response = (await (await batch(10)).json()) as { result?: unknown; error?: unknown }[]
    expect(response.filter((answer) => answer.result)).toHaveLength(5)
    expect(response.filter((answer) => answer.error)).toHaveLength(5)
  })

  test('RPC-04 a cookie’s caller must come from a page of this origin', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    const person = t.browser()
    await person.signIn('alice')
    const cookie = `pairgate-session=${person.cookies.get('pairgate-session')}`
    const input = { user_code: start.user_code }
    for (const headers of [
      {},
      { origin: 'https://evil.example' },
      { 'sec-fetch-site': 'same-site' },
      { origin: 'null' },
    ]) {
      expect((await call(t, 'device.approve', input, { cookie, ...headers })).status).toBe(403)
      expect((await call(t, 'session.signOut', {}, { cookie, ...headers })).status).toBe(401)
    }
    expect((await person.get('/secured')).status).toBe(200)
    expect((await pollDevice(t, start.device_code)).body.error).toBe('authorization_pending')
    expect((await call(t, 'device.approve', input, { cookie, origin: BASE })).status).toBe(200)
  })

  test('RPC-04 the body must be application/json', async () => {
    const t = createTestGate()
    const form = new FormData()
    form.set('x', '1')
    for (const body of [form, new URLSearchParams({ x: '1' }), 'text']) {
      expect((await t.fetch('/trpc/session.signOut', { method: 'POST', body })).status).toBe(415)
    }
  })

  test('RPC-05 no CORS: no origin is let in, with or without credentials', async () => {
    const t = createTestGate()
    const headers = { origin: 'https://evil.example', 'access-control-request-method': 'POST' }
    for (const method of ['OPTIONS', 'GET']) {
      const response = await t.fetch('/trpc/session.whoami', { method, headers })
      expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    }
  })

  test('RPC-06 unknown keys, long strings and prototype tricks are refused', async () => {
    const t = createTestGate()
    const bodies = [
      '{"client_id":"pairgate-cli","extra":1}',
      '{"client_id":"pairgate-cli","__proto__":{"isAdmin":true},"x":1}',
      '{"client_id":["pairgate-cli"]}',
      '{"client_id":{"$ne":null}}',
      `{"client_id":"${'x'.repeat(200)}"}`,
      `{"client_id":"pairgate-cli","device_name":"${'x'.repeat(300)}"}`,
      'null',
      '[]',
      '"x"',
      '0',
    ]
    for (const body of bodies) {
      const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } }
      expect([body.slice(0, 60), (await t.fetch('/trpc/device.authorize', init)).status]).toEqual([
        body.slice(0, 60),
        400,
      ])
    }
    expect(t.rows('SELECT id FROM grants')).toEqual([])
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined()
  })

  test('RPC-07 a body over 64 KB is 413 before it is parsed, also chunked; deep nesting is 400', async () => {
    const t = createTestGate()
    const headers = { 'content-type': 'application/json' }
    const long = JSON.stringify({ client_id: 'x'.repeat(70_000) })
    expect((await t.fetch('/trpc/device.authorize', { method: 'POST', body: long, headers })).status).toBe(
      413,
    )
    const stream = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 80; i++) controller.enqueue(new TextEncoder().encode('['.repeat(1024)))
        controller.close()
      },
    })
    const chunked = { method: 'POST', body: stream, headers, duplex: 'half' } as RequestInit
    expect((await t.fetch('/trpc/device.authorize', chunked)).status).toBe(413)
    const deep = `${'['.repeat(30_000)}${']'.repeat(30_000)}`
    expect((await t.fetch('/trpc/device.authorize', { method: 'POST', body: deep, headers })).status).toBe(
      400,
    )
  })

  test('DF-23 over a limit the answer says when to try again', async () => {
    const t = createTestGate({ limits: { startPerMinute: 1 } })
    await startDevice(t)
    const { status, headers } = await call(t, 'device.authorize', { client_id: 'pairgate-cli' })
    expect([status, headers.get('retry-after')]).toEqual([429, '6'])
  })

  test('DF-18 wrong codes over tRPC count too', async () => {
    const t = createTestGate()
    const alice = await createPersonClient(t, 'alice')
    for (let i = 0; i < 10; i++) {
      expect(await alice.device.review.mutate({ user_code: 'BCDFGHJK' })).toEqual({ status: 'not_found' })
    }
    expect(await failure(alice.device.approve.mutate({ user_code: 'BCDFGHJK' }))).toMatchObject({
      status: 429,
    })
  })

  test('DF-14 nobody signed in is UNAUTHORIZED', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    const nobody = createClient(t, { origin: BASE })
    expect(await failure(nobody.device.approve.mutate({ user_code: start.user_code }))).toMatchObject({
      code: 'UNAUTHORIZED',
    })
  })
})
