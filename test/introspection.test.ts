/** Introspection (RFC 7662): who may ask, what they are told, and what nobody is told. @module */

import { createHash } from 'node:crypto'
import * as oauth from 'oauth4webapi'
import { describe, expect, test } from 'vitest'
import { loginAs, personAt, postForm, refreshAt } from './support/credentials.ts'
import { BASE, createTestGate, type TestGate } from './support/gate.ts'
import { FLOWS } from './support/logins.ts'

const ID = 'https://api.example/'
const SECRET = 'resource:server secret+with %odd&signs'
const OPTIONS = {
  clients: { mytool: { scopes: ['read', 'offline_access'] } },
  resourceServers: { [ID]: { secret: SECRET }, other: { secret: 'another-secret-another-secret-32b' } },
}
const encode = (text: string) => encodeURIComponent(text).replaceAll('%20', '+')
const basic = (id: string, secret: string) => ({
  authorization: `Basic ${btoa(`${encode(id)}:${encode(secret)}`)}`,
})
const ask = (t: TestGate, token: string, headers: Record<string, string> = basic(ID, SECRET)) =>
  postForm(t, '/oauth/introspect', { token }, headers)

describe('KEY-07 introspection', () => {
  test.each(FLOWS)('%s: tells what an access token is good for, in the RFC’s words', async (flow) => {
    const t = createTestGate(OPTIONS)
    const person = await personAt(t, 'alice')
    const tokens = await loginAs(t, person, flow, { client_id: 'mytool', scope: 'read offline_access' })
    const { status, body, headers } = await ask(t, tokens.access_token)
    const sub = createHash('sha256')
      .update(JSON.stringify(['urn:pairgate:dev', 'alice']))
      .digest('hex')
    const [row] = t.rows("SELECT id, created_at FROM credentials WHERE kind <> 'browser'")
    const iat = Math.floor(Number(row?.created_at) / 1000)
    expect([status, headers.get('cache-control')]).toEqual([200, 'no-store'])
    expect(body).toEqual({
      active: true,
      scope: 'read offline_access',
      client_id: 'mytool',
      username: 'alice',
      token_type: 'Bearer',
      exp: iat + 3600,
      iat,
      sub,
      sub_id: { format: 'iss_sub', iss: 'urn:pairgate:dev', sub: 'alice' },
      iss: BASE,
      jti: row?.id,
    })
  })

  test('whatever is the matter with a token: {"active":false} and nothing else', async () => {
    const t = createTestGate(OPTIONS)
    const person = await personAt(t, 'alice')
    const tokens = await loginAs(t, person, 'device', { client_id: 'mytool', scope: 'offline_access' })
    const browser = person.cookies.get('pairgate-session') ?? ''
    const inactive = async (token: string) => expect((await ask(t, token)).body).toEqual({ active: false })
    for (const token of ['x', `${tokens.access_token}0`, String(tokens.refresh_token), browser])
      await inactive(token)
    await refreshAt(t, String(tokens.refresh_token))
    t.advance(3600)
    await inactive(tokens.access_token)
    const other = await loginAs(t, person, 'pair', { client_id: 'mytool' })
    await t.gate.users.disable({ issuer: 'urn:pairgate:dev', subject: 'alice' })
    await inactive(other.access_token)
  })

  test('only to resource servers, by Basic or by form; each wrong way is a 401 of the same sort', async () => {
    const t = createTestGate(OPTIONS)
    const person = await personAt(t, 'alice')
    const { access_token: token } = await loginAs(t, person, 'device', { client_id: 'mytool' })
    const byForm = await postForm(t, '/oauth/introspect', { token, client_id: ID, client_secret: SECRET })
    expect(byForm.body.active).toBe(true)
    const wrong: [Record<string, string>, Record<string, string>?][] = [
      [{ token }],
      [{ token, client_id: ID }],
      [{ token, client_id: ID, client_secret: `${SECRET}x` }],
      [{ token, client_id: 'other', client_secret: SECRET }],
      [{ token, client_id: 'mytool' }],
      [{ token }, basic(ID, '')],
      [{ token }, basic('nobody', SECRET)],
      [{ token }, { authorization: 'Basic %%%' }],
      [{ token }, { authorization: `Bearer ${token}` }],
      // Basic that is wrong is not saved by a form that is right
      [{ token, client_id: ID, client_secret: SECRET }, basic(ID, 'wrong')],
    ]
    for (const [form, headers] of wrong) {
      const answer = await postForm(t, '/oauth/introspect', form, headers)
      expect([answer.status, answer.body.error]).toEqual([401, 'invalid_client'])
      expect(answer.headers.get('www-authenticate')).toMatch(/^Basic /)
      expect(answer.body.active).toBeUndefined()
    }
  })

  test('POST with a form only; a missing token is named', async () => {
    const t = createTestGate(OPTIONS)
    expect((await t.fetch('/oauth/introspect?token=x', { headers: basic(ID, SECRET) })).status).toBe(405)
    expect((await postForm(t, '/oauth/introspect', {}, basic(ID, SECRET))).body.error).toBe('invalid_request')
    const twice = await t.fetch('/oauth/introspect', {
      method: 'POST',
      headers: { ...basic(ID, SECRET), 'content-type': 'application/x-www-form-urlencoded' },
      body: 'token=a&token=b',
    })
    expect(twice.status).toBe(400)
  })

  test('without resource servers there is no endpoint, and the metadata says so', async () => {
    const t = createTestGate()
    expect((await postForm(t, '/oauth/introspect', { token: 'x' })).status).toBe(404)
    const read = async (gate: TestGate) =>
      (await (await gate.fetch('/.well-known/oauth-authorization-server')).json()) as Record<string, unknown>
    expect((await read(t)).introspection_endpoint).toBeUndefined()
    const { introspection_endpoint, introspection_endpoint_auth_methods_supported } = await read(
      createTestGate(OPTIONS),
    )
    expect([introspection_endpoint, introspection_endpoint_auth_methods_supported]).toEqual([
      `${BASE}/oauth/introspect`,
      ['client_secret_basic', 'client_secret_post'],
    ])
  })

  test('GW-01 resource servers may call it by any Host', async () => {
    const t = createTestGate(OPTIONS)
    const url = 'http://pairgate.internal:9000/oauth/introspect'
    const request = new Request(url, {
      method: 'POST',
      headers: basic(ID, SECRET),
      body: new URLSearchParams({ token: 'x' }),
    })
    expect((await t.gate.fetch(request)).status).toBe(200)
  })

  test.each([oauth.ClientSecretBasic, oauth.ClientSecretPost])(
    'an OAuth library asks, by %o',
    async (method) => {
      const t = createTestGate(OPTIONS)
      const person = await personAt(t, 'alice')
      const { access_token } = await loginAs(t, person, 'device', { client_id: 'mytool', scope: 'read' })
      const options = {
        [oauth.allowInsecureRequests]: true,
        [oauth.customFetch]: (url: string, init: object) =>
          t.fetch(new URL(url).pathname, init as RequestInit),
      }
      const issuer = new URL(BASE)
      const found = await oauth.discoveryRequest(issuer, { ...options, algorithm: 'oauth2' } as never)
      const server = await oauth.processDiscoveryResponse(issuer, found)
      const client = { client_id: ID }
      const auth = method(SECRET)
      const response = await oauth.introspectionRequest(server, client, auth, access_token, options as never)
      const told = await oauth.processIntrospectionResponse(server, client, response)
      expect(told).toMatchObject({ active: true, scope: 'read', username: 'alice' })
    },
  )

  test('a secret of fewer than 32 bytes is refused at the start', () => {
    expect(() => createTestGate({ resourceServers: { api: { secret: 'short' } } })).toThrow(
      'at least 32 bytes',
    )
  })
})
