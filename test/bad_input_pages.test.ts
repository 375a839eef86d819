/** Wrong methods at every path, and malformed, doubled and foreign input at every page: nothing changes. @module */

import { describe, expect, test } from 'vitest'
import { createFixture, DOORS, dump, type Fixture, FORM, type Form, sendAs } from './support/bad_input.ts'
import { BASE } from './support/gate.ts'

const encode = (form: Form) => new URLSearchParams(form).toString()

const EVERY_METHOD = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']
const METHODS: Record<string, readonly string[]> = {
  ...Object.fromEntries(DOORS.map((path) => [path, ['POST']])),
  '/.well-known/oauth-authorization-server': ['GET', 'HEAD'],
  '/secured': ['GET', 'HEAD'],
  '/healthz': ['GET', 'HEAD'],
  '/readyz': ['GET', 'HEAD'],
  '/': ['GET', 'HEAD'],
  '/device': ['GET', 'POST', 'HEAD'],
  '/oauth/device/verify': ['GET', 'HEAD'],
  [`/pair/${'A'.repeat(43)}`]: ['GET', 'POST', 'HEAD'],
  '/sign-in': ['GET', 'HEAD'],
  '/sign-in/dev': ['POST'],
  '/sign-in/nobody': ['GET', 'HEAD'],
  '/sign-in/callback/nobody': ['GET', 'HEAD'],
  '/sign-out': ['POST'],
  '/account': ['GET', 'POST', 'HEAD'],
}

describe('methods', () => {
  test.each(Object.entries(METHODS))(
    'DF-03 WEB-02 %s answers 405 and Allow to all but %j',
    async (path, allowed) => {
      const { t, person, forms } = await createFixture()
      const before = dump(t)
      const fields = forms[path as (typeof DOORS)[number]] ?? { decision: 'allow', _method: 'POST' }
      for (const method of EVERY_METHOD.filter((one) => !allowed.includes(one))) {
        for (const send of [t.fetch, sendAs(t, person)]) {
          const body = method === 'GET' || method === 'HEAD' ? null : new URLSearchParams(fields)
          const query = body ? '' : `?${encode(fields)}`
          const response = await send(path + query, { method, body })
          expect([method, response.status]).toEqual([method, 405])
          expect(response.headers.get('allow')?.split(', ').sort()).toEqual([...allowed].sort())
          expect(response.headers.get('cache-control')).toBe('no-store')
          expect([...response.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
        }
      }
      expect(dump(t)).toEqual(before)
    },
  )
})

type PageRow = [
  name: string,
  (fixture: Fixture) => { path: string; form?: Form | string; headers?: Form; status: number },
]
const PAGES: PageRow[] = [
  [
    '/device, user_code twice',
    ({ userCode }) => ({ path: `/device?user_code=${userCode}&user_code=x`, status: 400 }),
  ],
  ['/device, a broken escape', () => ({ path: '/device?user_code=%zz', status: 400 })],
  ['/device, a NUL', () => ({ path: '/device?user_code=%00', status: 400 })],
  ['/device, a code of 10 KB', () => ({ path: `/device?user_code=${'B'.repeat(10_000)}`, status: 404 })],
  ['/device, no such code', () => ({ path: '/device?user_code=BCDF-GHJK', status: 404 })],
  ['/device, __proto__', () => ({ path: '/device?user_code=__proto__', status: 404 })],
  ['/pair, no such paircode', () => ({ path: `/pair/${'A'.repeat(43)}`, status: 404 })],
  ['/pair, a broken escape', () => ({ path: '/pair/%zz', status: 404 })],
  ['/pair, bytes that are not UTF-8', () => ({ path: '/pair/%ff%fe', status: 404 })],
  ['/pair, a NUL', () => ({ path: '/pair/%00', status: 404 })],
  ['/pair, 10 KB', () => ({ path: `/pair/${'A'.repeat(10_000)}`, status: 404 })],
  ['/sign-in, next twice', () => ({ path: '/sign-in?next=/a&next=/b', status: 400 })],
  ['/sign-in, a broken escape', () => ({ path: '/sign-in?next=%', status: 400 })],
  ['/sign-in/{provider}, no such one', () => ({ path: '/sign-in/__proto__', status: 404 })],
  ['/sign-in/{provider}, a broken escape', () => ({ path: '/sign-in/%zz', status: 404 })],
  [
    '/sign-in/callback, no such provider',
    () => ({ path: '/sign-in/callback/x?code=1&state=2', status: 404 }),
  ],
  ['/sign-in/callback, state twice', () => ({ path: '/sign-in/callback/x?state=1&state=2', status: 400 })],
  [
    'POST /device without a form token',
    ({ userCode }) => ({ path: '/device', form: { user_code: userCode, decision: 'allow' }, status: 403 }),
  ],
  ['POST /device without a code', () => ({ path: '/device', form: { decision: 'allow' }, status: 400 })],
  [
    'POST /device, decision twice',
    ({ userCode }) => ({
      path: '/device',
      form: `user_code=${userCode}&decision=deny&decision=allow`,
      status: 400,
    }),
  ],
  [
    'POST /device with everything in the query',
    ({ userCode }) => ({ path: `/device?user_code=${userCode}&decision=allow`, form: {}, status: 400 }),
  ],
  [
    'POST /pair without a form token',
    ({ paircode }) => ({ path: `/pair/${paircode}`, form: { decision: 'allow' }, status: 403 }),
  ],
  [
    'POST /pair, a broken escape',
    ({ paircode }) => ({ path: `/pair/${paircode}`, form: 'decision=%zz', status: 400 }),
  ],
  ['POST /sign-in/dev, no name', () => ({ path: '/sign-in/dev', form: { username: '' }, status: 400 })],
  [
    'POST /sign-in/dev, a name that shows nothing',
    () => ({ path: '/sign-in/dev', form: { username: '\u202e\u200b' }, status: 400 }),
  ],
  [
    'POST /sign-in/dev, username twice',
    () => ({ path: '/sign-in/dev', form: 'username=a&username=b', status: 400 }),
  ],
  [
    'POST /sign-in/dev, JSON',
    () => ({
      path: '/sign-in/dev',
      form: '{"username":"a"}',
      headers: { 'content-type': 'application/json' },
      status: 400,
    }),
  ],
  [
    'POST /sign-in/dev from elsewhere',
    () => ({
      path: '/sign-in/dev',
      form: { username: 'a' },
      headers: { origin: 'http://evil.example' },
      status: 403,
    }),
  ],
  [
    'POST /sign-out from elsewhere',
    () => ({ path: '/sign-out', form: {}, headers: { 'sec-fetch-site': 'same-site' }, status: 403 }),
  ],
  ['POST /sign-out over 64 KB', () => ({ path: '/sign-out', form: 'x'.repeat(65_537), status: 413 })],
  ['no such page', () => ({ path: '/%zz', status: 404 })],
]

describe('pages', () => {
  test.each(PAGES)('WEB-10 %s: an error page, nothing changed', async (_, make) => {
    const fixture = await createFixture()
    const { t, person } = fixture
    const { path, form, headers, status } = make(fixture)
    const tries = ['limits', 'events']
    const before = dump(t, tries)
    const body = form === undefined ? null : typeof form === 'string' ? form : encode(form)
    const own = body === null ? {} : { 'content-type': FORM, origin: BASE, 'sec-fetch-site': 'same-origin' }
    const response = await sendAs(t, person)(path, {
      method: body === null ? 'GET' : 'POST',
      body,
      headers: { ...own, ...headers },
    })
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toBe('text/html; charset=UTF-8')
    expect(response.headers.get('cache-control')).toBe('no-store')
    expect(response.headers.getSetCookie()).toEqual([])
    expect(await response.text()).toMatch(/<h1>[^<]+<\/h1>/)
    expect(dump(t, tries)).toEqual(before)
    expect(t.rows("SELECT type FROM events WHERE type = 'wrong_code'").length).toBe(
      status === 404 && path.startsWith('/device') ? 1 : 0,
    )
  })

  test('WEB-08 line breaks and foreign origins reach no header', async () => {
    const { t, person } = await createFixture()
    const nasty = [
      '/x\r\nSet-Cookie: a=b',
      '\r\n//evil.example',
      '//evil.example',
      '/\\evil.example',
      'https://evil.example/',
      '/\t/evil.example',
      '/device\0',
    ]
    for (const next of nasty) {
      const query = encode({ next, user_code: next })
      const visits = [
        await person.get(`/sign-in?${query}`),
        await person.get(`/oauth/device/verify?${query}`),
        await t.fetch(`/device?${query}`, { headers: { accept: 'text/html' } }),
        await t.browser().post('/sign-in/dev', { username: `eve${next}`, next }),
      ]
      for (const response of visits) {
        expect(response.status).toBeLessThan(500)
        const location = response.headers.get('location') ?? '/'
        expect(new URL(location, BASE).origin).toBe(BASE)
        expect(location).not.toMatch(/[\r\n\t\0\\]/)
        for (const cookie of response.headers.getSetCookie()) expect(cookie).toMatch(/^pairgate-/)
      }
    }
  })
})
