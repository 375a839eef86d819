/** The account page over HTTP: one list of keys and sessions, and what may be done to them. @module */

import { reset } from '@logtape/logtape'
import { afterEach, describe, expect, test } from 'vitest'
import {
  ACCOUNT_OPTIONS,
  act,
  credentialsOf,
  makeKey,
  openAccount,
  readAccount,
  rowOf,
  secretIn,
  send,
} from './support/account.ts'
import { dump } from './support/bad_input.ts'
import { loginAs, personAt, useToken } from './support/credentials.ts'
import { createTestGate, type TestGate } from './support/gate.ts'
import { catchLog } from './support/webhook_receiver.ts'

const createGate = (options: Parameters<typeof createTestGate>[0] = {}) =>
  createTestGate({ ...ACCOUNT_OPTIONS, ...options })

const liveIds = (t: TestGate) => t.rows('SELECT id FROM credentials WHERE revoked_at IS NULL').length

describe('the list', () => {
  test('KEY-08 keys, sessions and browsers in one list, with what is known of each', async () => {
    const t = createGate()
    const elsewhere = t.browser('203.0.113.7')
    await elsewhere.signIn('alice')
    const person = await personAt(t, 'alice')
    const device = { client_id: 'tool', scope: 'read write', device_name: 'laptop' }
    const key = (await loginAs(t, person, 'device', device)).access_token
    await loginAs(t, person, 'pair', { client_id: 'tool' })
    await makeKey(person, { name: 'by hand' })
    await t.fetch('/secured', { headers: { authorization: `Bearer ${key}` } }, '198.51.100.4')
    t.advance(120)
    const { html } = await openAccount(person)
    const laptop = rowOf(html, 'laptop (')
    for (const part of [
      `API key · pgk_…${key.slice(-4)} · active`,
      'App Tool One',
      'Access Read everything; Change &lt;things&gt;',
      'Created 2 minutes ago',
      'Allowed from 127.0.0.1',
      'Collected from 127.0.0.1',
      'Last used 2 minutes ago',
      'from 198.51.100.4',
      'Expires in 1 day',
      'End',
      'This was not me',
      'Replace the secret',
    ])
      expect(laptop).toContain(part)
    const session = rowOf(html, 'Tool One')
    expect(session).toContain('Session of a command-line app · pgs_…')
    expect(session).toContain('Last used Never')
    expect(session).not.toContain('Replace')
    expect(rowOf(html, 'by hand')).toContain('Made from 127.0.0.1')
    expect(rowOf(html, 'This browser')).toContain('This is what you are using now.')
    expect(rowOf(html, 'This browser')).not.toContain('This was not me')
    expect(rowOf(html, 'Another browser')).toContain('Signed in from 203.0.113.7')
    expect(html.match(/<ul/g)).toHaveLength(1)
  })

  test('KEY-08 what ended stays, at the end, and can no longer be pressed', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    await makeKey(person, { name: 'one' })
    await loginAs(t, person, 'device', { device_name: 'day' })
    await act(person, 'revoke', { id: credentialsOf(t, 'api_key')[0]?.id ?? '' })
    t.advance(86_400)
    await person.signIn('alice')
    const { html } = await openAccount(person)
    const rows = [...html.matchAll(/<li( class="over")?><h2[^>]*>([^<]*)/g)]
    expect(rows.map(([, over]) => over !== undefined)).toEqual([false, true, true, true])
    expect(rows[0]?.[2]).toBe('This browser')
    expect(rowOf(html, 'one')).toContain('· Ended')
    expect(rowOf(html, 'day (')).toContain('Expired')
    for (const name of ['one', 'day (']) expect(rowOf(html, name)).not.toMatch(/End |not me|Replace/)
  })

  test('KEY-08 no secret and no hash is ever in it', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    const { secret } = await makeKey(person)
    const { html } = await openAccount(person)
    expect(html).not.toContain(secret)
    for (const { secret_hash } of t.rows('SELECT secret_hash FROM credentials'))
      expect(html).not.toContain(String(secret_hash))
    expect(html).not.toContain([...person.cookies.values()][0])
  })

  test('WEB-07 names are escaped and cut, wherever they come from', async () => {
    const t = createGate({ clients: { tool: { name: '<i>Tool</i>', scopes: ['read', 'write'] } } })
    const person = await personAt(t, '<b>alice</b>')
    const device_name = `<script>alert(1)</script>\u202e${'x'.repeat(100)}`
    await loginAs(t, person, 'device', { client_id: 'tool', scope: 'read write', device_name })
    const made = await makeKey(person, { name: `"><script>\u202e${'y'.repeat(100)}`, 'scope:write': '1' })
    const pages = [made.html, (await openAccount(person)).html]
    pages.push((await makeKey(person, { name: '"><script>', 'scope:<b>': '1' })).html)
    for (const html of pages) {
      expect(html).not.toMatch(/<script|<b>|<i>|<things>|\u202e|y{60}/)
      expect(html).toContain('&lt;script&gt;')
    }
  })

  test('a header link leads to it from every page of somebody who is signed in, and from “Allowed”', async () => {
    const t = createGate()
    const person = t.browser()
    expect(await (await person.get('/sign-in')).text()).not.toContain('href="/account"')
    await person.signIn('alice')
    for (const path of ['/device', '/device?user_code=BBBB-BBBB', '/pair/x', '/account'])
      expect(await (await person.get(path)).text()).toContain('<a class="plain" href="/account">')
    const start = await t.post('/oauth/device/authorize', { client_id: 'tool' })
    const { verification_uri_complete } = (await start.json()) as Record<string, string>
    const allowed = await (await person.decide(verification_uri_complete ?? '', 'allow')).text()
    expect(allowed).toContain('You can end this login at any time.')
    expect(allowed).toContain('<a class="button" href="/account">')
  })

  test('under a mount every form and link stays inside it', async () => {
    const t = createGate({ baseUrl: 'http://127.0.0.1:8787/auth' })
    const person = t.browser()
    await person.post('/auth/sign-in/dev', { username: 'alice' })
    const html = await (await person.get('/auth/account')).text()
    expect(html).toContain('action="/auth/account"')
    expect(html).not.toMatch(/(action|href)="\/(?!auth\/)/)
  })
})

describe('what the list leaves out', () => {
  test('KEY-08 a login of before addresses were recorded: no address, rather than an unknown one', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    await loginAs(t, person, 'device', { client_id: 'tool' })
    expect(rowOf((await openAccount(person)).html, 'Tool One')).toContain('Allowed from 127.0.0.1')
    t.rows('UPDATE credentials SET approved_address = NULL')
    const row = rowOf((await openAccount(person)).html, 'Tool One')
    expect(row).toContain('Collected from 127.0.0.1')
    expect(row).not.toMatch(/Allowed from|unknown/)
  })

  test('a key or a login without scopes is for the account, and nothing more', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    await makeKey(person)
    const { html } = await openAccount(person)
    expect(rowOf(html, 'nightly')).toContain('Access Your account here, nothing more')
    expect(html).not.toMatch(/[Rr]evoked?<|Rotate/)
  })
})

describe('make a key', () => {
  afterEach(reset)

  test('KEY-08 the secret is shown once, works, and is nowhere else', async () => {
    const records = await catchLog()
    const t = createGate()
    const person = await personAt(t, 'alice')
    const { status, html, secret } = await makeKey(person, { 'scope:read': '1', expires_in: '604800' })
    expect([status, html.split(secret).length]).toEqual([200, 2])
    expect(html).toContain('it will not be shown again')
    const request = new Request('http://x/', { headers: { authorization: `Bearer ${secret}` } })
    expect(await t.gate.authenticate(request)).toMatchObject({
      scopes: ['read'],
      credential: { name: 'nightly', client_id: null, tenant: null },
    })
    const [row] = t.rows("SELECT expires_at - created_at AS life FROM credentials WHERE kind = 'api_key'")
    expect(row?.life).toBe(604_800_000)
    expect(JSON.stringify(dump(t))).not.toContain(secret)
    expect(records.length).toBeGreaterThan(0)
    expect(JSON.stringify(records)).not.toContain(secret.slice(4, 40))
  })

  test('KEY-08 sent twice, it is one key; the second answer has no secret', async () => {
    const t = createGate()
    const person = await personAt(t, 'alice')
    const { create } = await openAccount(person)
    const [one, two] = await Promise.all([
      send(person, { ...create, name: 'one' }),
      send(person, { ...create, name: 'two' }),
    ])
    expect([one.status, two.status].sort()).toEqual([200, 409])
    const late = one.status === 409 ? one : two
    expect([secretIn(late.html), late.html.includes('was made already')]).toEqual(['', true])
    expect(credentialsOf(t, 'api_key')).toHaveLength(1)
  })

  test.each([
    [undefined, ['7 days', '30 days', '90 days', '1 year'], '30 days'],
    [90 * 86_400, ['7 days', '30 days', '90 days'], '30 days'],
    [10 * 86_400, ['7 days'], '7 days'],
    [3600, ['1 hour'], '1 hour'],
  ])('KEY-11 with maxKeySeconds %s the choices are %j', async (maxKeySeconds, choices, chosen) => {
    const t = createGate({ maxKeySeconds })
    const person = await personAt(t, 'alice')
    const { html } = await openAccount(person)
    const [select = ''] = /<select id="expires_in".*?<\/select>/s.exec(html) ?? []
    expect([...select.matchAll(/>([^<]+)<\/option>/g)].map(([, words]) => words)).toEqual(choices)
    expect(/selected=""[^>]*>([^<]+)/.exec(select)?.[1]).toBe(chosen)
    const [, value = ''] = /value="(\d+)"[^>]*selected/.exec(select) ?? []
    expect((await makeKey(person, { expires_in: value })).status).toBe(200)
  })

  test('KEY-08 the scope that lets a key manage keys is the last to tick', async () => {
    const t = createGate()
    const { html } = await openAccount(await personAt(t, 'alice'))
    const boxes = [...html.matchAll(/name="scope:([^"]+)"/g)].map(([, token]) => token)
    expect(boxes).toEqual(['read', 'write', 'pairgate:manage'])
  })

  test('a bad form comes back with the sentence, and with what was typed', async () => {
    const t = createGate({ limits: { keysPerUser: 1 } })
    const person = await personAt(t, 'alice')
    const bad: [Record<string, string>, number, string][] = [
      [{ name: ' ' }, 400, 'A key needs a name.'],
      [{ 'scope:admin': '1' }, 400, 'A key cannot be given that access.'],
      [{ 'scope:offline_access': '1' }, 400, 'A key cannot be given that access.'],
      [{ expires_in: '31536001' }, 400, 'A key may live from 60 to 31536000 seconds.'],
      [{ expires_in: 'x' }, 400, 'A key may live from 60 to 31536000 seconds.'],
      [{ tenant: 'acme' }, 400, 'The organisation must be one of yours.'],
    ]
    for (const [fields, status, sentence] of bad) {
      const shown = await makeKey(person, { name: 'typed', 'scope:write': '1', ...fields })
      expect([fields, shown.status]).toEqual([fields, status])
      expect(shown.html).toContain(`<p class="error" role="alert" id="problem">${sentence}</p>`)
      expect(shown.html).toMatch(/<details open/)
      expect(shown.html).toContain('name="scope:write" value="1" checked=""')
      expect(shown.html).not.toContain('name="scope:read" value="1" checked=""')
      if (!fields.name) expect(shown.html).toContain('name="name" value="typed"')
    }
    expect(credentialsOf(t, 'api_key')).toEqual([])
    expect((await makeKey(person)).status).toBe(200)
    const full = await makeKey(person)
    expect([full.status, full.secret]).toEqual([409, ''])
    expect(full.html).toContain('You have 1 keys, the most there may be.')
    // the page that came back has a form that works
    await act(person, 'revoke', { id: credentialsOf(t, 'api_key')[0]?.id ?? '' })
    expect((await send(person, { ...readAccount(full.html).create, name: 'x' })).status).toBe(200)
  })

  test('the gateway’s isAllowed is asked, and its no is said', async () => {
    const t = createGate({ isAllowed: ({ scopes }) => !scopes.includes('write') })
    const person = await personAt(t, 'alice')
    const refused = await makeKey(person, { 'scope:write': '1' })
    expect([refused.status, refused.secret]).toEqual([403, ''])
    expect(refused.html).toContain('does not let your account have such a key')
    expect((await makeKey(person, { 'scope:read': '1' })).status).toBe(200)
  })

  test('KEY-11 with an old sign-in neither made nor rotated: sign in again, and come back', async () => {
    const t = createGate({ maxAuthAgeSeconds: 60 })
    const person = await personAt(t, 'alice')
    const made = await makeKey(person)
    const { create, token } = await openAccount(person)
    t.advance(61)
    const { html } = await openAccount(person)
    expect(html).toContain('sign in again')
    expect(html).not.toMatch(/Make the key|Replace the secret/)
    const { id = '', hint = '' } = credentialsOf(t, 'api_key')[0] ?? {}
    for (const fields of [
      { ...create, name: 'x' },
      { form_token: token, action: 'rotate', id, hint, overlap: '0' },
    ]) {
      const response = await person.post('/account', fields)
      expect([response.status, response.headers.get('location')]).toEqual([303, '/sign-in?next=%2Faccount'])
    }
    const again = await (await person.get('/sign-in?next=%2Faccount')).text()
    expect(again).toContain('<p>You signed in a while ago. To go on, sign in again; nothing was changed.</p>')
    const nobody = await (await t.browser().get('/sign-in?next=%2Faccount')).text()
    expect(nobody).not.toContain('You signed in a while ago')
    // ending is always possible
    expect((await act(person, 'revoke', { id })).status).toBe(200)
    expect(await useToken(t, made.secret)).toBe(401)
    expect((await person.signIn('alice')).status).toBe(303)
    expect((await makeKey(person)).status).toBe(200)
  })
})

describe('with the gateway’s own session', () => {
  const TENANTS = [{ id: 'acme', name: 'Acme <Ltd>' }, { id: 'solo' }]

  test('WEB-07 no browser is listed; a key is for the organisation that was chosen', async () => {
    const t = createGate({ identify: () => ({ subject: 'alice', tenants: TENANTS }) })
    const person = t.browser()
    const { html } = await openAccount(person)
    expect(html).not.toMatch(/[Bb]rowser|Sign out/)
    for (const tenant of ['', 'other', 'Acme <Ltd>']) {
      const refused = await makeKey(person, { tenant })
      expect([refused.status, refused.html.includes('must be one of yours')]).toEqual([400, true])
    }
    expect((await makeKey(person, { tenant: 'acme' })).status).toBe(200)
    expect(t.rows('SELECT tenant FROM credentials')).toEqual([{ tenant: 'acme' }])
    expect(rowOf((await openAccount(person)).html, 'nightly')).toContain('Organisation Acme &lt;Ltd&gt;')
    const ended = await act(person, 'revoke_all')
    expect([ended.status, ended.html.includes('Ended: 1 in all.')]).toEqual([200, true])
  })

  test('one organisation needs no choice', async () => {
    const t = createGate({ identify: () => ({ subject: 'alice', tenants: TENANTS.slice(1) }) })
    expect((await makeKey(t.browser())).status).toBe(200)
    expect(t.rows('SELECT tenant FROM credentials')).toEqual([{ tenant: 'solo' }])
  })

  test('an old sign-in there: a page with a link, never a redirect that comes straight back', async () => {
    const signInUrl = (next: string) => `https://gateway.example/login?next=${encodeURIComponent(next)}`
    const identity = { subject: 'alice', auth_time: 0 }
    const t = createGate({ maxAuthAgeSeconds: 60, identify: () => identity, signInUrl })
    const person = t.browser()
    identity.auth_time = Math.floor(Date.now() / 1000)
    const { create } = await openAccount(person)
    identity.auth_time -= 3600
    const shown = await send(person, { ...create, name: 'x' })
    expect([shown.status, shown.html.includes('href="/sign-in?next=%2Faccount"')]).toEqual([401, true])
    const next = (await person.get('/sign-in?next=%2Faccount')).headers.get('location')
    expect(next).toBe(signInUrl('http://127.0.0.1:8787/account'))
  })

  test('a person who was switched off is told so, and nothing else', async () => {
    const t = createGate({ identify: () => ({ subject: 'alice', issuer: 'https://gateway.example' }) })
    await t.gate.users.disable({ issuer: 'https://gateway.example', subject: 'alice' })
    const response = await t.browser().get('/account')
    expect([response.status, (await response.text()).includes('Account disabled')]).toEqual([403, true])
    expect(liveIds(t)).toBe(0)
  })
})
