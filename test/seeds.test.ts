/** The first seed's client, replayed over real sockets against the real standalone server; and the safe forms. @module */

import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createPaircode, DEVICE_GRANT } from './support/gate.ts'
import { createSeedClients, hasHttpx, hasPython } from './support/seed_clients.ts'
import {
  createSecretNotes,
  findLeaks,
  type StandaloneServer,
  sqlBeside,
  startStandalone,
} from './support/standalone.ts'

let compat: StandaloneServer
let safe: StandaloneServer
let mounted: StandaloneServer
beforeAll(async () => {
  const switched = { PAIRGATE_SEED_COMPAT: '1', PAIRGATE_LOG: 'json:debug' }
  ;[compat, safe, mounted] = await Promise.all([
    startStandalone(switched),
    startStandalone({ PAIRGATE_LOG: 'json:debug' }),
    startStandalone(switched, '/some/where'),
  ])
})
afterAll(async () => {
  for (const server of [compat, safe, mounted]) {
    await server?.stop()
    server?.remove()
  }
})

const { secrets, noted, signIn } = createSecretNotes()
const signedIn = (name: string, server = compat) => signIn(server, name)

const answer = async (response: Response) => [response.status, await response.text()]

describe('seed 1: paircode, as its client speaks', () => {
  const createSeedPaircode = () => noted(randomBytes(16).toString('base64url'))
  const login = (paircode: string) => fetch(`${compat.base}/cli_login?paircode=${paircode}`)
  const token = (paircode: string) => fetch(`${compat.base}/token?paircode=${paircode}`)

  test('PC-01 PC-06 login link, empty while pending, id and cookie when ready, once; a second client uses it', async () => {
    const paircode = createSeedPaircode()
    const link = await login(paircode)
    expect([link.status, link.headers.get('deprecation')]).toEqual([200, 'true'])
    expect(link.headers.get('content-type')).toMatch(/^text\/plain/)
    const url = await link.text()
    expect(url).toMatch(new RegExp(`^${compat.base}/pair/[\\w-]{43}$`))
    expect(url).not.toContain(paircode)

    const pending = await token(paircode)
    expect([...(await answer(pending)), pending.headers.get('deprecation')]).toEqual([200, '', 'true'])
    expect(pending.headers.getSetCookie()).toEqual([])

    const alice = await signedIn('alice')
    const page = await (await alice.get(url)).text()
    expect(page).toMatch(/match code.*<strong class="code">[a-z]+ \d\d<\/strong>/s)
    expect(await answer(await token(paircode))).toEqual([200, ''])
    expect(await (await alice.submit(page, { decision: 'allow' })).text()).toContain('Allowed')

    const ready = await token(paircode)
    expect([...(await answer(ready)), ready.headers.get('deprecation')]).toEqual([200, 'alice', 'true'])
    const [cookie = '', ...more] = ready.headers.getSetCookie()
    expect(more).toEqual([])
    expect(cookie).toMatch(/^pairgate-seed=pgs_\w+; Max-Age=\d+; Path=\/; HttpOnly; SameSite=Lax$/)
    const [name = '', value = ''] = (cookie.split(';')[0] ?? '').split('=')
    const saved = JSON.stringify({ [name]: noted(value) })

    const again = await token(paircode)
    expect(await answer(again)).toEqual([400, 'invalid_grant'])
    expect(again.headers.getSetCookie()).toEqual([])

    const pairs = Object.entries(JSON.parse(saved) as Record<string, string>)
    const headers = { cookie: pairs.map((pair) => pair.join('=')).join('; ') }
    const secured = await fetch(`${compat.base}/secured`, { headers })
    expect(await answer(secured)).toEqual([200, 'You are authenticated as: alice'])
    expect((await fetch(`${compat.base}/secured`)).status).toBe(401)
  })

  test("SES-06 the seed's cookie reads /secured and nothing else", async () => {
    const paircode = createSeedPaircode()
    const alice = await signedIn('alice')
    await alice.decide(await (await login(paircode)).text(), 'allow')
    const [cookie = ''] = (await token(paircode)).headers.getSetCookie()
    const value = noted(/=([^;]+)/.exec(cookie)?.[1] ?? '')
    for (const name of ['pairgate-seed', 'pairgate-session']) {
      const headers = { cookie: `${name}=${value}`, accept: 'text/html' }
      const page = await fetch(`${compat.base}/device?user_code=BCDF-GHJK`, { headers, redirect: 'manual' })
      expect([page.status, page.headers.get('location')]).toMatchObject([303, /^\/sign-in/])
    }
    const post = { method: 'POST', headers: { cookie: `pairgate-seed=${value}` } }
    const form = { ...post, body: new URLSearchParams({ user_code: 'BCDF-GHJK' }) }
    expect((await fetch(`${compat.base}/oauth/device/verify-authenticated`, form)).status).toBe(401)
  })

  test('PC-02 PC-07 nothing completes on GET, and a known paircode is 409 and stays what it was', async () => {
    const paircode = createSeedPaircode()
    const url = await (await login(paircode)).text()
    const before = sqlBeside(compat, 'SELECT * FROM grants')
    const alice = await signedIn('alice')
    for (const path of [url, `${url}?decision=allow`, `${compat.base}/sign-in?next=${new URL(url).pathname}`])
      expect((await alice.get(path)).status).toBeLessThan(400)
    expect(await answer(await login(paircode))).toEqual([409, 'This paircode was used before'])
    expect(sqlBeside(compat, 'SELECT * FROM grants')).toEqual(before)
    expect(await answer(await token(paircode))).toEqual([200, ''])
  })

  test('PC-10 a denied, an expired and an unknown paircode are no 2xx, so that the client stops', async () => {
    const denied = createSeedPaircode()
    const alice = await signedIn('alice')
    await alice.decide(await (await login(denied)).text(), 'deny')
    expect(await answer(await token(denied))).toEqual([400, 'access_denied'])
    const expired = createSeedPaircode()
    const link = await (await login(expired)).text()
    const ofLogin = "WHERE flow = 'pair' AND status = 'pending' ORDER BY created_at DESC LIMIT 1"
    expect(sqlBeside(compat, `SELECT expires_at - created_at AS ms FROM grants ${ofLogin}`)).toEqual([
      { ms: 180_000 },
    ])
    sqlBeside(compat, 'UPDATE grants SET expires_at = ?', Date.now() - 1)
    expect(await answer(await token(expired))).toEqual([400, 'expired_token'])
    expect((await alice.get(link)).status).toBe(410)
    expect(await answer(await token(createSeedPaircode()))).toEqual([400, 'invalid_grant'])
  })

  test.each(['', 'short', `${'a'.repeat(23)}`, 'a'.repeat(43), `${'a'.repeat(21)}%2F`, '%zz'])(
    'PC-06 a paircode must have 22 characters of base64url, not "%s"',
    async (paircode) => {
      for (const ask of [login, token]) expect((await ask(paircode)).status).toBe(400)
    },
  )
})

describe.skipIf(!hasPython)(`seed 1: its own Python clients, with ${hasHttpx ? 'httpx' : 'urllib'}`, () => {
  test.each([
    ['at the root', () => compat],
    ['under a path', () => mounted],
  ])('PC-01 client-login.py and client-do.py run, mounted %s', async (_, server) => {
    const { base } = server()
    const clients = createSeedClients(base.replace('http://', ''))
    const login = clients.run('client-login.py')
    const link = await login.link
    expect(link).toMatch(new RegExp(`^${base}/pair/[\\w-]{43}$`))
    const bob = await signedIn('bob', server())
    expect((await bob.decide(link, 'allow')).status).toBe(200)
    expect(await login.ended).toEqual([0, `${link}\nToken saved to auth_token.txt\n`])
    const cookies = clients.cookies()
    expect(cookies).toEqual({ 'pairgate-seed': expect.stringMatching(/^pgs_\w{49}$/) })
    noted(cookies['pairgate-seed'] ?? '')
    expect(await clients.run('client-do.py').ended).toEqual([0, 'You are authenticated as: bob\n'])
    clients.remove()
  })
})

const AUTHORIZE = '/oauth/device/authorize'
const BODIES: [string, RequestInit][] = [
  ['no body', {}],
  ['an empty form', { body: new URLSearchParams() }],
  ['JSON {}', { body: '{}', headers: { 'content-type': 'application/json' } }],
]

describe('without PAIRGATE_SEED_COMPAT', () => {
  const ask = (path: string, init?: RequestInit) => fetch(safe.base + path, init)
  const form = (fields: Record<string, string>) => ({ method: 'POST', body: new URLSearchParams(fields) })

  test.each(['/cli_login', '/token'])('PC-06 GET %s is 405', async (path) => {
    const response = await ask(`${path}?paircode=${'a'.repeat(22)}`)
    expect([response.status, response.headers.get('allow')]).toEqual([405, 'POST'])
    expect(response.headers.get('deprecation')).toBeNull()
  })

  test('PC-06 a paircode of 22 characters is refused, one of 43 is not', async () => {
    for (const [paircode, status] of [
      ['a'.repeat(22), 400],
      [createPaircode().paircode, 200],
    ] as const)
      expect((await ask('/cli_login', form({ client_id: 'pairgate-cli', paircode }))).status).toBe(status)
  })

  test.each(BODIES)('DF-03 DF-07 authorize with %s is refused', async (_, init) => {
    const response = await ask(AUTHORIZE, { method: 'POST', ...init })
    expect([response.status, await response.json()]).toMatchObject([400, { error: 'invalid_request' }])
  })

  test('DF-04 DF-07 polls without grant_type or client_id, and the client "seed", are refused', async () => {
    const started = await ask(AUTHORIZE, form({ client_id: 'pairgate-cli' }))
    const { device_code } = (await started.json()) as { device_code: string }
    const whole = { client_id: 'pairgate-cli', grant_type: DEVICE_GRANT, device_code }
    const expected = [
      [{ device_code }, 'invalid_request'],
      [{ ...whole, grant_type: '' }, 'invalid_request'],
      [{ ...whole, client_id: '' }, 'invalid_request'],
      [{ ...whole, client_id: 'seed' }, 'invalid_client'],
      [whole, 'authorization_pending'],
    ] as const
    for (const [fields, error] of expected)
      expect(await (await ask('/oauth/device/token', form(fields))).json()).toMatchObject({ error })
  })

  test('verify-authenticated is 404, and a session in the cookie of the seed is nobody', async () => {
    expect((await ask('/oauth/device/verify-authenticated', form({ user_code: 'BCDF-GHJK' }))).status).toBe(
      404,
    )
    const { paircode, verifier } = createPaircode()
    const started = await ask('/cli_login', form({ client_id: 'pairgate-cli', paircode }))
    const { login_url } = (await started.json()) as { login_url: string }
    await (await signedIn('alice', safe)).decide(login_url, 'allow')
    const collected = await ask('/token', form({ client_id: 'pairgate-cli', verifier: noted(verifier) }))
    const { access_token } = (await collected.json()) as { access_token: string }
    const cookie = `pairgate-seed=${noted(access_token)}`
    expect((await ask('/secured', { headers: { authorization: `Bearer ${access_token}` } })).status).toBe(200)
    expect((await ask('/secured', { headers: { cookie } })).status).toBe(401)
  })
})

describe('the log, and the end', () => {
  test('the greeting says what is weaker, only with the switch', () => {
    for (const server of [compat, mounted]) {
      expect(server.output()).toContain('Weaker: PAIRGATE_SEED_COMPAT is on')
      for (const what of ['client_id', 'GET /cli_login', 'GET /token', 'verify-authenticated'])
        expect(server.output()).toContain(what)
    }
    expect(safe.output()).not.toContain('Weaker')
  })

  test('OPS-03 STO-03 after SIGTERM: exit 0, and no secret in the log or the database', async () => {
    for (const prefix of ['pgs_', 'pgb_'])
      expect(secrets.filter((one) => one.startsWith(prefix)).length).toBeGreaterThan(1)
    for (const server of [compat, mounted, safe]) {
      expect(await server.stop()).toBe(0)
      expect(server.output()).toContain('audit: ')
      expect(findLeaks(server, secrets)).toEqual([])
    }
  })
})
