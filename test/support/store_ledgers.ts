/** The store contract, of credentials in use, people, counters, the audit trail, and the end of old rows. @module */

import { expect } from 'vitest'
import type { StoreCases } from './store_contract.ts'
import {
  approvedGrant,
  fresh,
  hash,
  NOW,
  newBrowser,
  newGrant,
  newIssue,
  newUser,
  times,
} from './store_rows.ts'

const credentials: StoreCases = {
  'insertCredential and findCredential: a browser': async ({ store }) => {
    await store.upsertUser(newUser('browser'), NOW)
    const browser = newBrowser(hash('browser'))
    await store.insertCredential(browser)
    expect((await store.findCredential(browser.secret_hash))?.credential).toEqual({
      ...browser,
      last_used_at: NOW,
      revoked_at: null,
    })
    expect(await store.findCredential(hash('unknown'))).toBeNull()
  },

  'touchCredential: only when the last use is older': async ({ store }) => {
    await store.upsertUser(newUser('touch'), NOW)
    const browser = newBrowser(hash('touch'))
    await store.insertCredential(browser)
    await store.touchCredential(browser.id, NOW + 5, NOW - 1)
    expect((await store.findCredential(browser.secret_hash))?.credential.last_used_at).toBe(NOW)
    await store.touchCredential(browser.id, NOW + 5, NOW)
    expect((await store.findCredential(browser.secret_hash))?.credential.last_used_at).toBe(NOW + 5)
  },

  'revokeCredential: once, and only for its own client': async ({ store, each }) => {
    const grant = await approvedGrant(store, 'revoke')
    const issue = newIssue(grant)
    await store.issueCredential(issue)
    const { secret_hash } = issue.credential
    expect(await store.revokeCredential({ secret_hash, client_id: 'other' }, NOW)).toBe(false)
    expect(await store.revokeCredential({ secret_hash: hash('unknown') }, NOW)).toBe(false)
    const results = await times(20, (i) =>
      each(i).revokeCredential({ secret_hash, client_id: 'cli' }, NOW + 1 + i),
    )
    expect(results.filter(Boolean)).toHaveLength(1)
    const found = await store.findCredential(secret_hash)
    expect(found?.credential.revoked_at).toBe(NOW + 1 + results.indexOf(true))
  },
}

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

const tidying: StoreCases = {
  'STO-06 purge deletes what ended before, a bounded number, and nothing else': async ({ store }) => {
    const old = Array.from({ length: 5 }, (_, i) => newGrant({ expires_at: 1000 + i }))
    for (const grant of old) await store.insertGrant(grant)
    const young = newGrant()
    await store.insertGrant(young)
    const before = { grants: 2000, credentials: 0, limits: 0 }
    expect(await store.purge(before, 3)).toBe(3)
    expect(await store.purge(before, 3)).toBe(2)
    expect(await store.purge(before, 3)).toBe(0)
    expect(await store.findGrant({ id: old[0]?.id ?? '' })).toBeNull()
    expect(await store.findGrant({ id: young.id })).not.toBeNull()
  },
}

/** The cases. */
export const ledgerCases: StoreCases = { ...credentials, ...people, ...counters, ...tidying }
