/** What the account page does to keys and sessions, and whose forms it believes. @module */

import { describe, expect, test } from 'vitest'
import {
  ACCOUNT_OPTIONS,
  act,
  credentialsOf,
  makeKey,
  openAccount,
  readAccount,
  rowOf,
  send,
} from './support/account.ts'
import { dump, sendAs } from './support/bad_input.ts'
import { loginAs, personAt, startAs, useToken } from './support/credentials.ts'
import { BASE, createTestGate, readForm, type TestBrowser, type TestGate } from './support/gate.ts'

/** Alice with a key by hand, a session, a login with refresh token, and another browser. */
async function furnished(options: Parameters<typeof createTestGate>[0] = {}) {
  const t = createTestGate({ ...ACCOUNT_OPTIONS, ...options })
  const person = await personAt(t, 'alice')
  const { secret } = await makeKey(person)
  const session = (await loginAs(t, person, 'pair', { client_id: 'tool' })).access_token
  const refreshable = await loginAs(t, person, 'device', { client_id: 'tool', scope: 'offline_access' })
  await personAt(t, 'alice')
  const [key = {}, login = {}] = credentialsOf(t, 'api_key')
  const [own = {}, other = {}] = credentialsOf(t, 'browser')
  const id = {
    key: key.id ?? '',
    login: login.id ?? '',
    session: credentialsOf(t, 'session')[0]?.id ?? '',
    own: own.id ?? '',
    other: other.id ?? '',
  }
  return { t, person, secret, session, refreshable, id, hint: key.hint ?? '' }
}

/** The names of those that were ended. */
function endedOf(t: TestGate, id: Record<string, string>): string[] {
  const ended = t.rows('SELECT id FROM credentials WHERE revoked_at IS NOT NULL').map((row) => row.id)
  return Object.keys(id).filter((name) => ended.includes(id[name]))
}

const eventsOf = (t: TestGate, type: string) =>
  t.rows('SELECT credential_id, detail FROM events WHERE type = ?', type)

describe('rotate', () => {
  test('KEY-08 at once: a new secret shown once, the old one ends, id and end stay', async () => {
    const { t, person, secret, id, hint } = await furnished()
    const before = t.rows('SELECT id, name, expires_at FROM credentials WHERE id = ?', id.key)
    const shown = await act(person, 'rotate', { id: id.key, hint, overlap: '0' })
    const fresh = /pgk_\w{49}/.exec(shown.html)?.[0] ?? ''
    expect([shown.status, shown.html.includes('Stopped just now'), fresh === secret]).toEqual([
      200,
      true,
      false,
    ])
    expect([await useToken(t, secret), await useToken(t, fresh)]).toEqual([401, 200])
    expect(t.rows('SELECT id, name, expires_at FROM credentials WHERE id = ?', id.key)).toEqual(before)
    expect((await openAccount(person)).html).not.toContain(fresh)
    expect(JSON.stringify(dump(t))).not.toContain(fresh)
  })

  test('KEY-08 with overlap: the page and the list say until when the old secret works', async () => {
    const { t, person, id, hint } = await furnished()
    expect((await openAccount(person)).html).not.toContain('Old secret')
    const shown = await act(person, 'rotate', { id: id.key, hint, overlap: '3600' })
    const [row] = t.rows('SELECT previous_until FROM credentials WHERE id = ?', id.key)
    const until = new Date(Number(row?.previous_until)).toISOString().slice(0, 16).replace('T', ' ')
    const said = `Old secret Works until ${until} UTC (1 hour left)`
    const words = (html: string) => html.replace(/<[^>]+>/g, ' ').replace(/\s+/g, ' ')
    expect(words(shown.html)).toContain(said)
    const { html } = await openAccount(person)
    expect(rowOf(html, 'nightly')).toContain(said)
    expect(html.match(/Old secret/g)).toHaveLength(1)
    t.advance(3600)
    expect((await openAccount(person)).html).not.toContain('Old secret')
  })

  test('KEY-08 the old secret is never said to work longer than its key', async () => {
    const t = createTestGate(ACCOUNT_OPTIONS)
    const person = await personAt(t, 'alice')
    await makeKey(person, { expires_in: '604800' })
    t.advance(6.5 * 86_400)
    await person.signIn('alice')
    const [{ id = '', hint = '' } = {}] = credentialsOf(t, 'api_key')
    const shown = await act(person, 'rotate', { id, hint, overlap: '604800' })
    expect(shown.html).toContain('(12 hours left)')
    expect(rowOf((await openAccount(person)).html, 'nightly')).toContain('(12 hours left)')
  })

  test('KEY-08 a page that shows another secret’s hint rotates nothing, and says so', async () => {
    const { t, person, id, hint } = await furnished()
    const first = await act(person, 'rotate', { id: id.key, hint, overlap: '3600' })
    const fresh = /pgk_\w{49}/.exec(first.html)?.[0] ?? ''
    const again = await act(person, 'rotate', { id: id.key, hint, overlap: '0' })
    expect([again.status, again.html.includes('was replaced already')]).toEqual([409, true])
    expect(again.html).not.toContain('pgk_')
    expect(await useToken(t, fresh)).toBe(200)
  })

  test('a session, a login with refresh token, or an overlap that was not offered: nothing happens', async () => {
    const { t, person, id, hint } = await furnished()
    const before = dump(t)
    for (const one of [id.session, id.login, id.own, 'nothing', ''])
      expect((await act(person, 'rotate', { id: one, hint, overlap: '0' })).status).toBe(404)
    for (const overlap of ['', '1', '604801', '-1', 'x'])
      expect((await act(person, 'rotate', { id: id.key, hint, overlap })).status).toBe(400)
    expect((await act(person, 'rotate', { id: id.key, overlap: '0' })).status).toBe(400)
    expect(dump(t)).toEqual(before)
    const { html } = await openAccount(person)
    expect(
      [rowOf(html, 'nightly'), rowOf(html, 'Tool One (')].map((row) => row.includes('Replace the secret')),
    ).toEqual([true, false])
  })
})

describe('end', () => {
  test('KEY-06 one: at once, by name, once', async () => {
    const { t, person, secret, id } = await furnished()
    const shown = await act(person, 'revoke', { id: id.key })
    expect([shown.status, shown.html.includes('Ended: nightly. It opens nothing')]).toEqual([200, true])
    expect([await useToken(t, secret), endedOf(t, id)]).toEqual([401, ['key']])
    expect(eventsOf(t, 'reported')).toEqual([])
    const again = await act(person, 'revoke', { id: id.key })
    expect([again.status, again.html.includes('Nothing was changed')]).toEqual([404, true])
  })

  test('“This was not me” ends and reports it, and offers the rest', async () => {
    const { t, person, session, id } = await furnished()
    const shown = await act(person, 'report', { id: id.session })
    expect(shown.html).toContain('It is recorded that it was not you.')
    expect([await useToken(t, session), endedOf(t, id)]).toEqual([401, ['session']])
    expect(eventsOf(t, 'reported')).toEqual([{ credential_id: id.session, detail: null }])
    const { token } = readAccount(shown.html)
    expect(shown.html).toContain('value="revoke_others"')
    const rest = await send(person, { form_token: token, action: 'revoke_others' })
    expect([rest.status, endedOf(t, id)]).toEqual([200, ['key', 'login', 'session', 'other']])
  })

  test.each([
    ['revoke_sessions', ['session', 'other']],
    ['revoke_keys', ['key', 'login']],
    ['revoke_others', ['key', 'login', 'session', 'other']],
    ['revoke_all', ['key', 'login', 'session', 'own', 'other']],
  ])('SES-04 %s ends %j', async (action, ended) => {
    const { t, person, id } = await furnished()
    const bob = await personAt(t, 'bob')
    await makeKey(bob)
    const { status, html } = await act(person, action)
    expect([status, endedOf(t, id)]).toEqual([200, ended])
    expect(t.rows('SELECT id FROM credentials WHERE revoked_at IS NOT NULL')).toHaveLength(ended.length)
    expect(html).toContain(action === 'revoke_all' ? 'Everything is ended' : `Ended: ${ended.length} in all.`)
    expect(person.cookies.has('pairgate-session')).toBe(action !== 'revoke_all')
    const next = await person.get('/account')
    expect(next.status).toBe(action === 'revoke_all' ? 303 : 200)
    expect((await act(bob, 'revoke_sessions')).html).toContain('There was nothing to end.')
  })

  test('SES-04 one’s own session: signed out, here and on the server', async () => {
    const { t, person, id } = await furnished()
    const cookies = new Map(person.cookies)
    const shown = await act(person, 'revoke', { id: id.own })
    expect([shown.status, shown.html.includes('Signed out'), endedOf(t, id)]).toEqual([200, true, ['own']])
    expect(person.cookies.has('pairgate-session')).toBe(false)
    for (const [name, value] of cookies) person.cookies.set(name, value)
    expect((await person.get('/account')).status).toBe(303)
  })
})

describe('only one’s own', () => {
  const ACTIONS: [string, Record<string, string>][] = [
    ['revoke', {}],
    ['report', {}],
    ['rotate', { overlap: '0' }],
  ]

  test.each(ACTIONS)(
    'KEY-09 %s of somebody else’s is not found, and changes nothing',
    async (action, fields) => {
      const { t, id, hint, secret } = await furnished()
      const mallory = await personAt(t, 'mallory')
      await openAccount(mallory)
      const before = dump(t)
      for (const one of Object.values(id)) {
        const shown = await act(mallory, action, { id: one, hint, ...fields })
        expect([shown.status, shown.html.includes('nightly')]).toEqual([404, false])
      }
      expect(dump(t)).toEqual(before)
      expect(await useToken(t, secret)).toBe(200)
    },
  )

  test('KEY-09 a list has nothing of anybody else', async () => {
    const { t, id } = await furnished()
    const { html } = await openAccount(await personAt(t, 'mallory'))
    for (const one of Object.values(id)) expect(html).not.toContain(one)
    expect(html.match(/<h2/g)).toHaveLength(1)
  })

  test('KEY-05 SES-06 a CLI’s credential opens nothing here: as Bearer, as cookie, with a form', async () => {
    const { t, person, secret, session, id } = await furnished()
    const { token, create } = await openAccount(person)
    const form = person.cookies.get('pairgate-form')
    const before = dump(t)
    for (const stolen of [secret, session]) {
      for (const headers of [
        { authorization: `Bearer ${stolen}`, cookie: `pairgate-form=${form}` },
        { cookie: `pairgate-session=${stolen}; pairgate-form=${form}` },
      ]) {
        const get = await t.fetch('/account', { headers })
        expect([get.status, get.headers.get('location')]).toEqual([303, '/sign-in?next=%2Faccount'])
        for (const fields of [
          { action: 'revoke', form_token: token, id: id.key },
          { ...create, name: 'x' },
        ]) {
          const body = new URLSearchParams(fields)
          const init = { method: 'POST', body, headers: { origin: BASE, ...headers } }
          expect((await t.fetch('/account', init)).status).toBe(303)
        }
      }
    }
    expect(dump(t)).toEqual(before)
  })
})

describe('whose forms are believed', () => {
  const kinds = ['list', 'create'] as const
  /** A form that would work, of either sort. */
  async function ready(kind: (typeof kinds)[number]) {
    const gate = await furnished()
    const { token, create } = await openAccount(gate.person)
    const fields: Record<string, string> =
      kind === 'create' ? { ...create, name: 'x' } : { action: 'revoke', form_token: token, id: gate.id.key }
    return { ...gate, fields, before: dump(gate.t) }
  }
  const refused = async (
    person: TestBrowser,
    fields: Record<string, string>,
    headers?: Record<string, string>,
  ) => {
    const response = await person.post('/account', fields, headers)
    expect([response.status, (await response.text()).includes('Nothing was changed')]).toEqual([403, true])
  }

  test.each(kinds)('WEB-01 %s: another origin’s, whichever header tells', async (kind) => {
    const { t, person, fields, before } = await ready(kind)
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'none' },
    ])
      await refused(person, fields, headers)
    expect(dump(t)).toEqual(before)
  })

  test.each(kinds)(
    'WEB-01 %s: no token, a changed one, without either header too; the right one alone is enough',
    async (kind) => {
      const { t, person, fields, before } = await ready(kind)
      const { form_token = '', ...rest } = fields
      const tampered = (form_token.startsWith('A') ? 'B' : 'A') + form_token.slice(1)
      const post = (body: Record<string, string>) =>
        sendAs(t, person)('/account', { method: 'POST', body: new URLSearchParams(body) })
      for (const bad of [rest, { ...rest, form_token: tampered }]) {
        await refused(person, bad)
        expect((await post(bad)).status).toBe(403)
      }
      expect(dump(t)).toEqual(before)
      expect((await post(fields)).status).toBe(200)
    },
  )

  test.each(kinds)('WEB-01 %s: of another person, another browser, or no browser', async (kind) => {
    const { t, person, fields } = await ready(kind)
    const bob = await personAt(t, 'bob')
    const elsewhere = await personAt(t, 'alice')
    for (const other of [bob, elsewhere]) {
      await openAccount(other)
      await refused(other, fields)
      // with the nonce of the right browser the person still has to be the right one
      other.cookies.set('pairgate-form', person.cookies.get('pairgate-form') ?? '')
    }
    await refused(bob, fields)
    person.cookies.delete('pairgate-form')
    await refused(person, fields)
    expect(t.rows("SELECT id FROM credentials WHERE revoked_at IS NOT NULL OR name = 'x'")).toEqual([])
  })

  test('WEB-10 a token is for one purpose: a review page’s, the list’s, a new key’s are no good for each other', async () => {
    const { t, person, id } = await furnished()
    const { token, create } = await openAccount(person)
    const review = await (await person.get((await startAs(t, 'device')).page)).text()
    const reviewToken = readForm(review).fields.form_token ?? ''
    const other = (await openAccount(person)).create
    const before = dump(t)
    for (const fields of [
      { action: 'revoke', id: id.key, form_token: reviewToken },
      { action: 'revoke', id: id.key, form_token: create.form_token },
      { ...create, name: 'x', form_token: reviewToken },
      { ...create, name: 'x', form_token: token },
      { ...create, name: 'x', id: other.id },
      { ...create, name: 'x', id: '' },
    ])
      await refused(person, fields)
    const { user_code = '' } = readForm(review).fields
    const forged = { user_code, decision: 'allow', form_token: token }
    expect((await person.post('/device', forged)).status).toBe(403)
    expect(dump(t)).toEqual(before)
  })

  test('WEB-02 GET, HEAD, prefetch and _method change nothing; other methods are 405', async () => {
    const { t, person, fields, before } = await ready('list')
    const query = new URLSearchParams({ ...fields, _method: 'POST' })
    const ask = sendAs(t, person)
    for (const init of [
      { method: 'GET' },
      { method: 'HEAD' },
      { headers: { 'sec-purpose': 'prefetch', 'x-http-method-override': 'POST' } },
    ])
      expect((await ask(`/account?${query}`, init)).status).toBe(200)
    for (const method of ['PUT', 'PATCH', 'DELETE', 'OPTIONS']) {
      const response = await ask(`/account?${query}`, { method })
      expect([response.status, response.headers.get('allow')]).toEqual([405, 'HEAD, GET, POST'])
    }
    expect(dump(t)).toEqual(before)
  })

  test('WEB-01 WEB-10 no form, a parameter twice, an action that is none: 400', async () => {
    const { t, person, fields, before } = await ready('list')
    const ask = sendAs(t, person)
    const form = 'application/x-www-form-urlencoded'
    for (const [type, body] of [
      ['application/json', JSON.stringify(fields)],
      ['text/plain', String(new URLSearchParams(fields))],
      [form, `${new URLSearchParams(fields)}&id=x`],
      [form, '%zz'],
      ...['', 'toString', 'constructor', 'Revoke'].map((action) => [
        form,
        String(new URLSearchParams({ ...fields, action })),
      ]),
    ] as [string, string][]) {
      const headers = { origin: BASE, 'content-type': type }
      const response = await ask('/account', { method: 'POST', body, headers })
      expect([body, response.status]).toEqual([body, 400])
    }
    expect(dump(t)).toEqual(before)
  })

  test('WEB-09 nobody: to the sign-in, and back', async () => {
    const t = createTestGate()
    for (const method of ['GET', 'POST']) {
      const body = method === 'POST' ? new URLSearchParams({ action: 'revoke_all' }) : null
      const response = await t.fetch('/account', { method, body })
      expect([response.status, response.headers.get('location')]).toEqual([303, '/sign-in?next=%2Faccount'])
    }
    const person = t.browser()
    const { headers } = await person.post('/sign-in/dev', { username: 'alice', next: '/account' })
    expect(headers.get('location')).toBe('/account')
    const gateway = createTestGate({ identify: () => null })
    expect((await gateway.browser().get('/account')).status).toBe(401)
  })
})
