/** The identity headers: all of them on each answer, safe in a header whatever somebody is called, and nobody’s twice. @module */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { identityHeaders } from '../src/core/identity_headers.ts'
import type { Identity, Provider } from '../src/mod.ts'
import type { User } from '../src/store.ts'
import { anyText, holds, plainText } from './support/arbitraries.ts'
import { ALICE, ask, createAuthzGate, keyFor } from './support/authz.ts'
import { loginAs } from './support/credentials.ts'
import { BASE, createTestGate } from './support/gate.ts'

const NAMES = [
  ...['remote-user', 'remote-name', 'remote-email', 'remote-groups'],
  ...['x-pairgate-id', 'x-pairgate-client', 'x-pairgate-scope', 'x-pairgate-assertion'],
]

/** What a proxy hands on to a backend. */
async function headersOf(identity: Identity, login: Parameters<typeof keyFor>[2] = {}) {
  const t = createAuthzGate()
  const { status, headers } = await ask(t, 'nginx', await keyFor(t, identity, login))
  expect(status).toBe(200)
  return Object.fromEntries(NAMES.map((name) => [name, headers.get(name)]))
}

describe('whoever it is', () => {
  test('GW-02 with all that is known: who, with what, for which organisation', async () => {
    const tenants = [{ id: 'acme', name: 'Acme' }, { id: 'umbrella' }]
    const login = { scope: 'read write', tenant: 'acme' }
    expect(await headersOf({ ...ALICE, tenants }, login)).toEqual({
      'remote-user': 'alice',
      'remote-name': 'Alice',
      'remote-email': 'alice@example.org',
      'remote-groups': 'acme',
      'x-pairgate-id': expect.stringMatching(/^[0-9a-f]{64}$/),
      'x-pairgate-client': 'tool',
      'x-pairgate-scope': 'read write',
      'x-pairgate-assertion': expect.stringMatching(/^ey[\w-]+\.ey[\w-]+\.[\w-]{86}$/),
    })
  })

  test('GW-02 what is not known is empty, and there: a proxy has nothing to leave what a client sent', async () => {
    expect(await headersOf({ subject: 'bob' })).toMatchObject({
      'remote-user': 'bob',
      'remote-name': '',
      'remote-email': '',
      'remote-groups': '',
      'x-pairgate-scope': '',
    })
    // a key that was made by hand is of no client
    const t = createAuthzGate()
    const cookie = `who=${encodeURIComponent(JSON.stringify(ALICE))}`
    const headers = { cookie, origin: BASE, 'content-type': 'application/json' }
    const made = await t.fetch('/trpc/keys.create', { method: 'POST', body: '{"name":"x"}', headers })
    const { result } = (await made.json()) as { result: { data: { secret: string } } }
    const verdict = await ask(t, 'forward', result.data.secret)
    expect(NAMES.filter((name) => !verdict.headers.has(name))).toEqual([])
    expect(verdict.headers.get('x-pairgate-client')).toBe('')
  })

  test.each([
    ['Ægir Ünal', '%C3%86gir %C3%9Cnal'],
    ['山田太郎', '%E5%B1%B1%E7%94%B0%E5%A4%AA%E9%83%8E'],
    ['100% "Bob" <b>, \\', '100%25 "Bob" <b>, \\'],
  ])('GW-02 a name %s is spelled %s', async (name, spelled) => {
    expect((await headersOf({ subject: 's', name }))['remote-name']).toBe(spelled)
  })

  test.each([
    ['x\r\nRemote-User: root', 'x%0D%0ARemote-User: root'],
    ['\talice\u0000', '%09alice%00'],
    [' alice ', '%20alice%20'],
    ['alice\u007f', 'alice%7F'],
    ['al%69ce', 'al%2569ce'],
  ])('GW-02 a subject %j is spelled %s', async (subject, spelled) => {
    expect((await headersOf({ subject }))['remote-user']).toBe(spelled)
  })

  test('an organisation is one group, whatever its id is', async () => {
    const id = 'a,b;c d, Admins'
    const groups = (await headersOf({ ...ALICE, tenants: [{ id }] }))['remote-groups']
    expect(groups).toBe('a%2Cb;c d%2C Admins')
    expect(decodeURIComponent(groups ?? '')).toBe(id)
  })
})

describe('GW-02 people of several issuers', () => {
  /** An identity provider that signs in whom its `state` names. */
  const provider = (id: string, issuer: string, subject: string): Provider => ({
    id,
    name: id,
    issuer,
    authorize: async ({ state }) => new URL(`${BASE}/sign-in/callback/${id}?state=${state}&code=x`),
    callback: async () => ({ issuer, subject, name: 'Alice' }),
  })

  async function remoteUserOf(t: ReturnType<typeof createTestGate>, id: string) {
    const person = t.browser()
    const link = (await person.get(`/sign-in/${id}`)).headers.get('location') ?? ''
    const back = new URL(link)
    await person.get(back.pathname + back.search)
    const { access_token } = await loginAs(t, person, 'device')
    const { status, headers } = await ask(t, 'nginx', access_token)
    expect(status).toBe(200)
    return { user: headers.get('remote-user'), id: headers.get('x-pairgate-id') }
  }

  test('with one subject have two names: the first provider’s their own, all others’ an id', async () => {
    const signIn = [
      provider('home', 'https://home.example', 'alice'),
      provider('far', 'https://far.example', 'alice'),
    ]
    const t = createTestGate({ signIn })
    const [home, far] = [await remoteUserOf(t, 'home'), await remoteUserOf(t, 'far')]
    expect(home.user).toBe('alice')
    expect(far.user).toBe(far.id)
    expect(far.id).not.toBe(home.id)
  })

  test('nor does anybody get another’s id by being called so', async () => {
    const probe = createTestGate({
      signIn: [
        provider('home', 'https://home.example', 'bob'),
        provider('far', 'https://far.example', 'alice'),
      ],
    })
    const victim = await remoteUserOf(probe, 'far')
    for (const subject of [victim.id ?? '', (victim.id ?? '').toUpperCase()]) {
      const t = createTestGate({ signIn: [provider('home', 'https://home.example', subject)] })
      const { user, id } = await remoteUserOf(t, 'home')
      expect(user).toBe(id)
      expect(user).not.toBe(victim.id)
    }
  })

  test('with a hook: who is of the gateway is called as there, who is of an issuer that it names is not', async () => {
    expect((await headersOf({ subject: 'alice', issuer: BASE }))['remote-user']).toBe('alice')
    expect((await headersOf({ subject: 'alice', issuer: `${BASE}/` }))['remote-user']).toBe('alice')
    const far = await headersOf({ subject: 'alice', issuer: 'https://far.example' })
    expect(far['remote-user']).toBe(far['x-pairgate-id'])
  })
})

describe('whatever somebody is called', () => {
  const HOME = 'https://home.example'
  const of = (user: Partial<User>, tenant: string | null = null) =>
    identityHeaders(
      {
        user: {
          id: 'f'.repeat(64),
          issuer: HOME,
          subject: 'x',
          name: null,
          email: null,
          disabled_at: null,
          ...user,
        },
        client_id: null,
        scope: '',
        tenant,
        assertion: 'ey',
      },
      HOME,
    )

  test('a header holds it: printable ASCII, no space at the ends, and read back it is the same', () => {
    holds(fc.tuple(plainText, plainText, plainText, plainText), ([subject, name, email, tenant]) => {
      const headers = of({ subject, name, email }, tenant)
      expect(Object.keys(headers).map((one) => one.toLowerCase())).toEqual(NAMES)
      for (const value of Object.values(headers))
        expect(value).toMatch(/^([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?$/)
      expect(Object.fromEntries(new Headers(headers))).toMatchObject({
        'remote-name': headers['Remote-Name'],
      })
      expect(decodeURIComponent(headers['Remote-Name'] ?? '')).toBe(name)
      expect(decodeURIComponent(headers['Remote-Email'] ?? '')).toBe(email)
      expect(decodeURIComponent(headers['Remote-Groups'] ?? '')).toBe(tenant)
      expect(headers['Remote-Groups']).not.toContain(',')
    })
  })

  test('no two subjects are spelled alike, and none like an id', () => {
    const subject = fc.oneof(
      plainText,
      fc.stringMatching(/^[%0-9A-Fa-f ]{1,6}$/),
      fc.stringMatching(/^[0-9a-fA-F]{64}$/),
    )
    holds(fc.tuple(subject, subject), ([one, other]) => {
      const user = of({ subject: one, id: 'a'.repeat(64) })['Remote-User'] ?? ''
      const second = of({ subject: other, id: 'b'.repeat(64) })['Remote-User'] ?? ''
      expect(user === second).toBe(one === other && !/^[0-9a-f]{64}$/i.test(one))
      if (/^[0-9a-f]{64}$/i.test(user)) expect(user).toBe('a'.repeat(64))
    })
  })

  test('no text at all gets a person in whose header cannot be written', async () => {
    const t = createAuthzGate()
    for (const subject of fc.sample(anyText, { numRuns: 60, seed: 8628 })) {
      const key = await keyFor(t, { subject, name: subject, email: subject }).catch(() => null)
      if (key !== null) expect((await ask(t, 'ext/any/x', key)).status).toBe(200)
    }
  })
})
