/** Limits on starting and on guessing. @module */

import { describe, expect, test } from 'vitest'
import { createTestGate, pollDevice, startDevice, startPair, type TestGate } from './support/gate.ts'

/** Somebody signs in and decides on a user code's page. */
async function decide(t: TestGate, link: string, decision: 'allow' | 'deny') {
  const person = t.browser()
  await person.signIn('alice')
  return await person.decide(link, decision)
}

describe('limits', () => {
  test('DF-18 wrong user codes are limited per account: 10 in ten minutes', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    const person = t.browser()
    await person.signIn('alice')
    for (let i = 0; i < 10; i++) expect((await person.get('/device?user_code=BCDF-GHJK')).status).toBe(404)
    const over = await person.get('/device?user_code=BCDF-GHJK')
    expect(over.status).toBe(429)
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await person.get(start.verification_uri_complete)).status).toBe(429)
    const other = t.browser()
    await other.signIn('bob')
    expect((await other.get(start.verification_uri_complete)).status).toBe(200)
    t.advance(601)
    const again = await startDevice(t)
    expect((await person.get(again.verification_uri_complete)).status).toBe(200)
  })

  test('DF-18 wrong user codes are limited per address: 30 in ten minutes, an IPv6 /64 counts as one; a right one does not reset it', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    for (let i = 0; i < 30; i++) {
      const person = t.browser(`2001:db8::${i.toString(16)}`)
      await person.signIn(`user${i}`)
      expect((await person.get('/device?user_code=BCDF-GHJK')).status).toBe(404)
      if (i === 15) expect((await person.get(start.verification_uri_complete)).status).toBe(200)
    }
    const last = t.browser('2001:db8::ffff')
    await last.signIn('last')
    expect((await last.get('/device?user_code=BCDF-GHJK')).status).toBe(429)
    const elsewhere = t.browser('2001:db8:0:1::1')
    await elsewhere.signIn('elsewhere')
    expect((await elsewhere.get('/device?user_code=BCDF-GHJK')).status).toBe(404)
  })

  test('DF-18 PC-04 wrong match codes and wrong retyped codes are limited and recorded as well', async () => {
    const t = createTestGate()
    const near = '203.0.113.9'
    const pair = await startPair(t, {}, '198.51.100.7')
    const person = t.browser(near)
    await person.signIn('mallory')
    const page = await (await person.get(pair.login_url)).text()
    for (let i = 0; i < 10; i++) {
      expect((await person.submit(page, { decision: 'allow', code: 'wrong 10' })).status).toBe(400)
    }
    expect((await person.submit(page, { decision: 'allow', code: pair.match_code })).status).toBe(429)
    expect(t.rows("SELECT type FROM events WHERE type = 'wrong_code'")).toHaveLength(10)
    const owner = t.browser(near)
    await owner.signIn('alice')
    expect((await owner.decide(pair.login_url, 'allow', { code: pair.match_code })).status).toBe(200)
  })

  test('DF-18 where addresses are unknown, one guesser does not lock the others out', async () => {
    const t = createTestGate({ limits: { wrongCodesPerAddress: 2 }, trustedProxies: ['127.0.0.0/8'] })
    const start = await startDevice(t)
    const [guesser, other] = [t.browser(), t.browser()]
    await guesser.signIn('eve')
    await other.signIn('alice')
    for (let i = 0; i < 11; i++) await guesser.get('/device?user_code=BCDF-GHJK')
    expect((await guesser.get(start.verification_uri_complete)).status).toBe(429)
    expect((await other.get(start.verification_uri_complete)).status).toBe(200)
  })

  test('DF-18 over the global budget new codes get longer and an alarm is written; nobody is locked out', async () => {
    const t = createTestGate({ limits: { wrongCodesTotal: 3 } })
    const person = t.browser()
    await person.signIn('alice')
    for (let i = 0; i < 4; i++) await person.get('/device?user_code=BCDF-GHJK')
    expect(t.rows("SELECT type FROM events WHERE type = 'guessing'")).toHaveLength(1)
    const start = await startDevice(t)
    expect(start.user_code).toMatch(/^[A-Z]{5}-[A-Z]{5}$/)
    expect((await person.get(start.verification_uri_complete)).status).toBe(200)
    t.advance(61)
    expect((await startDevice(t)).user_code).toHaveLength(9)
  })

  test('DF-18 an anonymous visitor learns nothing about codes', async () => {
    const t = createTestGate()
    const start = await startDevice(t)
    const right = await t.fetch(start.verification_uri_complete)
    const wrong = await t.fetch('/device?user_code=BCDF-GHJK')
    expect([right.status, wrong.status]).toEqual([303, 303])
    expect(t.rows('SELECT * FROM limits WHERE "key" LIKE ?', 'wrong%')).toEqual([])
  })

  test('DF-23 starts are limited per address and minute; live logins go on', async () => {
    const t = createTestGate({ limits: { startPerMinute: 3 } })
    const start = await startDevice(t)
    await startDevice(t)
    await startDevice(t)
    const over = await t.post('/oauth/device/authorize', { client_id: 'pairgate-cli' })
    expect([over.status, await over.json()]).toMatchObject([429, { error: 'temporarily_unavailable' }])
    expect(Number(over.headers.get('retry-after'))).toBeGreaterThan(0)
    await startDevice(t, {}, '203.0.113.7')
    await decide(t, start.verification_uri_complete, 'allow')
    expect((await pollDevice(t, start.device_code)).status).toBe(200)
    t.advance(61)
    await startDevice(t)
  })

  test('DF-23 waiting logins are capped per address; a decision or the expiry makes room', async () => {
    const t = createTestGate({ limits: { pendingPerAddress: 2 } })
    const start = await startDevice(t)
    await startDevice(t)
    expect((await t.post('/oauth/device/authorize', { client_id: 'pairgate-cli' })).status).toBe(429)
    await decide(t, start.verification_uri_complete, 'deny')
    await startDevice(t)
    expect((await t.post('/oauth/device/authorize', { client_id: 'pairgate-cli' })).status).toBe(429)
    t.advance(660)
    await startDevice(t)
  })

  test('DF-23 waiting logins are capped in all: 503 with Retry-After', async () => {
    const t = createTestGate({ limits: { pendingTotal: 2 } })
    await startDevice(t, {}, '203.0.113.1')
    await startDevice(t, {}, '203.0.113.2')
    const over = await t.fetch(
      '/oauth/device/authorize',
      { method: 'POST', body: new URLSearchParams({ client_id: 'pairgate-cli' }) },
      '203.0.113.3',
    )
    expect([over.status, over.headers.has('retry-after')]).toEqual([503, true])
  })
})
