/** A host's own middleware around pairgate's procedures, and pairgate's checks inside of it, whatever the host is like. @module */

import { initTRPC, TRPCError } from '@trpc/server'
import { fetchRequestHandler } from '@trpc/server/adapters/fetch'
import { describe, expect, test } from 'vitest'
import { type HostProcedure, PairgateError } from '../src/mod.ts'
import { watchSqlite } from './support/faults.ts'
import { BASE, createTestGate, startDevice, type TestGate } from './support/gate.ts'

interface Context {
  readonly web: Request
}

const t = initTRPC.context<Context>().create({ isDev: true })
const resolve = ({ web }: Context) => ({ request: web, remoteAddress: '127.0.0.1' })

/** Sends requests to the handler of a host that nests the router of a gate, built on some procedure. */
function nest(test: TestGate, procedure?: HostProcedure<Context>) {
  const cli = test.gate.router(procedure ? { procedure, resolve } : { resolve })
  const router = t.router({ cli })
  return async (path: string, body: BodyInit, headers: Record<string, string> = {}) => {
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } }
    const web = new Request(`http://host.example/api/cli.${path}`, init)
    const createContext = () => ({ web })
    const response = await fetchRequestHandler({ endpoint: '/api', req: web, router, createContext })
    const text = await response.text()
    const { error, result } = JSON.parse(text) as {
      error?: { message: string; data: { code: string; stack?: string } }
      result?: { data: Record<string, unknown> }
    }
    return { status: response.status, text, error, data: result?.data }
  }
}

const CLIENT = JSON.stringify({ client_id: 'pairgate-cli' })

describe('the host’s middleware', () => {
  test('runs first and last, around each of pairgate’s procedures, and sees how it ended', async () => {
    const seen: string[] = []
    const traced = t.procedure.use(async ({ path, type, next }) => {
      seen.push(`${type} ${path} begins`)
      const result = await next()
      seen.push(result.ok ? 'went well' : `failed: ${result.error.code}`)
      return result
    })
    const test = createTestGate()
    const call = nest(test, traced)
    expect((await call('device.authorize', CLIENT)).status).toBe(200)
    expect((await call('device.authorize', '{"client_id":"nobody"}')).status).toBe(400)
    expect((await call('keys.create', '{"name":"x"}')).status).toBe(401)
    expect(seen).toEqual([
      ...['mutation cli.device.authorize begins', 'went well'],
      ...['mutation cli.device.authorize begins', 'failed: BAD_REQUEST'],
      ...['mutation cli.keys.create begins', 'failed: UNAUTHORIZED'],
    ])
  })

  test('that throws ends the call before pairgate does anything; its error is its own', async () => {
    const closed = t.procedure.use(async ({ ctx, next }) => {
      if (ctx.web.headers.get('x-door') === 'broken') throw new Error('The door is broken')
      if (ctx.web.headers.get('x-door') !== 'open')
        throw new TRPCError({ code: 'FORBIDDEN', message: 'Closed' })
      return await next()
    })
    const test = createTestGate()
    await test.gate.migrate()
    const call = nest(test, closed)
    const refused = await call('device.authorize', CLIENT)
    expect([refused.status, refused.error?.message]).toEqual([403, 'Closed'])
    const broken = await call('device.authorize', CLIENT, { 'x-door': 'broken' })
    expect([broken.status, broken.error?.message]).toEqual([500, 'The door is broken'])
    expect(broken.error?.data.stack).toContain('The door is broken')
    expect(test.rows('SELECT id FROM grants')).toEqual([])
    expect((await call('device.authorize', CLIENT, { 'x-door': 'open' })).status).toBe(200)
    expect(test.rows('SELECT id FROM grants')).toHaveLength(1)
  })

  test('RPC-04 KEY-05 that adds to the context makes nobody: who calls is read from the request', async () => {
    const test = createTestGate()
    const { user_code } = await startDevice(test)
    const user = { id: 'x', issuer: BASE, subject: 'admin', name: null, email: null, disabled_at: null }
    const request = new Request(BASE, { headers: { origin: BASE, 'sec-fetch-site': 'same-origin' } })
    const additions = {
      caller: { request, remoteAddress: '10.0.0.1', peer: undefined, requestId: 'forged' },
      viewer: { user, tenants: [], credentialId: null },
      manager: { user, tenants: [], credentialId: null, scopes: null, isOld: false },
      user,
    }
    const call = nest(
      test,
      t.procedure.use(({ next }) => next({ ctx: additions })),
    )
    const decide = JSON.stringify({ user_code })
    expect((await call('device.approve', decide)).error?.data.code).toBe('FORBIDDEN')
    expect((await call('device.approve', decide, { origin: BASE })).error?.data.code).toBe('UNAUTHORIZED')
    expect((await call('keys.create', '{"name":"x"}')).error?.data.code).toBe('UNAUTHORIZED')
    expect((await call('session.revokeAll', '{}')).error?.data.code).toBe('UNAUTHORIZED')
    await call('device.authorize', CLIENT)
    expect(test.rows('SELECT status, remote_address FROM grants')).toEqual([
      { status: 'pending', remote_address: '127.0.0.1' },
      { status: 'pending', remote_address: '127.0.0.1' },
    ])
  })

  test('what it adds is there when `resolve` is asked', async () => {
    const test = createTestGate()
    const procedure = t.procedure.use(({ next }) => next({ ctx: { address: '192.0.2.7' } }))
    const router = test.gate.router({
      procedure,
      resolve: (ctx) => ({
        request: ctx.web,
        remoteAddress: 'address' in ctx ? String(ctx.address) : undefined,
      }),
    })
    const web = new Request(BASE)
    await router.createCaller({ web }).device.authorize({ client_id: 'pairgate-cli' })
    expect(test.rows('SELECT remote_address FROM grants')).toEqual([{ remote_address: '192.0.2.7' }])
  })
})

describe.each([
  ['on the host’s procedure', t.procedure],
  ['on none of the host’s', undefined],
])('pairgate’s checks, %s', (_, procedure) => {
  test('RPC-04 a cookie’s caller comes from a page of this origin, whatever the host’s is', async () => {
    const test = createTestGate()
    const { user_code } = await startDevice(test)
    const person = test.browser()
    await person.signIn('alice')
    const cookie = `pairgate-session=${person.cookies.get('pairgate-session')}`
    const call = nest(test, procedure)
    const decide = JSON.stringify({ user_code })
    const foreign = [
      {},
      { origin: 'http://host.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'same-site' },
    ]
    for (const headers of foreign) {
      const { status } = await call('device.approve', decide, { cookie, ...headers })
      expect([headers, status]).toEqual([headers, 403])
      expect((await call('session.signOut', '{}', { cookie, ...headers })).status).toBe(401)
    }
    expect((await call('device.approve', decide, { cookie, origin: BASE })).data).toEqual({
      status: 'approved',
    })
  })

  test('RPC-06 inputs are strict, and of a form or a stream there is none', async () => {
    const test = createTestGate()
    await test.gate.migrate()
    const call = nest(test, procedure)
    for (const body of ['{"client_id":"pairgate-cli","extra":1}', '{"client_id":["x"]}', '{', '[]', '']) {
      const { status, error } = await call('device.authorize', body)
      expect([body, status, error?.data.code]).toEqual([body, 400, 'BAD_REQUEST'])
    }
    const form = new Response(new FormData()).headers.get('content-type') ?? ''
    const empty = `--${form.split('boundary=')[1]}--\r\n`
    const bodies = [
      [form, empty],
      ['application/octet-stream', '{}'],
      ['application/x-www-form-urlencoded', 'x=1'],
      ['text/plain', '{}'],
    ] as const
    for (const [type, body] of bodies) {
      const { status } = await call('session.signOut', body, { 'content-type': type, origin: BASE })
      expect([type, status]).toEqual([type, expect.toSatisfy((one) => one === 400 || one === 415)])
    }
    expect(test.rows('SELECT id FROM grants')).toEqual([])
  })

  test('RPC-02 the host shows stacks, and none of pairgate’s: neither of refusals nor of failures', async () => {
    const test = createTestGate()
    const call = nest(test, procedure)
    const { user_code } = await startDevice(test)
    const answers = [
      await call('device.authorize', '{"client_id":"nobody"}'),
      await call('device.authorize', '{"client_id":1}'),
      await call('device.authorize', '{'),
      await call('session.signOut', '{}'),
      await call('device.approve', JSON.stringify({ user_code })),
    ]
    test.database.exec('DROP TABLE grants')
    answers.push(await call('device.authorize', CLIENT))
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 401, 403, 500])
    expect(answers[5]?.error?.message).toMatch(/^Internal error [\w-]{12}$/)
    for (const { text } of answers) expect(text).not.toMatch(/stack|node_modules|\.ts:\d|no such table/)
  })

  test('RPC-02 OPS-04 a database that is away, from the very first call, is said in pairgate’s words, and logged', async () => {
    const logged: unknown[] = []
    const log = { debug() {}, info() {}, warn() {}, error: (...line: unknown[]) => void logged.push(line) }
    const database = watchSqlite(':memory:', () => {
      throw new PairgateError('ERR_PAIRGATE_STORE_UNAVAILABLE', 'zzdetail')
    })
    const call = nest(createTestGate({ database, log }), procedure)
    const { status, text, error } = await call('device.authorize', CLIENT)
    expect([status, error?.data.code]).toEqual([503, 'SERVICE_UNAVAILABLE'])
    expect(error?.message).toBe('The database does not answer, try again')
    expect(text).not.toContain('zzdetail')
    expect(logged).toEqual([
      ['A procedure failed', expect.objectContaining({ path: 'cli.device.authorize' })],
    ])
  })
})
