/** Logins over a keyring that comes and goes: where their secrets are, and that none is lost or left behind. @module */

import { existsSync, mkdirSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { credentialStore } from '../clients/credential_store.ts'
import type { Keyring } from '../clients/keyring.ts'
import type { CredentialStore, StoredLogin } from '../clients/store.ts'
import { holdsAsync } from './support/arbitraries.ts'
import { A, B, loginOf, SECRET, testFolder } from './support/login_entries.ts'
import { locked, missing, open, textOf } from './support/map_keyring.ts'

const alice = loginOf()
const bob = loginOf({ subject: 'bob' })

describe('the keyring', () => {
  test('has the secrets, and the file has none of them', async () => {
    const { store, file, keyring } = open()
    expect(await store.save(alice, { activate: true })).toEqual({ place: 'keyring', notice: null })
    expect(textOf(file)).not.toContain(SECRET)
    expect([...keyring.secrets]).toEqual([
      [
        expect.stringMatching(/^\["mytool:https:\/\/a\.example\/auth","alice https:\/\/id\.example \//),
        JSON.stringify({ access_token: alice.access_token, refresh_token: alice.refresh_token }),
      ],
    ])
    await store.remove(A, alice)
    expect(keyring.secrets.size).toBe(0)
  })

  test('logins of another folder are others', async () => {
    const { store, keyring, options } = open()
    const other = credentialStore({ ...options, directory: testFolder() })
    await store.save(alice)
    await other.save({ ...alice, access_token: 'other' })
    await other.remove(A, alice)
    expect(await store.find(A)).toEqual(alice)
    expect(keyring.secrets.size).toBe(1)
  })

  test('what it has lost is not found, but stays in the list until it is replaced or removed', async () => {
    const { store, keyring } = open()
    await store.save(alice)
    keyring.secrets.clear()
    expect(await store.find(A)).toBeNull()
    expect(await store.list()).toMatchObject([{ subject: 'alice', active: true }])
    await store.save(alice)
    expect(await store.find(A)).toEqual(alice)
    keyring.secrets.clear()
    await store.remove(A, alice)
    expect(await store.list()).toEqual([])
  })

  test.each([SECRET, `{"access_token":"${SECRET}`, '[]', '{"access_token":7,"refresh_token":null}'])(
    'what it has that is no credential is not found: %s',
    async (text) => {
      const { store, keyring } = open()
      await store.save(alice)
      for (const key of keyring.secrets.keys()) keyring.secrets.set(key, text)
      expect(await store.find(A)).toBeNull()
    },
  )

  test('that cannot be reached: its logins are errors that say what to do, and stay', async () => {
    const { store, keyring } = open({ mode: 'keyring' })
    await store.save(alice)
    keyring.failure = locked
    const why = expect.stringContaining('(the keyring is locked)')
    const bad = { code: 'bad_credential_file', message: why }
    await expect(store.find(A)).rejects.toMatchObject(bad)
    await expect(store.remove(A, alice)).rejects.toMatchObject(bad)
    await expect(store.save(bob)).rejects.toMatchObject(bad)
    keyring.failure = null
    expect(await store.find(A)).toEqual(alice)
    expect(await store.list()).toHaveLength(1)
  })

  test('that was never there leaves the file, with a notice, and is not asked for what it cannot have', async () => {
    const { store, file, keyring } = open()
    keyring.failure = missing
    const notice = `The system keyring is not available (there is no keyring); the login is stored unencrypted in ${file}, readable by you alone`
    expect(await store.save(alice)).toEqual({ place: file, notice })
    expect(await store.find(A)).toEqual(alice)
    keyring.failure = null
    await store.remove(A, alice)
    expect(keyring.asked).toBe(1)
  })

  test('a login moves to the file and back, and leaves nothing behind', async () => {
    const { store, file, keyring, options } = open()
    await store.save(alice)
    const inFile = credentialStore({ ...options, mode: 'file' })
    expect(await inFile.find(A)).toEqual(alice)
    expect((await inFile.save(alice)).place).toBe(file)
    expect(keyring.secrets.size).toBe(0)
    expect(textOf(file)).not.toContain('left_in_keyring')
    expect(await store.find(A)).toEqual(alice)
    const asked = keyring.asked
    await inFile.save(alice)
    expect(keyring.asked).toBe(asked)
    expect(await store.save(alice)).toEqual({ place: 'keyring', notice: null })
    expect(textOf(file)).not.toContain(SECRET)
    expect(await inFile.find(A)).toEqual(alice)
  })

  test('what it could not delete when a login moved away is deleted later', async () => {
    for (const later of ['save', 'remove'] as const) {
      const { store, file, keyring, options } = open()
      await store.save(alice)
      keyring.failure = locked
      expect((await store.save(bob)).notice).toContain('the keyring is locked')
      await store.save({ ...alice, access_token: 'new' })
      expect(await store.find(A, alice)).toMatchObject({ access_token: 'new' })
      await credentialStore({ ...options, mode: 'file' }).save(bob)
      keyring.failure = null
      expect(keyring.secrets.size).toBe(1)
      if (later === 'save') await credentialStore({ ...options, mode: 'file' }).save(alice)
      else await store.remove(A, alice)
      expect(keyring.secrets.size).toBe(0)
      await credentialStore({ ...options, mode: 'file' }).save(bob)
      expect(textOf(file)).not.toContain('left_in_keyring')
    }
  })

  test('a login that cannot be written down does not stay in it', async () => {
    const { store, file, keyring } = open()
    mkdirSync(file)
    await expect(store.save(alice)).rejects.toMatchObject({ code: 'bad_credential_file' })
    expect(keyring.asked).toBe(0)

    const { file: other, options } = open()
    const set: Keyring['set'] = async (...entry) => {
      await keyring.set(...entry)
      mkdirSync(other)
    }
    const late = credentialStore({ ...options, keyring: { ...keyring, set } })
    await expect(late.save(alice)).rejects.toThrow(`Cannot write ${other}`)
    expect([keyring.asked, keyring.secrets.size]).toEqual([2, 0])
  })

  test('a login that moves while it is read is found', async () => {
    const { store, keyring, options } = open()
    await store.save(alice)
    const inFile = credentialStore({ ...options, mode: 'file' })
    const moving: Keyring = {
      ...keyring,
      async get(service, account) {
        await inFile.save(alice)
        return await keyring.get(service, account)
      },
    }
    expect(await credentialStore({ ...options, keyring: moving }).find(A)).toEqual(alice)
  })

  test('takes no more than it should', async () => {
    for (const mode of ['keyring', 'file', 'ephemeral'] as const) {
      const { store } = open({ mode })
      await store.save({ ...alice, access_token: SECRET.padEnd(16_000, 'x') })
      const tooLong = store.save({ ...alice, access_token: SECRET.padEnd(17_000, 'x') })
      const error = await tooLong.catch((reason) => reason)
      expect(error).toMatchObject({
        code: 'bad_credential_file',
        message: 'The credential is too large to be kept',
      })
    }
  })

  test('no two accounts have the same name in it', async () => {
    const { store, keyring } = open()
    const part = fc.oneof(fc.constantFrom('a', '', '%', '%20', '%25', '\n'), fc.string())
    // the same words, cut in two at different places, and with the signs that are written instead of a space
    const pairs = fc.tuple(part, part, part).map(([x, y, z]) => {
      const all = ['', ' ', '%20', '\n'].flatMap((space) => [
        [`${x}${space}${y}`, z],
        [x, `${y}${space}${z}`],
      ])
      return [...new Map(all.map((pair) => [JSON.stringify(pair), pair])).values()] as [string, string][]
    })
    await holdsAsync(pairs, async (pairs) => {
      keyring.secrets.clear()
      for (const [subject, issuer] of pairs) await store.save(loginOf({ subject, issuer }))
      expect(keyring.secrets.size).toBe(pairs.length)
      for (const [subject, issuer] of pairs) await store.remove(A, { subject, issuer })
    })
  })
})

type Step =
  | { do: 'save'; login: StoredLogin; activate: boolean }
  | { do: 'remove'; login: StoredLogin }
  | { do: 'break' | 'mend' }

/** The same steps with a keyring that breaks and is mended, and in memory, come to the same. */
test('wherever secrets go meanwhile, a login is what was saved last', async () => {
  const login = fc
    .record({
      server: fc.constantFrom(A, B, '__proto__'),
      subject: fc.constantFrom('alice', 'bob', '__proto__', 'constructor'),
      access_token: fc.string(),
      refresh_token: fc.option(fc.string()),
      expires_at: fc.nat(),
    })
    .map(loginOf)
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant('save' as const), login, activate: fc.boolean() }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('remove' as const), login }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('break' as const, 'mend' as const) }) },
  )
  await holdsAsync(
    fc.array(step, { maxLength: 12 }),
    async (steps) => {
      const { store, keyring, file } = open()
      const memory = open({ mode: 'ephemeral' }).store
      let isLeft = false
      for (const one of steps) {
        if (one.do === 'break') keyring.failure = locked
        if (one.do === 'mend') keyring.failure = null
        if (one.do === 'save') {
          for (const each of [store, memory]) await each.save(one.login, { activate: one.activate })
        }
        if (one.do === 'remove') {
          const removed = store.remove(one.login.server, one.login)
          const isGone = await removed.then(() => true).catch(() => false)
          // what it had of one that has moved away cannot be deleted meanwhile: that stays
          isLeft ||= keyring.failure !== null
          if (isGone) await memory.remove(one.login.server, one.login)
          else expect(keyring.failure).not.toBeNull()
        }
      }
      keyring.failure = null
      const plain = async (each: CredentialStore) =>
        (await each.list()).map(({ place: _place, ...entry }) => entry)
      expect(await plain(store)).toEqual(await plain(memory))
      expect(await store.defaultServer()).toBe(await memory.defaultServer())
      for (const entry of await store.list()) {
        expect(await store.find(entry.server, entry)).toEqual(await memory.find(entry.server, entry))
        expect(await store.find(entry.server)).toEqual(await memory.find(entry.server))
      }
      for (const entry of await store.list()) await store.remove(entry.server, entry)
      // everything is forgotten, and nothing is left in the keyring
      if (!isLeft) expect([...keyring.secrets]).toEqual([])
      if (existsSync(file)) expect(JSON.parse(textOf(file))).toMatchObject({ logins: [], active: [] })
    },
    150,
  )
})
