/** Webhooks: what arrives, who may believe it, and what becomes of receivers that fail. @module */

import type { ServerResponse } from 'node:http'
import { describe, expect, test, vi } from 'vitest'
import type { PairgateOptions } from '../src/mod.ts'
import { loginAs, personAt } from './support/credentials.ts'
import { BASE, startDevice } from './support/gate.ts'
import { createListened } from './support/statements.ts'
import {
  ALICE,
  createSettledGate,
  hang,
  happen,
  knock,
  listenWebhook,
  type Receiver,
  replyWith,
  verify,
  waiting,
  watchWebhooks,
  webhookSecret,
  webhooksTo,
} from './support/webhook_receiver.ts'

/** What the specification proposes; seconds. */
const SCHEDULE = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]

const { receive, adopt, logged } = watchWebhooks()

describe('what arrives', () => {
  test('OPS-05 an event arrives as a signed POST that the library of the specification verifies', async () => {
    const to = await receive()
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    await happen(t)
    const [request] = to.requests
    const [row] = t.rows('SELECT * FROM events')
    const payload = verify(request!, to.secret, t.now())
    expect(payload).toEqual({
      type: 'user_enabled',
      timestamp: new Date(t.now()).toISOString(),
      data: {
        id: row?.id,
        user: { ...ALICE, name: null, email: null },
        client_id: null,
        grant_id: null,
        credential_id: null,
        remote_address: null,
        request_id: null,
        detail: null,
      },
    })
    expect(request).toMatchObject({ method: 'POST', path: '/hidden-path?hidden=query' })
    expect(request?.headers).toMatchObject({
      'content-type': 'application/json',
      'user-agent': 'pairgate',
      'webhook-id': row?.id,
      'webhook-timestamp': String(Math.floor(t.now() / 1000)),
    })
    for (const name of ['cookie', 'authorization', 'referer', 'origin'])
      expect(request?.headers).not.toHaveProperty(name)
    expect(waiting(t)).toEqual([])
  })

  test('during a change of keys each of them verifies, and no other does', async () => {
    const to = await receive()
    const keys = [webhookSecret(), webhookSecret()]
    const t = createSettledGate({ webhooks: [{ url: to.url, secret: keys.join(' ') }] })
    await happen(t)
    const [request] = to.requests
    for (const key of keys) expect(verify(request!, key, t.now())).toMatchObject({ type: 'user_enabled' })
    expect(() => verify(request!, webhookSecret(), t.now())).toThrow(/signature/)
  })

  test.each(['webhook-id', 'webhook-timestamp'])('the signature covers %s', async (name) => {
    const to = await receive()
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    await happen(t)
    const { headers, ...request } = to.requests[0]!
    const changed = { ...request, headers: { ...headers, [name]: `${Number(headers[name]) + 1 || 'other'}` } }
    expect(() => verify(changed, to.secret, t.now())).toThrow(/signature/)
  })

  test('DF-27 the owner can be told of each approval: who, which app, from where', async () => {
    const to = await receive()
    const t = createSettledGate({
      webhooks: [{ url: to.url, secret: to.secret, events: ['approved'] }],
      devSignIn: false,
      identify: () => ({ subject: 'alice', name: 'Alice', email: 'alice@example.com' }),
    })
    const person = t.browser()
    await loginAs(t, person, 'device')
    await loginAs(t, person, 'pair')
    await t.settle()
    const [grant] = t.rows("SELECT id FROM grants WHERE flow = 'device'")
    expect(to.events().map(({ type }) => type)).toEqual(['approved', 'approved'])
    expect(to.events()[0]).toMatchObject({
      user: { issuer: BASE, subject: 'alice', name: 'Alice', email: 'alice@example.com' },
      client_id: 'pairgate-cli',
      grant_id: grant?.id,
      remote_address: '127.0.0.1',
    })
  })

  test('each webhook gets what it wants, and one that fails does not hinder another', async () => {
    const [all, some, none] = [await receive(), await receive(), await receive(replyWith(500))]
    const webhooks: PairgateOptions['webhooks'] = [
      { url: none.url, secret: none.secret },
      { url: all.url, secret: all.secret },
      { url: some.url, secret: some.secret, events: ['signed_in'] },
    ]
    const t = createSettledGate({ webhooks })
    await personAt(t, 'alice')
    await happen(t)
    const types = (to: Receiver) => to.events().map(({ type }) => type)
    expect(types(all)).toEqual(['signed_in', 'user_enabled'])
    expect(types(some)).toEqual(['signed_in'])
    expect(waiting(t)).toHaveLength(2)
  })

  test('without webhooks no statement is about deliveries, and an event is one INSERT', async () => {
    const t = await createListened()
    // what its start has deferred
    await t.during(async () => undefined)
    const statements = await t.during(async () => {
      t.advance(6)
      await startDevice(t)
      await t.gate.users.enable(ALICE)
    })
    const about = (table: string) =>
      statements.filter(({ text }) => text.includes(`"${table}"`)).map(({ verb }) => verb)
    expect(about('events')).toEqual(['INSERT', 'INSERT'])
    expect(about('deliveries')).toEqual([])
    expect(about('users')).not.toContain('SELECT')
  })
})

describe('receivers that fail', () => {
  test('OPS-05 after a 500 it is sent once more, under the same id and signed anew', async () => {
    const to = await receive(replyWith(500))
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    await happen(t)
    const start = t.now()
    to.reply = replyWith(200)
    await knock(t, 4)
    expect(to.requests).toHaveLength(1)
    await knock(t, 2)
    await knock(t, 86_400)
    const [first, second] = to.requests
    expect(to.requests).toHaveLength(2)
    expect(second?.headers['webhook-id']).toBe(first?.headers['webhook-id'])
    expect(second?.body).toBe(first?.body)
    expect(Number(second?.headers['webhook-timestamp'])).toBe(Math.floor((start + 6_000) / 1000))
    expect(verify(second!, to.secret, start + 6_000)).toMatchObject({ type: 'user_enabled' })
    expect(waiting(t)).toEqual([])
  })

  test('it is tried ten times by the schedule, a tenth late at most, and then given up with an error', async () => {
    const to = await receive(replyWith(500))
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    await happen(t)
    for (const [i, seconds] of SCHEDULE.entries()) {
      expect(to.requests).toHaveLength(i + 1)
      const [row] = waiting(t)
      expect(row?.attempts).toBe(i + 1)
      const wait = (Number(row?.next_at) - t.now()) / 1000
      expect(wait).toBeGreaterThanOrEqual(seconds)
      expect(wait).toBeLessThanOrEqual(seconds * 1.1)
      await knock(t, wait - 0.001)
      expect(to.requests).toHaveLength(i + 1)
      expect(logged('error')).toEqual([])
      // a process looks at most every 5 s
      await knock(t, 5)
    }
    const about = { host: to.host, event: 'user_enabled', event_id: to.events()[0]?.id, reason: 'status 500' }
    expect(to.requests).toHaveLength(10)
    expect(waiting(t)).toEqual([])
    expect(logged('error')).toEqual([['A webhook could not be delivered, and is not tried again', about]])
    expect(logged('warning')).toHaveLength(9)
    await knock(t, 1_000_000)
    expect(to.requests).toHaveLength(10)
  })

  test.each([
    ['3600', 3_600],
    ['1', 5],
    ['999999999', 86_400],
    ['Wed, 21 Oct 2015 07:28:00 GMT', 5],
    ['-1', 5],
  ])('Retry-After %s means %d seconds', async (value, seconds) => {
    const to = await receive(replyWith(503, { 'retry-after': value }))
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    await happen(t)
    const wait = (Number(waiting(t)[0]?.next_at) - t.now()) / 1000
    expect(wait).toBeGreaterThanOrEqual(seconds)
    expect(wait).toBeLessThanOrEqual(seconds * 1.1)
  })

  test('Retry-After counts on a retry too', async () => {
    const to = await receive(replyWith(503))
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    await happen(t)
    to.reply = replyWith(429, { 'retry-after': '4000' })
    await knock(t, 6)
    expect(Number(waiting(t)[0]?.next_at) - t.now()).toBe(4_000_000)
    to.reply = replyWith(204)
    await knock(t, 3_999)
    expect(to.requests).toHaveLength(2)
    await knock(t, 6)
    expect(to.requests).toHaveLength(3)
    expect(waiting(t)).toEqual([])
  })

  test.each([301, 302, 307, 308])('a redirect is not followed: %d', async (status) => {
    const other = await receive()
    const to = await receive(replyWith(status, { location: other.url }))
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    await happen(t)
    expect([to.requests.length, other.requests.length]).toEqual([1, 0])
    expect(waiting(t)).toMatchObject([{ attempts: 1 }])
    expect(logged('warning')).toMatchObject([[expect.anything(), { reason: `status ${status}` }]])
  })

  test('a receiver that refuses the connection gets it when it is back; the log says the host, not the URL', async () => {
    const to = await receive()
    await to.close()
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    await happen(t)
    expect(waiting(t)).toMatchObject([{ attempts: 1 }])
    const [event] = t.rows('SELECT id FROM events')
    const about = { host: to.host, event: 'user_enabled', event_id: event?.id, reason: 'TypeError' }
    expect(logged('warning')).toEqual([['A webhook could not be delivered, and is tried again later', about]])
    const again = adopt(await listenWebhook(Number(to.host.split(':')[1])))
    await knock(t, 6)
    expect(again.events()).toMatchObject([{ id: event?.id }])
    expect(waiting(t)).toEqual([])
  })

  test('410 Gone: it is dropped with a warning that names the host', async () => {
    const to = await receive(replyWith(410))
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    await happen(t)
    expect(waiting(t)).toEqual([])
    const about = { host: to.host, event: 'user_enabled', event_id: to.events()[0]?.id }
    expect(logged('warning')).toEqual([['A webhook is gone: take it out of the options', about]])
    await knock(t, 86_400)
    expect(to.requests).toHaveLength(1)
  })

  test('a receiver that hangs is let go after 10 seconds, and delays neither the CLI nor other events', async () => {
    const to = await receive(hang)
    const timeout = new AbortController()
    const spy = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(timeout.signal)
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    // answered, although nobody answers the webhook
    expect(await startDevice(t)).toHaveProperty('device_code')
    await t.gate.users.enable(ALICE)
    await to.arrived(2)
    expect(spy.mock.calls).toEqual([[10_000], [10_000]])
    expect(waiting(t)).toMatchObject([{ attempts: 0 }, { attempts: 0 }])
    timeout.abort(new DOMException('too late', 'TimeoutError'))
    await t.settle()
    expect(waiting(t)).toMatchObject([{ attempts: 1 }, { attempts: 1 }])
    expect(logged('warning')).toMatchObject([
      [expect.anything(), { reason: 'TimeoutError' }],
      expect.anything(),
    ])
  })

  test('DF-23 at most 50 attempts are under way at once; what is beyond waits for its turn', async () => {
    const held: ServerResponse[] = []
    const to = await receive((response) => void held.push(response))
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    for (let i = 0; i < 60; i++) await t.gate.users.enable(ALICE)
    await to.arrived(50)
    // they are written after the answers
    while (waiting(t).length < 60) await new Promise((resolve) => setImmediate(resolve))
    const times = waiting(t).map(({ next_at }) => Number(next_at) - t.now())
    expect([times.filter((time) => time > 0).length, times.filter((time) => time === 0).length]).toEqual([
      50, 10,
    ])
    to.reply = replyWith(200)
    for (const response of held) replyWith(200)(response, to.requests[0]!)
    await t.settle()
    expect(held).toHaveLength(50)
    await knock(t, 5)
    expect(to.requests).toHaveLength(60)
    expect(waiting(t)).toEqual([])
  })

  test('an answer without end is cut off', async () => {
    let onClose: () => void = () => undefined
    const closed = new Promise<void>((resolve) => {
      onClose = resolve
    })
    const to = await receive((response) => {
      response.on('close', onClose)
      response.writeHead(200).write('and so on')
    })
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    await happen(t)
    expect(waiting(t)).toEqual([])
    await closed
  })
})
