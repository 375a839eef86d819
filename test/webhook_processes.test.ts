/** Webhooks and processes that come and go: what is noted is delivered, once, by whoever is there. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import { sqlite } from '../adapters/sqlite.ts'
import type { PairgateOptions, Store } from '../src/mod.ts'
import { BASE } from './support/gate.ts'
import {
  ALICE,
  createSettledGate,
  happen,
  knock,
  replyWith,
  waiting,
  watchWebhooks,
  webhooksTo,
} from './support/webhook_receiver.ts'

const { receive, logged } = watchWebhooks()
const folder = mkdtempSync(join(tmpdir(), 'pairgate-webhooks-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let files = 0

/** Gates of several processes, over one SQLite file and by one clock. */
function createProcesses() {
  const file = join(folder, `${++files}.db`)
  let now = Date.now()
  return {
    advance: (seconds: number) => {
      now += seconds * 1000
    },
    start(options: Partial<PairgateOptions>, change: (store: Store) => Partial<Store> = () => ({})) {
      const store = sqlite(file)
      return createSettledGate({ database: { ...store, ...change(store) }, now: () => now, ...options })
    },
    rows: (sql: string) => new DatabaseSync(file).prepare(sql).all(),
  }
}

const never = new Promise<never>(() => undefined)

test('what was noted and never sent is sent by another process after the lease', async () => {
  const to = await receive()
  const webhooks = webhooksTo(to)
  const processes = createProcesses()
  await new Promise<void>((resolve) => {
    const dying = processes.start({ webhooks }, (store) => ({
      insertDelivery: (delivery) =>
        store
          .insertDelivery(delivery)
          .then(resolve)
          .then(() => never),
    }))
    dying.gate.users.enable(ALICE)
  })
  const other = processes.start({ webhooks })
  processes.advance(59)
  await knock(other)
  expect(to.requests).toEqual([])
  processes.advance(6)
  await knock(other)
  expect(to.events()).toMatchObject([{ type: 'user_enabled', user: { ...ALICE, name: null, email: null } }])
  expect(to.events().map(({ id }) => id)).toEqual(processes.rows('SELECT id FROM events').map(({ id }) => id))
  expect(processes.rows('SELECT * FROM deliveries')).toEqual([])
})

test('a process that ends during a retry does not end the delivery', async () => {
  const to = await receive(replyWith(500))
  const webhooks = webhooksTo(to)
  const processes = createProcesses()
  await happen(processes.start({ webhooks }))
  processes.advance(6)
  await new Promise<unknown>((resolve) => {
    const dying = processes.start({ webhooks }, (store) => ({
      claimDelivery: (delivery, until) =>
        store
          .claimDelivery(delivery, until)
          .then(resolve)
          .then(() => never),
    }))
    dying.fetch('/readyz')
  })
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
    processes.start({ webhooks: webhooksTo(to) }, () => ({
      insertDelivery: away,
      insertEvent: away,
      findUser: away,
    })),
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
