/** Assertions and the keys that verify them, as a service behind the gateway sees both: with a JOSE library, over HTTP. @module */

import { createECDH, createHmac } from 'node:crypto'
import {
  calculateJwkThumbprint,
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  type JSONWebKeySet,
  jwtVerify,
} from 'jose'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { ALICE, ask, bearer, createAuthzGate, createShakyGate, keyFor } from './support/authz.ts'
import { callAs, postForm } from './support/credentials.ts'
import { BASE, createTestGate, SECRET, type TestGate } from './support/gate.ts'
import { createClient, loginWithDevice } from './support/kit.ts'
import { demand } from './support/matrix.ts'
import { whyNot } from './support/runtimes.ts'
import { SERVERS, type ServerRuntime, signInAt, startStandalone } from './support/standalone.ts'

const JWKS = '/.well-known/jwks.json'
const DAYS = 86_400
/** How long one key signs. */
const PERIOD = 30 * DAYS
const [NEW, OLD] = ['n'.repeat(32), 'o'.repeat(32)]

const readKeys = async (t: TestGate) => (await (await t.fetch(JWKS)).json()) as JSONWebKeySet
const kidsOf = ({ keys }: JSONWebKeySet) => keys.map(({ kid }) => kid)

async function assertionOf(t: TestGate, token: string, path = 'nginx'): Promise<string> {
  const { status, headers } = await ask(t, path, token)
  expect(status).toBe(200)
  return headers.get('x-pairgate-assertion') ?? ''
}

/** Verifies as a service does that knows the base URL and its own name. */
function verify(assertion: string, keys: JSONWebKeySet, audience = BASE) {
  const { iat = 0 } = decodeJwt(assertion)
  return jwtVerify(assertion, createLocalJWKSet(keys), {
    issuer: BASE,
    audience,
    typ: 'pairgate+jwt',
    algorithms: ['ES256'],
    currentDate: new Date(iat * 1000),
    requiredClaims: ['iat', 'exp', 'sub'],
  })
}

/** The private key of a secret and a time, worked out by another library. */
function privateKey(secret: string, period: number): Buffer {
  const halves = ['0', '1'].map((half) =>
    createHmac('sha256', secret)
      .update(JSON.stringify(['assertion-key', String(period), half]))
      .digest('hex'),
  )
  const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
  const d = (BigInt(`0x${halves.join('')}`) % (order - 1n)) + 1n
  return Buffer.from(d.toString(16).padStart(64, '0'), 'hex')
}

describe('an assertion', () => {
  test('GW-02 says who calls, with what and for whom, under a key of the set', async () => {
    let now = 1_800_000_000_000
    const t = createAuthzGate({ now: () => now })
    const tenants = [{ id: 'acme' }]
    const key = await keyFor(t, { ...ALICE, tenants }, { scope: 'read write' })
    now += 999
    const assertion = await assertionOf(t, key, 'ext/write/x')
    const keys = await readKeys(t)
    const { payload, protectedHeader } = await verify(assertion, keys, 'https://files.example')
    expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'pairgate+jwt', kid: keys.keys[1]?.kid })
    const who = await t.gate.authenticate(new Request(BASE, { headers: bearer(key) }))
    expect(payload).toEqual({
      iss: BASE,
      aud: 'https://files.example',
      sub: who?.user.id,
      sub_id: { format: 'iss_sub', iss: BASE, sub: 'alice' },
      iat: 1_800_000_000,
      exp: 1_800_000_060,
      name: 'Alice',
      email: 'alice@example.org',
      client_id: 'tool',
      scope: 'read write',
      tenant: 'acme',
      credential_id: who?.credential.id,
    })
  })

  test('GW-02 is for the service of its policy, and for no other', async () => {
    const t = createAuthzGate()
    const key = await keyFor(t, ALICE, { scope: 'read write' })
    const keys = await readKeys(t)
    const audiences = {
      nginx: BASE,
      'forward/any': BASE,
      'nginx/both': BASE,
      'forward/write': 'https://files.example',
    }
    for (const [path, audience] of Object.entries(audiences)) {
      const assertion = await assertionOf(t, key, path)
      expect([path, decodeJwt(assertion).aud]).toEqual([path, audience])
      const other = audience === BASE ? 'https://files.example' : BASE
      await expect(verify(assertion, keys, other)).rejects.toMatchObject({ claim: 'aud' })
    }
  })

  test('names in any script come through; what is not known is left out', async () => {
    const t = createAuthzGate()
    const keys = await readKeys(t)
    for (const name of ['山田太郎', 'Ægir "Ünal"', 'محمد', '👩🏽‍💻 ok']) {
      const { payload } = await verify(await assertionOf(t, await keyFor(t, { subject: name, name })), keys)
      const seen = name.replace(/\u200d/g, '')
      expect([payload.name, payload.sub_id]).toEqual([seen, { format: 'iss_sub', iss: BASE, sub: name }])
      for (const claim of ['email', 'scope', 'tenant']) expect(payload).not.toHaveProperty(claim)
    }
  })

  test('GW-02 is good for a minute at most, and no longer than the secret that was shown', async () => {
    const t = createAuthzGate({ clients: { tool: { scopes: ['pairgate:manage'] } } })
    const key = await keyFor(t, ALICE, { scope: 'pairgate:manage' })
    const life = async (token: string) => {
      const { iat = 0, exp = 0 } = decodeJwt(await assertionOf(t, token))
      return exp - iat
    }
    expect(await life(key)).toBe(60)
    const { body: made } = await callAs(t, key, 'keys.create', { name: 'x', expires_in: 3600 })
    const { body: rotated } = await callAs(t, key, 'keys.rotate', { id: made.id, overlap_seconds: 45 })
    expect(await life(String(made.secret))).toBe(45)
    expect(await life(String(rotated.secret))).toBe(60)
    t.advance(30)
    expect(await life(String(made.secret))).toBe(15)
    t.advance(15)
    expect((await ask(t, 'nginx', String(made.secret))).status).toBe(401)
    t.advance(3600 - 30 - 45)
    expect(await life(String(rotated.secret))).toBe(30)
  })

  test('GW-02 the same one again for twenty seconds, with forty left at least; whoever is revoked gets none', async () => {
    let now = 1_800_000_000_000
    const t = createAuthzGate({ now: () => now })
    const [key, other] = [
      await keyFor(t, ALICE, { scope: 'read write' }),
      await keyFor(t, ALICE, { scope: 'read write' }),
    ]
    const first = await assertionOf(t, key)
    now += 19_999
    expect(await assertionOf(t, key)).toBe(first)
    // another credential, another audience
    expect(await assertionOf(t, other)).not.toBe(first)
    expect(await assertionOf(t, key, 'forward/write')).not.toBe(first)
    now += 1
    const second = await assertionOf(t, key)
    expect(decodeJwt(second)).toMatchObject({ iat: 1_800_000_020, exp: 1_800_000_080 })
    // one of the future would not be taken
    now -= 1_000
    expect(decodeJwt(await assertionOf(t, key)).iat).toBe(1_800_000_019)
    await postForm(t, '/oauth/revoke', { client_id: 'tool', token: key })
    expect((await ask(t, 'nginx', key)).status).toBe(401)
  })

  test('KEY-03 is no credential, wherever it is shown', async () => {
    const t = createAuthzGate({ resourceServers: { api: { secret: 's'.repeat(32) } } })
    const assertion = await assertionOf(t, await keyFor(t))
    for (const path of ['nginx', 'forward/any', 'ext/any/x'])
      expect(await ask(t, path, assertion)).toMatchObject({ status: 401, error: 'invalid_token' })
    expect(await t.gate.authenticate(new Request(BASE, { headers: bearer(assertion) }))).toBeNull()
    expect((await t.fetch('/secured', { headers: bearer(assertion) })).status).toBe(401)
    expect((await callAs(t, assertion, 'session.whoami')).status).toBe(401)
    const form = { client_id: 'api', client_secret: 's'.repeat(32), token: assertion }
    expect((await postForm(t, '/oauth/introspect', form)).body).toEqual({ active: false })
  })

  test('GW-02 of somebody else, or changed, is not verified', async () => {
    const [t, other] = [createAuthzGate(), createAuthzGate({ secrets: [NEW] })]
    const keys = await readKeys(t)
    const assertion = await assertionOf(other, await keyFor(other))
    await expect(verify(assertion, keys)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' })
    const [head, , signature] = (await assertionOf(t, await keyFor(t))).split('.')
    const forged = [head, assertion.split('.')[1], signature].join('.')
    await expect(verify(forged, keys)).rejects.toMatchObject({
      code: 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED',
    })
  })
})

describe('the key set', () => {
  test('holds public keys and no more, each by its thumbprint (RFC 7638)', async () => {
    const { keys } = await readKeys(createAuthzGate())
    expect(keys).toHaveLength(3)
    for (const key of keys) {
      expect(Object.keys(key).sort()).toEqual(['alg', 'crv', 'kid', 'kty', 'use', 'x', 'y'])
      expect(key).toMatchObject({ kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig' })
      expect(key.kid).toBe(await calculateJwkThumbprint(key))
    }
    expect(new Set(kidsOf({ keys })).size).toBe(3)
  })

  test('that cannot be made is not kept: a proxy would hand the failure on for an hour', async () => {
    const t = createAuthzGate()
    const broken = vi.spyOn(crypto.subtle, 'importKey').mockRejectedValueOnce(new Error('out of order'))
    onTestFinished(() => broken.mockRestore())
    const response = await t.fetch(JWKS)
    expect([response.status, response.headers.get('cache-control')]).toEqual([500, 'no-store'])
    expect((await readKeys(t)).keys).toHaveLength(3)
  })

  test('is where the metadata says, for anybody, under any Host, and may be kept for an hour', async () => {
    const t = createAuthzGate({ baseUrl: `${BASE}/auth` })
    const metadata = await (await t.fetch('/auth/.well-known/oauth-authorization-server')).json()
    expect(metadata).toMatchObject({ jwks_uri: `${BASE}/auth${JWKS}` })
    for (const origin of [BASE, 'http://internal:9000']) {
      const response = await t.gate.fetch(new Request(`${origin}/auth${JWKS}`))
      expect([origin, response.status]).toEqual([origin, 200])
      expect(response.headers.get('cache-control')).toBe('public, max-age=3600')
      expect(response.headers.get('content-type')).toContain('application/json')
    }
    const posted = await t.fetch(`/auth${JWKS}`, { method: 'POST' })
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'HEAD, GET'])
  })

  test('needs no database', async () => {
    const t = createShakyGate()
    t.breakDown()
    expect((await readKeys(t)).keys).toHaveLength(3)
  })

  test('GW-02 turns by time: the next key is there before it signs, the last one after', async () => {
    let now = 1_000 * PERIOD * 700
    const t = createAuthzGate({ now: () => now })
    const sets = [await readKeys(t)]
    const assertions = [await assertionOf(t, await keyFor(t))]
    for (let i = 0; i < 3; i++) {
      // the very last and the very first millisecond of a key
      now += PERIOD * 1000 - 1
      expect(kidsOf(await readKeys(t))).toEqual(kidsOf(sets.at(-1)!))
      now += 1
      sets.push(await readKeys(t))
      assertions.push(await assertionOf(t, await keyFor(t)))
    }
    for (const [i, assertion] of assertions.entries()) {
      const signer = decodeProtectedHeader(assertion).kid
      const positions = sets.map((set) => kidsOf(set).indexOf(signer))
      expect(positions).toEqual(sets.map((_, at) => (Math.abs(i - at) > 1 ? -1 : 1 + i - at)))
      const next = sets[i + 1] ?? sets[i]!
      for (const set of [sets[Math.max(i - 1, 0)]!, sets[i]!, next]) await verify(assertion, set)
    }
    await expect(verify(assertions[0]!, sets[3]!)).rejects.toMatchObject({ code: 'ERR_JWKS_NO_MATCHING_KEY' })
  })

  test('SES-03 of several secrets has the keys of all; the first signs', async () => {
    const now = () => 1_800_000_000_000
    const [before, during, after] = [[OLD], [NEW, OLD], [NEW]].map((secrets) =>
      createAuthzGate({ secrets, now }),
    )
    const sets = await Promise.all([before!, during!, after!].map(readKeys))
    expect(kidsOf(sets[1]!)).toEqual([...kidsOf(sets[2]!), ...kidsOf(sets[0]!)])
    const old = await assertionOf(before!, await keyFor(before!))
    const fresh = await assertionOf(during!, await keyFor(during!))
    await verify(old, sets[1]!)
    await verify(fresh, sets[2]!)
    await expect(verify(fresh, sets[0]!)).rejects.toThrow()
  })

  test('is the same at every instance that has the secret, and worked out as it always was', async () => {
    const now = () => 1_800_000_000_000
    const [one, other] = [createAuthzGate({ now }), createTestGate({ now, baseUrl: 'http://localhost:1/x' })]
    const { keys } = await readKeys(one)
    expect(await (await other.fetch(`/x${JWKS}`)).json()).toEqual({ keys })
    const period = Math.floor(now() / 1000 / PERIOD)
    for (const [i, { x, y }] of keys.entries()) {
      const curve = createECDH('prime256v1')
      curve.setPrivateKey(privateKey(SECRET, period - 1 + i))
      const point = curve.getPublicKey()
      expect([x, y]).toEqual(
        [point.subarray(1, 33), point.subarray(33)].map((part) => part.toString('base64url')),
      )
    }
  })

  test('OPS-03 the private key is in no answer and in no log, and neither is an assertion in a log', async () => {
    const written: unknown[] = []
    const note = (...line: unknown[]) => void written.push(line)
    const t = createAuthzGate({ log: { debug: note, info: note, warn: note, error: note } })
    const key = await keyFor(t)
    const assertion = await assertionOf(t, key)
    const answers = [await (await t.fetch(JWKS)).text(), assertion]
    for (const path of ['nginx', 'forward/nosuch', 'ext']) {
      const response = await t.fetch(`/authz/${path}`, { headers: bearer(key) })
      answers.push(await response.text(), JSON.stringify([...response.headers]))
    }
    const log = JSON.stringify(written)
    const period = Math.floor(Date.now() / 1000 / PERIOD)
    const secrets = [-1, 0, 1].map((step) => privateKey(SECRET, period + step))
    for (const secret of [...secrets, Buffer.from(SECRET)])
      for (const form of ['hex', 'base64', 'base64url', 'latin1'] as const)
        expect([...answers, log].join()).not.toContain(secret.toString(form).replace(/=+$/, ''))
    expect(written.length).toBeGreaterThan(3)
    expect(log).not.toContain(assertion.split('.')[2])
    expect(log).not.toContain(key)
  })
})

describe.each<ServerRuntime>(['node', 'deno', 'bun', 'workers'])('on %s', (runtime) => {
  test('GW-02 the keys are the same, and a service that fetches them verifies what is signed there', async (context) => {
    demand(context, whyNot(SERVERS[runtime]))
    const server = await startStandalone({ PAIRGATE_SECRET: SECRET }, '', runtime)
    onTestFinished(async () => {
      await server.stop()
      server.remove()
    })
    const person = await signInAt(server, 'alice')
    let allowed: Promise<Response> | undefined
    const { access_token } = await loginWithDevice(createClient({ server: server.base }), {
      onPrompt: ({ url }) => {
        allowed = person.decide(new URL(url).pathname + new URL(url).search, 'allow')
      },
      wait: async () => void (await allowed),
    })
    const verdict = await fetch(`${server.base}/authz/nginx`, { headers: bearer(access_token) })
    const assertion = verdict.headers.get('x-pairgate-assertion') ?? ''
    const here = await readKeys(createTestGate())
    expect(await (await fetch(server.base + JWKS)).json()).toEqual(here)
    const { payload } = await jwtVerify(assertion, createRemoteJWKSet(new URL(server.base + JWKS)), {
      issuer: server.base,
      audience: server.base,
      typ: 'pairgate+jwt',
    })
    expect(payload.sub_id).toMatchObject({ sub: 'alice' })
  })
})
