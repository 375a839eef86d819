/** Logs, the audit trail, wrong settings: R-OPS. @module */

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { configure, type LogRecord, reset } from '@logtape/logtape'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { readSettings, saveSecret } from '../adapters/settings.ts'
import { sqlite } from '../adapters/sqlite.ts'
import { createPairgate, type PairgateOptions } from '../src/mod.ts'
import { BASE, createTestGate, pollDevice, pollPair, SECRET, startDevice, startPair } from './support/gate.ts'

describe('logs', () => {
  let records: LogRecord[] = []
  beforeEach(async () => {
    records = []
    const sinks = { memory: (record: LogRecord) => void records.push(record) }
    await configure({
      reset: true,
      sinks,
      loggers: [
        { category: 'pairgate', lowestLevel: 'trace', sinks: ['memory'] },
        { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: ['memory'] },
      ],
    })
  })
  afterEach(reset)

  const logged = () => JSON.stringify(records.map(({ message, properties }) => [message, properties]))

  test('OPS-03 logs hold no code, verifier, key, cookie, header or query', async () => {
    const t = createTestGate()
    const [device, pair] = [await startDevice(t), await startPair(t)]
    const person = t.browser()
    await person.signIn('alice')
    await person.get('/device?user_code=BCDF-GHJK')
    await person.decide(device.verification_uri_complete, 'allow')
    await person.decide(pair.login_url, 'allow')
    const key = String((await pollDevice(t, device.device_code)).body.access_token)
    const session = String((await pollPair(t, pair.verifier)).body.access_token)
    await pollDevice(t, device.device_code)
    await t.fetch(`/secured?access_token=${key}`, { headers: { authorization: `Bearer ${key}` } })
    await t.post('/oauth/revoke', { client_id: 'pairgate-cli', token: key })
    const text = logged()
    expect(records.length).toBeGreaterThan(10)
    const secrets = [
      device.device_code,
      device.user_code,
      device.user_code.replace('-', ''),
      pair.verifier,
      pair.paircode,
    ]
    secrets.push(key, session, pair.match_code, 'BCDFGHJK', 'BCDF-GHJK', SECRET, ...person.cookies.values())
    for (const secret of secrets) expect(text).not.toContain(secret)
  })

  test('OPS-03 control characters of strangers do not reach the log', async () => {
    const t = createTestGate()
    await startDevice(t, { device_name: 'a\nFAKE LOG LINE\u001b[31m' })
    const person = t.browser()
    await person.signIn('eve\r\nFAKE LOG LINE')
    expect(logged()).not.toMatch(/\\n|\\r|\\u001b/)
  })

  test('OPS-05 each step leaves a row and one info line that names the user', async () => {
    const t = createTestGate()
    const [allowed, denied] = [await startDevice(t), await startDevice(t)]
    const person = t.browser()
    await person.signIn('alice')
    await person.get('/device?user_code=BCDF-GHJK')
    await person.decide(allowed.verification_uri_complete, 'allow')
    await person.decide(denied.verification_uri_complete, 'deny')
    const { body } = await pollDevice(t, allowed.device_code)
    await pollDevice(t, allowed.device_code)
    await t.post('/oauth/revoke', { client_id: 'pairgate-cli', token: String(body.access_token) })
    await person.post('/sign-out', {})
    const rows = t.rows(
      'SELECT type, user_id, client_id, remote_address, request_id FROM events ORDER BY rowid',
    )
    expect(rows.map(({ type }) => type)).toEqual([
      ...['started', 'started', 'signed_in', 'wrong_code', 'approved', 'denied'],
      ...['issued', 'replayed', 'revoked', 'signed_out'],
    ])
    expect(rows.every((row) => row.remote_address === '127.0.0.1' && row.request_id)).toBe(true)
    expect(rows.slice(2).every((row) => row.user_id)).toBe(true)
    const lines = records.filter(({ level, properties }) => level === 'info' && properties.event)
    expect(lines).toHaveLength(rows.length)
    const approved = lines.find(({ properties }) => properties.event === 'approved')
    expect(approved?.properties.user).toEqual({ issuer: 'urn:pairgate:dev', subject: 'alice' })
    expect(lines.slice(2).filter(({ properties }) => properties.user === undefined)).toEqual([])
  })

  test('DF-19 a lifetime outside 300-900 s, and the seed switch, are warned about at the start', () => {
    createTestGate({ deviceCodeSeconds: 60, paircodeSeconds: 1200, seedCompat: true })
    const warnings = records
      .filter(({ level }) => level === 'warning')
      .map(({ rawMessage }) => String(rawMessage))
    expect(warnings).toHaveLength(3)
    expect(warnings.join()).toMatch(/deviceCodeSeconds.*paircodeSeconds.*seedCompat/)
    createTestGate()
    expect(records.filter(({ level }) => level === 'warning')).toHaveLength(3)
  })

  test('a policy with a scope that nobody can get is warned about at the start', () => {
    const scopes = ['read', 'write', 'pairgate:manage', 'wrte']
    createTestGate({
      scopes: { read: 'Read' },
      clients: { mytool: { scopes: ['write'] } },
      policies: { all: { scopes } },
    })
    const warnings = records.filter(({ level }) => level === 'warning')
    expect(warnings.map(({ rawMessage }) => rawMessage)).toEqual([
      expect.stringContaining('"policies.all" takes the scope wrte'),
    ])
  })

  test('OPS-05 a limit that was hit is an event, once a minute', async () => {
    const t = createTestGate({ limits: { startPerMinute: 1 } })
    await startDevice(t)
    for (let i = 0; i < 5; i++) await t.post('/oauth/device/authorize', { client_id: 'pairgate-cli' })
    expect(t.rows("SELECT detail FROM events WHERE type = 'limit_hit'")).toEqual([
      { detail: 'start:127.0.0.1' },
    ])
  })
})

describe('OPS-06 a wrong setting refuses to start', () => {
  const good: PairgateOptions = {
    baseUrl: BASE,
    secrets: [SECRET],
    database: sqlite(':memory:'),
    devSignIn: true,
  }
  const cases: [string, Partial<PairgateOptions>, RegExp][] = [
    ['no base URL', { baseUrl: undefined as unknown as string }, /baseUrl/],
    ['no URL at all', { baseUrl: 'gateway.example' }, /baseUrl/],
    ['http off loopback', { baseUrl: 'http://gateway.example', devSignIn: false }, /https/],
    ['a base URL with a query', { baseUrl: `${BASE}/?x=1` }, /query/],
    ['no secret', { secrets: [] }, /secrets/],
    ['a short secret', { secrets: ['short'] }, /32 bytes/],
    ['a secret from an unset variable', { secrets: [undefined] }, /secrets.0.*not set/],
    ['a short old secret', { secrets: [SECRET, 'short'] }, /32 bytes/],
    ['dev sign-in on a public URL', { baseUrl: 'https://gateway.example' }, /devSignIn/],
    ['nobody could sign in', { devSignIn: false }, /Nobody could sign in/],
    ['two ways to know the person', { identify: () => null }, /exclude/],
    ['an unknown option', { devLogin: true } as Partial<PairgateOptions>, /devLogin/],
    ['a lifetime out of range', { deviceCodeSeconds: 4 }, /deviceCodeSeconds/],
    ['a wrong range', { trustedProxies: ['10.0.0.0/99'] }, /trustedProxies/],
    ['a scope that is none', { clients: { tool: { scopes: ['a b'] } } }, /scope/],
  ]
  test.each(cases)('%s', (_, change, message) => {
    const error = (() => {
      try {
        createPairgate({ ...good, ...change })
      } catch (e) {
        return e as Error & { code: string }
      }
      return null
    })()
    expect(error?.message).toMatch(message)
    expect(error?.code).toBe('ERR_PAIRGATE_OPTION')
    expect(error?.message).not.toContain(SECRET)
  })

  test('the good ones start', () => {
    expect(() => createPairgate(good)).not.toThrow()
    expect(() =>
      createPairgate({
        ...good,
        baseUrl: 'https://gateway.example/auth/',
        devSignIn: false,
        identify: () => null,
      }),
    ).not.toThrow()
  })
})

describe('the environment', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-environment-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  const DATABASE_URL = `sqlite:${join(folder, 'x.db')}`

  test('OPS-06 it refuses what is missing or unsafe, naming the variable', async () => {
    const publicly = {
      DATABASE_URL: 'sqlite::memory:',
      HOST: '0.0.0.0',
      PAIRGATE_BASE_URL: 'https://gateway.example',
      PAIRGATE_SECRET: SECRET,
    }
    const cases: [Record<string, string | undefined>, RegExp][] = [
      [{ ...publicly, PAIRGATE_BASE_URL: undefined }, /PAIRGATE_BASE_URL/],
      [{ ...publicly, PAIRGATE_SECRET: undefined }, /PAIRGATE_SECRET/],
      [{ ...publicly, PAIRGATE_DEV_SIGN_IN: '1' }, /PAIRGATE_DEV_SIGN_IN/],
      [{ ...publicly, PAIRGATE_DEV_SIGN_IN: '1', HOST: '127.evil.example' }, /PAIRGATE_DEV_SIGN_IN/],
      [{ DATABASE_URL: 'sqlite::memory:', HOST: '127.evil.example' }, /PAIRGATE_BASE_URL/],
      [
        { DATABASE_URL: 'sqlite::memory:', NODE_ENV: 'production', PAIRGATE_DEV_SIGN_IN: '1' },
        /PAIRGATE_DEV_SIGN_IN/,
      ],
      [{ DATABASE_URL: 'postgres://x' }, /DATABASE_URL/],
      [{ DATABASE_URL: 'sqlite::memory:', PORT: 'x' }, /PORT/],
      [{ DATABASE_URL: 'sqlite::memory:', PORT: '0' }, /PORT/],
      [{ DATABASE_URL: 'sqlite::memory:', PAIRGATE_SEED_COMPAT: 'yes' }, /PAIRGATE_SEED_COMPAT/],
      [{ DATABASE_URL: 'sqlite::memory:', PAIRGATE_GITHUB_CLIENT_ID: 'x' }, /PAIRGATE_GITHUB_CLIENT_SECRET/],
      [
        { DATABASE_URL: 'sqlite::memory:', PAIRGATE_OIDC_ISSUER: 'https://issuer.example' },
        /PAIRGATE_OIDC_CLIENT_ID/,
      ],
      [{ DATABASE_URL: 'sqlite::memory:', PAIRGATE_CONFIG: '/nowhere.ts' }, /PAIRGATE_CONFIG/],
    ]
    for (const [env, message] of cases) await expect(readSettings(env)).rejects.toThrow(message)
  })

  test('OPS-06 in production without a way to sign in there is no start', async () => {
    const { options } = await readSettings({ DATABASE_URL: 'sqlite::memory:', NODE_ENV: 'production' })
    expect(() => createPairgate(options)).toThrow(/Nobody could sign in/)
  })

  test('on loopback everything has a default, and the secret is kept beside the database, for its owner only', async () => {
    const one = await readSettings({ DATABASE_URL })
    expect(one.newSecret && saveSecret(one.newSecret)).toBe(true)
    // another process that starts at the same time has made one as well, and is told to take this one
    expect(one.newSecret && saveSecret(one.newSecret)).toBe(false)
    const two = await readSettings({ DATABASE_URL })
    expect(two.newSecret).toBeUndefined()
    expect(one).toMatchObject({
      hostname: '127.0.0.1',
      port: 8787,
      options: { baseUrl: BASE, devSignIn: true },
    })
    expect(one.options.secrets).toEqual(two.options.secrets)
    expect(statSync(join(folder, 'x.db.secret')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(folder, 'x.db.secret'), 'utf8').length).toBeGreaterThanOrEqual(43)
  })

  test('a configuration file gives further options; the variables win', async () => {
    const file = join(folder, 'my.json')
    writeFileSync(
      file,
      JSON.stringify({ clients: { tool: { name: 'Tool' } }, pollSeconds: 2, seedCompat: false }),
    )
    const env = {
      DATABASE_URL: 'sqlite::memory:',
      PAIRGATE_CONFIG: file,
      PAIRGATE_SEED_COMPAT: '1',
      PAIRGATE_SECRETS: `${SECRET},${SECRET}2`,
    }
    const { options } = await readSettings(env)
    expect(options).toMatchObject({ clients: { tool: { name: 'Tool' } }, pollSeconds: 2, seedCompat: true })
    expect(options.secrets).toEqual([SECRET, `${SECRET}2`])
  })

  test.each(['null', '[1]', '"x"'])('OPS-06 a configuration file that holds %s is refused', async (text) => {
    const file = join(folder, 'my.json')
    writeFileSync(file, text)
    const env = { DATABASE_URL: 'sqlite::memory:', PAIRGATE_CONFIG: file }
    await expect(readSettings(env)).rejects.toThrow(/must export an object of options/)
  })

  test('a configuration file may turn the dev sign-in off, and name the base URL', async () => {
    const file = join(folder, 'my.json')
    writeFileSync(file, JSON.stringify({ devSignIn: false, baseUrl: 'http://127.0.0.1:8787/auth' }))
    const env = { DATABASE_URL: 'sqlite::memory:', PAIRGATE_CONFIG: file }
    const { options } = await readSettings(env)
    expect(options).toMatchObject({ devSignIn: false, baseUrl: 'http://127.0.0.1:8787/auth' })
    const other = await readSettings({ ...env, PAIRGATE_BASE_URL: 'http://127.0.0.1:8787' })
    expect(other.baseUrl).toBe('http://127.0.0.1:8787')
  })

  test('providers come from the environment, and then the dev sign-in is off', async () => {
    const { options } = await readSettings({
      DATABASE_URL: 'sqlite::memory:',
      PAIRGATE_OIDC_ISSUER: 'https://issuer.example',
      PAIRGATE_OIDC_CLIENT_ID: 'id',
      PAIRGATE_OIDC_CLIENT_SECRET: 'secret',
      PAIRGATE_GITHUB_CLIENT_ID: 'id',
      PAIRGATE_GITHUB_CLIENT_SECRET: 'secret',
      PAIRGATE_GOOGLE_CLIENT_ID: 'id',
      PAIRGATE_GOOGLE_CLIENT_SECRET: 'secret',
    })
    expect(options.signIn?.map(({ id }) => id)).toEqual(['oidc', 'google', 'github'])
    expect(options.devSignIn).toBe(false)
  })
})
