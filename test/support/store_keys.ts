/** The store contract, of keys that are made by hand and of secrets that are renewed. @module */

import { expect } from 'vitest'
import type { NewCredential, Refresh, Rotation, Store } from '../../src/mod.ts'
import type { StoreCases } from './store_contract.ts'
import {
  fresh,
  hash,
  LATER,
  NOW,
  newKey,
  newRefresh,
  newRotation,
  newSession,
  newUser,
  times,
  UNUSED,
} from './store_rows.ts'

/** A person whom nobody else is. */
async function addUser(store: Store) {
  const user = newUser(fresh('renewer'))
  await store.upsertUser(user, NOW)
  return user
}

async function add(store: Store, make: (userId: string) => NewCredential) {
  const user = await addUser(store)
  const credential = make(user.id)
  await store.insertCredential(credential)
  return { user, credential, read: () => store.findOwnCredential(credential) }
}

const making: StoreCases = {
  'createKey adds a key as it is given': async ({ store }) => {
    const user = await addUser(store)
    const key = newKey(user.id, {
      client_id: 'cli',
      scope: 'read',
      tenant: 'acme',
      remote_address: '203.0.113.1',
      approved_address: '203.0.113.2',
      access_expires_at: NOW + 5,
      family_hash: hash(fresh('family')),
      refresh_hash: hash(fresh('refresh')),
    })
    expect(await store.createKey(key, 1)).toBe('created')
    expect(await store.findCredential(key.secret_hash)).toEqual({
      credential: { ...key, ...UNUSED },
      user: { ...user, disabled_at: null },
    })
  },

  'createKey refuses: nobody, a disabled person': async ({ store }) => {
    expect(await store.createKey(newKey(hash('nobody')), 9)).toBe('refused')
    const user = await addUser(store)
    await store.setUserDisabled(user, NOW, NOW)
    expect(await store.createKey(newKey(user.id), 9)).toBe('refused')
    await store.setUserDisabled(user, null, NOW)
    expect(await store.createKey(newKey(user.id), 9)).toBe('created')
  },

  'createKey refuses one more than may be; only live keys of the person count': async ({ store }) => {
    const user = await addUser(store)
    const ended = newKey(user.id)
    await store.insertCredential(ended)
    await store.revokeCredential(ended, NOW, LATER)
    await store.insertCredential(newKey(user.id, { expires_at: NOW }))
    await store.insertCredential(newSession(user.id))
    await store.insertCredential(newKey((await addUser(store)).id))
    await store.insertCredential(newKey(user.id, { expires_at: NOW + 1 }))
    expect(await store.createKey(newKey(user.id), 1)).toBe('refused')
    expect(await store.createKey(newKey(user.id), 2)).toBe('created')
    expect(await store.createKey(newKey(user.id), 2)).toBe('refused')
  },

  'createKey: an id that exists is taken, also at the limit, and nothing is changed': async ({ store }) => {
    const user = await addUser(store)
    const key = newKey(user.id)
    expect(await store.createKey(key, 1)).toBe('created')
    const other = newKey(user.id, { id: key.id, name: 'other' })
    expect(await store.createKey(other, 1)).toBe('taken')
    expect(await store.createKey(other, 9)).toBe('taken')
    const stranger = await addUser(store)
    expect(await store.createKey(newKey(stranger.id, { id: key.id }), 9)).toBe('taken')
    expect(await store.findOwnCredential(key)).toEqual({ ...key, ...UNUSED })
    // the very same try, though, is what was made
    expect(await store.createKey(key, 1)).toBe('created')
  },

  'createKey: 20 at once over two connections, five may be, five are': async ({ store, each }) => {
    const user = await addUser(store)
    const results = await times(20, (i) => each(i).createKey(newKey(user.id), 5))
    expect(results.filter((result) => result === 'created')).toHaveLength(5)
    expect(results.filter((result) => result === 'refused')).toHaveLength(15)
    expect(await store.countCredentials(user.id, 'api_key', NOW)).toBe(5)
  },

  'createKey: 20 at once with one id: one is made': async ({ store, each }) => {
    const user = await addUser(store)
    const id = fresh('raced-key')
    const results = await times(20, (i) => each(i).createKey(newKey(user.id, { id }), 5))
    expect(results.filter((result) => result === 'created')).toHaveLength(1)
    expect(results.filter((result) => result === 'taken')).toHaveLength(19)
  },
}

const rotating: StoreCases = {
  'rotateCredential: both secrets find the key, which else stays as it was': async ({ store }) => {
    const { user, credential: key } = await add(store, (id) => newKey(id))
    const rotation = newRotation(key)
    expect(await store.rotateCredential(rotation)).toBe(true)
    const { new_hash: secret_hash, hint, previous_until } = rotation
    const previous = { previous_hash: key.secret_hash, previous_until }
    const rotated = { ...key, ...UNUSED, secret_hash, hint, ...previous }
    for (const secret of [secret_hash, key.secret_hash])
      expect(await store.findCredential(secret)).toEqual({
        credential: rotated,
        user: { ...user, disabled_at: null },
      })
    const again = newRotation({ ...key, secret_hash })
    expect(await store.rotateCredential(again)).toBe(true)
    expect(await store.findCredential(key.secret_hash)).toBeNull()
    expect((await store.findCredential(secret_hash))?.credential.secret_hash).toBe(again.new_hash)
  },

  'rotateCredential refuses: other id, owner or secret, a session, a login with refresh token, ended, expired':
    async ({ store }) => {
      const { credential: key, read } = await add(store, (id) => newKey(id))
      const wrong: Partial<Rotation>[] = [
        { id: fresh('none') },
        { user_id: hash('other') },
        { secret_hash: hash('other') },
        { now: key.expires_at },
      ]
      for (const values of wrong) expect(await store.rotateCredential(newRotation(key, values))).toBe(false)
      expect(await read()).toEqual({ ...key, ...UNUSED })
      const others = [
        newSession(key.user_id, { refresh_hash: null }),
        newKey(key.user_id, { kind: 'browser' }),
        newSession(key.user_id, { kind: 'api_key' }),
      ]
      for (const other of others) {
        await store.insertCredential(other)
        expect(await store.rotateCredential(newRotation(other))).toBe(false)
      }
      await store.revokeCredential(key, NOW, LATER)
      expect(await store.rotateCredential(newRotation(key))).toBe(false)
      const late = newKey(key.user_id)
      await store.insertCredential(late)
      expect(await store.rotateCredential(newRotation(late, { now: late.expires_at - 1 }))).toBe(true)
    },

  'rotateCredential: 20 at once over two connections, one is the first': async ({ store, each }) => {
    const { credential: key, read } = await add(store, (id) => newKey(id))
    const rotations = Array.from({ length: 20 }, () => newRotation(key))
    const results = await times(20, (i) => each(i).rotateCredential(rotations[i]!))
    expect(results.filter(Boolean)).toHaveLength(1)
    expect(await read()).toMatchObject({
      secret_hash: rotations[results.indexOf(true)]?.new_hash,
      previous_hash: key.secret_hash,
    })
  },

  'rotateCredential races an end: the end stays': async ({ store, each }) => {
    for (let round = 0; round < 5; round++) {
      const { credential: key, read } = await add(store, (id) => newKey(id))
      const rotation = newRotation(key)
      const [rotated, ended] = await Promise.all([
        each(round).rotateCredential(rotation),
        each(round + 1).revokeCredential(key, NOW + 1, LATER),
      ])
      expect(ended).toBe(true)
      const secret_hash = rotated ? rotation.new_hash : key.secret_hash
      expect(await read()).toMatchObject({ revoked_at: NOW + 1, secret_hash })
    }
  },
}

const refreshing: StoreCases = {
  'refreshCredential: new tokens; the old access token lives as long as it would have': async ({ store }) => {
    const { credential: session, read } = await add(store, (id) => newSession(id))
    const refresh = newRefresh(session)
    expect(await store.refreshCredential(refresh)).toBe(true)
    const { new_hash, new_refresh_hash, hint, access_expires_at, now } = refresh
    expect(await read()).toEqual({
      ...session,
      ...UNUSED,
      ...{ secret_hash: new_hash, refresh_hash: new_refresh_hash, hint, access_expires_at },
      ...{ previous_hash: session.secret_hash, previous_until: session.access_expires_at },
      last_used_at: now,
    })
    expect((await store.findCredential(session.secret_hash))?.credential.id).toBe(session.id)
    // the second one is kept for another end than the first
    const next = newRefresh({ ...session, refresh_hash: new_refresh_hash })
    expect(await store.refreshCredential(next)).toBe(true)
    expect(await read()).toMatchObject({ previous_hash: new_hash, previous_until: access_expires_at })
  },

  'refreshCredential refuses: other id, client or token, expired, idle': async ({ store }) => {
    const { credential: session, read } = await add(store, (id) => newSession(id))
    const wrong: Partial<Refresh>[] = [
      { id: fresh('none') },
      { client_id: 'other' },
      { refresh_hash: hash('other') },
      { refresh_hash: session.secret_hash },
      { now: session.expires_at },
      { idle_since: NOW },
    ]
    for (const values of wrong) expect(await store.refreshCredential(newRefresh(session, values))).toBe(false)
    expect(await read()).toEqual({ ...session, ...UNUSED })
    const last = { now: session.expires_at - 1, idle_since: NOW - 1 }
    expect(await store.refreshCredential(newRefresh(session, last))).toBe(true)
  },

  'refreshCredential refuses: ended, disabled person': async ({ store }) => {
    const { user, credential: session, read } = await add(store, (id) => newSession(id))
    await store.setUserDisabled(user, NOW, NOW)
    expect(await store.refreshCredential(newRefresh(session))).toBe(false)
    await store.setUserDisabled(user, null, NOW)
    await store.revokeCredential(session, NOW + 1, LATER)
    expect(await store.refreshCredential(newRefresh(session))).toBe(false)
    expect(await read()).toEqual({ ...session, ...UNUSED, revoked_at: NOW + 1 })
  },

  'refreshCredential: 20 at once over two connections with one token, one is the first': async ({
    store,
    each,
  }) => {
    const { credential: session, read } = await add(store, (id) => newSession(id))
    const refreshes = Array.from({ length: 20 }, () => newRefresh(session))
    const results = await times(20, (i) => each(i).refreshCredential(refreshes[i]!))
    expect(results.filter(Boolean)).toHaveLength(1)
    const winner = refreshes[results.indexOf(true)]
    expect(await read()).toMatchObject({
      secret_hash: winner?.new_hash,
      refresh_hash: winner?.new_refresh_hash,
      previous_hash: session.secret_hash,
    })
  },

  'refreshCredential races an end: the end stays': async ({ store, each }) => {
    for (let round = 0; round < 5; round++) {
      const { credential: session, read } = await add(store, (id) => newSession(id))
      const refresh = newRefresh(session)
      const [refreshed, ended] = await Promise.all([
        each(round).refreshCredential(refresh),
        each(round + 1).revokeCredential(session, NOW + 1, LATER),
      ])
      expect(ended).toBe(true)
      const refresh_hash = refreshed ? refresh.new_refresh_hash : session.refresh_hash
      expect(await read()).toMatchObject({ revoked_at: NOW + 1, refresh_hash })
    }
  },
}

/** The cases. */
export const keyCases: StoreCases = { ...making, ...rotating, ...refreshing }
