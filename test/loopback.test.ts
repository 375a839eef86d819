/** The delivery `loopback` of the paircode flow (RFC 8252 section 7.3), through both doors. @module */

import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import {
  BASE,
  createPaircode,
  createTestGate,
  pollDevice,
  pollPair,
  SECRET,
  startDevice,
  startPair,
  type TestGate,
} from './support/gate.ts'
import {
  allow,
  callProcedure,
  LOOPBACK,
  personNamed,
  readCallback,
  startLoopback,
} from './support/loopback.ts'

const CLIENT = 'pairgate-cli'
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

/** What a poll is answered, in one word. */
async function word(t: TestGate, verifier: string, form: Record<string, string> = {}) {
  const { status, body } = await pollPair(t, verifier, form)
  return status === 200 ? 'issued' : body.error
}

/** A login that Alice has allowed. */
async function allowed(t = createTestGate(), form: Record<string, string> = {}) {
  const start = await startLoopback(t, form)
  const alice = await personNamed(t, 'alice')
  return { t, ...start, alice, code: await allow(alice, start.login_url) }
}

describe('the whole way', () => {
  test('PC-11 form: the browser brings a code, and with it the session is collected, once', async () => {
    const { t, verifier, code } = await allowed()
    expect(await word(t, verifier, { code })).toBe('issued')
    expect(await word(t, verifier, { code })).toBe('invalid_grant')
    expect(t.rows("SELECT id FROM credentials WHERE kind = 'session'")).toHaveLength(1)
    expect(t.rows("SELECT type FROM events WHERE type IN ('issued', 'replayed') ORDER BY at")).toHaveLength(2)
  })

  test('PC-11 form: Deny brings an error, and the poll says so too, with or without a code', async () => {
    const t = createTestGate()
    const { login_url, verifier } = await startLoopback(t)
    const response = await (await personNamed(t, 'alice')).decide(login_url, 'deny')
    expect(response.status).toBe(303)
    expect(readCallback(response.headers.get('location'))).toEqual({
      error: 'access_denied',
      state: LOOPBACK.state,
    })
    expect(await word(t, verifier)).toBe('access_denied')
    expect(await word(t, verifier, { code: 'x' })).toBe('access_denied')
    expect(t.rows('SELECT code_hash FROM grants')).toEqual([{ code_hash: null }])
  })

  test('PC-11 tRPC: the outcome says where the browser has to go', async () => {
    const t = createTestGate()
    const alice = await personNamed(t, 'alice')
    const start = async () => {
      const { verifier, paircode } = createPaircode()
      const input = { client_id: CLIENT, paircode, ...LOOPBACK, port: 49_152 }
      expect((await callProcedure(t, 'pair.start', input)).body).toMatchObject({
        login_url: `${BASE}/pair/${paircode}`,
      })
      return { verifier, paircode }
    }
    const one = await start()
    const review = await callProcedure(t, 'pair.review', { paircode: one.paircode }, alice)
    expect(review.body).toMatchObject({ status: 'pending', loopback_port: 49_152 })
    expect(review.text).not.toContain(LOOPBACK.state)
    const { body } = await callProcedure(t, 'pair.approve', { paircode: one.paircode }, alice)
    expect(Object.keys(body).sort()).toEqual(['redirect_to', 'status'])
    const { code, state } = readCallback(String(body.redirect_to))
    expect([body.status, state]).toEqual(['approved', LOOPBACK.state])
    // not to somebody else, who says the same
    const bob = await personNamed(t, 'bob')
    const late = await callProcedure(t, 'pair.approve', { paircode: one.paircode }, bob)
    expect(late.body).toEqual({ status: 'already_decided', your_decision: null })
    const poll = (more: object) =>
      callProcedure(t, 'pair.token', { client_id: CLIENT, verifier: one.verifier, ...more })
    expect((await poll({})).body).toEqual({ status: 'authorization_pending', interval: 5 })
    expect((await poll({ code: 'x' })).status).toBe('invalid_grant')
    for (const code of ['', 'x'.repeat(129), 1]) expect((await poll({ code })).http).toBe(400)
    expect((await poll({ code })).status).toBe('issued')
    const other = await start()
    const denied = await callProcedure(t, 'pair.deny', { paircode: other.paircode }, alice)
    expect(readCallback(String(denied.body.redirect_to))).toEqual({ error: 'access_denied', state })
    const again = await callProcedure(t, 'pair.approve', { paircode: one.paircode }, alice)
    expect(again.body).toEqual({ status: 'already_decided', your_decision: 'approved' })
  })

  test('PC-11 delivery poll is as ever: nobody is sent anywhere', async () => {
    const t = createTestGate()
    const alice = await personNamed(t, 'alice')
    for (const form of [{}, { delivery: 'poll' }] as Record<string, string>[]) {
      const start = await startPair(t, form)
      const review = await callProcedure(t, 'pair.review', { paircode: start.paircode }, alice)
      expect(review.body).toMatchObject({ loopback_port: null })
      expect((await alice.decide(start.login_url, 'allow')).status).toBe(200)
      expect(await word(t, start.verifier)).toBe('issued')
    }
    const { paircode } = await startPair(t)
    expect((await callProcedure(t, 'pair.approve', { paircode }, alice)).body).toEqual({ status: 'approved' })
    const device = await callProcedure(
      t,
      'device.review',
      { user_code: (await startDevice(t)).user_code },
      alice,
    )
    expect(device.body).toMatchObject({ loopback_port: null })
  })
})

describe('the code', () => {
  test('PC-11 without it an allowed login is pending, paced as a pending one', async () => {
    const { t, verifier, code } = await allowed()
    const poll = async () => {
      const { status, body } = await pollPair(t, verifier)
      return [status, body.error, body.interval]
    }
    expect(await poll()).toEqual([400, 'authorization_pending', 5])
    expect(await poll()).toEqual([400, 'slow_down', 10])
    t.advance(6)
    expect(await poll()).toEqual([400, 'slow_down', 15])
    t.advance(15)
    expect(await poll()).toEqual([400, 'authorization_pending', 15])
    // with the code nobody has to wait
    expect(await word(t, verifier, { code })).toBe('issued')
  })

  test('PC-11 a wrong one is invalid_grant and consumes nothing', async () => {
    const { t, verifier, code, alice } = await allowed()
    const other = await startLoopback(t)
    const otherCode = await allow(alice, other.login_url)
    const before = t.rows('SELECT * FROM grants')
    const wrong = [
      otherCode,
      code.slice(1),
      `${code}A`,
      code.toLowerCase(),
      sha256(code),
      LOOPBACK.state,
      'x'.repeat(9_000),
    ]
    for (const one of wrong) expect(await word(t, verifier, { code: one })).toBe('invalid_grant')
    // an empty parameter is none (RFC 6749 section 3.1)
    expect(await word(t, verifier, { code: '' })).toBe('authorization_pending')
    expect(t.rows('SELECT * FROM grants')).toEqual(before)
    expect(t.rows("SELECT type FROM events WHERE type IN ('replayed', 'refused')")).toEqual([])
    expect(await word(t, verifier, { code })).toBe('issued')
    expect(await word(t, other.verifier, { code: otherCode })).toBe('issued')
  })

  test('PC-11 it is worth nothing without the verifier, or to another client', async () => {
    const { t, verifier, code, paircode } = await allowed(createTestGate({ clients: { other: {} } }))
    for (const wrong of [createPaircode().verifier, paircode, code])
      expect(await word(t, wrong, { code })).toBe('invalid_grant')
    expect(await word(t, verifier, { code, client_id: 'other' })).toBe('invalid_grant')
    expect(await word(t, verifier, { code })).toBe('issued')
  })

  test('PC-11 where none was made, one is invalid_grant and consumes nothing', async () => {
    const t = createTestGate()
    const alice = await personNamed(t, 'alice')
    const polled = await startPair(t)
    const looped = await startLoopback(t)
    for (const { verifier } of [polled, looped]) {
      expect(await word(t, verifier, { code: 'x' })).toBe('invalid_grant')
      expect(await word(t, verifier)).toBe('authorization_pending')
    }
    await alice.decide(polled.login_url, 'allow')
    expect(await word(t, polled.verifier, { code: 'x' })).toBe('invalid_grant')
    expect(await word(t, polled.verifier)).toBe('issued')
    // the device flow has none: another parameter that nobody asked for
    const device = await startDevice(t)
    await alice.decide(device.verification_uri_complete, 'allow')
    expect((await pollDevice(t, device.device_code, { code: 'x' })).status).toBe(200)
  })

  test('PC-11 it lives 60 seconds, and no longer than the request', async () => {
    const inTime = await allowed()
    inTime.t.advance(59)
    expect(await word(inTime.t, inTime.verifier, { code: inTime.code })).toBe('issued')
    const late = await allowed()
    late.t.advance(60)
    for (const form of [{}, { code: late.code }] as Record<string, string>[])
      expect(await word(late.t, late.verifier, form)).toBe('expired_token')
    const t = createTestGate({ paircodeSeconds: 30 })
    const short = await startLoopback(t)
    t.advance(20)
    const code = await allow(await personNamed(t, 'alice'), short.login_url)
    t.advance(10)
    expect(await word(t, short.verifier, { code })).toBe('expired_token')
    expect(t.rows("SELECT id FROM credentials WHERE kind = 'session'")).toEqual([])
  })

  test('PC-11 only its hash is stored; it is in no log and no event', async () => {
    const lines: unknown[][] = []
    const log = (...line: unknown[]) => lines.push(line)
    const t = createTestGate({ log: { debug: log, info: log, warn: log, error: log } as never })
    const { verifier, code } = await allowed(t)
    await word(t, verifier, { code: `${code}x` })
    await word(t, verifier, { code })
    expect(t.rows('SELECT code_hash FROM grants')).toEqual([{ code_hash: sha256(code) }])
    const tables = t
      .rows("SELECT name FROM sqlite_master WHERE type = 'table'")
      .map(({ name }) => String(name))
    const stored = JSON.stringify(tables.map((name) => t.rows(`SELECT * FROM ${name}`)))
    expect(stored).toContain(sha256(code))
    expect(stored).not.toContain(code)
    expect(lines.length).toBeGreaterThan(0)
    expect(JSON.stringify(lines)).not.toContain(code)
  })

  test.each(['allow', 'deny'])(
    'PC-11 a second click on %s brings the browser to the CLI too',
    async (decision) => {
      const t = createTestGate({ secrets: [SECRET, 'an-older-secret-an-older-secret-an'] })
      const { login_url, verifier } = await startLoopback(t)
      const alice = await personNamed(t, 'alice')
      const html = await (await alice.get(login_url)).text()
      const click = (more = {}) => alice.submit(html, { decision, ...more })
      const answers = [...(await Promise.all([click(), click(), click()])), await click()]
      const callbacks = answers.map((response) => readCallback(response.headers.get('location')))
      expect(new Set(callbacks.map((one) => JSON.stringify(one))).size).toBe(1)
      expect(t.rows("SELECT id FROM events WHERE type IN ('approved', 'denied')")).toHaveLength(1)
      // the other button, and somebody else, get no code
      expect((await click({ decision: decision === 'allow' ? 'deny' : 'allow' })).status).toBe(409)
      expect((await (await personNamed(t, 'bob')).get(login_url)).status).toBe(409)
      const { code = 'none' } = callbacks[0] ?? {}
      expect(await word(t, verifier, { code })).toBe(decision === 'allow' ? 'issued' : 'access_denied')
      if (decision === 'allow') expect((await click()).status).toBe(409)
    },
  )

  test('PC-11 a second click after the minute says only what was done', async () => {
    const t = createTestGate()
    const { login_url } = await startLoopback(t)
    const alice = await personNamed(t, 'alice')
    const html = await (await alice.get(login_url)).text()
    expect((await alice.submit(html, { decision: 'allow' })).status).toBe(303)
    t.advance(61)
    expect((await alice.submit(html, { decision: 'allow' })).status).toBe(409)
  })

  test('PC-11 a client may be held to one delivery', async () => {
    const t = createTestGate({
      clients: { strict: { deliveries: ['loopback'] }, plain: { deliveries: ['poll'] } },
    })
    const refusal = { status: 400, body: { error: 'invalid_request' } }
    const form = { client_id: 'strict', paircode: createPaircode().paircode }
    const answer = await t.post('/cli_login', form)
    expect({ status: answer.status, body: await answer.json() }).toMatchObject(refusal)
    expect(t.rows('SELECT id FROM grants')).toEqual([])
    expect(await startLoopback(t, { client_id: 'strict' })).toMatchObject({ expires_in: 600 })
    const other = await t.post('/cli_login', { ...LOOPBACK, ...form, client_id: 'plain' })
    expect([other.status, (await other.json()).error_description]).toEqual([
      400,
      'This client may not use delivery=loopback',
    ])
  })

  test('PC-11 nothing has to be typed: the credential goes to the machine of whoever allows it', async () => {
    const t = createTestGate()
    const { login_url } = await startLoopback(t, {}, '203.0.113.7')
    const alice = await personNamed(t, 'alice')
    expect(await (await alice.get(login_url)).text()).not.toContain('name="code"')
    expect(await allow(alice, login_url)).toHaveLength(43)
  })
})

describe('the pages', () => {
  const formAction = (response: Response) =>
    /form-action ([^;]*);/.exec(response.headers.get('content-security-policy') ?? '')?.[1]

  test('WEB-04 PC-11 forms may lead to the CLI from its review page alone', async () => {
    const t = createTestGate({ clients: { tool: { scopes: ['read', 'write'] } } })
    const alice = await personNamed(t, 'alice')
    const { login_url } = await startLoopback(t, { client_id: 'tool', scope: 'read write' })
    const page = await alice.get(login_url)
    expect(formAction(page)).toBe("'self' http://127.0.0.1:49152")
    const html = await page.text()
    // the page again, after a problem and after Enter
    const problem = await alice.submit(html, { decision: 'allow' })
    expect([problem.status, formAction(problem)]).toEqual([400, "'self' http://127.0.0.1:49152"])
    const enter = await alice.submit(html, { decision: 'none' })
    expect([enter.status, formAction(enter)]).toEqual([200, "'self' http://127.0.0.1:49152"])
    const { verification_uri_complete } = await startDevice(t)
    const others = [
      await alice.get((await startPair(t)).login_url),
      await alice.get(verification_uri_complete),
      await t.browser().get(login_url),
      await alice.get('/device'),
      await alice.get('/account'),
      await alice.get('/sign-in'),
      await alice.submit(html, { decision: 'deny' }),
      await alice.get(login_url),
      await (await personNamed(t, 'bob')).get(login_url),
    ]
    expect(others.map(formAction)).toEqual(others.map(() => "'self'"))
    expect(others.map(({ status }) => status)).toEqual([200, 200, 303, 200, 200, 303, 303, 409, 409])
  })

  test('WEB-04 PC-11 the gateway’s own sign-in stays allowed beside the CLI', async () => {
    const t = createTestGate({
      identify: () => ({ subject: 'alice' }),
      signInUrl: (next) => `https://login.example/?next=${encodeURIComponent(next)}`,
    })
    const { login_url } = await startLoopback(t)
    expect(formAction(await t.browser().get(login_url))).toBe(
      "'self' https://login.example http://127.0.0.1:49152",
    )
    expect(formAction(await t.browser().get('/device'))).toBe("'self' https://login.example")
  })

  test('PC-11 whoever comes back to the link is told what they did: at once, once it is collected, and after the minute', async () => {
    const { t, alice, login_url, verifier, code } = await allowed()
    const bob = await personNamed(t, 'bob')
    const read = async (person: typeof alice, link: string) => {
      const response = await person.get(link)
      return [response.status, /<h1>(.*?)<\/h1>/.exec(await response.text())?.[1]]
    }
    expect(await read(alice, login_url)).toEqual([409, 'You allowed this'])
    expect(await read(bob, login_url)).toEqual([409, 'Already answered'])
    expect(await word(t, verifier, { code })).toBe('issued')
    const html = await (await alice.get(login_url)).text()
    expect(html).toContain('You can close this page and go back to your terminal')
    const second = await allowed(t)
    const third = await startLoopback(t)
    await alice.decide(third.login_url, 'deny')
    t.advance(61)
    for (const link of [login_url, second.login_url])
      expect(await read(alice, link)).toEqual([409, 'You allowed this'])
    expect(await read(alice, third.login_url)).toEqual([409, 'You denied this'])
    expect(await read(bob, second.login_url)).toEqual([410, 'Too late'])
  })
})
