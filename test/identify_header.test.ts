/** Who is signed in by a plain header: only with the secret, from the gateway's address, once and under one name. @module */

import { request as httpRequest } from 'node:http'
import { describe, expect, onTestFinished, test } from 'vitest'
import { type TrustedHeaderOptions, trustedHeader } from '../adapters/gateway.ts'
import type { PairgateOptions } from '../src/mod.ts'
import { loginAs } from './support/credentials.ts'
import { BASE } from './support/gate.ts'
import { browserBehind, gateWith, keepLog } from './support/identify.ts'
import { listenGate } from './support/listen.ts'

const SECRET_HEADER = 'a-secret-of-the-gateway-and-of-us'
const GATEWAY = '10.1.2.3'

const OPTIONS: TrustedHeaderOptions = {
  user: 'X-Auth-User',
  name: 'X-Auth-Name',
  email: 'X-Auth-Email',
  secretHeader: 'X-Auth-Secret',
  secret: SECRET_HEADER,
  from: ['10.1.0.0/16', 'fd00::/8'],
}
const GOOD = { 'x-auth-user': 'alice', 'x-auth-secret': SECRET_HEADER }

const gateBehind = (options: Partial<TrustedHeaderOptions> = {}, others: Partial<PairgateOptions> = {}) =>
  gateWith(trustedHeader({ ...OPTIONS, ...options }), others)

describe('a trusted header', () => {
  test.each(['device', 'pair'] as const)(
    'GW-02 allows a login, with secret and address: %s',
    async (flow) => {
      const others = { trustedProxies: OPTIONS.from }
      const t = gateBehind({ issuer: 'https://people.example' }, others)
      const shown = { 'x-auth-name': 'Smith, Alice', 'x-auth-email': 'alice@example.com' }
      const person = browserBehind(t, () => ({ ...GOOD, ...shown, 'x-forwarded-for': '127.0.0.1' }), GATEWAY)
      const { access_token } = await loginAs(t, person, flow)
      const bearer = { authorization: `Bearer ${access_token}` }
      expect(await (await t.as(bearer, '198.51.100.7')).text()).toContain('Smith, Alice')
      expect(t.rows('SELECT issuer, subject, name, email FROM users')).toEqual([
        {
          ...{ issuer: 'https://people.example', subject: 'alice' },
          ...{ name: 'Smith, Alice', email: 'alice@example.com' },
        },
      ])
      // the one issuer of everybody: backends are told the subject as it is
      const asked = await t.fetch('/authz/forward', { headers: bearer })
      expect(asked.headers.get('remote-user')).toBe('alice')
    },
  )

  type Refused = [string, Record<string, string>, string | undefined, RegExp]
  const refused: Refused[] = [
    ['from another address', GOOD, '10.2.0.1', /the peer is not in "from"/],
    ['from an address of the other family', GOOD, '::a01:203', /the peer is not in "from"/],
    ['from what is no address', GOOD, 'unknown', /the peer is not in "from"/],
    [
      'from an address that only a header tells',
      { ...GOOD, 'x-forwarded-for': GATEWAY },
      '10.9.9.9',
      /not in/,
    ],
    ['without the secret', { 'x-auth-user': 'alice' }, GATEWAY, /secret is wrong or missing/],
    ['with an empty secret', { ...GOOD, 'x-auth-secret': '' }, GATEWAY, /secret is wrong or missing/],
    [
      'with half the secret',
      { ...GOOD, 'x-auth-secret': SECRET_HEADER.slice(1) },
      GATEWAY,
      /wrong or missing/,
    ],
    [
      'with the secret twice',
      { ...GOOD, 'x-auth-secret': `${SECRET_HEADER}, ${SECRET_HEADER}` },
      GATEWAY,
      /wrong or missing/,
    ],
    ['without a user', { 'x-auth-secret': SECRET_HEADER }, GATEWAY, /no user/],
    ['with an empty user', { ...GOOD, 'x-auth-user': ' ' }, GATEWAY, /no user/],
    ['with two users', { ...GOOD, 'x-auth-user': 'mallory, alice' }, GATEWAY, /more than once/],
    [
      'with two addresses',
      { ...GOOD, 'x-auth-email': 'm@evil.example, a@example.com' },
      GATEWAY,
      /more than once/,
    ],
    [
      'with a user that is not ASCII',
      { ...GOOD, 'x-auth-user': 'alic\u00e9' },
      GATEWAY,
      /not printable ASCII/,
    ],
    ['with a user that has controls', { ...GOOD, 'x-auth-user': 'a\tb' }, GATEWAY, /not printable ASCII/],
    ...['{http.auth.user.id}', '(null)', '$remote_user', '%{REMOTE_USER}s', 'undefined', 'null', '-'].map(
      (user): Refused => [`with ${user}`, { ...GOOD, 'x-auth-user': user }, GATEWAY, /placeholder/],
    ),
    ['with a user spelt with _ too', { ...GOOD, x_auth_user: 'mallory' }, GATEWAY, /another spelling/],
    ['with a user spelt with . too', { ...GOOD, 'x.auth.user': 'mallory' }, GATEWAY, /another spelling/],
    ['with a secret spelt half with _', { ...GOOD, 'x-auth_secret': 'x' }, GATEWAY, /another spelling/],
    ['with a name spelt with ~ too', { ...GOOD, 'x~auth~name': 'Mallory' }, GATEWAY, /another spelling/],
    [
      'with an address spelt otherwise too',
      { ...GOOD, 'x_auth-email': 'm@evil.example' },
      GATEWAY,
      /spelling/,
    ],
  ]
  test.each(refused)(
    'GW-02 is not believed %s; the log says why, and no values',
    async (_, headers, from, why) => {
      const t = gateBehind({}, { trustedProxies: ['10.9.9.9'] })
      expect((await t.as(headers, from)).status).toBe(401)
      expect(t.reasons()).toEqual([expect.stringMatching(why)])
      expect(JSON.stringify(t.logged)).not.toMatch(/alice|mallory|evil|of-the-gateway/i)
      expect(t.rows('SELECT id FROM users')).toEqual([])
      // and it is not for another reason that it fails
      expect((await t.as(GOOD, GATEWAY)).status).toBe(200)
    },
  )

  test('GW-02 is not believed when the address of the peer is not known', async () => {
    const t = gateBehind()
    const answered = await t.gate.fetch(new Request(`${BASE}/secured`, { headers: GOOD }))
    expect(answered.status).toBe(401)
    expect(t.reasons()).toEqual(['the address of the peer is not known'])
  })

  test('addresses count in all their spellings, and names that are not ASCII are read', async () => {
    const t = gateBehind()
    for (const address of ['::ffff:10.1.2.3', '10.1.255.255', 'fd12::1'])
      expect((await t.as(GOOD, address)).status).toBe(200)
    const nameOf = async (name: string) =>
      await (await t.as({ ...GOOD, 'x-auth-name': name }, GATEWAY)).text()
    // as UTF-8, as Latin-1
    for (const encoding of ['utf8', 'latin1'] as const) {
      const header = Buffer.from('Zoë', encoding).toString('latin1')
      expect(await nameOf(header)).toContain('Zoë')
    }
  })

  test('GW-02 on a socket, headers that come twice or under other names are seen and refused', async () => {
    const kept = keepLog()
    const identify = trustedHeader({ ...OPTIONS, from: ['127.0.0.1'] })
    const t = await listenGate(() => ({ identify, log: kept.log }))
    onTestFinished(() => t.close())
    const send = (...headers: string[]) =>
      new Promise<number>((resolve, reject) => {
        const raw = ['host', `127.0.0.1:${t.port}`, 'connection', 'close', ...headers]
        const sent = httpRequest(
          { host: '127.0.0.1', port: t.port, path: '/secured', headers: raw },
          (answer) => {
            answer.resume()
            resolve(answer.statusCode ?? 0)
          },
        )
        sent.once('error', reject).end()
      })
    const good = ['x-auth-secret', SECRET_HEADER, 'X-Auth-User', 'alice']
    expect(await send(...good)).toBe(200)
    expect(await send(...good, 'X-Auth-User', 'mallory')).toBe(401)
    expect(await send('x-auth-user', 'mallory', ...good)).toBe(401)
    expect(await send(...good, 'x-auth-secret', SECRET_HEADER)).toBe(401)
    expect(await send(...good, 'X_Auth_User', 'mallory')).toBe(401)
    expect(await send('X.Auth-User', 'mallory', ...good)).toBe(401)
    expect(await send(...good, 'x-auth-name', 'One', 'x-auth-name', 'Two')).toBe(200)
    expect(kept.reasons()).toHaveLength(5)
  })
})

describe('options', () => {
  const wrong: [string, object, RegExp][] = [
    ['no user', { user: undefined }, /"user" is not set/],
    ['a user that is no header', { user: 'x auth' }, /"user" must be the name of a header/],
    ['a header with _', { user: 'x_auth_user' }, /"user" must be the name of a header/],
    ['a header with .', { email: 'x.auth.email' }, /"email" must be the name of a header/],
    ['one header for two things', { name: 'x-auth-USER' }, /must differ/],
    ['the secret in the user', { secretHeader: 'X-Auth-User' }, /must differ/],
    ['no secret header', { secretHeader: '' }, /"secretHeader" is not set/],
    ['a secret that is unset', { secret: undefined }, /"secret" is not set/],
    ['a short secret', { secret: 'x'.repeat(31) }, /"secret" must have at least 32 bytes/],
    ['a secret that no header can hold', { secret: `${'x'.repeat(32)}\u00e9` }, /printable ASCII/],
    ['a secret with a comma', { secret: `${'x'.repeat(32)},y` }, /without spaces and commas/],
    ['no address', { from: undefined }, /"from" must hold at least one/],
    ['no addresses', { from: [] }, /"from" must hold at least one/],
    ['an address that is none', { from: ['10.0.0.0/8', 'gateway'] }, /got "gateway"/],
    ['a range that is none', { from: ['10.0.0.0/33'] }, /got "10.0.0.0\/33"/],
    ['an address that is unset', { from: [undefined] }, /must hold addresses or CIDRs/],
    ['every address', { from: ['0.0.0.0/0'] }, /must not name every address/],
    ['every address of the other family', { from: ['::/0'] }, /must not name every address/],
    ['an empty issuer', { issuer: '' }, /"issuer" is not set/],
    ['what there is not', { groups: 'X-Groups' }, /"groups" is unknown/],
  ]
  test.each(wrong)('GW-02 %s is refused, and no secret is told', (_, option, message) => {
    const make = () => trustedHeader({ ...OPTIONS, ...option })
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_PAIRGATE_OPTION' }))
    expect(make).toThrow(message)
    expect(make).not.toThrow(/x{31}|of-the-gateway/)
  })
})
