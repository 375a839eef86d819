/** Where logins are kept: the contract over file and memory, the modes, and a keyring that comes and goes. @module */

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { configDirectory } from '../clients/credential_file.ts'
import { type CredentialStoreOptions, credentialStore } from '../clients/credential_store.ts'
import { type Keyring, KeyringError } from '../clients/keyring.ts'
import type { CredentialStore, StoredLogin } from '../clients/store.ts'
import { holdsAsync } from './support/arbitraries.ts'
import { credentialContract } from './support/credential_contract.ts'
import { A, B, loginOf, SECRET, testFolder } from './support/login_entries.ts'

/** A host's own keyring, which may fail. */
interface MapKeyring extends Keyring {
  readonly secrets: Map<string, string>
  failure: Error | null
  asked: number
}

function mapKeyring(): MapKeyring {
  const secrets = new Map<string, string>()
  const ask = <T>(answer: () => T): Promise<T> => {
    keyring.asked++
    return keyring.failure ? Promise.reject(keyring.failure) : Promise.resolve(answer())
  }
  const key = (service: string, account: string) => JSON.stringify([service, account])
  const keyring: MapKeyring = {
    secrets,
    failure: null,
    asked: 0,
    get: (service, account) => ask(() => secrets.get(key(service, account)) ?? null),
    set: (service, account, secret) => ask(() => void secrets.set(key(service, account), secret)),
    remove: (service, account) => ask(() => void secrets.delete(key(service, account))),
  }
  return keyring
}

const locked = new KeyringError('the keyring is locked', { wasAsked: true })
const missing = new KeyringError('there is no keyring')
const alice = loginOf()
const bob = loginOf({ subject: 'bob' })

function open(options: Partial<CredentialStoreOptions> = {}) {
  const { directory = testFolder(), keyring = mapKeyring() } = options
  const all = { name: 'mytool', directory, keyring, env: {}, ...options }
  const file = join(directory, 'credentials.json')
  return { store: credentialStore(all), file, keyring: keyring as MapKeyring, options: all }
}
const textOf = (file: string) => readFileSync(file, 'utf8')

describe('the file', () => {
  credentialContract(() => {
    const { store, file, options } = open({ mode: 'file' })
    return { store, name: file, at: (cwd) => credentialStore({ ...options, cwd }) }
  })
})

describe('a keyring', () => {
  credentialContract(() => {
    const { store, options } = open({ mode: 'keyring' })
    return { store, name: 'keyring', at: (cwd) => credentialStore({ ...options, cwd }) }
  })
})

describe('a keyring that has failed', () => {
  credentialContract(() => {
    const { store, file, keyring, options } = open()
    keyring.failure = missing
    return { store, name: file, at: (cwd) => credentialStore({ ...options, cwd }) }
  })
})

/** A store as it is for a program that runs in `folder`. */
function runIn(store: CredentialStore, folder: string): CredentialStore {
  const moved =
    (method: (...args: unknown[]) => Promise<unknown>) =>
    async (...args: unknown[]) => {
      const before = process.cwd()
      process.chdir(folder)
      try {
        return await method(...args)
      } finally {
        process.chdir(before)
      }
    }
  return new Proxy(store, { get: (target, name) => moved(Reflect.get(target, name)) })
}

describe('memory', () => {
  credentialContract(() => {
    const { store } = open({ mode: 'ephemeral' })
    return { store, name: 'memory', at: (cwd) => runIn(store, cwd) }
  })

  test('neither reads nor writes anything', async () => {
    const { store: saved, options, file, keyring } = open({ mode: 'auto' })
    await saved.save(alice, { activate: true })
    const before = [textOf(file), keyring.asked]
    const store = credentialStore({ ...options, mode: 'ephemeral' })
    expect(await store.find(A)).toBeNull()
    expect(await store.defaultServer()).toBeNull()
    await store.save(bob, { activate: true })
    await store.remove(A, bob)
    expect([textOf(file), keyring.asked]).toEqual(before)
    const { store: fresh, file: none } = open({ mode: 'ephemeral', directory: join(testFolder(), 'none') })
    await fresh.lock(async () => await fresh.save(alice))
    expect(existsSync(join(none, '..'))).toBe(false)
    expect(await credentialStore({ ...options, mode: 'ephemeral' }).list()).toEqual([])
  })
})

describe('the mode', () => {
  test.each([
    ['auto', 'keyring'],
    ['keyring', 'keyring'],
    ['file', 'file'],
    [undefined, 'keyring'],
    ['', 'keyring'],
  ])('%s from the environment', async (value, place) => {
    const { store, file } = open({ env: { MYTOOL_CREDENTIAL_STORE: value } })
    expect((await store.save(alice)).place).toBe(place === 'file' ? file : place)
  })

  test('the option stands above the environment, which is read by the name', async () => {
    const env = { MYTOOL_CREDENTIAL_STORE: 'nonsense', MY_TOOL_X_CREDENTIAL_STORE: 'file' }
    expect((await open({ env, mode: 'keyring' }).store.save(alice)).place).toBe('keyring')
    const { store, file } = open({ env, name: 'my-tool.x' })
    expect((await store.save(alice)).place).toBe(file)
  })

  test('one that there is not is an error that names its source', () => {
    const env = { MYTOOL_CREDENTIAL_STORE: 'keychain' }
    const bad = { code: 'bad_credential_file', message: expect.stringContaining('MYTOOL_CREDENTIAL_STORE') }
    expect(() => open({ env })).toThrow(expect.objectContaining(bad))
    expect(() => open({ env })).toThrow('must be one of auto, keyring, file, ephemeral')
    expect(() => open({ mode: 'toString' as 'auto' })).toThrow('The option "mode"')
  })

  test.each(['', '.', '..', 'a/b', 'a\\b', 'a b', 'ä', 'a\0', '../x'])('no program is called %j', (name) => {
    expect(() => open({ name })).toThrow(TypeError)
  })
})

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
    expect(keyring.secrets.size).toBe(0)
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
    const word = fc.oneof(
      fc.constantFrom('a', 'a b', 'b', ' ', '%20', '', 'a%20b', '\n', '%', '/'),
      fc.string(),
    )
    const pair = fc.tuple(word, word)
    await holdsAsync(
      fc.uniqueArray(pair, { minLength: 2, maxLength: 4, selector: JSON.stringify }),
      async (pairs) => {
        keyring.secrets.clear()
        for (const [subject, issuer] of pairs) await store.save(loginOf({ subject, issuer }))
        expect(keyring.secrets.size).toBe(pairs.length)
        for (const [subject, issuer] of pairs) await store.remove(A, { subject, issuer })
      },
    )
  })
})

test('the configuration directory', () => {
  const all = { MY_TOOL_CONFIG_DIR: '/p', XDG_CONFIG_HOME: '/x', APPDATA: '/a' }
  const find = (env: NodeJS.ProcessEnv, platform: string) => configDirectory('my-tool', env, platform, '/h')
  expect(find(all, 'win32')).toBe('/p')
  expect(find({ ...all, MY_TOOL_CONFIG_DIR: '' }, 'linux')).toBe('/x/my-tool')
  expect(find({ APPDATA: '/a' }, 'win32')).toBe('/a/my-tool')
  expect(find({ APPDATA: '/a', XDG_CONFIG_HOME: '' }, 'linux')).toBe('/h/.config/my-tool')
})

test('without a directory it is the configuration directory', async () => {
  const folder = join(testFolder(), 'here')
  const store = credentialStore({ name: 'x', mode: 'file', env: { X_CONFIG_DIR: folder } })
  const file = join(folder, 'credentials.json')
  expect(await store.save(alice)).toEqual({ place: file, notice: null })
  expect(readdirSync(folder)).toEqual(['credentials.json'])
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

test('a file of logins that somebody writes by hand is read', async () => {
  const { store, file } = open({ mode: 'file' })
  await store.save(alice)
  writeFileSync(file, JSON.stringify({ ...JSON.parse(textOf(file)), comment: 'mine' }), { mode: 0o600 })
  expect(await store.find(A)).toEqual(alice)
})
