/** Who is signed in by a signed assertion: what is believed, what is not, and what happens without keys. @module */

import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportSPKI, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import { afterAll, afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { type SignedAssertionOptions, signedAssertion } from '../adapters/gateway.ts'
import type { PairgateOptions } from '../src/mod.ts'
import { loginAs, personAt } from './support/credentials.ts'
import { browserBehind, gateWith, type Key, keepLog, makeKey, seconds, signWith } from './support/identify.ts'
import { listenGate } from './support/listen.ts'

const ISSUER = 'https://proxy.example'
const AUDIENCE = 'pairgate'
const HEADER = 'x-assertion'

const [one, two, rsa] = [await makeKey('one'), await makeKey('two'), await makeKey('rsa', 'RS256')]

/** What a JWK Set is answered with. */
type Answer = (response: ServerResponse) => void
const withKeys =
  (...keys: Key[]): Answer =>
  (response) =>
    void response
      .setHeader('content-type', 'application/json')
      .end(JSON.stringify({ keys: keys.map(({ jwk }) => jwk) }))

const server = createServer((request, response) => {
  asked.push(request.url ?? '')
  answer(response)
})
let answer: Answer
let asked: string[] = []
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/keys`

beforeEach(() => {
  answer = withKeys(one, rsa)
  asked = []
})
afterEach(() => void vi.useRealTimers())
afterAll(() => {
  server.close()
  server.closeAllConnections()
})

const good = (): JWTPayload => ({ iss: ISSUER, aud: AUDIENCE, sub: 'alice', exp: seconds() + 60 })

const OPTIONS: SignedAssertionOptions = {
  header: 'X-Assertion',
  jwksUrl,
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: ['ES256'],
}

/** A gate behind the proxy. */
function gateBehind(more: Partial<SignedAssertionOptions> = {}, options: Partial<PairgateOptions> = {}) {
  const t = gateWith(signedAssertion({ ...OPTIONS, ...more }), options)
  return {
    ...t,
    with: async (token: string | undefined) => await t.as(token === undefined ? {} : { [HEADER]: token }),
    person: (claims: object = {}) =>
      browserBehind(t, async () => ({ [HEADER]: await signWith(one, { ...good(), ...claims }) })),
  }
}

describe('a signed assertion', () => {
  test.each(['device', 'pair'] as const)('GW-02 allows a login: %s', async (flow) => {
    const t = gateBehind()
    const claims = { name: 'Alice', email: 'alice@example.com' }
    const { access_token } = await loginAs(t, t.person(claims), flow)
    const headers = { authorization: `Bearer ${access_token}` }
    expect(await (await t.fetch('/secured', { headers })).text()).toContain('Alice')
    expect((await t.fetch('/authz/forward', { headers })).headers.get('remote-user')).toBe('alice')
    expect(t.rows('SELECT issuer, subject, name, email FROM users')).toEqual([
      { issuer: ISSUER, subject: 'alice', ...claims },
    ])
    expect(asked).toEqual(['/keys'])
  })

  const tampered = async () => {
    const [head, , signature] = (await signWith(one, good())).split('.')
    const body = Buffer.from(JSON.stringify({ ...good(), sub: 'root' })).toString('base64url')
    return `${head}.${body}.${signature}`
  }
  const byHmac = async (secret: string) =>
    await new SignJWT(good())
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .sign(new TextEncoder().encode(secret))
  const without = async (claim: string) => {
    const { [claim]: _, ...rest } = good()
    return await signWith(one, rest)
  }
  const stranger = { ...two, kid: 'one' }
  const bad: [string, string, () => string | undefined | Promise<string>][] = [
    ['without the header', 'no assertion', () => undefined],
    ['that is empty', 'no assertion', () => ''],
    ['that is no token', 'Invalid Compact JWS', () => 'alice'],
    [
      ...(['that comes twice', 'more than once'] as const),
      async () => `${await signWith(one, good())}, ${await signWith(one, good())}`,
    ],
    ['behind a scheme', 'Header is invalid', async () => `Bearer ${await signWith(one, good())}`],
    ['of alg none', 'value not allowed', () => new UnsecuredJWT(good()).encode()],
    [
      ...(['signed with the public key as a shared secret', 'value not allowed'] as const),
      async () => await byHmac(await exportSPKI(one.publicKey)),
    ],
    [
      ...(['signed with the JWK as a shared secret', 'value not allowed'] as const),
      () => byHmac(JSON.stringify(one.jwk)),
    ],
    ['of another algorithm, though its key is published', 'not allowed', () => signWith(rsa, good())],
    ['of a key that is not published', 'no applicable key', () => signWith(two, good())],
    ['of another key under a published name', 'verification failed', () => signWith(stranger, good())],
    ['that brings its own key', 'failed', () => signWith(stranger, good(), { jwk: two.jwk })],
    [
      ...(['that asks for an extension', 'it asks for an extension that there is none of'] as const),
      () => `${btoa(JSON.stringify({ alg: 'ES256', crit: ['a\nb'], 'a\nb': 1 })).replace(/=+$/, '')}.e30.AA`,
    ],
    ['that says where its keys are', 'failed', () => signWith(stranger, good(), { jku: `${jwksUrl}/mine` })],
    ['with another text than was signed', 'verification failed', tampered],
    ['of another issuer', 'unexpected "iss"', () => signWith(one, { ...good(), iss: `${ISSUER}/` })],
    ['without issuer', 'missing required "iss"', () => without('iss')],
    ['for others', 'unexpected "aud"', () => signWith(one, { ...good(), aud: ['pairgate2', 'other'] })],
    ['without audience', 'missing required "aud"', () => without('aud')],
    ['that is over', '"exp" claim timestamp', () => signWith(one, { ...good(), exp: seconds() - 6 })],
    ['without an end', 'missing required "exp"', () => without('exp')],
    ['that is not good yet', '"nbf" claim', () => signWith(one, { ...good(), nbf: seconds() + 60 })],
    ['without subject', 'the subject is no text', () => without('sub')],
    ['with an empty subject', 'or empty', () => signWith(one, { ...good(), sub: '' })],
    ['whose subject is a number', 'no text', () => signWith(one, { ...good(), sub: 7 as unknown as string })],
  ]
  test.each(bad)(
    'GW-02 nobody is signed in by one %s; the log says why, and no more',
    async (_, why, make) => {
      const t = gateBehind()
      const token = await make()
      expect((await t.with(token)).status).toBe(401)
      expect(t.reasons()).toEqual([expect.stringContaining(why)])
      const text = JSON.stringify(t.logged)
      for (const part of token?.split('.') ?? []) if (part.length > 8) expect(text).not.toContain(part)
      expect(text).not.toContain('alice')
      // and it is not for another reason that it fails
      expect((await t.with(await signWith(one, good()))).status).toBe(200)
      expect(asked.filter((path) => path !== '/keys')).toEqual([])
    },
  )

  test('clocks may differ by five seconds, or as much as the option says', async () => {
    const late = async (age: number) => await signWith(one, { ...good(), exp: seconds() - age })
    expect((await gateBehind().with(await late(2))).status).toBe(200)
    const strict = gateBehind({ clockTolerance: 0 })
    expect((await strict.with(await late(2))).status).toBe(401)
    const lax = gateBehind({ clockTolerance: 300 })
    expect((await lax.with(await late(200))).status).toBe(200)
  })

  test('several audiences and a type can be asked for', async () => {
    const t = gateBehind({ audience: ['one', 'two'], typ: 'at+jwt' })
    const claims = { ...good(), aud: ['x', 'two'] }
    expect((await t.with(await signWith(one, claims, { typ: 'application/at+jwt' }))).status).toBe(200)
    expect((await t.with(await signWith(one, claims, { typ: 'JWT' }))).status).toBe(401)
    expect((await t.with(await signWith(one, claims))).status).toBe(401)
  })

  test('the time of the sign-in counts when it is a number; an address that is not verified does not', async () => {
    const t = gateBehind({}, { maxAuthAgeSeconds: 600 })
    const login = (claims: object) => loginAs(t, t.person(claims), 'pair')
    await login({ auth_time: seconds() - 10, email: 'a@example.com', email_verified: false })
    expect(t.rows('SELECT email FROM users')).toEqual([{ email: null }])
    await expect(login({ auth_time: seconds() - 700 })).rejects.toThrow()
    await expect(login({ auth_time: String(seconds()) })).rejects.toThrow()
  })

  test('toIdentity adds organisations, and can refuse', async () => {
    const toIdentity: SignedAssertionOptions['toIdentity'] = ({ org }, identity) =>
      typeof org === 'string' ? { ...identity, tenants: [{ id: org }] } : null
    const t = gateBehind({ toIdentity })
    expect((await t.with(await signWith(one, good()))).status).toBe(401)
    await loginAs(t, t.person({ org: 'acme' }), 'device')
    expect(t.rows('SELECT tenant FROM credentials')).toEqual([{ tenant: 'acme' }])
  })
})

describe('its keys', () => {
  test('GW-02 are read once, again when an unknown one is named, and not for each token of a stranger', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const t = gateBehind()
    expect((await t.with(await signWith(one, good()))).status).toBe(200)
    answer = withKeys(two)
    for (let i = 0; i < 3; i++) expect((await t.with(await signWith(two, good()))).status).toBe(401)
    expect(asked).toHaveLength(1)
    vi.setSystemTime(Date.now() + 31_000)
    expect((await t.with(await signWith(two, good()))).status).toBe(200)
    expect(asked).toHaveLength(2)
    // what was taken away is not believed any more
    expect((await t.with(await signWith(one, good()))).status).toBe(401)
    answer = withKeys(one)
    vi.setSystemTime(Date.now() + 601_000)
    expect((await t.with(await signWith(two, good()))).status).toBe(401)
    expect(asked).toHaveLength(3)
  })

  const broken: [string, Answer][] = [
    ['is down', (response) => void response.destroy()],
    ['says no', (response) => void response.writeHead(404).end('{"keys":[]}')],
    ['sends elsewhere', (response) => void response.writeHead(302, { location: `${jwksUrl}2` }).end()],
    ['answers something else', (response) => void response.end('<html>')],
    ['has no set', (response) => void response.end('{"keys":{}}')],
    ['never answers', () => undefined],
  ]
  test.each(broken)('GW-02 when their server %s the answer is an error, not nobody', async (_, answers) => {
    answer = answers
    const t = gateBehind()
    // without an assertion there is nothing to check
    expect((await t.with(undefined)).status).toBe(401)
    expect((await t.with('a.b.c')).status).toBe(401)
    const failed = await t.with(await signWith(one, good()))
    expect(failed.status).toBeGreaterThanOrEqual(500)
    expect(await failed.text()).not.toContain(jwksUrl)
    expect(t.errors()[0]).toContain(`The keys at ${jwksUrl} are out of reach`)
    answer = withKeys(one)
    expect((await t.with(await signWith(one, good()))).status).toBe(200)
    expect(new Set(asked)).toEqual(new Set(['/keys']))
  })
})

describe('options', () => {
  const wrong: [string, object, RegExp][] = [
    ['a header that is none', { header: 'x assertion' }, /"header" must be the name/],
    ['no header', { header: undefined }, /"header" is not set/],
    ['keys by http', { jwksUrl: 'http://proxy.example/keys' }, /"jwksUrl" must be https/],
    ['keys in a file', { jwksUrl: 'file:///keys' }, /"jwksUrl" must be https/],
    ['keys at no URL', { jwksUrl: '/keys' }, /"jwksUrl" must be an absolute URL/],
    ['keys behind a password', { jwksUrl: 'https://a:b@proxy.example/' }, /must not carry a password/],
    ['no issuer', { issuer: undefined }, /"issuer" is not set/],
    ['no issuers', { issuer: [] }, /"issuer" is not set/],
    ['no audience', { audience: '' }, /"audience" is not set/],
    ['an audience that is unset', { audience: ['a', undefined] }, /"audience" is not set/],
    ['no algorithm', { algorithms: [] }, /"algorithms" is not set/],
    ['a shared secret', { algorithms: ['ES256', 'HS256'] }, /must be asymmetric, not "HS256"/],
    ['no signature', { algorithms: ['none'] }, /must be asymmetric, not "none"/],
    ['a clock of its own', { clockTolerance: 301 }, /"clockTolerance" must be 0 to 300/],
    ['a time that is none', { clockTolerance: Number.NaN }, /"clockTolerance" must be 0 to 300/],
    ['a wrong function', { toIdentity: {} }, /"toIdentity" must be a function/],
    ['what there is not', { audiences: 'a' }, /"audiences" is unknown/],
  ]
  test.each(wrong)('GW-02 %s is refused', (_, option, message) => {
    const make = () => signedAssertion({ ...OPTIONS, ...option })
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_PAIRGATE_OPTION' }))
    expect(make).toThrow(message)
  })
})

test('KEY-05 an assertion of pairgate itself signs nobody in: it stands for a CLI, which can allow nothing', async () => {
  const issuer = await listenGate()
  onTestFinished(() => issuer.close())
  const { access_token } = await loginAs(issuer, await personAt(issuer, 'alice'), 'device')
  const authorization = `Bearer ${access_token}`
  const answered = await issuer.fetch('/authz/forward', { headers: { authorization } })
  const assertion = answered.headers.get('x-pairgate-assertion') ?? ''
  const { log, reasons } = keepLog()
  const identify = signedAssertion({
    header: 'X-Pairgate-Assertion',
    jwksUrl: `${issuer.base}/.well-known/jwks.json`,
    issuer: issuer.base,
    audience: issuer.base,
    algorithms: ['ES256'],
    typ: 'pairgate+jwt',
  })
  const request = new Request('https://api.example', { headers: { 'x-pairgate-assertion': assertion } })
  expect(await identify(request, { log })).toBeNull()
  expect(reasons()).toEqual(['it is of pairgate itself'])
})
