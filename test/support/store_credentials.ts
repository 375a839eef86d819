/** The store contract, of credentials: found, listed, used and ended. @module */

import { expect } from 'vitest'
import type { NewCredential, Store } from '../../src/mod.ts'
import type { StoreCases } from './store_contract.ts'
import {
  fresh,
  hash,
  LATER,
  NOW,
  newBrowser,
  newKey,
  newRotation,
  newSession,
  newUser,
  times,
  UNUSED,
} from './store_rows.ts'

const DAY = 86_400_000

/** Stores credentials of a person whom nobody else is. */
async function own<T extends NewCredential[]>(store: Store, make: (userId: string) => [...T]): Promise<T> {
  const user = newUser(fresh('owner'))
  await store.upsertUser(user, NOW)
  const credentials = make(user.id) as T
  for (const credential of credentials) await store.insertCredential(credential)
  return credentials
}

/** What is stored now. */
const read = async (store: Store, credential: NewCredential) => await store.findOwnCredential(credential)

const reading: StoreCases = {
  'insertCredential and findCredential: a browser': async ({ store }) => {
    const [browser] = await own(store, (id) => [newBrowser(id)])
    expect((await store.findCredential(browser.secret_hash))?.credential).toEqual({ ...browser, ...UNUSED })
    expect(await store.findCredential(hash('unknown'))).toBeNull()
  },

  'insertCredential keeps tenant, place and tokens': async ({ store }) => {
    const [session] = await own(store, (id) => [
      newSession(id, { tenant: 'acme', approved_address: '203.0.113.9', grant_id: fresh('grant') }),
    ])
    expect(await read(store, session)).toEqual({ ...session, ...UNUSED })
  },

  'findFamily finds a login and its user, and no other; a family is one login’s': async ({ store }) => {
    const [session, other] = await own(store, (id) => [newSession(id), newSession(id)])
    const found = await store.findFamily(session.family_hash ?? '')
    expect(found).toMatchObject({
      credential: { ...session, ...UNUSED },
      user: { id: session.user_id, disabled_at: null },
    })
    expect(await store.findFamily(session.refresh_hash ?? '')).toBeNull()
    const second = newSession(session.user_id, { family_hash: other.family_hash })
    await store.insertCredential(second)
    expect(await read(store, second)).toBeNull()
    await store.setUserDisabled({ ...newUser(''), id: session.user_id }, NOW + 1, NOW)
    expect(await store.findFamily(session.family_hash ?? '')).toMatchObject({
      user: { disabled_at: NOW + 1 },
    })
  },

  'findOwnCredential finds only what is the person’s own': async ({ store }) => {
    const [key] = await own(store, (id) => [newKey(id)])
    const { id, user_id } = key
    expect(await store.findOwnCredential({ id, user_id })).toEqual({ ...key, ...UNUSED })
    expect(await store.findOwnCredential({ id, user_id: hash('other') })).toBeNull()
    expect(await store.findOwnCredential({ id: fresh('none'), user_id })).toBeNull()
  },

  'listCredentials: a person’s, the ended ones last, newest first, a bounded number': async ({ store }) => {
    const [twin, last, ended, oldest, first] = await own(store, (id) => [
      newKey(id, { id: fresh('a-key'), created_at: NOW - 2 }),
      newSession(id, { id: fresh('a-session'), created_at: NOW }),
      newBrowser(id, { id: fresh('z-browser'), created_at: NOW - 1 }),
      newKey(id, { created_at: NOW - 3, expires_at: NOW }),
      newKey(id, { id: fresh('b-key'), created_at: NOW - 2 }),
    ])
    await store.revokeCredential(ended, NOW, LATER)
    await own(store, (id) => [newKey(id)])
    const list = async (limit: number) =>
      (await store.listCredentials(first.user_id, limit, NOW)).map(({ id }) => id)
    expect(await list(9)).toEqual([last.id, first.id, twin.id, ended.id, oldest.id])
    expect(await list(2)).toEqual([last.id, first.id])
    expect((await store.listCredentials(first.user_id, 1, NOW))[0]).toEqual({ ...last, ...UNUSED })
  },

  'countCredentials counts live ones of a kind and a person': async ({ store }) => {
    const [key, ended] = await own(store, (id) => [
      newKey(id),
      newKey(id),
      newKey(id, { expires_at: NOW }),
      newKey(id, { expires_at: NOW + 1 }),
      newSession(id),
    ])
    await own(store, (id) => [newKey(id)])
    await store.revokeCredential(ended, NOW, LATER)
    expect(await store.countCredentials(key.user_id, 'api_key', NOW)).toBe(2)
    expect(await store.countCredentials(key.user_id, 'session', NOW)).toBe(1)
    expect(await store.countCredentials(key.user_id, 'browser', NOW)).toBe(0)
    expect(await store.countCredentials(hash('nobody'), 'api_key', NOW)).toBe(0)
  },
}

const using: StoreCases = {
  'touchCredential: only when the last use is older': async ({ store }) => {
    const [browser, other] = await own(store, (id) => [newBrowser(id), newBrowser(id)])
    const use = { now: NOW + 5, address: '203.0.113.8' }
    await store.touchCredential(browser.id, { ...use, before: NOW - 1 })
    expect(await read(store, browser)).toEqual({ ...browser, ...UNUSED })
    await store.touchCredential(browser.id, { ...use, before: NOW })
    const used = { last_used_at: NOW + 5, last_used_address: '203.0.113.8' }
    expect(await read(store, browser)).toEqual({ ...browser, ...UNUSED, ...used })
    await store.touchCredential(browser.id, { now: NOW + 9, before: NOW + 9, address: null })
    expect(await read(store, browser)).toMatchObject({ last_used_at: NOW + 9, last_used_address: null })
    expect(await read(store, other)).toMatchObject({ last_used_at: NOW })
  },

  'noteFirstUse: of 20 at once over two connections one is the first, and it stays': async ({
    store,
    each,
  }) => {
    const [key, other] = await own(store, (id) => [newKey(id), newKey(id)])
    const use = (i: number) => ({ now: NOW + 1 + i, address: `198.51.100.${i}` })
    const results = await times(20, (i) => each(i).noteFirstUse(key.id, use(i)))
    expect(results.filter(Boolean)).toHaveLength(1)
    const { now, address } = use(results.indexOf(true))
    const used = { first_used_at: now, last_used_at: now, last_used_address: address }
    expect(await store.noteFirstUse(key.id, use(99))).toBe(false)
    expect(await read(store, key)).toEqual({ ...key, ...UNUSED, ...used })
    expect(await read(store, other)).toEqual({ ...other, ...UNUSED })
  },
}

const ending: StoreCases = {
  'revokeCredential: once, and only its owner’s': async ({ store, each }) => {
    const [key, other] = await own(store, (id) => [newKey(id), newKey(id)])
    const { id, user_id } = key
    expect(await store.revokeCredential({ id, user_id: hash('other') }, NOW, LATER)).toBe(false)
    expect(await store.revokeCredential({ id: fresh('none'), user_id }, NOW, LATER)).toBe(false)
    const results = await times(20, (i) => each(i).revokeCredential({ id, user_id }, NOW + 1 + i, LATER))
    expect(results.filter(Boolean)).toHaveLength(1)
    expect(await read(store, key)).toMatchObject({ revoked_at: NOW + 1 + results.indexOf(true) })
    expect(await read(store, other)).toMatchObject({ revoked_at: null })
  },

  'revokeCredential, revokeCredentials: an ended one is kept for a while at most': async ({ store }) => {
    const ends = [NOW + 1000, NOW + 9000]
    const [soon, late] = await own(store, (id) => ends.map((expires_at) => newKey(id, { expires_at })))
    const [early, last] = await own(store, (id) => ends.map((expires_at) => newKey(id, { expires_at })))
    for (const one of [soon!, late!]) await store.revokeCredential(one, NOW, NOW + 5000)
    const key = { user_id: early!.user_id, kinds: ['api_key'], except: null } as const
    expect(await store.revokeCredentials(key, NOW, NOW + 5000)).toBe(2)
    for (const [one, expires_at] of [
      [soon, NOW + 1000],
      [late, NOW + 5000],
      [early, NOW + 1000],
      [last, NOW + 5000],
    ] as const)
      expect(await read(store, one!)).toMatchObject({ revoked_at: NOW, expires_at })
  },

  'revokeCredentials ends a person’s, of some kinds, but one; once': async ({ store }) => {
    const [browser, session, kept, key, early] = await own(store, (id) => [
      newBrowser(id),
      newSession(id),
      newSession(id),
      newKey(id),
      newSession(id),
    ])
    const [stranger] = await own(store, (id) => [newSession(id)])
    const { user_id } = browser
    await store.revokeCredential(early, NOW + 1, LATER)
    const endedAt = async () =>
      await times(6, async (i) => {
        const all = [browser, session, kept, key, early, stranger]
        return (await read(store, all[i]!))?.revoked_at
      })
    expect(await store.revokeCredentials({ user_id, kinds: [], except: null }, NOW + 2, LATER)).toBe(0)
    expect(
      await store.revokeCredentials({ user_id, kinds: ['session'], except: kept.id }, NOW + 3, LATER),
    ).toBe(1)
    expect(await endedAt()).toEqual([null, NOW + 3, null, null, NOW + 1, null])
    const two = { user_id, kinds: ['session', 'api_key'], except: null } as const
    expect(await store.revokeCredentials(two, NOW + 4, LATER)).toBe(2)
    expect(await endedAt()).toEqual([null, NOW + 3, NOW + 4, NOW + 4, NOW + 1, null])
    const three = { user_id, kinds: ['session', 'api_key', 'browser'], except: null } as const
    expect(await store.revokeCredentials(three, NOW + 5, LATER)).toBe(1)
    expect(await endedAt()).toEqual([NOW + 5, NOW + 3, NOW + 4, NOW + 4, NOW + 1, null])
    expect(await store.revokeCredentials(three, NOW + 6, LATER)).toBe(0)
  },

  'revokeCredentials: two at once end each credential once': async ({ store, each }) => {
    const [session] = await own(store, (id) => Array.from({ length: 10 }, () => newSession(id)))
    const key = { user_id: session!.user_id, kinds: ['session'], except: null } as const
    const counts = await times(8, (i) => each(i).revokeCredentials(key, NOW + i, LATER))
    expect(counts.reduce((sum, n) => sum + n)).toBe(10)
  },

  'a purge takes credentials that ended, by either name of their secret': async ({ store }) => {
    const [old, young] = await own(store, (id) => [
      newKey(id, { expires_at: 1_000 }),
      newKey(id, { expires_at: NOW + DAY }),
    ])
    expect(await store.rotateCredential(newRotation(old, { now: 1 }))).toBe(true)
    expect(await store.purge('credentials', 1_001, 10)).toBe(1)
    expect(await store.findCredential(old.secret_hash)).toBeNull()
    expect(await store.findCredential(young.secret_hash)).not.toBeNull()
  },
}

/** The cases. */
export const credentialCases: StoreCases = { ...reading, ...using, ...ending }
