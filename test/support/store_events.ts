/** The store contract, of the audit trail, of what is to be told of it, and of the end of old rows. @module */

import { expect } from 'vitest'
import type { EventQuery, Store } from '../../src/mod.ts'
import type { StoreCases } from './store_contract.ts'
import {
  fresh,
  hash,
  NOW,
  newBrowser,
  newDelivery,
  newEvent,
  newGrant,
  newUser,
  times,
} from './store_rows.ts'

/** A time that no other case has events or deliveries at, with room for some; long before those of others. */
let stretch = 0
const freshTime = () => 1_000_000 + 10_000 * ++stretch

const listing: StoreCases = {
  'listEvents: newest first, between two times, page after page': async ({ store }) => {
    const at = freshTime()
    const ids = ['e1', 'e2', 'e3', 'e4', 'e5'].map(fresh)
    // not in the order of the ids
    const ats = [at + 2, at + 1, at + 1, at + 1, at]
    for (const i of [3, 0, 4, 1, 2]) await store.insertEvent(newEvent({ id: ids[i]!, at: ats[i]! }))
    const list = async (query: Partial<EventQuery>) => {
      const all = { since: at, before: at + 3, id: '', user_id: null, type: null, limit: 10 }
      return (await store.listEvents({ ...all, ...query })).map(({ event }) => event.id)
    }
    expect(await list({})).toEqual([ids[0], ids[3], ids[2], ids[1], ids[4]])
    expect(await list({ limit: 2 })).toEqual([ids[0], ids[3]])
    expect(await list({ before: at + 1, id: ids[3]!, limit: 2 })).toEqual([ids[2], ids[1]])
    expect(await list({ before: at + 1, id: ids[1]! })).toEqual([ids[4]])
    expect(await list({ before: at + 2 })).toEqual([ids[3], ids[2], ids[1], ids[4]])
    expect(await list({ since: at + 1, before: at + 2 })).toEqual([ids[3], ids[2], ids[1]])
  },

  'listEvents: of one person, of one type, with who it is as far as that is known': async ({ store }) => {
    const at = freshTime()
    const user = newUser(fresh('listed'))
    await store.upsertUser(user, NOW)
    const owned = newEvent({ at, type: 'issued', user_id: user.id, detail: 'by hand' })
    const revoked = newEvent({ at: at + 1, type: 'revoked', user_id: user.id })
    const unknown = newEvent({ at: at + 2, type: 'issued', user_id: hash('gone') })
    const nobodys = newEvent({ at: at + 3, type: 'limit_hit' })
    for (const event of [owned, revoked, unknown, nobodys]) await store.insertEvent(event)
    const list = async (query: Partial<EventQuery>) =>
      await store.listEvents({
        ...{ since: at, before: at + 9, id: '', user_id: null, type: null, limit: 10 },
        ...query,
      })
    const known = { ...user, disabled_at: null }
    expect(await list({})).toEqual([
      { event: nobodys, user: null },
      { event: unknown, user: null },
      { event: revoked, user: known },
      { event: owned, user: known },
    ])
    expect(await list({ user_id: user.id })).toEqual([
      { event: revoked, user: known },
      { event: owned, user: known },
    ])
    expect(await list({ type: 'issued' })).toEqual([
      { event: unknown, user: null },
      { event: owned, user: known },
    ])
    expect(await list({ type: 'issued', user_id: user.id })).toEqual([{ event: owned, user: known }])
    expect(await list({ user_id: user.id, before: at + 1 })).toEqual([{ event: owned, user: known }])
    expect(await list({ user_id: user.id, limit: 1 })).toEqual([{ event: revoked, user: known }])
    expect(await list({ user_id: hash('nobody') })).toEqual([])
  },
}

/** Everything that is due at a time, of those that are due since. */
const due = async (store: Store, since: number, now: number, limit = 1_000) =>
  (await store.dueDeliveries(now, limit)).filter(({ delivery }) => delivery.next_at >= since)

const delivering: StoreCases = {
  'dueDeliveries: what is due, the longest first, with event and person': async ({ store }) => {
    const at = freshTime()
    const user = newUser(fresh('delivered'))
    await store.upsertUser(user, NOW)
    const owned = newEvent({ at, user_id: user.id })
    const nobodys = newEvent({ at })
    const lost = newEvent()
    for (const event of [owned, nobodys]) await store.insertEvent(event)
    const second = newDelivery(owned.id, { next_at: at + 2, attempts: 3, endpoint: 'other', created_at: 7 })
    const first = newDelivery(nobodys.id, { next_at: at + 1 })
    const later = newDelivery(owned.id, { next_at: at + 3 })
    for (const delivery of [second, later, newDelivery(lost.id, { next_at: at }), first])
      await store.insertDelivery(delivery)
    expect(await due(store, at, at + 2)).toEqual([
      { event: nobodys, user: null, delivery: first },
      { event: owned, user: { ...user, disabled_at: null }, delivery: second },
    ])
    expect(await due(store, at, at + 3)).toHaveLength(3)
    await store.dropDelivery(first.id)
    expect(await due(store, at, at + 2)).toMatchObject([{ delivery: { id: second.id } }])
    await store.dropDelivery(first.id)
  },

  'dueDeliveries: a bounded number': async ({ store }) => {
    const at = freshTime()
    const event = newEvent({ at })
    await store.insertEvent(event)
    for (let i = 0; i < 3; i++) await store.insertDelivery(newDelivery(event.id, { next_at: 1 + i }))
    expect((await store.dueDeliveries(3, 2)).map(({ delivery }) => delivery.next_at)).toEqual([1, 2])
  },

  'claimDelivery: of 20 at once over two connections one has its turn, until the time it said': async ({
    store,
    each,
  }) => {
    const at = freshTime()
    const event = newEvent({ at })
    await store.insertEvent(event)
    const delivery = newDelivery(event.id, { next_at: at, attempts: 2 })
    const other = newDelivery(event.id, { next_at: at })
    await store.insertDelivery(delivery)
    await store.insertDelivery(other)
    const results = await times(20, (i) => each(i).claimDelivery(delivery, at + 10 + i))
    expect(results.filter(Boolean)).toHaveLength(1)
    const next_at = at + 10 + results.indexOf(true)
    const claimed = { ...delivery, attempts: 3, next_at }
    expect(await due(store, at, at + 50)).toMatchObject([{ delivery: other }, { delivery: claimed }])
    expect(await due(store, at, at + 9)).toMatchObject([{ delivery: other }])
  },

  'claimDelivery refuses: claimed since, though for the same time, or gone': async ({ store }) => {
    const at = freshTime()
    const event = newEvent({ at })
    await store.insertEvent(event)
    const delivery = newDelivery(event.id, { next_at: at })
    await store.insertDelivery(delivery)
    expect(await store.claimDelivery({ ...delivery, attempts: 1 }, at + 1)).toBe(false)
    expect(await store.claimDelivery({ ...delivery, next_at: at - 1 }, at + 1)).toBe(false)
    expect(await store.claimDelivery({ ...delivery, id: fresh('none') }, at + 1)).toBe(false)
    expect(await store.claimDelivery(delivery, at)).toBe(true)
    expect(await store.claimDelivery(delivery, at)).toBe(false)
    await store.dropDelivery(delivery.id)
    expect(await store.claimDelivery({ ...delivery, attempts: 1 }, at)).toBe(false)
  },
}

const tidying: StoreCases = {
  'STO-06 purge deletes what ended first, a bounded number, and nothing else': async ({ store }) => {
    // half of them end at the same time
    const old = [1000, 1000, 1000, 1001, 1002].map((expires_at) => newGrant({ expires_at }))
    for (const grant of [...old].reverse()) await store.insertGrant(grant)
    const young = newGrant()
    await store.insertGrant(young)
    const left = async () => {
      const found = await Promise.all(old.map(({ id }) => store.findGrant({ id })))
      return found.map((grant) => grant?.expires_at).filter(Boolean)
    }
    expect(await store.purge('grants', 2000, 2)).toBe(2)
    expect(await left()).toEqual([1000, 1001, 1002])
    expect(await store.purge('grants', 2000, 2)).toBe(2)
    expect(await left()).toEqual([1002])
    expect(await store.purge('grants', 2000, 2)).toBe(1)
    expect(await store.purge('grants', 2000, 2)).toBe(0)
    expect(await store.findGrant({ id: young.id })).not.toBeNull()
  },

  'STO-06 purge: of counters that all have one time it takes no more than it may, either': async ({
    store,
  }) => {
    await store.purge('limits', 600, 1_000)
    for (let i = 0; i < 5; i++) await store.takeLimit(`crowd ${i}`, 500, 9)
    expect(await store.purge('limits', 501, 3)).toBe(3)
    expect(await store.purge('limits', 501, 3)).toBe(2)
  },

  'STO-06 purge: several at once over two connections delete each row once': async ({ store, each }) => {
    for (let i = 0; i < 40; i++) await store.insertGrant(newGrant({ expires_at: 1000 }))
    const counts = await times(8, (i) => each(i).purge('grants', 1001, 5))
    expect(counts.reduce((sum, n) => sum + n)).toBe(40)
    expect(await store.purge('grants', 1001, 5)).toBe(0)
  },

  'STO-06 purge: each kind by its own time, to the millisecond': async ({ store }) => {
    const user = newUser(fresh('purged'))
    await store.upsertUser(user, NOW)
    const at = 500
    // of what other cases left behind nothing is in the way
    for (const kind of ['limits', 'deliveries'] as const) await store.purge(kind, at, 1_000)
    const grant = newGrant({ expires_at: at })
    const browser = newBrowser(user.id, { expires_at: at })
    const event = newEvent({ at })
    const delivery = newDelivery(event.id, { next_at: at })
    await store.insertGrant(grant)
    await store.insertCredential(browser)
    await store.takeLimit('purged', at, 9)
    await store.insertEvent(event)
    await store.insertDelivery(delivery)
    const query = { since: at, before: at + 1, id: '', user_id: null, type: null, limit: 1 }
    const left = async () => ({
      grants: (await store.findGrant({ id: grant.id })) !== null,
      credentials: (await store.findOwnCredential(browser)) !== null,
      limits: (await store.readLimits([{ key: 'purged', since: at, until: at + 1 }]))[0] === 1,
      // a delivery goes before its event, without which it cannot be seen
      deliveries: (await store.dueDeliveries(at, 9)).some((one) => one.delivery.id === delivery.id),
      events: (await store.listEvents(query)).length === 1,
    })
    const all = { grants: true, credentials: true, limits: true, deliveries: true, events: true }
    for (const kind of Object.keys(all) as (keyof typeof all)[]) {
      expect(await store.purge(kind, at, 10)).toBe(0)
      expect(await left()).toEqual(all)
      expect(await store.purge(kind, at + 1, 10)).toBe(1)
      all[kind] = false
      expect(await left()).toEqual(all)
    }
  },
}

/** The cases. */
export const eventCases: StoreCases = { ...listing, ...delivering, ...tidying }
