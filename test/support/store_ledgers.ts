/** The store contract, of people and counters. @module */

import { expect } from 'vitest'
import type { StoreCases } from './store_contract.ts'
import { fresh, hash, NOW, newUser, times } from './store_rows.ts'

const people: StoreCases = {
  'upsertUser updates name and e-mail but never enables': async ({ store }) => {
    await store.setUserDisabled(newUser('upsert'), NOW, NOW)
    await store.upsertUser({ ...newUser('upsert'), name: 'New', email: 'n@example.com' }, NOW + 1)
    expect(await store.findUser(hash('upsert'))).toEqual({
      ...newUser('upsert'),
      name: 'New',
      email: 'n@example.com',
      disabled_at: NOW,
    })
    expect(await store.findUser(hash('nobody'))).toBeNull()
  },

  'upsertUser and setUserDisabled: 20 at once over two connections make one disabled person': async ({
    store,
    each,
  }) => {
    const user = newUser(fresh('crowd'))
    await times(20, (i) =>
      i % 4 === 3 ? each(i >> 2).setUserDisabled(user, NOW, NOW) : each(i).upsertUser(user, NOW),
    )
    expect(await store.findUser(user.id)).toMatchObject({ id: user.id, disabled_at: NOW })
  },
}

const counters: StoreCases = {
  'takeLimit counts up to its maximum, also under concurrency over two connections': async ({
    store,
    each,
  }) => {
    const results = await times(20, (i) => each(i).takeLimit('race', 100, 7))
    expect(results.filter(Boolean)).toHaveLength(7)
    expect(await store.takeLimit('race', 200, 1)).toBe(true)
    const sums = [
      { key: 'race', since: 100, until: 200 },
      { key: 'absent', since: 0, until: 1_000 },
    ]
    expect(await store.readLimits(sums)).toEqual([7, 0])
    expect(await store.readLimits([{ key: 'race', since: 100, until: 201 }])).toEqual([8])
    expect(await store.readLimits([{ key: 'race', since: 0, until: Number.MAX_SAFE_INTEGER }])).toEqual([8])
  },

  'releaseLimit gives room again, never below nothing': async ({ store }) => {
    await store.takeLimit('release', 100, 1)
    await store.releaseLimit('release', 100)
    await store.releaseLimit('release', 100)
    expect(await store.readLimits([{ key: 'release', since: 0, until: 1_000 }])).toEqual([0])
    expect(await store.takeLimit('release', 100, 1)).toBe(true)
    expect(await store.takeLimit('release', 100, 1)).toBe(false)
  },
}

/** The cases. */
export const ledgerCases: StoreCases = { ...people, ...counters }
