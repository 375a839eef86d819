/** Polls that are held until somebody decides, in one process whose timers are turned by hand. @module */

import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { sqlite } from '../adapters/sqlite.ts'
import { BASE, createTestGate, DEVICE_GRANT, type TestGate } from './support/gate.ts'
import { holdStore } from './support/held_store.ts'
import {
  type Answer,
  call,
  type Door,
  type Flow,
  type Hold,
  type Login,
  openDecision,
  poll,
  type Send,
  signIn,
  startLogin,
} from './support/logins.ts'
import { createListened, EACH } from './support/statements.ts'

const fakeTimers = () =>
  vi.useFakeTimers({ toFake: ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval', 'performance'] })

beforeEach(() => {
  fakeTimers()
})
afterEach(() => {
  expect(vi.getTimerCount()).toBe(0)
  vi.useRealTimers()
})

/** Each poll that is held has two timers. */
async function untilHeld(polls = 1): Promise<void> {
  while (vi.getTimerCount() < 2 * polls) await new Promise((resolve) => setImmediate(resolve))
}

/** A poll that is held by now, and what it is answered in the end. */
async function hold(send: Send, login: Login, door: Door, options: Hold = {}): Promise<Promise<Answer>[]> {
  const before = vi.getTimerCount() / 2
  const answer = poll(send, login, door, { wait: 30, ...options })
  await untilHeld(before + 1)
  return [answer]
}

/** Starts a login; the tidying up that comes with the first one is over then. */
async function start(send: Send, flow: Flow): Promise<Login> {
  const login = await startLogin(send, flow)
  for (let i = 0; i < 20; i++) {
    await vi.advanceTimersByTimeAsync(0)
    await new Promise((resolve) => setImmediate(resolve))
  }
  return login
}

/** The clock and the timers go on together. */
async function pass(t: TestGate, seconds: number): Promise<void> {
  for (let i = 0; i < seconds * 2; i++) {
    t.advance(0.5)
    await vi.advanceTimersByTimeAsync(500)
  }
}

const sendTo =
  (t: TestGate, address?: string): Send =>
  (path, init) =>
    t.fetch(path, init, address)

async function decide(t: TestGate, login: Login, decision: 'allow' | 'deny'): Promise<void> {
  const alice = await signIn(sendTo(t), BASE, 'alice')
  await (await openDecision(sendTo(t), BASE, alice, login))(decision)
}

describe.each(EACH)('%s by the %s door', (flow, door) => {
  test('one poll, answered when the person allows', async () => {
    const t = createTestGate()
    const login = await start(sendTo(t), flow)
    const [answer] = await hold(sendTo(t), login, door)
    await decide(t, login, 'allow')
    expect(await answer).toMatchObject({ http: 200, status: 'issued' })
    expect((await poll(sendTo(t), login, door)).status).toBe('invalid_grant')
  })

  test('one poll, answered when the person denies', async () => {
    const t = createTestGate()
    const login = await start(sendTo(t), flow)
    const [answer] = await hold(sendTo(t), login, door)
    await decide(t, login, 'deny')
    expect((await answer)?.status).toBe('access_denied')
  })

  test('nobody decides: the usual answer, in the end', async () => {
    const t = createTestGate()
    const login = await start(sendTo(t), flow)
    const [answer] = await hold(sendTo(t), login, door, { wait: 7 })
    await pass(t, 6.5)
    expect(vi.getTimerCount()).toBe(2)
    await pass(t, 0.5)
    expect((await answer)?.body).toMatchObject({ interval: 5 })
    expect((await answer)?.status).toBe('authorization_pending')
  })

  test('DF-12 it counts once for the pace, when it came', async () => {
    const t = createTestGate()
    const login = await start(sendTo(t), flow)
    const [long] = await hold(sendTo(t), login, door, { wait: 5 })
    await pass(t, 5)
    await long
    const [short] = await hold(sendTo(t), login, door, { wait: 2 })
    await pass(t, 2)
    expect((await short)?.status).toBe('authorization_pending')
    expect((await poll(sendTo(t), login, door)).status).toBe('slow_down')
  })

  test('DF-12 another poll while it is held is too fast, and does not end it', async () => {
    const t = createTestGate()
    const login = await start(sendTo(t), flow)
    const [answer] = await hold(sendTo(t), login, door)
    await pass(t, 6)
    const second = await poll(sendTo(t), login, door, { wait: 30 })
    expect([second.status, second.body.interval]).toEqual(['slow_down', 10])
    await decide(t, login, 'allow')
    expect((await answer)?.status).toBe('issued')
  })

  test('a connection that ends is not held, and nothing is issued to it', async () => {
    const t = createTestGate()
    const login = await start(sendTo(t), flow)
    const { signal, abort } = createAbort()
    const [gone] = await hold(sendTo(t), login, door, { signal })
    abort()
    expect((await gone)?.status).toBe('authorization_pending')
    await decide(t, login, 'allow')
    expect((await poll(sendTo(t), login, door)).status).toBe('issued')
  })

  test('a request that is decided or too fast is answered at once', async () => {
    const t = createTestGate()
    const login = await start(sendTo(t), flow)
    await poll(sendTo(t), login, door)
    expect((await poll(sendTo(t), login, door, { wait: 30 })).status).toBe('slow_down')
    await decide(t, login, 'deny')
    expect((await poll(sendTo(t), login, door, { wait: 30 })).status).toBe('access_denied')
  })

  test('DF-19 its request expires: it is told at that moment', async () => {
    const t = createTestGate({ deviceCodeSeconds: 10, paircodeSeconds: 10 })
    const login = await start(sendTo(t), flow)
    const [answer] = await hold(sendTo(t), login, door)
    await pass(t, 10)
    expect((await answer)?.status).toBe('expired_token')
  })

  test('the end of the service: all are answered, and no more are held', async () => {
    const t = createTestGate()
    const logins = [await start(sendTo(t), flow), await start(sendTo(t), flow)] as const
    const [one] = await hold(sendTo(t), logins[0], door)
    await t.gate.drain()
    expect((await one)?.status).toBe('authorization_pending')
    expect((await poll(sendTo(t), logins[1], door, { wait: 30 })).status).toBe('authorization_pending')
    await t.gate.close()
  })
})

test('the clock is set while polls are held: they are answered all the same, and their end is waited for', async () => {
  const t = createTestGate()
  const [one, two] = [await start(sendTo(t), 'device'), await start(sendTo(t), 'pair')]
  const answers = await hold(sendTo(t), one, 'form')
  t.advance(40)
  answers.push(...(await hold(sendTo(t), two, 'form')))
  await decide(t, one, 'allow')
  expect((await answers[0])?.status).toBe('issued')
  await t.gate.drain()
  expect((await answers[1])?.status).toBe('authorization_pending')
})

/** `new Request` follows its signal; so does what the test does. */
function createAbort() {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

test('the trail has what happened within one millisecond in its order', async () => {
  const t = createTestGate()
  const flows = ['device', 'pair', 'device', 'pair', 'device'] as const
  const alice = await signIn(sendTo(t), BASE, 'alice')
  for (const flow of flows) {
    const login = await start(sendTo(t), flow)
    const [answer] = await hold(sendTo(t), login, 'form')
    await (await openDecision(sendTo(t), BASE, alice, login))('allow')
    await answer
  }
  const types = (await t.gate.events()).events.map(({ type }) => type).reverse()
  expect(types).toEqual(['signed_in', ...flows.flatMap(() => ['started', 'approved', 'issued'])])
})

test('its order is that in which it happened, also when what began before comes between', async () => {
  const { store, hold: holdCall } = holdStore(sqlite(new DatabaseSync(':memory:')))
  const t = createTestGate({ database: store })
  const earlier = createTestGate({ now: () => 1_000 })
  const alice = await signIn(sendTo(t), BASE, 'alice')
  const login = await start(sendTo(t), 'pair')
  const [answer] = await hold(sendTo(t), login, 'form')
  const issue = holdCall('issueCredential', 'before')
  await (await openDecision(sendTo(t), BASE, alice, login))('allow')
  await issue.reached
  await start(sendTo(earlier), 'pair')
  issue.release()
  await answer
  expect((await t.gate.events({ limit: 2 })).events.map(({ type }) => type)).toEqual(['issued', 'approved'])
})

describe('bounds', () => {
  test('RPC-08 per address: those beyond are answered at once, and others are held', async () => {
    const t = createTestGate({ limits: { heldPerAddress: 2 } })
    const [near, far] = [sendTo(t, '203.0.113.1'), sendTo(t, '203.0.113.2')]
    const answers = []
    for (let i = 0; i < 2; i++) answers.push(...(await hold(near, await start(near, 'device'), 'form')))
    const beyond = await poll(near, await start(near, 'device'), 'form', { wait: 30 })
    expect(beyond).toMatchObject({ http: 400, status: 'authorization_pending' })
    answers.push(...(await hold(far, await start(far, 'device'), 'form')))
    await pass(t, 30)
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(
      Array(3).fill('authorization_pending'),
    )
    const [again] = await hold(near, await start(near, 'device'), 'form')
    await t.gate.drain()
    await again
  })

  test('RPC-08 in all; 0 holds none', async () => {
    const t = createTestGate({ limits: { heldTotal: 1 } })
    const [near, far] = [sendTo(t, '203.0.113.1'), sendTo(t, '203.0.113.2')]
    const [answer] = await hold(near, await start(near, 'pair'), 'trpc')
    const beyond = await poll(far, await start(far, 'pair'), 'trpc', { wait: 30 })
    expect(beyond.status).toBe('authorization_pending')
    await t.gate.drain()
    await answer
    const none = createTestGate({ limits: { heldTotal: 0 } })
    const login = await start(sendTo(none), 'device')
    expect((await poll(sendTo(none), login, 'form', { wait: 30 })).status).toBe('authorization_pending')
  })
})

describe('several instances', () => {
  test('RPC-08 what another one decided is found by one query for all, twice a second', async () => {
    vi.useRealTimers()
    const t = await createListened()
    fakeTimers()
    // its clock stays behind
    const other = createTestGate({ database: sqlite(t.database) })
    await start(sendTo(other), 'device')
    const logins = await Promise.all(Array.from({ length: 20 }, () => start(t.send, 'device')))
    const answers = []
    for (const login of logins) answers.push(...(await hold(t.send, login, 'form')))
    const looks = await t.during(() => pass(t, 4))
    expect(looks.map(({ verb }) => verb)).toEqual(Array(8).fill('SELECT'))
    expect(new Set(looks.map(({ text }) => text)).size).toBe(1)
    for (const [i, login] of logins.entries()) await decide(other, login, i % 2 ? 'allow' : 'deny')
    expect(vi.getTimerCount()).toBe(40)
    await pass(t, 1)
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(
      logins.map((_, i) => (i % 2 ? 'issued' : 'access_denied')),
    )
  })
})

describe('Prefer (RFC 7240)', () => {
  const ask = async (t: TestGate, prefer: string) => {
    const { secret } = await start(sendTo(t), 'device')
    const form = { grant_type: DEVICE_GRANT, client_id: 'pairgate-cli', device_code: secret }
    return t.fetch('/oauth/device/token', {
      method: 'POST',
      headers: { prefer },
      body: new URLSearchParams(form),
    })
  }

  test.each([
    ['negative', 'wait=-1'],
    ['nothing', 'wait'],
    ['empty', 'wait='],
    ['zero', 'wait=0'],
    ['not a number', 'wait=soon'],
    ['not whole', 'wait=1.5'],
    ['a number of another kind', 'wait=0x10, wait=5'],
    ['the second one', 'wait=x, wait=5'],
    ['of another preference', 'respond-async; wait=5'],
    ['in a quoted word', 'foo="bar, wait=5"'],
    ['longer than a header has to be', `${'x, '.repeat(400)}wait=5`],
  ])('%s: ignored', async (_, prefer) => {
    const response = await ask(createTestGate(), prefer)
    expect(await response.json()).toMatchObject({ error: 'authorization_pending' })
  })

  test.each([
    ['plain', 'wait=5', 5],
    ['quoted', 'wait="5"', 5],
    ['in any case, with blanks', 'respond-async ,  WAIT = 5 ; strict', 5],
    ['repeated: the first counts', 'wait=5, wait=20', 5],
    ['huge: capped', 'wait=31', 30],
    ['huger', `wait=${'9'.repeat(400)}`, 30],
  ])('%s', async (_, prefer, seconds) => {
    const t = createTestGate()
    const answer = ask(t, prefer)
    await untilHeld()
    await pass(t, seconds - 0.5)
    expect(vi.getTimerCount()).toBe(2)
    await pass(t, 0.5)
    expect(await (await answer).json()).toMatchObject({ error: 'authorization_pending' })
  })

  test.each([-1, 1.5, 'soon' as unknown as number])('tRPC: wait %s is refused', async (wait) => {
    const t = createTestGate()
    const { secret } = await start(sendTo(t), 'device')
    const input = { client_id: 'pairgate-cli', device_code: secret, wait }
    expect((await call(sendTo(t), 'device.token', input)).http).toBe(400)
  })

  test('RPC-08 tRPC: more than 30 is 30', async () => {
    const t = createTestGate()
    const [answer] = await hold(sendTo(t), await start(sendTo(t), 'pair'), 'trpc', { wait: 1e9 })
    await pass(t, 30)
    expect((await answer)?.status).toBe('authorization_pending')
  })
})
