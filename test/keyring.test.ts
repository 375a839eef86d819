/** The system's keyring, a real one: the contract of logins over it, and all the ways in which it is not there. @module */

import { spawn } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { credentialStore } from '../clients/credential_store.ts'
import { KeyringError, systemKeyring } from '../clients/keyring.ts'
import { credentialContract } from './support/credential_contract.ts'
import { A, loginOf, SECRET, testFolder } from './support/login_entries.ts'
import { BUN, DENO, plainEnvironment, ROOT } from './support/runtimes.ts'
import { type SecretService, startSecretService } from './support/secret_service.ts'

const alice = loginOf()

/** A service that a test's own may stand in for, or none. */
function setBus(address: string | undefined, folder?: string): void {
  const before = { ...process.env }
  onTestFinished(() => {
    for (const name of ['DBUS_SESSION_BUS_ADDRESS', 'XDG_RUNTIME_DIR']) {
      if (before[name] === undefined) delete process.env[name]
      else process.env[name] = before[name]
    }
  })
  delete process.env.DBUS_SESSION_BUS_ADDRESS
  delete process.env.XDG_RUNTIME_DIR
  if (address !== undefined) process.env.DBUS_SESSION_BUS_ADDRESS = address
  if (folder !== undefined) process.env.XDG_RUNTIME_DIR = folder
}

/** What a store says of a keyring that is not there, in the mode that takes the file then; and that it works. */
async function noticeOf(keyring = systemKeyring()): Promise<string> {
  const directory = testFolder()
  const store = credentialStore({ name: 'mytool', mode: 'auto', directory, keyring, env: {} })
  const { place, notice } = await store.save(alice)
  expect(place).toBe(join(directory, 'credentials.json'))
  expect(await store.find(A)).toEqual(alice)
  const [, why] = /^The system keyring is not available \((.*)\); the login is stored unencrypted in /.exec(
    notice ?? '',
  ) as RegExpExecArray
  return why ?? ''
}

let service: SecretService | undefined
let why = ''
beforeAll(async () => {
  try {
    service = await startSecretService()
  } catch (error) {
    why = `apt-get install dbus-daemon gnome-keyring (${error instanceof Error ? error.message : error})`
    if (process.env.CI) throw new Error(`Expected a Secret Service: ${why}`, { cause: error })
    console.warn(`\n!!! TESTS WILL BE SKIPPED: no keyring to test with: ${why} !!!\n`)
  }
})
afterAll(async () => await service?.stop())

describe('a Secret Service', () => {
  beforeEach((context) => {
    if (!service) context.skip(why)
  })
  // skipped without it
  const running = () => service as SecretService

  describe('logins in it', () => {
    credentialContract(() => {
      const options = {
        name: 'mytool',
        mode: 'keyring',
        directory: testFolder(),
        keyring: systemKeyring(),
        env: {},
      } as const
      return {
        store: credentialStore(options),
        name: 'keyring',
        at: (cwd) => credentialStore({ ...options, cwd }),
      }
    })
  })

  test('gives back what it was given, and says null for what it has not', async () => {
    const keyring = systemKeyring()
    expect(await keyring.get('s', 'a')).toBeNull()
    for (const secret of ['x', 'y'.repeat(16_384), 'ü \n {"a":1}']) {
      await keyring.set('s', 'a', secret)
      expect(await keyring.get('s', 'a')).toBe(secret)
    }
    expect([await keyring.get('s', 'b'), await keyring.get('t', 'a')]).toEqual([null, null])
    await keyring.remove('s', 'a')
    await keyring.remove('s', 'a')
    expect(await keyring.get('s', 'a')).toBeNull()
  })

  test('the file has no secret, and another process finds the login, on every runtime', async () => {
    const directory = testFolder()
    const store = credentialStore({ name: 'mytool', mode: 'keyring', directory, env: {} })
    await store.save(alice)
    expect(readFileSync(join(directory, 'credentials.json'), 'utf8')).not.toContain(SECRET)
    expect(readdirSync(directory)).toEqual(['credentials.json'])

    const programs = [[process.execPath], [DENO, 'run', '--no-prompt', '--no-lock', '-A'], [BUN]]
    for (const [program = '', ...args] of programs) {
      const folder = testFolder()
      const script = 'test/support/credential_child.ts'
      const child = spawn(program, [...args, script, 'tour', folder, 'keyring'], {
        cwd: ROOT,
        env: { ...plainEnvironment(), NO_COLOR: '1' },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      onTestFinished(() => void child.kill('SIGKILL'))
      const lines: unknown[] = []
      for await (const line of createInterface(child.stdout)) lines.push(JSON.parse(line))
      expect(lines, program).toEqual([
        { place: 'keyring', notice: null },
        expect.objectContaining({ access_token: `${SECRET}-bob`, refresh_token: 'r' }),
        [
          ['alice', false, 'keyring'],
          ['bob', true, 'keyring'],
        ],
        [7, A],
        [],
        'TimeoutError',
      ])
    }
  })

  test('locked, with nobody there to unlock it: new logins go to the file, old ones are errors', async () => {
    const directory = testFolder()
    const options = { name: 'mytool', directory, env: {} }
    const open = () => credentialStore({ ...options, keyring: systemKeyring() })
    await open().save(alice)
    await running().restart('locked')
    onTestFinished(() => running().restart('unlocked'))
    await expect(open().find(A)).rejects.toMatchObject({
      code: 'bad_credential_file',
      message: expect.stringMatching(/is in the system keyring, which is not available \(.*\)\. Unlock it/),
    })
    await expect(open().remove(A, alice)).rejects.toMatchObject({ code: 'bad_credential_file' })
    expect(await open().save({ ...alice, access_token: 'new' })).toMatchObject({
      place: join(directory, 'credentials.json'),
      notice: expect.stringContaining('stored unencrypted'),
    })
    expect(await open().find(A)).toMatchObject({ access_token: 'new' })

    // once it is unlocked again, what it has of old is deleted
    await running().restart('unlocked')
    const asked: unknown[] = []
    const keyring = systemKeyring()
    const noted = {
      ...keyring,
      async remove(name: string, account: string) {
        asked.push(await keyring.get(name, account))
        await keyring.remove(name, account)
        asked.push(await keyring.get(name, account))
      },
    }
    await credentialStore({ ...options, keyring: noted }).remove(A, alice)
    expect(asked).toEqual([expect.stringContaining(SECRET), null])
  })

  test('that stopped answering is not asked again by this process', async () => {
    const keyring = systemKeyring()
    await keyring.get('s', 'a')
    running().freeze()
    try {
      const error = await keyring.get('s', 'a').catch((reason) => reason)
      expect(error).toBeInstanceOf(KeyringError)
      expect(error.wasAsked).toBe(true)
      running().thaw()
      await expect(keyring.get('s', 'a')).rejects.toBe(error)
      await expect(keyring.set('s', 'a', SECRET)).rejects.toBe(error)
      await expect(keyring.remove('s', 'a')).rejects.toBe(error)
      expect(await systemKeyring().get('s', 'a')).toBeNull()
    } finally {
      running().thaw()
    }
  })

  test('that asks a person, who does not answer in time: the file, and what may come late is remembered', async () => {
    const directory = testFolder()
    await running().restart('asking')
    try {
      const keyring = systemKeyring({ timeout: 500 })
      const store = credentialStore({ name: 'mytool', directory, keyring, env: {} })
      expect((await store.save(alice)).notice).toContain('(it does not answer within 0.5 seconds)')
      expect(await store.find(A)).toEqual(alice)
      expect(readFileSync(join(directory, 'credentials.json'), 'utf8')).toContain('"left_in_keyring": true')
    } finally {
      // this ends the question, for which the process would wait else
      await running().restart('unlocked')
    }
  })

  test('all stores of a process share the system’s: when it has failed, none of them asks again', async () => {
    const open = () => credentialStore({ name: 'mytool', directory: testFolder(), env: {} })
    running().freeze()
    try {
      expect((await open().save(alice)).notice).toMatch(/reply|seconds/)
    } finally {
      running().thaw()
    }
    expect((await open().save(alice)).notice).toMatch(/reply|seconds/)
    expect(await systemKeyring().get('s', 'a')).toBeNull()
  })
})

describe('no keyring', () => {
  test('no session', async () => {
    setBus(undefined)
    expect(await noticeOf()).toBe('there is no D-Bus session')
    setBus('unix:path=/nowhere/bus')
    expect(await noticeOf()).toBe('there is no D-Bus session')
    setBus(undefined, testFolder())
    expect(await noticeOf()).toBe('there is no D-Bus session')
  })

  test('a file in place of the bus', async () => {
    const folder = testFolder()
    writeFileSync(join(folder, 'bus'), '')
    setBus(undefined, folder)
    expect(await noticeOf()).toBe('there is no D-Bus session')
  })

  test('a bus that never says a word, or hangs up: this process goes on all the same', async () => {
    for (const [behave, words] of [
      ['silent', 'it does not answer within 0.1 seconds'],
      ['closing', 'D-Bus hangs up'],
    ] as const) {
      const folder = testFolder()
      mkdirSync(join(folder, 'a b'))
      const path = join(folder, 'a b', 'bus')
      const server = createServer((socket) => void (behave === 'closing' && socket.end()))
      await new Promise<void>((resolve) => server.listen(path, resolve))
      onTestFinished(() => void server.close())
      setBus(`unix:guid=1,path=${path.replace(' ', '%20')};tcp:host=x`)
      expect(await noticeOf(systemKeyring({ timeout: 100 }))).toBe(words)
    }
  })

  test('a mode that insists on it says what is wrong', async () => {
    setBus(undefined)
    const store = credentialStore({
      name: 'mytool',
      mode: 'keyring',
      directory: testFolder(),
      keyring: systemKeyring(),
      env: {},
    })
    await expect(store.save(alice)).rejects.toMatchObject({
      code: 'bad_credential_file',
      message: expect.stringContaining('(there is no D-Bus session)'),
    })
    expect(await store.list()).toEqual([])
  })
})
