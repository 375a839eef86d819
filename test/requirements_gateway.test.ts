/** Pages, the gateway around them and tRPC, what their other tests leave open. @module */

import { describe, expect, test } from 'vitest'
import type { PairgateOptions } from '../src/mod.ts'
import {
  BASE,
  createTestGate,
  pollDevice,
  pollPair,
  readForm,
  startDevice,
  startPair,
} from './support/gate.ts'

describe('pages', () => {
  test('WEB-06 no page names anything of another origin, nor a script, a picture or a font', async () => {
    const t = createTestGate()
    const [device, pair] = [await startDevice(t), await startPair(t, {}, '198.51.100.7')]
    const person = t.browser()
    const pages = [await (await person.get('/sign-in')).text()]
    await person.signIn('alice')
    for (const path of [
      '/device',
      '/device?user_code=BCDF-GHJK',
      device.verification_uri_complete,
      pair.login_url,
      '/nowhere',
    ])
      pages.push(await (await person.get(path)).text())
    pages.push(await (await person.decide(device.verification_uri_complete, 'allow')).text())
    for (const html of pages) {
      expect(html).toContain('<!doctype html>')
      expect(html).not.toMatch(/<(script|img|link|iframe|object|embed|base|audio|video|svg)\b/i)
      expect(html).not.toMatch(/\bsrc=|@import|url\(|@font-face/i)
      for (const [, target = ''] of html.matchAll(/\b(?:href|action|formaction)="([^"]*)"/g))
        expect(target).toMatch(/^\/(?!\/)/)
    }
  })

  test.each(['device', 'pair'] as const)(
    'DF-22 PC-03 %s: the page says for which scopes and in whose name, and Deny looks like Allow',
    async (flow) => {
      const t = createTestGate({
        clients: { tool: { name: 'The Tool', scopes: ['read', 'write'] } },
        scopes: { read: 'Read your files', write: 'Change your files' },
      })
      const form = { client_id: 'tool', scope: 'read write', device_name: 'my laptop' }
      const link =
        flow === 'device'
          ? (await startDevice(t, form)).verification_uri_complete
          : (await startPair(t, form)).login_url
      const person = t.browser()
      await person.signIn('alice')
      const html = await (await person.get(link)).text()
      for (const words of [
        'The Tool',
        'tool',
        'my laptop',
        'unverified',
        'Read your files',
        'Change your files',
      ])
        expect(html).toContain(words)
      expect(html).toMatch(/<dt>As<\/dt>\s*<dd>\s*alice/)
      expect(html).toMatch(/only if you started this/)
      const buttons = [...html.matchAll(/<button([^>]*)>\s*(Allow|Deny)\s*<\/button>/g)]
      expect(buttons.map(([, , word]) => word)).toEqual(['Allow', 'Deny'])
      const [allow, deny] = buttons.map(([, attributes = '']) => attributes.replace(/ value="\w+"/, ''))
      expect(deny).toBe(allow)
      expect(readForm(html).method).toBe('post')
    },
  )

  test('WEB-08 line breaks in what comes by URL, form or cookie are taken out or escaped; the answer is still one', async () => {
    const t = createTestGate()
    const evil = '\r\nSet-Cookie: evil=1\r\n\r\n<b>'
    const person = t.browser()
    const escaped = encodeURIComponent(evil)
    const away = await person.get(`/device?user_code=x${escaped}`)
    const back = await person.post('/sign-in/dev', { username: `alice${evil}`, next: `/device?x=${evil}` })
    const again = await person.get(`/sign-in?next=${encodeURIComponent(`/device?x=${evil}`)}`)
    const old = await person.get(`/oauth/device/verify?user_code=${escaped}`)
    const elsewhere = await t.fetch(`http://localhost:8787/device?x=${escaped}`, {
      headers: { accept: 'text/html' },
    })
    for (const { status, headers } of [away, back, again, old, elsewhere]) {
      expect([302, 303, 307]).toContain(status)
      expect(headers.get('location')).toMatch(/^[\x21-\x7e]+$/)
      expect(headers.getSetCookie().join()).not.toMatch(/evil|[\r\n]/)
    }
    expect(back.headers.getSetCookie()).toHaveLength(1)
  })

  test('WEB-10 the form of one request decides no other, of the same flow or the other', async () => {
    const t = createTestGate()
    const [shown, hidden] = [await startPair(t), await startPair(t)]
    const device = await startDevice(t)
    const person = t.browser()
    await person.signIn('alice')
    const { fields } = readForm(await (await person.get(shown.login_url)).text())
    const form = { ...fields, decision: 'allow' }
    expect((await person.post(new URL(hidden.login_url).pathname, form)).status).toBe(403)
    expect((await person.post('/device', { ...form, user_code: device.user_code })).status).toBe(403)
    const both = { ...form, user_code: device.user_code, paircode: hidden.paircode }
    expect((await person.post(new URL(shown.login_url).pathname, both)).status).toBe(200)
    expect((await pollPair(t, hidden.verifier)).body.error).toBe('authorization_pending')
    expect((await pollDevice(t, device.device_code)).body.error).toBe('authorization_pending')
    expect((await pollPair(t, shown.verifier)).status).toBe(200)
  })
})

const FORGED = [
  ...['remote-user', 'remote_user', 'x-remote-user', 'x_remote_user', 'x.remote.user', 'x-user', 'x-user-id'],
  ...['x-forwarded-user', 'x_forwarded_user', 'x-forwarded-email', 'x-forwarded-preferred-username'],
  ...['x-auth-request-user', 'x-auth-request-email', 'x-authenticated-user', 'x-webauth-user', 'x-email'],
  ...['x-authentik-username', 'x-goog-authenticated-user-email', 'cf-access-authenticated-user-email'],
  ...['x-pairgate-user', 'x-pairgate-subject', 'x-auth-token', 'proxy-authorization', 'x-original-user'],
]

describe('who is there', () => {
  const ways: [string, Partial<PairgateOptions>][] = [
    ['a hook that says nobody', { identify: () => null }],
    ['a hook that says nothing', { identify: async () => undefined }],
    ['a sign-in of its own', { devSignIn: true }],
  ]
  test.each(ways)(
    'GW-02 with %s no header of a request makes anybody, not from a trusted proxy',
    async (_, way) => {
      const t = createTestGate({ ...way, trustedProxies: ['10.0.0.0/8'] })
      const start = await startDevice(t)
      const cookie = 'user=alice; session=alice; pairgate-session=alice; gateway=alice'
      const headers = {
        ...Object.fromEntries(FORGED.map((name) => [name, 'alice'])),
        'x-forwarded-for': '127.0.0.1',
        forwarded: 'for=127.0.0.1;by=10.0.0.1',
        accept: 'text/html',
        cookie,
      }
      for (const peer of ['127.0.0.1', '10.0.0.1']) {
        expect((await t.fetch('/secured', { headers }, peer)).status).toBe(401)
        const page = await t.fetch(start.verification_uri_complete, { headers }, peer)
        expect(await page.text()).not.toContain('name="decision"')
        const approve = {
          method: 'POST',
          body: JSON.stringify({ user_code: start.user_code }),
          headers: { ...headers, origin: BASE, 'content-type': 'application/json' },
        }
        expect((await t.fetch('/trpc/device.approve', approve, peer)).status).toBe(401)
      }
      expect(t.rows('SELECT id FROM users')).toEqual([])
    },
  )

  test('GW-02 the hook alone is believed, is asked each time, and an identity that is none is refused', async () => {
    let subject: unknown = 'alice'
    const t = createTestGate({
      identify: () => ({ subject: subject as string, issuer: 'https://gateway.example' }),
    })
    const read = async () => await t.fetch('/secured', { headers: { 'x-forwarded-user': 'mallory' } })
    expect(await (await read()).text()).toBe('You are authenticated as: alice')
    subject = 'bob'
    expect(await (await read()).text()).toBe('You are authenticated as: bob')
    for (const none of ['', undefined, 7, { toString: () => 'alice' }, 'x'.repeat(256), '\ud800']) {
      subject = none
      expect((await read()).status).toBe(500)
    }
  })

  test('GW-05 cookies of the host application are neither read nor set, and none is for a domain', async () => {
    const t = createTestGate({ baseUrl: `${BASE}/auth` })
    const person = t.browser()
    for (const name of ['session', 'sid', 'connect.sid', 'token', 'user']) person.cookies.set(name, 'host')
    const start = await (await t.post('/auth/oauth/device/authorize', { client_id: 'pairgate-cli' })).json()
    const { verification_uri_complete: link } = start as { verification_uri_complete: string }
    expect((await person.get(link)).status).toBe(303)
    const answers = [
      await person.post('/auth/sign-in/dev', { username: 'alice' }),
      await person.get(link),
      await person.post('/auth/sign-out', {}),
    ]
    const set = answers.flatMap(({ headers }) => headers.getSetCookie())
    expect(set).toHaveLength(3)
    for (const cookie of set) {
      expect(cookie).toMatch(/^pairgate-(session|form)=/)
      expect(cookie).not.toMatch(/domain/i)
    }
    expect(person.cookies.get('session')).toBe('host')
  })
})

describe('tRPC', () => {
  test('RPC-08 there are no subscriptions: nobody can hold a stream open', async () => {
    const t = createTestGate()
    const router = t.gate.router({
      resolve: () => ({ request: new Request(BASE), remoteAddress: undefined }),
    })
    const { procedures } = (
      router as unknown as { _def: { procedures: Record<string, { _def: { type: string } }> } }
    )._def
    const types = Object.values(procedures).map((procedure) => procedure._def.type)
    expect(types.length).toBeGreaterThan(10)
    expect(new Set(types)).toEqual(new Set(['query', 'mutation']))
    const stream = { headers: { accept: 'text/event-stream', 'trpc-accept': 'application/jsonl' } }
    const response = await t.fetch('/trpc/session.whoami?batch=1', stream)
    expect(response.headers.get('content-type')).not.toContain('event-stream')
  })
})
