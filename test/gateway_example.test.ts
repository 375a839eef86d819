/** The example gateway: a host's own login, pairgate mounted beside it, an API that believes its credentials. @module */

import type { HttpBindings } from '@hono/node-server'
import { expect, test } from 'vitest'
import { createBrowser, DEVICE_GRANT } from './support/gate.ts'

process.env.DATABASE_FILE = ':memory:'
const { app } = await import('../examples/gateway.ts')

const ORIGIN = 'http://127.0.0.1:3000'
const env = { incoming: { socket: { remoteAddress: '127.0.0.1' } } } as HttpBindings
const send = async (path: string, init?: RequestInit) =>
  await app.fetch(new Request(new URL(path, ORIGIN), { redirect: 'manual', ...init }), env)
const post = (path: string, form: Record<string, string>) =>
  send(path, { method: 'POST', body: new URLSearchParams(form) })

test('a CLI signs in at a gateway that already knows its users', async () => {
  const metadata = (await (await send('/.well-known/oauth-authorization-server/auth')).json()) as Record<
    string,
    string
  >
  expect(metadata.issuer).toBe(`${ORIGIN}/auth`)
  const client = { client_id: 'pairgate-cli' }
  const started = await post(metadata.device_authorization_endpoint ?? '', client)
  const start = (await started.json()) as Record<string, string>
  const link = start.verification_uri_complete ?? ''

  const person = createBrowser(send, ORIGIN)
  const away = (await person.get(link)).headers.get('location') ?? ''
  expect(away).toBe(`/login?${new URLSearchParams({ next: link })}`)
  const back = await person.post(away, { name: 'alice' })
  expect(back.headers.get('location')).toBe(link)
  expect(await (await person.decide(link, 'allow')).text()).toContain('Allowed')

  const poll = { ...client, grant_type: DEVICE_GRANT, device_code: start.device_code ?? '' }
  const token = (await (await post(metadata.token_endpoint ?? '', poll)).json()) as Record<string, string>
  const headers = { authorization: `Bearer ${token.access_token}` }
  expect(await (await send('/api/hello', { headers })).json()).toEqual({ hello: 'alice' })
  expect((await send('/api/hello')).status).toBe(401)
})

test('the base URL itself leads to the entry of a code, with and without a slash', async () => {
  for (const path of ['/auth', '/auth/']) {
    const response = await send(path, { headers: { accept: 'text/html' } })
    expect([response.status, response.headers.get('location')]).toEqual([302, '/auth/device'])
  }
})

test('WEB-09 the gateway’s own login follows `next` only back to pairgate', async () => {
  const person = createBrowser(send, ORIGIN)
  const evil = await person.post('/login?next=https://evil.example/auth/', { name: 'alice' })
  expect(evil.headers.get('location')).toBe('/')
})
