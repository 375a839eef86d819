/** Tidying up: what ended goes in time, a bounded piece at once, and no table grows for ever. @module */

import { describe, expect, test } from 'vitest'
import type { PurgedKind } from '../src/mod.ts'
import { loginAs, personAt, refreshAt, useToken } from './support/credentials.ts'
import { fill, toSqlite } from './support/filled.ts'
import { startDevice } from './support/gate.ts'
import { createListened, type Listened } from './support/statements.ts'

const KINDS: PurgedKind[] = ['grants', 'credentials', 'limits', 'events', 'deliveries']
const DAY = 86_400
/** Rows that one statement deletes, and one run of each kind; at most. */
const BATCH = 100
const RUN = 400

/** A gate whose audit trail is kept for no longer than the rest, and which may be asked without end. */
const create = () =>
  createListened({
    eventSeconds: DAY,
    limits: { startPerMinute: 100_000, pendingPerAddress: 1_000 },
    clients: { mytool: { refresh: true } },
  })

/** Adds rows that are too old, from one number to another. */
const addOld = (t: Listened, kinds: readonly PurgedKind[], from: number, to: number) =>
  fill(toSqlite(t.database), kinds, { from, to, now: Date.now() - 40 * DAY * 1000 })

/** How many rows are too old in each table. */
function countOld(t: Listened): Record<string, number> {
  const end = {
    grants: 'expires_at',
    credentials: 'expires_at',
    limits: 'bucket',
    events: 'at',
    deliveries: 'next_at',
  }
  const before = Date.now() - 5 * DAY * 1000
  const counts = KINDS.map((kind) => [
    kind,
    t.rows(`SELECT count(*) AS n FROM ${kind} WHERE ${end[kind as 'grants']} < ?`, before)[0]?.n,
  ])
  return Object.fromEntries(counts)
}
const each = (count: number) => Object.fromEntries(KINDS.map((kind) => [kind, count]))

describe('a run', () => {
  test('STO-06 is bounded: at most 100 rows a statement, and 4 statements of each kind', async () => {
    const t = await create()
    await addOld(t, KINDS, 0, 2_000)
    t.advance(60)
    const statements = await t.tidying(() => startDevice(t))
    expect(statements).toHaveLength(20)
    for (const { values } of statements) expect(values.at(-1)).toBe(BATCH)
    expect(countOld(t)).toEqual(each(2_000 - RUN))
  })

  test('STO-06 goes over what is left only of the kinds that have more', async () => {
    const t = await create()
    await addOld(t, KINDS, 0, 10)
    await addOld(t, ['limits'], 10, 250)
    t.advance(60)
    const statements = await t.tidying(() => startDevice(t))
    expect(statements).toHaveLength(7)
    expect(countOld(t)).toEqual(each(0))
  })

  test('comes once a minute while there is nothing more, and one at a time', async () => {
    const t = await create()
    t.advance(59)
    expect(await t.tidying(() => startDevice(t))).toEqual([])
    t.advance(1)
    const several = () => Promise.all(Array.from({ length: 5 }, () => startDevice(t)))
    expect(await t.tidying(several)).toHaveLength(KINDS.length)
    expect(await t.tidying(several)).toEqual([])
  })

  test('begins after the answer', async () => {
    const t = await create()
    await addOld(t, ['grants'], 0, 10)
    t.advance(60)
    await t.tidying(async () => {
      await startDevice(t)
      expect(countOld(t).grants).toBe(10)
    })
    expect(countOld(t).grants).toBe(0)
  })

  test('that fails is logged, stops nobody, and is made up for a minute later', async () => {
    const t = await create()
    await addOld(t, ['grants'], 0, 10)
    t.database.exec("CREATE TRIGGER broken BEFORE DELETE ON grants BEGIN SELECT RAISE(ABORT, 'broken'); END")
    t.advance(60)
    expect(await t.tidying(() => startDevice(t))).toHaveLength(1)
    t.database.exec('DROP TRIGGER broken')
    expect(await t.tidying(() => startDevice(t))).toEqual([])
    t.advance(60)
    await t.tidying(() => startDevice(t))
    expect(countOld(t).grants).toBe(0)
  })
})

describe('no table grows for ever', () => {
  test('STO-06 a backlog is worked off with every request, without waiting for a minute to pass', async () => {
    const t = await create()
    await addOld(t, KINDS, 0, 2_500)
    t.advance(60)
    let left = 2_500
    while (left > 0) {
      await t.tidying(() => startDevice(t))
      left = Math.max(0, left - RUN)
      expect(countOld(t)).toEqual(each(left))
    }
    expect(await t.tidying(() => startDevice(t))).toEqual([])
  })

  test('STO-06 a steady load leaves no more behind than what a minute brings', async () => {
    const t = await create()
    // many more than a request writes
    const load = 20
    const most = []
    for (let i = 0; i < 300; i++) {
      await addOld(t, KINDS, i * load, (i + 1) * load)
      t.advance(0.6)
      await t.tidying(() => startDevice(t))
      most.push(...Object.values(countOld(t)))
    }
    expect(Math.max(...most)).toBeLessThanOrEqual(101 * load)
  })

  const WRITERS: Record<string, (t: Listened) => Promise<() => Promise<unknown>>> = {
    'a sign-in at a browser': async (t) => () => personAt(t, 'bob'),
    'a login that starts': async (t) => () => startDevice(t),
    'a refresh': async (t) => {
      const { refresh_token } = await loginAs(t, await personAt(t, 'ann'), 'device', { client_id: 'mytool' })
      return () => refreshAt(t, String(refresh_token))
    },
    'the use of a key, once a minute': async (t) => {
      const { access_token } = await loginAs(t, await personAt(t, 'ann'), 'device')
      await useToken(t, access_token)
      return () => useToken(t, access_token)
    },
    'the use of a browser, once a minute': async (t) => {
      const person = await personAt(t, 'ann')
      return () => person.get('/account')
    },
    'a wrong code': async (t) => {
      const person = await personAt(t, 'ann')
      return () => person.post('/device', { user_code: 'BCDF-GHJK' })
    },
  }
  test.each(Object.keys(WRITERS))('STO-06 whoever writes something tidies up: %s', async (name) => {
    const t = await create()
    const write = (await WRITERS[name]?.(t))!
    await addOld(t, KINDS, 0, 10)
    t.advance(61)
    await t.tidying(write)
    expect(countOld(t)).toEqual(each(0))
  })

  test('DF-23 STO-06 also starts that are refused, which leave counters and not always an event', async () => {
    const t = await createListened({ limits: { pendingPerAddress: 1 } })
    t.advance(30)
    const refuse = async () =>
      expect((await t.post('/oauth/device/authorize', { client_id: 'pairgate-cli' })).status).toBe(429)
    await t.tidying(refuse)
    await addOld(t, ['limits'], 0, 10)
    t.advance(30)
    const events = t.rows('SELECT id FROM events').length
    await t.tidying(refuse)
    expect(t.rows('SELECT id FROM events')).toHaveLength(events)
    expect(countOld(t).limits).toBe(0)
  })

  test('a poll and the check of a credential tidy up nothing: they read, and no more', async () => {
    const t = await create()
    const { access_token } = await loginAs(t, await personAt(t, 'ann'), 'device')
    await useToken(t, access_token)
    await addOld(t, KINDS, 0, 10)
    t.advance(59)
    await useToken(t, access_token)
    expect(await t.tidying(() => useToken(t, access_token))).toEqual([])
    expect(countOld(t)).toEqual(each(10))
  })
})
