/** Webhooks: what arrives, who may believe it, and what becomes of receivers that fail. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { inspect } from 'node:util'
import { type LogRecord, reset } from '@logtape/logtape'
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { sqlite } from '../adapters/sqlite.ts'
import type { PairgateOptions, Store } from '../src/mod.ts'
import { loginAs, personAt } from './support/credentials.ts'
import { BASE, startDevice } from './support/gate.ts'
import { createListened } from './support/statements.ts'
import {
  catchLog,
  createSettledGate,
  hang,
  listenWebhook,
  type Receiver,
  replyWith,
  type SettledGate,
  verify,
  webhookSecret,
} from './support/webhook_receiver.ts'

const ALICE = { issuer: 'urn:pairgate:dev', subject: 'alice' }
/** What the specification proposes; seconds. */
const SCHEDULE = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400]

const folder = mkdtempSync(join(tmpdir(), 'pairgate-webhooks-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let records: LogRecord[] = []
const receivers: Receiver[] = []
beforeEach(async () => {
  records = await catchLog()
})
afterEach(async () => {
  const text = inspect(records, { depth: 12, maxArrayLength: null, maxStringLength: null })
  const secrets = receivers.map(({ secret }) => secret)
  await Promise.all(receivers.splice(0).map((receiver) => receiver.close()))
  await reset()
  vi.restoreAllMocks()
  for (const secret of ['hidden', '"data"', ...secrets]) expect(text).not.toContain(secret)
})

/** A receiver that is closed after the test. */
async function receive(reply?: Receiver['reply']): Promise<Receiver> {
  const receiver = await listenWebhook()
  receivers.push(receiver)
  return reply ? Object.assign(receiver, { reply }) : receiver
}

const webhooksTo = (...to: Receiver[]) => to.map(({ url, secret }) => ({ url, secret }))

/** Something happens. */
async function happen(t: SettledGate): Promise<void> {
  await t.gate.users.enable(ALICE)
  await t.settle()
}

/** Time passes, and then some request comes. */
async function knock(t: SettledGate, seconds = 0): Promise<void> {
  t.advance(seconds)
  await t.fetch('/readyz')
  await t.settle()
}

const waiting = (t: SettledGate) => t.rows('SELECT attempts, next_at FROM deliveries')
const logged = (level: LogRecord['level']) =>
  records
    .filter((record) => record.level === level)
    .map(({ rawMessage, properties }) => [String(rawMessage), properties])

/** Gates of several processes, over one SQLite file and by one clock. */
function createProcesses() {
  const file = join(folder, `${receivers.length}-${Math.random()}.db`)
  let now = Date.now()
  return {
    advance: (seconds: number) => {
      now += seconds * 1000
    },
    start(options: Partial<PairgateOptions>, change: (store: Store) => Partial<Store> = () => ({})) {
      const store = sqlite(file)
      const t = createSettledGate({ database: { ...store, ...change(store) }, now: () => now, ...options })
      return t
    },
    rows: (sql: string) => new DatabaseSync(file).prepare(sql).all(),
  }
}

const never = new Promise<never>(() => undefined)

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
    expect(Object.keys(request?.headers ?? {})).not.toEqual(expect.arrayContaining(['cookie']))
    expect(Object.keys(request?.headers ?? {})).not.toEqual(expect.arrayContaining(['authorization']))
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

  test('without webhooks nothing is asked or noted', async () => {
    const t = await createListened()
    const statements = await t.during(async () => {
      t.advance(60)
      await startDevice(t)
      await t.gate.users.enable(ALICE)
      await t.fetch('/readyz')
    })
    expect(statements.filter(({ text }) => text.includes('"events"'))).toHaveLength(2)
    expect(statements.filter(({ text, verb }) => text.includes('deliveries') && verb === 'INSERT')).toEqual(
      [],
    )
    expect(statements.filter(({ text, verb }) => text.includes('users') && verb === 'SELECT')).toEqual([])
    const due = statements.filter(({ text }) => text.includes('"deliveries"') && text.includes('"events"'))
    expect(due).toEqual([])
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
      // the second looks like the first: how long the attempt itself took is not on this clock
      expect(wait).toBeGreaterThanOrEqual(seconds)
      expect(wait).toBeLessThanOrEqual(seconds * 1.1)
      await knock(t, wait - 0.001)
      expect(to.requests).toHaveLength(i + 1)
      expect(logged('error')).toEqual([])
      // a process looks at most every 5 s
      t.advance(-5)
      await knock(t, 5.001)
      if (to.requests.length === i + 1) await knock(t, 5)
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
    const again = await listenWebhook(Number(to.host.split(':')[1]))
    receivers.push(again)
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

describe('processes that come and go', () => {
  test('what was noted and never sent is sent by another process after the lease', async () => {
    const to = await receive()
    const webhooks = webhooksTo(to)
    const processes = createProcesses()
    const dying = processes.start({ webhooks }, (store) => ({
      insertDelivery: (delivery) => store.insertDelivery(delivery).then(() => never),
    }))
    await dying.gate.users.enable(ALICE)
    const other = processes.start({ webhooks })
    processes.advance(59)
    await knock(other)
    expect(to.requests).toEqual([])
    processes.advance(6)
    await knock(other)
    expect(to.events()).toMatchObject([{ type: 'user_enabled', user: { ...ALICE, name: null, email: null } }])
    expect(to.events().map(({ id }) => id)).toEqual(
      processes.rows('SELECT id FROM events').map(({ id }) => id),
    )
    expect(processes.rows('SELECT * FROM deliveries')).toEqual([])
  })

  test('a process that ends during a retry does not end the delivery', async () => {
    const to = await receive(replyWith(500))
    const webhooks = webhooksTo(to)
    const processes = createProcesses()
    await happen(processes.start({ webhooks }))
    processes.advance(6)
    const dying = processes.start({ webhooks }, (store) => ({
      claimDelivery: (delivery, until) => store.claimDelivery(delivery, until).then(() => never),
    }))
    await dying.fetch('/readyz')
    expect(processes.rows('SELECT attempts FROM deliveries')).toEqual([{ attempts: 2 }])
    to.reply = replyWith(204)
    const other = processes.start({ webhooks })
    processes.advance(60)
    await knock(other)
    expect(to.requests).toHaveLength(1)
    processes.advance(300)
    await knock(other)
    expect(to.requests).toHaveLength(2)
  })

  test('of two processes that find it due at once, one sends it', async () => {
    const to = await receive(replyWith(500))
    const webhooks = webhooksTo(to)
    const processes = createProcesses()
    await happen(processes.start({ webhooks }))
    to.reply = replyWith(204)
    processes.advance(6)
    const found: (() => void)[] = []
    /** Both have found it before either goes on. */
    const meet = (store: Store): Partial<Store> => ({
      async dueDeliveries(now, limit) {
        const due = await store.dueDeliveries(now, limit)
        expect(due).toHaveLength(1)
        await new Promise<void>((resolve) => {
          found.push(resolve)
          if (found.length === 2) for (const go of found) go()
        })
        return due
      },
    })
    await Promise.all(
      [processes.start({ webhooks }, meet), processes.start({ webhooks }, meet)].map((t) => knock(t)),
    )
    expect(found).toHaveLength(2)
    expect(to.requests).toHaveLength(2)
    expect(processes.rows('SELECT * FROM deliveries')).toEqual([])
  })

  test('what is for a webhook that was taken out is forgotten', async () => {
    const [old, other] = [await receive(replyWith(500)), await receive()]
    const processes = createProcesses()
    await happen(processes.start({ webhooks: webhooksTo(old) }))
    processes.advance(6)
    await knock(processes.start({ webhooks: webhooksTo(other) }))
    expect(processes.rows('SELECT * FROM deliveries')).toEqual([])
    expect([old.requests.length, other.requests.length]).toEqual([1, 0])
  })

  test('a delivery whose end could not be noted comes again, under the same id', async () => {
    const to = await receive()
    const webhooks = webhooksTo(to)
    const processes = createProcesses()
    await happen(
      processes.start({ webhooks }, () => ({ dropDelivery: () => Promise.reject(new Error('away')) })),
    )
    expect(to.requests).toHaveLength(1)
    processes.advance(60)
    await knock(processes.start({ webhooks }))
    expect(to.requests.map(({ headers }) => headers['webhook-id'])).toEqual(Array(2).fill(to.events()[0]?.id))
  })

  test('what cannot be noted is sent all the same', async () => {
    const to = await receive()
    const processes = createProcesses()
    const away = () => Promise.reject(new Error('away'))
    await happen(
      processes.start({ webhooks: webhooksTo(to) }, () => ({ insertDelivery: away, insertEvent: away })),
    )
    expect(to.events()).toMatchObject([{ type: 'user_enabled', user: ALICE }])
    expect(logged('error').map(([message]) => message)).toEqual([
      'The audit trail could not be written',
      'A delivery could not be noted',
    ])
  })

  test('one look finds 20 at most, the longest due first, and the next comes 5 seconds later', async () => {
    const to = await receive(replyWith(500))
    const t = createSettledGate({ webhooks: webhooksTo(to) })
    for (let i = 0; i < 25; i++) {
      await happen(t)
      t.advance(0.001)
    }
    const ids = to.events().map(({ id }) => id)
    to.reply = replyWith(204)
    // within the 5 s of the last look
    t.rows('UPDATE deliveries SET next_at = created_at')
    await knock(t, 3)
    expect(to.requests).toHaveLength(25)
    await knock(t, 2)
    expect(
      new Set(
        to
          .events()
          .slice(25)
          .map(({ id }) => id),
      ),
    ).toEqual(new Set(ids.slice(0, 20)))
    await knock(t, 4)
    expect(to.requests).toHaveLength(45)
    await knock(t, 1)
    expect(to.requests).toHaveLength(50)
    expect(waiting(t)).toEqual([])
  })

  test.each(['an event', 'a check of a credential'])('what is due is sent after %s too', async (occasion) => {
    const to = await receive(replyWith(500))
    const t = createSettledGate({ webhooks: [{ url: to.url, secret: to.secret, events: ['user_disabled'] }] })
    await t.gate.users.disable(ALICE)
    await t.settle()
    t.advance(6)
    if (occasion === 'an event') await t.gate.users.enable(ALICE)
    else await t.gate.authenticate(new Request(BASE))
    await t.settle()
    expect(to.requests).toHaveLength(2)
  })
})
