/** Refresh tokens (RFC 6749 section 6): rotation, reuse, ends of all sorts, through both doors. @module */

import { describe, expect, test } from 'vitest'
import { createSecret } from '../src/core/secret.ts'
import {
  callAs,
  loginAs,
  personAt,
  postForm,
  refreshAt,
  startAs,
  type Tokens,
  useToken,
} from './support/credentials.ts'
import { createTestGate, type TestGate } from './support/gate.ts'
import { FLOWS } from './support/logins.ts'

const CLIENTS = {
  mytool: { name: 'My Tool', scopes: ['read', 'write', 'offline_access'] },
  always: { refresh: true },
  other: { scopes: ['offline_access'] },
}
const random = (length: number) => crypto.getRandomValues(new Uint8Array(length))

const createGate = (options: Parameters<typeof createTestGate>[0] = {}) =>
  createTestGate({ clients: CLIENTS, ...options })

async function loginOffline(t: TestGate, flow: 'device' | 'pair' = 'device', scope = 'read offline_access') {
  const person = await personAt(t, 'alice')
  const tokens = await loginAs(t, person, flow, { client_id: 'mytool', scope })
  return { person, ...tokens, refresh_token: String(tokens.refresh_token) }
}

/** Exchanges a refresh token that is good. */
async function refreshed(t: TestGate, token: string): Promise<Tokens & { refresh_token: string }> {
  const { status, body } = await refreshAt(t, token)
  expect(status).toBe(200)
  return body as never
}

const events = (t: TestGate) =>
  t.rows('SELECT type, detail FROM events ORDER BY at, rowid').map(({ type }) => type)

describe('who gets one', () => {
  test.each(FLOWS)(
    'DF-21 %s: with offline_access, and for a client that always does; else none',
    async (flow) => {
      const t = createGate()
      const person = await personAt(t, 'alice')
      const seconds = { device: 86_400, pair: 2_592_000 }
      const plain = await loginAs(t, person, flow, { client_id: 'mytool', scope: 'read' })
      expect(plain).toEqual({
        access_token: expect.stringMatching(flow === 'device' ? /^pgk_/ : /^pgs_/),
        token_type: 'Bearer',
        expires_in: seconds[flow],
        scope: 'read',
      })
      for (const start of [{ client_id: 'mytool', scope: 'offline_access' }, { client_id: 'always' }]) {
        const tokens = await loginAs(t, person, flow, start)
        expect(tokens).toMatchObject({
          expires_in: 3600,
          refresh_token: expect.stringMatching(/^pgr_[0-9A-Za-z]{71}$/),
        })
        expect(await useToken(t, tokens.access_token)).toBe(200)
        expect(await useToken(t, String(tokens.refresh_token))).toBe(401)
      }
    },
  )

  test('a client that may not ask for offline_access is refused', async () => {
    const t = createGate({ clients: { mytool: { scopes: ['read'] } } })
    const form = { client_id: 'mytool', scope: 'offline_access' }
    expect((await postForm(t, '/oauth/device/authorize', form)).body.error).toBe('invalid_scope')
  })

  test('STO-03 only hashes of it are stored', async () => {
    const t = createGate()
    const { refresh_token } = await loginOffline(t)
    const stored = JSON.stringify(t.rows('SELECT * FROM credentials'))
    for (const part of [refresh_token, refresh_token.slice(4, 26), refresh_token.slice(26)])
      expect(stored).not.toContain(part)
  })
})

describe('rotation', () => {
  test.each(FLOWS)(
    '%s: each exchange gives new tokens, with a number of seconds, and the same scope',
    async (flow) => {
      const t = createGate()
      let { refresh_token, access_token } = await loginOffline(t, flow)
      const seen = new Set([refresh_token, access_token])
      for (const wait of [3500, 3399, 3399]) {
        t.advance(wait)
        const before = access_token
        const tokens = await refreshed(t, refresh_token)
        ;({ refresh_token, access_token } = tokens)
        expect(tokens).toEqual({
          access_token,
          refresh_token,
          token_type: 'Bearer',
          expires_in: 3600,
          scope: 'read offline_access',
        })
        seen.add(access_token).add(refresh_token)
        // what is left of the old access token's life is left to it: requests may be under way
        expect([await useToken(t, before), await useToken(t, access_token)]).toEqual([200, 200])
        t.advance(101)
        expect([await useToken(t, before), await useToken(t, access_token)]).toEqual([401, 200])
      }
      expect(seen.size).toBe(8)
      expect(t.rows("SELECT id FROM credentials WHERE kind <> 'browser'")).toHaveLength(1)
    },
  )

  test('RPC-09 the form and the procedure are the same', async () => {
    const t = createGate()
    const { refresh_token } = await loginOffline(t)
    const input = { client_id: 'mytool', refresh_token }
    const { status, body } = await callAs(t, null, 'session.refresh', input)
    expect([status, body]).toEqual([200, expect.objectContaining({ status: 'issued', expires_in: 3600 })])
    expect((await refreshAt(t, String(body.refresh_token))).status).toBe(200)
    expect((await callAs(t, null, 'session.refresh', input)).body).toEqual({ status: 'invalid_grant' })
  })

  test('DF-20 the scope cannot be raised; asked for a part of it, the answer says what the token has', async () => {
    const t = createGate()
    const { refresh_token } = await loginOffline(t)
    expect((await refreshAt(t, refresh_token, { scope: 'read write' })).body.error).toBe('invalid_scope')
    const { status, body } = await refreshAt(t, refresh_token, { scope: 'read' })
    expect([status, body.scope]).toEqual([200, 'read offline_access'])
  })
})

describe('reuse', () => {
  test('a refresh token that comes back ends the whole login: nobody can tell the thief', async () => {
    const t = createGate()
    const first = await loginOffline(t)
    const second = await refreshed(t, first.refresh_token)
    const third = await refreshed(t, second.refresh_token)
    // two rotations old is recognised too
    const { status, body } = await refreshAt(t, first.refresh_token)
    expect([status, body.error]).toEqual([400, 'invalid_grant'])
    for (const token of [first.access_token, second.access_token, third.access_token])
      expect(await useToken(t, token)).toBe(401)
    expect((await refreshAt(t, third.refresh_token)).body.error).toBe('invalid_grant')
    expect(events(t).filter((type) => type === 'replayed')).toHaveLength(1)
  })

  test('other logins of the same person and client go on', async () => {
    const t = createGate()
    const [one, two] = [await loginOffline(t), await loginOffline(t)]
    await refreshed(t, one.refresh_token)
    await refreshAt(t, one.refresh_token)
    expect(await useToken(t, two.access_token)).toBe(200)
    await refreshed(t, two.refresh_token)
  })

  test('a made-up token of a known credential does nothing: ids are no secrets', async () => {
    const t = createGate()
    const { refresh_token, access_token } = await loginOffline(t)
    const [{ id } = {}] = t.rows("SELECT id FROM credentials WHERE kind = 'api_key'")
    const other = createSecret(random, 'pg', 'session')
    for (const made of [
      `pgr_${id}`,
      refresh_token.slice(0, -1),
      `${refresh_token}0`,
      other,
      access_token,
      'x',
    ])
      expect((await refreshAt(t, made)).body.error).toBe('invalid_grant')
    expect(await useToken(t, access_token)).toBe(200)
    await refreshed(t, refresh_token)
  })

  test('DF-07 another client can neither use nor end it', async () => {
    const t = createGate()
    const { refresh_token, access_token } = await loginOffline(t)
    const next = await refreshed(t, refresh_token)
    for (const token of [refresh_token, next.refresh_token])
      expect((await refreshAt(t, token, { client_id: 'other' })).body.error).toBe('invalid_grant')
    expect((await refreshAt(t, next.refresh_token, { client_id: 'nobody' })).body.error).toBe(
      'invalid_client',
    )
    expect(await useToken(t, access_token)).toBe(200)
    await refreshed(t, next.refresh_token)
  })

  test('many at once with one token: one gets tokens, and then the login is over for all', async () => {
    const t = createGate()
    const { refresh_token } = await loginOffline(t)
    const answers = await Promise.all(Array.from({ length: 20 }, () => refreshAt(t, refresh_token)))
    const won = answers.filter(({ status }) => status === 200)
    expect(won).toHaveLength(1)
    expect(await useToken(t, String(won[0]?.body.access_token))).toBe(401)
    expect((await refreshAt(t, String(won[0]?.body.refresh_token))).body.error).toBe('invalid_grant')
  })
})

describe('the end', () => {
  test('SES-04 absolute: no refresh goes beyond refreshSeconds, and the last access token ends with it', async () => {
    const t = createGate({ refreshSeconds: 9000, sessionIdleSeconds: 31_536_000 })
    let { refresh_token } = await loginOffline(t)
    t.advance(3000)
    ;({ refresh_token } = await refreshed(t, refresh_token))
    t.advance(3000)
    const last = await refreshed(t, refresh_token)
    expect(last.expires_in).toBe(3000)
    t.advance(2999)
    expect(await useToken(t, last.access_token)).toBe(200)
    t.advance(1)
    expect(await useToken(t, last.access_token)).toBe(401)
    expect((await refreshAt(t, last.refresh_token)).body.error).toBe('invalid_grant')
  })

  test('SES-04 idle: a login that nobody used for sessionIdleSeconds is over', async () => {
    const t = createGate({ sessionIdleSeconds: 7200 })
    const { refresh_token } = await loginOffline(t)
    t.advance(7100)
    const next = await refreshed(t, refresh_token)
    t.advance(7200)
    expect((await refreshAt(t, next.refresh_token)).body.error).toBe('invalid_grant')
  })

  test('KEY-11 DF-26 a disabled person cannot refresh, nor after being enabled again', async () => {
    const t = createGate()
    const { refresh_token, access_token } = await loginOffline(t)
    const alice = { issuer: 'urn:pairgate:dev', subject: 'alice' }
    await t.gate.users.disable(alice)
    expect(await useToken(t, access_token)).toBe(401)
    expect((await refreshAt(t, refresh_token)).body.error).toBe('invalid_grant')
    await t.gate.users.enable(alice)
    expect((await refreshAt(t, refresh_token)).body.error).toBe('invalid_grant')
  })

  test('DF-26 isAllowed is asked at each refresh; a no costs nothing but the answer', async () => {
    let allowed = true
    const asked: unknown[] = []
    const t = createGate({
      isAllowed: (request) => {
        asked.push(request)
        return allowed
      },
    })
    const { refresh_token } = await loginOffline(t)
    allowed = false
    asked.length = 0
    expect((await refreshAt(t, refresh_token)).body.error).toBe('invalid_grant')
    expect(asked).toEqual([
      {
        issuer: 'urn:pairgate:dev',
        subject: 'alice',
        name: 'alice',
        email: null,
        client_id: 'mytool',
        scopes: ['read', 'offline_access'],
        tenant: null,
      },
    ])
    allowed = true
    await refreshed(t, refresh_token)
    expect(events(t)).toContain('refused')
  })

  test.each(['access_token', 'refresh_token'] as const)(
    'KEY-06 revoking by %s ends the whole login',
    async (which) => {
      const t = createGate()
      const first = await loginOffline(t)
      const next = await refreshed(t, first.refresh_token)
      const form = { client_id: 'mytool', token: next[which] }
      expect((await postForm(t, '/oauth/revoke', { ...form, client_id: 'other' })).status).toBe(200)
      expect(await useToken(t, next.access_token)).toBe(200)
      expect((await postForm(t, '/oauth/revoke', form)).status).toBe(200)
      for (const token of [first.access_token, next.access_token]) expect(await useToken(t, token)).toBe(401)
      expect((await refreshAt(t, next.refresh_token)).body.error).toBe('invalid_grant')
    },
  )

  test('a parameter that is missing or wrong is named', async () => {
    const t = createGate()
    const form = { grant_type: 'refresh_token', client_id: 'mytool' }
    expect((await postForm(t, '/oauth/token', form)).body).toEqual({
      error: 'invalid_request',
      error_description: 'The parameter refresh_token is missing',
    })
    expect((await startAs(t, 'device', { client_id: 'mytool' })).page).toContain('/device')
  })

  test('DF-01 the metadata says so, where a client may', async () => {
    const read = async (t: TestGate) =>
      (await (await t.fetch('/.well-known/oauth-authorization-server')).json()) as Record<string, unknown>
    expect((await read(createGate())).grant_types_supported).toContain('refresh_token')
    const none = createTestGate({ clients: { 'pairgate-cli': {} } })
    expect((await read(none)).grant_types_supported).not.toContain('refresh_token')
  })
})
