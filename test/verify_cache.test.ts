/** The option `verifyCacheSeconds`: what is answered from memory, and when a revocation is seen, here and on other instances. @module */

import { createHash, randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, describe, expect, test } from 'vitest'
import { sqlite } from '../adapters/sqlite.ts'
import { createSecret } from '../src/core/secret.ts'
import { createPairgate, PairgateError, type PairgateOptions } from '../src/mod.ts'
import { ALICE, ENDS, settle, usedToken } from './support/credential_ends.ts'
import { callAs, loginAs, personAt, postForm, refreshAt } from './support/credentials.ts'
import { BASE, SECRET } from './support/gate.ts'
import {
  authenticate,
  createHeld,
  createInstances,
  DOORS,
  isGood,
  removeInstances,
  SECONDS,
} from './support/instances.ts'
import { FLOWS } from './support/logins.ts'
import type { Listened } from './support/statements.ts'

/** What a gate takes at least. */
const VALID = {
  ...{ baseUrl: BASE, secrets: [SECRET], devSignIn: true },
  database: sqlite(new DatabaseSync(':memory:')),
} satisfies PairgateOptions

/** What is done ten thousand times. */
const SLOW = { timeout: 120_000 }

afterAll(removeInstances)

const newSecret = () => createSecret((length) => randomBytes(length), 'pg', 'api_key')

/** Has it verified, and says what that took. */
async function verbs(t: Listened, token: string, door: keyof typeof DOORS = 'gate.authenticate') {
  const statements = await t.during(async () => expect(await DOORS[door](t, token)).toBe(true))
  return statements.map(({ verb }) => verb)
}

describe('KEY-06 KEY-11 with verifyCacheSeconds, what ends a credential', () => {
  test.each(Object.entries(ENDS))('%s: is seen at once where it happens', async (_, end) => {
    const { a } = await createInstances()
    const token = await usedToken(a)
    for (const door of Object.values(DOORS)) expect(await door(a, token)).toBe(true)
    await end(a, token)
    for (const door of Object.values(DOORS)) expect(await door(a, token)).toBe(false)
  })

  test.each(Object.entries(ENDS))(
    '%s: elsewhere when the time is over, to the millisecond',
    async (_, end) => {
      const { a, b, clock } = await createInstances()
      const token = await usedToken(a)
      expect(await isGood(b, token)).toBe(true)
      clock.now += 1
      await end(a, token)
      clock.now += SECONDS * 1000 - 2
      for (const door of Object.values(DOORS)) expect(await door(b, token)).toBe(true)
      clock.now += 1
      for (const door of Object.values(DOORS)) expect(await door(b, token)).toBe(false)
    },
  )

  test('the time runs from when the reading began, however long it took', async () => {
    const { a, b, clock, hold } = await createHeld()
    const token = await usedToken(a)
    const { reached, release } = hold('findCredential', 'after')
    const slow = isGood(a, token)
    await reached
    await b.gate.users.revoke(ALICE)
    clock.now += SECONDS * 1000
    release()
    expect([await slow, await isGood(a, token)]).toEqual([true, false])
  })

  test('without the option: at once everywhere, and each verification is one SELECT', async () => {
    const { a, b } = await createInstances({ verifyCacheSeconds: undefined })
    const token = await usedToken(a)
    for (const door of ['gate.authenticate', '/authz/forward', 'introspection'] as const)
      for (let i = 0; i < 3; i++) expect(await verbs(b, token, door)).toEqual(['SELECT'])
    await a.gate.users.revoke(ALICE)
    expect(await isGood(b, token)).toBe(false)
  })
})

describe('KEY-06 with verifyCacheSeconds, a revocation and a verification at the same moment', () => {
  test('a row that was read before the revocation does not come back after it', async () => {
    const { a, hold } = await createHeld()
    const token = await usedToken(a)
    const { reached, release } = hold('findCredential', 'after')
    const early = isGood(a, token)
    await reached
    await a.gate.users.revoke(ALICE)
    release()
    expect([await early, await isGood(a, token)]).toEqual([true, false])
  })

  test.each([
    ['goes through', undefined],
    ['goes through, and its answer is lost', new PairgateError('ERR_PAIRGATE_STORE_UNAVAILABLE', 'lost')],
  ])(
    'a row that was read while the revocation was on its way does not outlast it: it %s',
    async (_, error) => {
      const { a, hold } = await createHeld()
      const token = await usedToken(a)
      const { reached, release } = hold('revokeCredential', 'before')
      const revocation = postForm(a, '/oauth/revoke', { client_id: 'mytool', token })
      await reached
      expect(await isGood(a, token)).toBe(true)
      release(error)
      expect((await revocation).status).toBe(error ? 503 : 200)
      expect(await isGood(a, token)).toBe(false)
    },
  )

  test('one that the database has done, and nobody knows yet, is seen', async () => {
    const { a, hold } = await createHeld()
    const token = await usedToken(a)
    expect(await isGood(a, token)).toBe(true)
    const { reached, release } = hold('revokeCredential', 'after')
    const revocation = postForm(a, '/oauth/revoke', { client_id: 'mytool', token })
    await reached
    expect(await isGood(a, token)).toBe(false)
    release()
    await revocation
  })

  test('KEY-11 a person is disabled before their credentials have ended', async () => {
    const { a, hold } = await createHeld()
    const token = await usedToken(a)
    expect(await isGood(a, token)).toBe(true)
    const { reached, release } = hold('insertEvent', 'before')
    const disabled = a.gate.users.disable(ALICE)
    await reached
    expect(await isGood(a, token)).toBe(false)
    release()
    expect(await disabled).toBeGreaterThan(0)
  })

  test('of two readings, the one that began later is believed', async () => {
    const { a, b, hold } = await createHeld()
    const token = await usedToken(a)
    const { reached, release } = hold('findCredential', 'after')
    const early = isGood(a, token)
    await reached
    await b.gate.users.revoke(ALICE)
    expect(await isGood(a, token)).toBe(false)
    release()
    expect([await early, await isGood(a, token)]).toEqual([true, false])
  })

  test('after 10 000 other changes one is not forgotten', SLOW, async () => {
    const { a } = await createInstances()
    const token = await usedToken(a)
    expect(await isGood(a, token)).toBe(true)
    await a.gate.users.revoke(ALICE)
    for (let i = 0; i < 10_000; i++) await a.gate.users.revoke({ issuer: 'urn:x', subject: `${i}` })
    expect(await isGood(a, token)).toBe(false)
  })

  test.each([0, 1])('a clock that goes back makes no row young again (%i)', async (isUnderWay) => {
    const { a, b, clock, hold } = await createHeld()
    const [token, other] = [await usedToken(a), await usedToken(a)]
    const held = isUnderWay ? hold('findCredential', 'after') : null
    const first = isGood(a, token)
    await (held?.reached ?? first)
    clock.now -= 3_600_000
    await isGood(a, other)
    held?.release()
    expect(await first).toBe(true)
    await b.gate.users.revoke(ALICE)
    expect(await isGood(a, token)).toBe(false)
  })
})

describe('SES-04 KEY-05 with verifyCacheSeconds, what would outlast it is verified anew', () => {
  test('a browser that signed out elsewhere opens nothing, and allows nothing', async () => {
    const { a, b } = await createInstances()
    const alice = await personAt(a, 'alice')
    // as the upgrade of the first tables leaves it
    a.rows('UPDATE credentials SET first_used_at = created_at')
    const cookie = [...alice.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const account = async () =>
      (await b.fetch('/account', { headers: { cookie, accept: 'text/html' } })).status
    expect([await account(), await account()]).toEqual([200, 200])
    await alice.post('/sign-out', {})
    expect(await account()).toBe(303)
  })

  test.each(FLOWS)(
    '%s: a credential that may make keys makes none after it was ended elsewhere',
    async (flow) => {
      const { a, b } = await createInstances()
      const manage = { client_id: 'manager', scope: 'read pairgate:manage' }
      const { access_token } = await loginAs(a, await personAt(a, 'alice'), flow, manage)
      for (let i = 0; i < 3; i++) expect((await callAs(b, access_token, 'keys.list')).status).toBe(200)
      await a.gate.users.revoke(ALICE)
      const made = await callAs(b, access_token, 'keys.create', { name: 'mine', scope: 'read' })
      expect(made.status).toBe(401)
      expect(await isGood(b, access_token)).toBe(false)
    },
  )
})

describe('verifyCacheSeconds', () => {
  test('as many verifications as come within the time are one SELECT, whichever door they come to', async () => {
    const { a, b, clock } = await createInstances()
    const token = await usedToken(a)
    for (const t of [a, b]) {
      expect(await verbs(t, token)).toEqual(['SELECT'])
      for (const door of ['gate.authenticate', '/authz/forward', 'introspection'] as const)
        for (let i = 0; i < 3; i++) expect(await verbs(t, token, door)).toEqual([])
    }
    clock.now += SECONDS * 1000 - 1
    expect(await verbs(a, token)).toEqual([])
    clock.now += 1
    expect(await verbs(a, token)).toEqual(['SELECT'])
    expect(await verbs(a, token)).toEqual([])
    // also when the clock was set back
    clock.now -= 3_600_000
    expect(await verbs(a, token)).toEqual(['SELECT'])
    expect(await verbs(a, token)).toEqual([])
  })

  test('uses are noted as ever: the first one, and then one a minute', async () => {
    const { a, clock } = await createInstances({ verifyCacheSeconds: 60 })
    const { access_token } = await loginAs(a, await personAt(a, 'alice'), 'device', { client_id: 'mytool' })
    expect(await verbs(a, access_token)).toEqual(['SELECT', 'UPDATE', 'INSERT'])
    expect(await verbs(a, access_token)).toEqual(['SELECT'])
    clock.now += 30_000
    expect(await verbs(a, access_token)).toEqual([])
    clock.now += 30_000
    expect(await verbs(a, access_token)).toEqual(['SELECT', 'UPDATE'])
    expect(await verbs(a, access_token)).toEqual(['SELECT'])
    expect(await verbs(a, access_token)).toEqual([])
  })

  test('a session that is used elsewhere does not lie idle here', async () => {
    const { a, b, clock } = await createInstances({ verifyCacheSeconds: 60, sessionIdleSeconds: 70 })
    const { access_token } = await loginAs(a, await personAt(a, 'alice'), 'pair', { client_id: 'mytool' })
    expect(await verbs(a, access_token)).toContain('UPDATE')
    clock.now += 20_000
    expect(await isGood(b, access_token)).toBe(true)
    clock.now += 40_000
    expect(await verbs(a, access_token)).toContain('UPDATE')
    clock.now += 15_000
    expect(await isGood(b, access_token)).toBe(true)
  })

  test('no secret is good for longer than without it', async () => {
    const { a, clock } = await createInstances({ verifyCacheSeconds: 60, accessSeconds: 60, keySeconds: 90 })
    const login = { client_id: 'mytool', scope: 'offline_access' }
    const { access_token } = await loginAs(a, await personAt(a, 'alice'), 'device', login)
    const key = await usedToken(a)
    clock.now += 31_000
    expect([await isGood(a, access_token), await isGood(a, key)]).toEqual([true, true])
    clock.now += 29_000
    expect([await isGood(a, access_token), await isGood(a, key)]).toEqual([false, true])
    await settle()
    expect(await isGood(a, key)).toBe(true)
    clock.now += 30_000
    expect(await isGood(a, key)).toBe(false)
  })

  test('a refresh and a new name show at once', async () => {
    let name = 'Alice'
    const identify = () => ({ ...ALICE, name })
    const { a } = await createInstances({ devSignIn: false, identify })
    const login = { client_id: 'mytool', scope: 'offline_access' }
    const { access_token, refresh_token } = await loginAs(a, a.browser(), 'device', login)
    for (let i = 0; i < 2; i++) {
      expect((await authenticate(a, access_token))?.user.name).toBe('Alice')
      await settle()
    }
    const { body } = await refreshAt(a, String(refresh_token))
    const hint = String(body.access_token).slice(-4)
    expect((await authenticate(a, access_token))?.credential.hint.slice(-4)).toBe(hint)
    name = 'Alice B.'
    await loginAs(a, a.browser(), 'device', login)
    expect((await authenticate(a, access_token))?.user.name).toBe('Alice B.')
  })

  test('what a host writes on the person stays with that request', async () => {
    const { a } = await createInstances()
    const token = await usedToken(a)
    for (let i = 0; i < 3; i++) {
      const who = await authenticate(a, token)
      expect(who?.user.name).toBe('alice')
      Object.assign(who?.user ?? {}, { name: 'mallory', disabled_at: 1 })
    }
  })

  test('guesses take no room', SLOW, async () => {
    const { a } = await createInstances()
    const token = await usedToken(a)
    expect(await verbs(a, token)).toEqual(['SELECT'])
    for (let i = 0; i <= 10_000; i++) expect(await isGood(a, newSecret())).toBe(false)
    expect(await verbs(a, token)).toEqual([])
  })

  test('10 000 rows are kept; with one more, the half that was read first is read anew', SLOW, async () => {
    const { a } = await createInstances()
    const token = await usedToken(a)
    const { credential } = (await authenticate(a, token)) ?? {}
    const [row] = a.rows('SELECT * FROM credentials WHERE id = ?', String(credential?.id))
    const secrets = Array.from({ length: 10_000 }, newSecret)
    const hashes = secrets.map((secret) => createHash('sha256').update(secret).digest('hex'))
    const columns = Object.keys(row ?? {})
    const values = columns.map(
      (name) => ({ id: 'value', secret_hash: 'value', grant_id: 'NULL' })[name] ?? name,
    )
    a.rows(
      `INSERT INTO credentials (${columns}) SELECT ${values} FROM credentials, json_each(?) WHERE credentials.id = ?`,
      ...[JSON.stringify(hashes), String(credential?.id)],
    )
    for (const secret of secrets.slice(1)) expect(await isGood(a, secret)).toBe(true)
    expect(await verbs(a, token)).toEqual([])
    expect(await verbs(a, String(secrets[0]))).toEqual(['SELECT'])
    expect(await verbs(a, String(secrets.at(-1)))).toEqual([])
    expect(await verbs(a, String(secrets[5000]))).toEqual([])
    expect(await verbs(a, String(secrets[1]))).toEqual(['SELECT'])
    expect(await verbs(a, token)).toEqual(['SELECT'])
  })

  test.each([0, 1, 60])('%i is a number of seconds', (verifyCacheSeconds) => {
    expect(() => createPairgate({ ...VALID, verifyCacheSeconds })).not.toThrow()
  })

  test.each([
    [61, 'Invalid value: Expected <=60 but received 61'],
    [-1, 'Invalid value: Expected >=0 but received -1'],
    [1.5, 'Invalid integer: Received 1.5'],
    ['5' as never, 'Invalid type: Expected number but received "5"'],
    [Number.NaN, 'Invalid type: Expected number but received NaN'],
  ])('%s is none: %s', (verifyCacheSeconds, what) => {
    const message = `Option "verifyCacheSeconds" is wrong: ${what}`
    expect(() => createPairgate({ ...VALID, verifyCacheSeconds })).toThrow(
      expect.objectContaining({ code: 'ERR_PAIRGATE_OPTION', message }),
    )
  })
})
