/** Where logins are kept: the contract over file, memory and a keyring of a host’s own, and how the place is chosen. @module */

import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { configDirectory } from '../clients/credential_file.ts'
import { credentialStore } from '../clients/credential_store.ts'
import type { CredentialStore } from '../clients/store.ts'
import { credentialContract } from './support/credential_contract.ts'
import { A, loginOf, testFolder } from './support/login_entries.ts'
import { missing, open, textOf } from './support/map_keyring.ts'

const alice = loginOf()
const bob = loginOf({ subject: 'bob' })

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

  test('one that there is not is an error that names its source', async () => {
    const env = { MYTOOL_CREDENTIAL_STORE: 'keychain' }
    const bad = { code: 'bad_credential_file', message: expect.stringContaining('MYTOOL_CREDENTIAL_STORE') }
    await expect(open({ env }).store.list()).rejects.toMatchObject(bad)
    await expect(open({ env }).store.list()).rejects.toThrow('must be one of auto, keyring, file, ephemeral')
    await expect(open({ mode: 'toString' as 'auto' }).store.list()).rejects.toThrow('The option "mode"')
  })

  test.each(['', '.', '..', 'a/b', 'a\\b', 'a b', 'ä', 'a\0', '../x'])('no program is called %j', (name) => {
    expect(() => open({ name })).toThrow(TypeError)
  })
})

test('the configuration directory', () => {
  const all = { MY_TOOL_CONFIG_DIR: '/p', XDG_CONFIG_HOME: '/x', APPDATA: '/a' }
  const find = (env: NodeJS.ProcessEnv, platform: string) => configDirectory('my-tool', env, platform, '/h')
  expect(find(all, 'win32')).toBe('/p')
  expect(find({ ...all, MY_TOOL_CONFIG_DIR: '' }, 'linux')).toBe('/x/my-tool')
  expect(find({ APPDATA: '/a' }, 'win32')).toBe('/a/my-tool')
  expect(find({ APPDATA: '/a', XDG_CONFIG_HOME: '' }, 'linux')).toBe('/h/.config/my-tool')
  expect(configDirectory('my-tool', all, 'linux', null)).toBe('/p')
  expect(() => configDirectory('my-tool', {}, 'linux', null)).toThrow('MY_TOOL_CONFIG_DIR')
})

test('without a directory it is the configuration directory', async () => {
  const folder = join(testFolder(), 'here')
  const store = credentialStore({ name: 'x', mode: 'file', env: { X_CONFIG_DIR: folder } })
  const file = join(folder, 'credentials.json')
  expect(await store.save(alice)).toEqual({ place: file, notice: null })
  expect(readdirSync(folder)).toEqual(['credentials.json'])
})

test('a file of logins that somebody writes by hand is read', async () => {
  const { store, file } = open({ mode: 'file' })
  await store.save(alice)
  writeFileSync(file, JSON.stringify({ ...JSON.parse(textOf(file)), comment: 'mine' }), { mode: 0o600 })
  expect(await store.find(A)).toEqual(alice)
})
