/** Many at once, over sockets: one server, a database far away, and two processes that share one SQLite file. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sqlite } from '../adapters/sqlite.ts'
import type { PairgateOptions, Store } from '../src/mod.ts'
import { farSqlite } from './support/far_sqlite.ts'
import { startCrashServer } from './support/faults.ts'
import type { TestBrowser } from './support/gate.ts'
import { listenGate } from './support/listen.ts'
import {
  type Answer,
  call,
  type Door,
  FLOWS,
  type Login,
  openDecision,
  pageHeaders,
  poll,
  preparePair,
  requestLogin,
  type Send,
  signIn,
  startLogin,
} from './support/logins.ts'

/** A service of one or more servers; requests go to them in turn, as a balancer sends them. */
interface Service {
  readonly send: Send
  rows(sql: string, ...values: string[]): Record<string, unknown>[]
  stop(): Promise<void>
}

type Setting = { readonly limits?: PairgateOptions['limits']; readonly now?: number }
type Running = { readonly base: string; stop(): Promise<unknown> }

async function listen(database: Store, { limits, now }: Setting): Promise<Running> {
  const gate = await listenGate(() => ({ database, limits, now: () => now ?? Date.now() }))
  return { base: gate.base, stop: () => gate.close().then(() => gate.gate.close()) }
}

async function startService(
  setting: Setting,
  start: (file: string, setting: Setting) => Promise<Running>[],
): Promise<Service> {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-race-'))
  const file = join(folder, 'race.db')
  const servers = await Promise.all(start(file, setting))
  let turn = 0
  const send: Send = async (path, init) => {
    const { base } = servers[turn++ % servers.length]!
    const headers = new Headers(init?.headers)
    // no balancer here that gives them one name
    if (headers.has('origin')) headers.set('origin', base)
    return await fetch(new URL(path, base), { redirect: 'manual', ...init, headers })
  }
  for (const _ of servers) await send('/readyz')
  const database = new DatabaseSync(file)
  return {
    send,
    rows: (sql, ...values) => database.prepare(sql).all(...values) as Record<string, unknown>[],
    async stop() {
      database.close()
      await Promise.all(servers.map((server) => server.stop()))
      rmSync(folder, { recursive: true })
    },
  }
}

const SETUPS: Record<string, (setting: Setting) => Promise<Service>> = {
  'one server': (setting) => startService(setting, (file, s) => [listen(sqlite(file), s)]),
  'one server, its database far away': (setting) =>
    startService(setting, (file, s) => [listen(farSqlite(file), s)]),
  'two processes, one file': (setting) =>
    startService(setting, (file, s) => [startCrashServer({ file, ...s }), startCrashServer({ file, ...s })]),
}

/** Replaced by `send` with the origin of the server that is asked. */
const ORIGIN = 'http://origin.invalid'
const MANY = 1_000_000
const OPEN = {
  startPerMinute: MANY,
  pendingPerAddress: MANY,
  pendingTotal: MANY,
  wrongCodesPerAccount: MANY,
  wrongCodesPerAddress: MANY,
  keysPerUser: MANY,
  sessionsPerUser: MANY,
}

const times = <T>(n: number, make: (i: number) => Promise<T>) =>
  Promise.all(Array.from({ length: n }, (_, i) => make(i)))
const door = (i: number): Door => (i % 2 ? 'trpc' : 'form')
const count = (answers: readonly Answer[]) => {
  const counts: Record<string, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

const CREDENTIALS =
  'SELECT c.*, u.subject FROM credentials c JOIN users u ON u.id = c.user_id WHERE c.grant_id = ? AND c.revoked_at IS NULL'

describe.each(Object.entries(SETUPS))('%s', (_, setup) => {
  let service: Service
  let send: Send
  let alice: TestBrowser
  let bob: TestBrowser

  beforeAll(async () => {
    service = await setup({ limits: OPEN })
    send = service.send
    alice = await signIn(send, ORIGIN, 'alice')
    bob = await signIn(send, ORIGIN, 'bob')
  })
  afterAll(() => service?.stop())

  const grantId = ({ flow, code }: Login) => {
    const [column, value] =
      flow === 'device'
        ? ['user_code', code.replace('-', '')]
        : ['secret_hash', Buffer.from(code, 'base64url').toString('hex')]
    const [row, ...others] = service.rows(`SELECT id FROM grants WHERE ${column} = ?`, value)
    expect(others).toEqual([])
    return String(row?.id)
  }
  const credentials = (login: Login) => service.rows(CREDENTIALS, grantId(login))
  const events = (type: string, login: Login) =>
    service.rows('SELECT id FROM events WHERE type = ? AND grant_id = ?', type, grantId(login))
  const open = (person: TestBrowser, login: Login) => openDecision(send, ORIGIN, person, login)

  test.each(FLOWS)('DF-16 PC-09 RPC-09 %s: 200 polls at once after Allow: one collects', async (flow) => {
    const login = await startLogin(send, flow)
    expect(await (await open(alice, login))('allow')).toBe('approved')
    const answers = await times(200, (i) => poll(send, login, door(i >> 1)))
    expect(count(answers)).toEqual({ issued: 1, invalid_grant: 199 })
    expect(credentials(login)).toMatchObject([{ subject: 'alice' }])
    const token = answers.find(({ status }) => status === 'issued')?.body.access_token
    const who = await send('/secured', { headers: { authorization: `Bearer ${token}` } })
    expect([who.status, await who.text()]).toEqual([200, 'You are authenticated as: alice'])
    expect(events('issued', login)).toHaveLength(1)
  })

  test.each(FLOWS)('DF-16 DF-17 PC-10 %s: polls, Allow and Deny at once, 50 rounds', async (flow) => {
    const winners = new Set<string>()
    for (let round = 0; round < 50; round++) {
      const login = await startLogin(send, flow, door(round))
      const decide = await open(alice, login)
      const order = round % 2 ? (['deny', 'allow'] as const) : (['allow', 'deny'] as const)
      const during: Promise<Answer>[] = []
      const polls = (n: number) => {
        for (let i = 0; i < n; i++) during.push(poll(send, login, door(i)))
      }
      polls(2)
      const first = decide(order[0], door(round >> 1))
      polls(2)
      // Allow asks the database once more than Deny: a head start of some turns lets either win
      for (let i = 0; i < round; i++) await new Promise((resolve) => setImmediate(resolve))
      const second = decide(order[1], door(round >> 2))
      polls(4)
      const said = await Promise.all([first, second])
      const early = await Promise.all(during)
      const late = await times(4, (i) => poll(send, login, door(i)))

      const winner = said.find((word) => !word.startsWith('already')) ?? ''
      winners.add(winner)
      expect(said.toSorted()).toEqual([`already_${winner}`, winner].toSorted())
      expect(said.indexOf(winner)).toBe(order.indexOf(winner === 'approved' ? 'allow' : 'deny'))
      const { issued = 0, ...others } = count([...early, ...late])
      expect(issued).toBe(winner === 'approved' ? 1 : 0)
      expect(credentials(login)).toHaveLength(issued)
      const over = winner === 'approved' ? 'invalid_grant' : 'access_denied'
      for (const { status } of late) expect([over, 'issued']).toContain(status)
      for (const status of Object.keys(others))
        expect([over, 'authorization_pending', 'slow_down']).toContain(status)
    }
    expect(winners).toEqual(new Set(['approved', 'denied']))
  })

  test.each(FLOWS)('DF-17 PC-10 %s: two people allow at once, 25 rounds: the page told who', async (flow) => {
    for (let round = 0; round < 25; round++) {
      const login = await startLogin(send, flow)
      const [byAlice, byBob] = [await open(alice, login), await open(bob, login)]
      const ask = [() => byAlice('allow', door(round >> 1)), () => byBob('allow', door(round >> 2))]
      if (round % 2) ask.reverse()
      const said = await Promise.all(ask.map((decide) => decide()))
      if (round % 2) said.reverse()
      expect(said.toSorted()).toEqual(['already_decided', 'approved'])
      const answers = await times(6, (i) => poll(send, login, door(i)))
      expect(count(answers)).toEqual({ issued: 1, invalid_grant: 5 })
      expect(credentials(login)).toMatchObject([{ subject: ['alice', 'bob'][said.indexOf('approved')] }])
    }
  })

  test.each(FLOWS)('DF-17 PC-10 %s: the same form sent five times at once counts once', async (flow) => {
    for (const decision of ['allow', 'deny'] as const) {
      const login = await startLogin(send, flow)
      const decide = await open(alice, login)
      const said = await times(5, () => decide(decision))
      const done = decision === 'allow' ? 'approved' : 'denied'
      expect(said.toSorted()).toEqual([...Array(4).fill(`already_${done}`), done])
      const answers = await times(5, (i) => poll(send, login, door(i)))
      expect(count(answers)).toEqual(
        decision === 'allow' ? { issued: 1, invalid_grant: 4 } : { access_denied: 5 },
      )
      expect(events(done, login)).toHaveLength(1)
    }
  })

  test('PC-07 RPC-09 one paircode started 20 times at once: one 200, the others 409', async () => {
    const prepared = preparePair()
    const starts = await times(20, (i) =>
      requestLogin(send, 'pair', door(i), { prepared, device_name: `machine ${i}` }),
    )
    const answers = starts.map(({ answer }) => answer)
    expect(count(answers)).toEqual({ started: 1, conflict: 19 })
    expect(new Set(answers.map(({ http }) => http))).toEqual(new Set([200, 409]))
    const winner = answers.findIndex(({ status }) => status === 'started')
    const hash = Buffer.from(prepared.code, 'base64url').toString('hex')
    expect(service.rows('SELECT * FROM grants WHERE secret_hash = ?', hash)).toMatchObject([
      { device_name: `machine ${winner}`, match_code: answers[winner]?.body.match_code, status: 'pending' },
    ])
    expect(await (await open(bob, prepared))('allow')).toBe('approved')
    expect((await poll(send, prepared)).status).toBe('issued')
  })

  test('PC-07 a paircode that is started again while it is allowed and collected stays what it was', async () => {
    for (let round = 0; round < 10; round++) {
      const login = await startLogin(send, 'pair')
      const decide = await open(alice, login)
      const again = () => requestLogin(send, 'pair', door(round), { prepared: login, device_name: 'other' })
      const [said, ...starts] = await Promise.all([decide('allow'), again(), again(), again()])
      expect(said).toBe('approved')
      const [answer, ...later] = await Promise.all([poll(send, login), again(), again()])
      expect(answer.status).toBe('issued')
      for (const start of [...starts, ...later]) expect(start.answer.status).toBe('conflict')
      expect(credentials(login)).toMatchObject([{ subject: 'alice', name: 'pairgate CLI' }])
    }
  })

  test('DF-23 after all that, what is counted as waiting is what waits', () => {
    const counted = service.rows(
      "SELECT sum(n) AS n FROM limits WHERE key IN ('pending:device', 'pending:pair')",
    )
    expect(counted).toEqual(service.rows("SELECT count(*) AS n FROM grants WHERE status = 'pending'"))
  })
})

describe.each(Object.entries(SETUPS))('limits, %s', (_, setup) => {
  // the clock stands still, so that no bucket of a counter ends half-way
  const now = Date.now()
  let service: Service
  afterAll(() => service?.stop())

  test('DF-18 DF-23 RPC-09 limits are exact, both doors and both flows together', async () => {
    service = await setup({ now, limits: { ...OPEN, startPerMinute: 30, wrongCodesPerAccount: 10 } })
    const { send } = service

    const starts = await times(100, (i) => requestLogin(send, FLOWS[(i >> 1) % 2]!, door(i)))
    expect(count(starts.map(({ answer }) => answer))).toEqual({ started: 30, rate_limited: 70 })
    expect(service.rows('SELECT id FROM grants')).toHaveLength(30)
    const pending = service.rows(
      "SELECT sum(n) AS n FROM limits WHERE key IN ('pending:device', 'pending:pair')",
    )
    expect(pending).toEqual([{ n: 30 }])
    for (const { answer } of starts.filter((_, i) => !(i % 2)))
      if (answer.http === 429) expect(Number(answer.retryAfter)).toBeGreaterThan(0)

    const carol = await signIn(send, ORIGIN, 'carol')
    const guesses = await guess(send, carol, 50)
    expect(guesses.toSorted()).toEqual([...Array(10).fill(404), ...Array(40).fill(429)])
    const right = starts.find(({ answer, login }) => answer.status === 'started' && login.flow === 'device')
    expect((await carol.get(right!.login.page)).status).toBe(429)
    const dave = await signIn(send, ORIGIN, 'dave')
    expect((await dave.get(right!.login.page)).status).toBe(200)
    expect(service.rows("SELECT type FROM events WHERE type = 'wrong_code'")).toHaveLength(10)
  })

  test('DF-18 the limit of an address is exact over many accounts', async () => {
    const { send, stop } = await setup({ now, limits: { ...OPEN, wrongCodesPerAddress: 30 } })
    try {
      const people = await times(5, (i) => signIn(send, ORIGIN, `person ${i}`))
      const guesses = (await Promise.all(people.map((person) => guess(send, person, 10)))).flat()
      expect(guesses.toSorted()).toEqual([...Array(30).fill(404), ...Array(20).fill(429)])
    } finally {
      await stop()
    }
  })
})

/** Tries user codes that nobody has, on the page, in the form and by tRPC, all at once. */
async function guess(send: Send, person: TestBrowser, n: number): Promise<number[]> {
  const headers = pageHeaders(person, ORIGIN)
  return await times(n, async (i) => {
    if (i % 2 === 0) return (await person.get('/device?user_code=BCDF-GHJK')).status
    const procedure = i % 4 === 1 ? 'device.review' : 'device.approve'
    const { http, status } = await call(send, procedure, { user_code: 'BCDF-GHJK' }, headers)
    return status === 'not_found' ? 404 : http
  })
}
