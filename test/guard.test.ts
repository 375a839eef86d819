/** Guards of a host's own routes: in Hono, in Node's style, and by hand. @module */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { Hono } from 'hono'
import { describe, expect, expectTypeOf, onTestFinished, test, vi } from 'vitest'
import { closeServer, type GuardedRequest, toNodeGuard } from '../adapters/node.ts'
import type { Authenticated, Guard, GuardVariables } from '../src/mod.ts'
import { ALICE, bearer, createAuthzGate, createShakyGate, endKey, keyFor } from './support/authz.ts'
import { BASE, type TestGate } from './support/gate.ts'

const CHALLENGE = 'Bearer realm="pairgate"'

type Send = (path: string, headers?: Record<string, string>) => Promise<Response>

/** A host in Hono: `/read` takes a scope, `/open` any good credential. */
function createHono(t: TestGate): Send {
  const app = new Hono<{ Variables: GuardVariables }>()
  app.use('/open', t.gate.guard())
  app.use('/read', t.gate.guard({ scopes: ['read'] }))
  app.use('/both', t.gate.guard({ scopes: ['read', 'write'] }))
  app.get('/:door', (c) => {
    const who = c.get('pairgate')
    expectTypeOf(who).toEqualTypeOf<Authenticated>()
    return c.json({ subject: who.user.subject, scopes: who.scopes, kind: who.credential.kind })
  })
  app.onError((error, c) => c.json({ failed: error.message }, 503))
  return async (path, headers = {}) => await app.fetch(new Request(`http://host.example${path}`, { headers }))
}

/** The same in Express. */
async function createExpress(t: TestGate): Promise<Send> {
  const app = express()
  app.use('/open', toNodeGuard(t.gate.guard()))
  app.use('/read', toNodeGuard(t.gate.guard({ scopes: ['read'] })))
  app.use('/both', toNodeGuard(t.gate.guard({ scopes: ['read', 'write'] })))
  app.use((request: GuardedRequest, response: express.Response) => {
    const { user, scopes, credential } = request.pairgate as Authenticated
    response.json({ subject: user.subject, scopes, kind: credential.kind })
  })
  const failed: express.ErrorRequestHandler = (error, _request, response, _next) => {
    response.status(503).json({ failed: (error as Error).message })
  }
  app.use(failed)
  const server = createServer(app)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => closeServer(server))
  const { port } = server.address() as AddressInfo
  return (path, headers = {}) => fetch(`http://127.0.0.1:${port}${path}`, { headers })
}

/** The same by hand. */
async function createByHand(t: TestGate): Promise<Send> {
  const guards: Record<string, Guard> = {
    '/open': t.gate.guard(),
    '/read': t.gate.guard({ scopes: ['read'] }),
    '/both': t.gate.guard({ scopes: ['read', 'write'] }),
  }
  return async (path, headers = {}) => {
    const request = new Request(`http://host.example${path}`, { headers })
    try {
      const who = await guards[path]?.check(request, { remoteAddress: '127.0.0.1' })
      if (!who || who instanceof Response) return who ?? new Response(null, { status: 404 })
      const { user, scopes, credential } = who
      return Response.json({ subject: user.subject, scopes, kind: credential.kind })
    } catch (error) {
      return Response.json({ failed: (error as Error).message }, { status: 503 })
    }
  }
}

describe.each([
  ['Hono', createHono],
  ['Express', createExpress],
  ['by hand', createByHand],
])('%s', (_, createHost) => {
  test('KEY-02 a good credential goes on, and the handler is told whose it is', async () => {
    const t = createAuthzGate()
    const send = await createHost(t)
    const key = await keyFor(t, ALICE, { scope: 'read' })
    for (const headers of [bearer(key), { authorization: `bearer ${key}` }]) {
      const answer = await send('/read', headers)
      expect([answer.status, await answer.json()]).toEqual([
        200,
        { subject: 'alice', scopes: ['read'], kind: 'api_key' },
      ])
    }
    expect((await send('/open', bearer(await keyFor(t)))).status).toBe(200)
  })

  test('KEY-03 KEY-04 anything else is 401, which asks for a credential and says if one was bad', async () => {
    const t = createAuthzGate()
    const send = await createHost(t)
    const ended = await keyFor(t)
    await endKey(t, ended)
    const bad = `${CHALLENGE}, error="invalid_token"`
    const refusals = [
      ['/open', {}, 'missing_token', CHALLENGE],
      ['/open', { authorization: 'Basic eDp5' }, 'missing_token', CHALLENGE],
      ['/open', { cookie: `access_token=${ended}` }, 'missing_token', CHALLENGE],
      [`/open?access_token=${ended}`, {}, 'missing_token', CHALLENGE],
      ['/read', bearer(ended), 'invalid_token', bad],
      ['/read', bearer('x'), 'invalid_token', bad],
    ] as const
    for (const [path, headers, error, challenge] of refusals) {
      const answer = await send(path.replace(/\?.*/, createHost === createByHand ? '' : '$&'), headers)
      expect([path, answer.status]).toEqual([path, 401])
      expect(answer.headers.get('www-authenticate')).toBe(challenge)
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.headers.get('content-type')).toContain('application/json')
      expect(await answer.json()).toEqual({ error, error_description: expect.stringContaining('Bearer') })
    }
  })

  test('KEY-03 a scope too few is 403, and the challenge names all that it takes', async () => {
    const t = createAuthzGate()
    const send = await createHost(t)
    const key = await keyFor(t, ALICE, { scope: 'read' })
    const answer = await send('/both', bearer(key))
    expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([
      403,
      `${CHALLENGE}, error="insufficient_scope", scope="read write"`,
    ])
    expect(await answer.json()).toEqual({
      error: 'insufficient_scope',
      error_description: 'The credential lacks a scope, this takes: read write',
    })
    expect((await send('/read', bearer(key))).status).toBe(200)
    expect((await send('/both', bearer(await keyFor(t, ALICE, { scope: 'read write' })))).status).toBe(200)
  })

  test('KEY-11 who is disabled goes nowhere from then on', async () => {
    const t = createAuthzGate()
    const send = await createHost(t)
    const key = await keyFor(t)
    expect((await send('/open', bearer(key))).status).toBe(200)
    await t.gate.users.disable({ issuer: BASE, subject: 'alice' })
    expect((await send('/open', bearer(key))).status).toBe(401)
  })

  test('OPS-04 while the database is away nobody goes on', async () => {
    const t = createShakyGate()
    const send = await createHost(t)
    const key = await keyFor(t)
    t.breakDown()
    const answer = await send('/open', bearer(key))
    const body = await answer.text()
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    expect(body).toContain('temporarily_unavailable')
    expect(body).not.toContain('zzdetail')
    t.mend()
    expect((await send('/open', bearer(key))).status).toBe(200)
  })

  test('a failure that nobody knows is the host’s to handle', async () => {
    const t = createShakyGate()
    const send = await createHost(t)
    const key = await keyFor(t)
    t.breakDown(new Error('out of order'))
    const answer = await send('/open', bearer(key))
    expect([answer.status, await answer.json()]).toEqual([503, { failed: 'out of order' }])
  })
})

test('KEY-03 an option that there is none of is refused: it would leave a door open', () => {
  const { gate } = createAuthzGate()
  const refused = (options: unknown, what: string) =>
    expect(() => gate.guard(options as never)).toThrow(expect.objectContaining({ message: what }))
  refused({ scope: ['read'] }, 'Option "scope" is wrong: there is no such option')
  refused({ scopes: 'read' }, 'Option "scopes" is wrong: Invalid type: Expected Array but received "read"')
  refused({ scopes: ['a b'] }, 'Option "scopes.0" is wrong: must be an RFC 6749 scope token')
  // `app.use(gate.guard)`
  expect(() => (gate.guard as (...all: unknown[]) => unknown)(new Hono(), () => {})).toThrow('Option')
})

test('KEY-10 what the host is told holds no secret, nor a hash of one', async () => {
  const t = createAuthzGate()
  const key = await keyFor(t)
  const who = await t.gate.guard().check(new Request(BASE, { headers: bearer(key) }))
  const text = JSON.stringify(who)
  expect(text).toContain('alice')
  for (const { secret_hash } of t.rows('SELECT secret_hash FROM credentials'))
    expect(text).not.toContain(String(secret_hash))
  expect(text).not.toContain(key)
})

test('in Hono the address that the option finds is where the credential was used', async () => {
  const t = createAuthzGate()
  const key = await keyFor(t)
  const app = new Hono<{ Bindings: { address: string }; Variables: GuardVariables }>()
  app.use('/open', t.gate.guard({ remoteAddress: (c) => c.env.address }))
  app.get('/open', (c) => c.json(c.get('pairgate').scopes))
  const request = new Request('http://host.example/open', { headers: bearer(key) })
  expect((await app.fetch(request, { address: '192.0.2.8' })).status).toBe(200)
  const used = () => t.rows("SELECT remote_address FROM events WHERE type = 'first_used'")
  await vi.waitFor(() => expect(used()).toEqual([{ remote_address: '192.0.2.8' }]))
})

test('the address of `check` is where the credential was used', async () => {
  const t = createAuthzGate()
  const key = await keyFor(t)
  const request = new Request(BASE, { headers: bearer(key) })
  const used = () => t.rows("SELECT remote_address FROM events WHERE type = 'first_used'")
  await t.gate.guard().check(request, { remoteAddress: '192.0.2.7' })
  await vi.waitFor(() => expect(used()).toEqual([{ remote_address: '192.0.2.7' }]))
})
