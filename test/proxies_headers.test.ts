/** nginx, Caddy and HAProxy as the documentation configures them: what the backend is told of whoever calls. @module */

import { decodeJwt } from 'jose'
import { describe, expect, test } from 'vitest'
import type { Echo } from './support/echo.ts'
import { PROXIES } from './support/proxies.ts'
import { useProxyWorld } from './support/proxy_world.ts'

const NAMES = [
  'Remote-User',
  'Remote-Name',
  'Remote-Email',
  'Remote-Groups',
  'X-Pairgate-Id',
  'X-Pairgate-Client',
  'X-Pairgate-Scope',
  'X-Pairgate-Assertion',
  'X-Pairgate-Error',
]

/** As CGI and WSGI spell it: whatever is no letter or digit is the same. */
const cgi = (name: string) => name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')

/** What the backend is told of who it is, by the names that the most careless of backends reads. */
function identityOf(echo: Echo | null): [string, string][] {
  const known = new Set(NAMES.map(cgi))
  return (echo?.headers ?? [])
    .map(([name, value]): [string, string] => [cgi(name), value])
    .filter(([name, value]) => known.has(name) && value !== '')
    .sort()
}

/** The same, with the claims in the place of the assertion, whose signature is another one each time. */
function readIdentity(echo: Echo | null) {
  const all = identityOf(echo)
  expect(new Set(all.map(([name]) => name)).size).toBe(all.length)
  const { X_PAIRGATE_ASSERTION: assertion = '', ...rest } = Object.fromEntries(all)
  const { sub, name, email, tenant } = decodeJwt(assertion)
  return { ...rest, assertion: { sub, name, email, tenant } }
}

const SPELLINGS: readonly ((name: string) => string)[] = [
  (name) => name,
  (name) => name.toLowerCase(),
  (name) => name.toUpperCase(),
  (name) => name.replaceAll('-', '_'),
  (name) => name.toLowerCase().replaceAll('-', '_'),
  (name) => name.replace('-', '_'),
  (name) => name.replace(/-(\w+)$/, '_$1'),
  (name) => name.replaceAll('-', '.'),
  (name) => name.replace('-', '~'),
]

describe.each(PROXIES)('%s', (name) => {
  const start = useProxyWorld(name)

  test('a name with any letters, an organisation with a comma and an address arrive as they are spelled', async (context) => {
    const world = start(context)
    const token = await world.login({
      subject: 'zoë,%41\u00a0',
      name: 'Zoë, 100% 山田',
      email: 'zoë@example.org',
      tenants: [{ id: 'acme, inc %2C' }],
    })
    const { seen } = await world.sendAs(token)
    const { assertion, ...headers } = readIdentity(seen)
    expect(headers).toEqual({
      REMOTE_USER: 'zo%C3%AB,%2541%C2%A0',
      REMOTE_NAME: 'Zo%C3%AB, 100%25 %E5%B1%B1%E7%94%B0',
      REMOTE_EMAIL: 'zo%C3%AB@example.org',
      REMOTE_GROUPS: 'acme%2C inc %252C',
      X_PAIRGATE_ID: expect.stringMatching(/^[0-9a-f]{64}$/),
      X_PAIRGATE_CLIENT: 'tool',
      X_PAIRGATE_SCOPE: 'read',
    })
    expect(assertion).toEqual({
      sub: (headers as Record<string, string>).X_PAIRGATE_ID,
      name: 'Zoë, 100% 山田',
      email: 'zoë@example.org',
      tenant: 'acme, inc %2C',
    })
  })

  test('GW-02 of whom no name, address or organisation is known, the backend is told none', async (context) => {
    const world = start(context)
    const token = await world.login({ subject: 'bob' })
    const { seen } = await world.sendAs(token)
    const names = identityOf(seen).map(([one]) => one)
    expect(names).toEqual([
      'REMOTE_USER',
      'X_PAIRGATE_ASSERTION',
      'X_PAIRGATE_CLIENT',
      'X_PAIRGATE_ID',
      'X_PAIRGATE_SCOPE',
    ])
  })

  test('GW-02 whatever the client says of itself, in any spelling and any number, the backend is told what pairgate says', async (context) => {
    const world = start(context)
    const tokens = [
      await world.login({ subject: 'bob' }),
      await world.login({ subject: 'ann', name: 'Ann', email: 'ann@example.org', tenants: [{ id: 'acme' }] }),
    ]
    for (const token of tokens) {
      const expected = readIdentity((await world.sendAs(token)).seen)
      const check = async (headers: (readonly [string, string])[], about: string) => {
        const outcome = await world.sendAs(token, { headers })
        expect([about, outcome.status]).toEqual([about, 200])
        expect([about, readIdentity(outcome.seen)]).toEqual([about, expected])
        expect([about, outcome.text]).not.toEqual([about, expect.stringContaining('mallory')])
      }
      for (const spell of SPELLINGS) {
        const spelled = NAMES.map(spell)
        const once = spelled.map((one) => [one, 'mallory'] as const)
        await check(once, spelled.join(' '))
        await check([...once, ...once], `twice ${spelled.join(' ')}`)
        await check(
          spelled.map((one) => [one, ''] as const),
          `empty ${spelled.join(' ')}`,
        )
      }
      const all = SPELLINGS.flatMap((spell) => NAMES.map((one) => [spell(one), 'mallory'] as const))
      await check(all, 'all at once')
    }
  })

  test('GW-02 an assertion of the client is no more than any header', async (context) => {
    const world = start(context)
    const [bob, ann] = [await world.login({ subject: 'bob' }), await world.login({ subject: 'ann' })]
    const { seen } = await world.sendAs(ann)
    const hers = seen?.headers.find(([one]) => cgi(one) === 'X_PAIRGATE_ASSERTION')?.[1] ?? ''
    const headers = [['X-Pairgate-Assertion', hers]] as const
    expect((await world.sendAs(bob, { headers })).seen?.headers.flat()).not.toContain(hers)
    expect((await world.send({ headers })).seen).toBeNull()
  })

  test('GW-02 identity headers alone let nobody in', async (context) => {
    const world = start(context)
    const headers = SPELLINGS.flatMap((spell) => NAMES.map((one) => [spell(one), 'alice'] as const))
    const outcome = await world.send({ headers })
    expect([outcome.status, outcome.seen]).toEqual([401, null])
  })

  test('GW-02 naming the headers in Connection does not take them away', async (context) => {
    const world = start(context)
    const token = await world.login({ subject: 'bob' })
    const expected = readIdentity((await world.sendAs(token)).seen)
    for (const value of [
      NAMES.join(', '),
      'remote-user',
      'close, X-PAIRGATE-SCOPE',
      'Upgrade, Remote-Groups',
    ]) {
      const { status, seen } = await world.sendAs(token, { headers: [['Connection', value]] })
      expect([value, [200, 400].includes(status)]).toEqual([value, true])
      if (!seen) continue
      expect([value, readIdentity(seen)]).toEqual([value, expected])
      const named = seen.headers.filter(([one]) => one.toLowerCase() === 'connection').map(([, text]) => text)
      expect(named.join()).not.toMatch(/remote|pairgate/i)
    }
    expect((await world.sendAs(token)).status).toBe(200)
  })

  test('the credential stays with the proxy, other headers pass', async (context) => {
    const world = start(context)
    const token = await world.login({ subject: 'bob' })
    const own = ['X-Request-Id', '42'] as const
    const { seen, text } = await world.sendAs(token, { headers: [own, ['Cookie', 'theme=dark']] })
    expect(text).not.toContain(token)
    const names = seen?.headers.map(([one]) => cgi(one))
    expect(names).not.toContain('AUTHORIZATION')
    expect(names).toEqual(expect.arrayContaining(['X_REQUEST_ID', 'COOKIE', 'HOST']))
  })

  test('GW-04 pairgate notes the address of the client, not of the proxy, nor what the client says', async (context) => {
    const world = start(context)
    const token = await world.login({ subject: 'bob' })
    // events of one moment come in no order
    world.t.advance(1)
    const headers = [
      ['X-Forwarded-For', '203.0.113.9'],
      ['X-Real-IP', '203.0.113.9'],
      ['Forwarded', 'for=203.0.113.9'],
    ] as const
    const { seen } = await world.sendAs(token, { headers, from: '127.0.0.9' })
    const forwarded = seen?.headers.filter(([one]) => one.toLowerCase() === 'x-forwarded-for')
    expect(forwarded?.map(([, value]) => value)).toEqual(['127.0.0.9'])
    const used = async () => (await world.t.gate.events({ type: 'first_used', limit: 1 })).events[0]
    // it is written down after the answer
    await expect.poll(async () => (await used())?.remote_address).toBe('127.0.0.9')
  })
})
