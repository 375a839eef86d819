/** Pages against forged forms, frames, injections and open redirects: R-WEB. @module */

import { describe, expect, test } from 'vitest'
import { BASE, createTestGate, pollDevice, readForm, startDevice, startPair } from './support/gate.ts'

async function reviewed() {
  const t = createTestGate()
  const start = await startDevice(t)
  const person = t.browser()
  await person.signIn('alice')
  const html = await (await person.get(start.verification_uri_complete)).text()
  const pending = async () => (await pollDevice(t, start.device_code)).body.error
  return { t, start, person, html, form: readForm(html), pending }
}

describe('forged forms', () => {
  test('WEB-01 another origin’s form changes nothing, whichever header tells', async () => {
    const { person, form, pending } = await reviewed()
    const fields = { ...form.fields, decision: 'allow' }
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
      { origin: 'http://127.0.0.1:8788', 'sec-fetch-site': 'same-origin' },
    ]) {
      expect((await person.post(form.action, fields, headers)).status).toBe(403)
    }
    expect(await pending()).toBe('authorization_pending')
  })

  test('WEB-01 without either header the form token still decides', async () => {
    const { t, person, form, pending } = await reviewed()
    const cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const post = (fields: Record<string, string>) =>
      t.fetch(form.action, { method: 'POST', body: new URLSearchParams(fields), headers: { cookie } })
    const { form_token = '', ...rest } = form.fields
    expect((await post({ ...rest, decision: 'allow' })).status).toBe(403)
    const tampered = (form_token.startsWith('A') ? 'B' : 'A') + form_token.slice(1)
    expect((await post({ ...rest, form_token: tampered, decision: 'allow' })).status).toBe(403)
    expect(await pending()).toBe('authorization_pending')
    expect((await post({ ...form.fields, decision: 'allow' })).status).toBe(200)
  })

  test('WEB-01 a form token is good for one person, one browser, one request', async () => {
    const { t, person, form, pending } = await reviewed()
    const fields = { ...form.fields, decision: 'allow' }
    const other = await startDevice(t)
    expect((await person.post(form.action, { ...fields, user_code: other.user_code })).status).toBe(403)
    const bob = t.browser()
    await bob.signIn('bob')
    await bob.get(`/device?user_code=${form.fields.user_code}`)
    expect((await bob.post(form.action, fields)).status).toBe(403)
    const sameUserElsewhere = t.browser()
    await sameUserElsewhere.signIn('alice')
    await sameUserElsewhere.get(`/device?user_code=${form.fields.user_code}`)
    expect((await sameUserElsewhere.post(form.action, fields)).status).toBe(403)
    expect(await pending()).toBe('authorization_pending')
  })

  test('WEB-01 the form must be a form', async () => {
    const { person, t, form, pending } = await reviewed()
    const cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const body = JSON.stringify({ ...form.fields, decision: 'allow' })
    for (const type of ['application/json', 'text/plain']) {
      const headers = { cookie, origin: BASE, 'content-type': type }
      expect((await t.fetch(form.action, { method: 'POST', body, headers })).status).toBe(400)
    }
    expect(await pending()).toBe('authorization_pending')
  })

  test('WEB-01 dev sign-in and sign-out refuse other origins and programs without an origin', async () => {
    const t = createTestGate()
    const person = t.browser()
    expect(
      (await person.post('/sign-in/dev', { username: 'x' }, { origin: 'https://evil.example' })).status,
    ).toBe(403)
    expect((await t.post('/sign-in/dev', { username: 'x' })).status).toBe(403)
    expect(t.rows('SELECT id FROM credentials')).toEqual([])
  })

  test('WEB-02 GET, HEAD, prefetch and _method change nothing', async () => {
    const { t, person, start, form, pending } = await reviewed()
    const before = t.rows('SELECT status, decided_at FROM grants')
    const query = new URLSearchParams({ ...form.fields, decision: 'allow', _method: 'POST' })
    await person.get(`/device?${query}`)
    const cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    await t.fetch(start.verification_uri_complete, { method: 'HEAD', headers: { cookie } })
    const prefetch = {
      cookie,
      purpose: 'prefetch',
      'sec-purpose': 'prefetch',
      'x-http-method-override': 'POST',
    }
    await t.fetch(`/device?${query}`, { headers: prefetch })
    expect(t.rows('SELECT status, decided_at FROM grants')).toEqual(before)
    expect(await pending()).toBe('authorization_pending')
  })

  test('WEB-10 a parameter given twice is refused', async () => {
    const { t, person, form, pending } = await reviewed()
    const cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const body = `${new URLSearchParams({ ...form.fields, decision: 'allow' })}&decision=deny`
    const headers = { cookie, origin: BASE, 'content-type': 'application/x-www-form-urlencoded' }
    expect((await t.fetch(form.action, { method: 'POST', body, headers })).status).toBe(400)
    expect((await person.get('/device?user_code=BCDF-GHJK&user_code=BCDF-GHJL')).status).toBe(400)
    expect(await pending()).toBe('authorization_pending')
  })
})

describe('headers', () => {
  const pages = [
    '/device',
    '/sign-in',
    '/account',
    '/pair/x',
    '/nowhere',
    '/oauth/token',
    '/trpc/session.whoami',
    '/healthz',
  ]

  test.each(pages)('WEB-03 WEB-04 WEB-05 WEB-06 %s', async (path) => {
    const { headers } = await createTestGate().fetch(path)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('referrer-policy')).toBe('same-origin')
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('cross-origin-opener-policy')).toBe('same-origin')
    const csp = headers.get('content-security-policy') ?? ''
    for (const part of [
      "default-src 'none'",
      "frame-ancestors 'none'",
      "form-action 'self'",
      "base-uri 'none'",
    ]) {
      expect(csp).toContain(part)
    }
    expect(csp).not.toContain('unsafe')
    expect(csp).not.toContain('http')
    expect(headers.get('access-control-allow-origin')).toBeNull()
    expect(headers.get('strict-transport-security')).toBeNull()
  })

  test('WEB-05 charset is told, and https is pinned where it is used', async () => {
    const t = createTestGate({ baseUrl: 'https://gateway.example', identify: () => ({ subject: 'alice' }) })
    const { headers } = await t.fetch('/device')
    expect(headers.get('content-type')?.toLowerCase()).toBe('text/html; charset=utf-8')
    expect(headers.get('strict-transport-security')).toBe('max-age=31536000')
  })
})

describe('output', () => {
  test('WEB-07 labels are escaped, cut to 64 characters, without controls and direction marks', async () => {
    const t = createTestGate()
    const device_name = `<script>alert(1)</script>\u202egnp.exe\u0007\n\u200b${'x'.repeat(100)}`
    const start = await startDevice(t, { device_name })
    const person = t.browser()
    await person.signIn('<b>alice</b>"\'')
    const html = await (await person.get(start.verification_uri_complete)).text()
    expect(html).not.toContain('<script>')
    expect(html).not.toContain('<b>alice')
    for (const hidden of ['\u202e', '\u0007', '\u200b']) expect(html).not.toContain(hidden)
    expect(html).toContain('&lt;script&gt;alert(1)&lt;/script&gt;gnp.exe x')
    expect(html).not.toContain('x'.repeat(60))
    expect(String(t.rows('SELECT device_name FROM grants')[0]?.device_name)).toHaveLength(64)
  })

  test('WEB-07 what comes in by URL is escaped', async () => {
    const t = createTestGate()
    const evil = '"><script>alert(1)</script>'
    const person = t.browser()
    for (const path of [
      `/sign-in?next=${encodeURIComponent(`/device?user_code=${evil}`)}`,
      `/sign-in?next=${encodeURIComponent(evil)}`,
    ]) {
      expect(await (await person.get(path)).text()).not.toContain('<script>')
    }
    await person.signIn('alice')
    for (const path of [
      `/device?user_code=${encodeURIComponent(evil)}`,
      `/pair/${encodeURIComponent(evil)}`,
    ]) {
      expect(await (await person.get(path)).text()).not.toContain('<script>')
    }
  })

  test('WEB-08 nothing that came in breaks a header', async () => {
    const t = createTestGate()
    const evil = '/device?user_code=x%0d%0aSet-Cookie:%20evil=1'
    const person = t.browser()
    const responses = [
      await person.get(evil),
      await person.get(`/sign-in?next=${encodeURIComponent('/device\r\nSet-Cookie: evil=1')}`),
      await person.post('/sign-in/dev', { username: 'alice', next: '/device?x=\r\nSet-Cookie: evil=1' }),
    ]
    for (const { headers } of responses) {
      expect(headers.getSetCookie().join()).not.toContain('evil')
      expect(headers.get('location') ?? '').not.toMatch(/[\r\n]/)
    }
  })

  test('WEB-09 after sign-in only a path of our own is followed', async () => {
    const t = createTestGate()
    const go = async (next: string) =>
      (await t.browser().post('/sign-in/dev', { username: 'alice', next })).headers.get('location')
    for (const evil of [
      'https://evil.example/',
      '//evil.example',
      '/\\evil.example',
      '\\\\evil.example',
      '/%5cevil.example/..//x',
      'javascript:alert(1)',
      '/\t/evil.example',
      'device',
      `/${'x'.repeat(3000)}`,
    ]) {
      const location = (await go(evil)) ?? ''
      expect(new URL(location, BASE).origin).toBe(BASE)
      expect(location.startsWith('//')).toBe(false)
    }
    expect(await go('/pair/abc?x=1')).toBe('/pair/abc?x=1')
  })

  test('WEB-09 under a mount the path must lie inside it', async () => {
    const t = createTestGate({ baseUrl: `${BASE}/auth` })
    const person = t.browser()
    const go = async (next: string) =>
      (await person.post('/auth/sign-in/dev', { username: 'alice', next })).headers.get('location')
    expect(await go('/admin')).toBe('/auth/')
    expect(await go('/auth/../admin')).toBe('/auth/')
    expect(await go('/auth/device')).toBe('/auth/device')
  })
})

describe('hosts', () => {
  test('GW-01 a page by another host name is redirected to ours; everything else is 421; links never follow Host', async () => {
    const t = createTestGate()
    const html = { accept: 'text/html' }
    const page = await t.fetch('http://localhost:8787/device?user_code=x', { headers: html })
    expect([page.status, page.headers.get('location')]).toEqual([307, `${BASE}/device?user_code=x`])
    const evil = await t.fetch('http://evil.example//evil.example/device', { headers: html })
    expect(new URL(evil.headers.get('location') ?? '').origin).toBe(BASE)
    const post = await t.fetch('http://evil.example/oauth/device/authorize', {
      method: 'POST',
      body: new URLSearchParams({ client_id: 'pairgate-cli' }),
    })
    expect(post.status).toBe(421)
    expect((await t.fetch('http://evil.example/healthz')).status).toBe(200)
    expect((await t.fetch('http://evil.example/readyz')).status).toBe(200)
    const forwarded = { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https' }
    const start = await t.fetch('/oauth/device/authorize', {
      method: 'POST',
      body: new URLSearchParams({ client_id: 'pairgate-cli' }),
      headers: forwarded,
    })
    expect(await start.text()).not.toContain('evil')
  })

  test('GW-03 under a mount nothing outside it is served, and the path-inserted metadata is', async () => {
    const t = createTestGate({ baseUrl: `${BASE}/auth` })
    for (const path of ['/device', '/auth/../device', '/authx/device', '/auth//device', '/%61uth%2fdevice']) {
      expect((await t.fetch(path)).status).toBe(404)
    }
    expect((await t.fetch('/auth/device')).status).toBe(303)
    const inserted = await t.fetch('/.well-known/oauth-authorization-server/auth')
    expect(await inserted.json()).toMatchObject({
      issuer: `${BASE}/auth`,
      token_endpoint: `${BASE}/auth/oauth/token`,
    })
    expect((await t.fetch('/auth/.well-known/oauth-authorization-server')).status).toBe(200)
  })

  test('GW-04 X-Forwarded-For counts only behind a trusted proxy, its right-most untrusted hop', async () => {
    const plain = createTestGate()
    const proxied = createTestGate({ trustedProxies: ['10.0.0.0/8', '::1'] })
    const headers = { 'x-forwarded-for': '6.6.6.6, 203.0.113.9, 10.1.1.1' }
    const start = async (t: typeof plain, peer: string) => {
      const body = new URLSearchParams({ client_id: 'pairgate-cli' })
      await t.fetch('/oauth/device/authorize', { method: 'POST', body, headers }, peer)
      return t.rows('SELECT remote_address FROM grants ORDER BY created_at DESC, rowid DESC')[0]
        ?.remote_address
    }
    expect(await start(plain, '10.0.0.1')).toBe('10.0.0.1')
    expect(await start(proxied, '198.51.100.1')).toBe('198.51.100.1')
    expect(await start(proxied, '10.0.0.1')).toBe('203.0.113.9')
    expect(await start(proxied, '::ffff:10.0.0.1')).toBe('203.0.113.9')
    expect(await start(proxied, '::1')).toBe('203.0.113.9')
  })

  test.each([
    ['https://gateway.example', '10.0.0.5', {}, null],
    ['https://gateway.example', '203.0.113.5', {}, '203.0.113.5'],
    ['https://gateway.example', '10.0.0.5', { 'x-forwarded-for': '10.7.7.7' }, null],
    ['https://gateway.internal', '10.0.0.5', {}, '10.0.0.5'],
    ['https://10.0.0.9', '10.0.0.5', {}, '10.0.0.5'],
    ['https://gateway', 'fe80::1', {}, 'fe80::1'],
    ['https://gateway.example', '127.0.0.1', { 'x-forwarded-for': '10.7.7.7' }, '10.7.7.7'],
  ])('GW-04 %s called from %s %j: the address is %s', async (baseUrl, peer, headers, address) => {
    const t = createTestGate({ baseUrl, identify: () => null, trustedProxies: ['127.0.0.0/8'] })
    const body = new URLSearchParams({ client_id: 'pairgate-cli' })
    await t.fetch('/oauth/device/authorize', { method: 'POST', body, headers }, peer)
    expect(t.rows('SELECT remote_address FROM grants')).toEqual([{ remote_address: address }])
  })

  test('the old verification path leads to the new one', async () => {
    const { headers } = await createTestGate().fetch('/oauth/device/verify?user_code=BCDF-GHJK')
    expect(headers.get('location')).toBe('/device?user_code=BCDF-GHJK')
  })

  test('a paircode link may carry a query', async () => {
    const t = createTestGate()
    const start = await startPair(t)
    const person = t.browser()
    await person.signIn('alice')
    expect((await person.get(`${start.login_url}?utm=1`)).status).toBe(200)
  })
})
