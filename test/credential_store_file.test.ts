/** The file that logins are in: who may read it, what is damaged, and what a crash leaves. @module */

import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { credentialStore } from '../clients/credential_store.ts'
import type { LoginError } from '../clients/errors.ts'
import type { Keyring } from '../clients/keyring.ts'
import type { CredentialStore } from '../clients/store.ts'
import { holdsAsync } from './support/arbitraries.ts'
import { A, B, loginOf, SECRET, testFolder } from './support/login_entries.ts'
import { demand } from './support/matrix.ts'
import { plainEnvironment, ROOT } from './support/runtimes.ts'

const alice = loginOf()
const bob = loginOf({ subject: 'bob' })
const isRoot = process.getuid?.() === 0

function open(folder = join(testFolder(), 'config', 'mytool')) {
  const store = credentialStore({ name: 'mytool', mode: 'file', directory: folder, env: {} })
  return { store, folder, file: join(folder, 'credentials.json') }
}
const modeOf = (path: string) => (statSync(path).mode & 0o7777).toString(8)

/** Everything that a store can be asked, and what it says when it cannot. */
async function refusals(store: CredentialStore): Promise<LoginError[]> {
  const calls = [
    () => store.list(),
    () => store.defaultServer(),
    () => store.find(A),
    () => store.save(bob, { activate: true }),
    () => store.remove(A, alice),
    () => store.activate(A, alice),
  ]
  const errors: LoginError[] = []
  for (const call of calls) errors.push(await call().catch((error) => error))
  return errors
}

describe('modes', () => {
  test('PC-14 the file is 0600 and its folder 0700, whatever the umask is', async () => {
    const umask = process.umask(0)
    onTestFinished(() => void process.umask(umask))
    const { store, folder, file } = open()
    expect((await store.save(alice)).notice).toBeNull()
    expect([modeOf(file), modeOf(folder), modeOf(join(folder, '..'))]).toEqual(['600', '700', '700'])
    expect(readdirSync(folder)).toEqual(['credentials.json'])
  })

  test.each([0o644, 0o640, 0o606, 0o620])(
    'a file that became %o is closed when it is rewritten',
    async (mode) => {
      const { store, file } = open()
      await store.save(alice)
      chmodSync(file, mode)
      expect(await store.find(A)).toEqual(alice)
      expect((await store.save(bob)).notice).toBe(`Others could read or write ${file}; they no longer can`)
      expect(modeOf(file)).toBe('600')
      expect((await store.save(bob)).notice).toBeNull()
    },
  )

  test('a folder that was there stays as it is; one that others can write to is named', async () => {
    const { store, folder } = open(testFolder())
    chmodSync(folder, 0o755)
    expect((await store.save(alice)).notice).toBeNull()
    chmodSync(folder, 0o775)
    expect((await store.save(alice)).notice).toBe(`Others can write to ${folder}: run chmod go-w on it`)
    expect(modeOf(folder)).toBe('775')
    // only owners can replace files there
    chmodSync(folder, 0o1777)
    expect((await store.save(alice)).notice).toBeNull()
  })

  test('a file that is only for reading is replaced too', async () => {
    const { store, file } = open()
    await store.save(alice)
    chmodSync(file, 0o400)
    await store.save(bob)
    expect(modeOf(file)).toBe('600')
  })
})

describe('what is not our file', () => {
  const isRefused = async (store: CredentialStore, words: string) => {
    for (const error of await refusals(store)) {
      expect(error).toMatchObject({ code: 'bad_credential_file', message: expect.stringContaining(words) })
    }
  }

  test('a link', async () => {
    const { store, folder, file } = open()
    mkdirSync(folder, { recursive: true })
    const elsewhere = join(testFolder(), 'x')
    symlinkSync(elsewhere, file)
    await isRefused(store, `${file} is a link`)
    expect(lstatSync(file).isSymbolicLink()).toBe(true)
    expect(existsSync(elsewhere)).toBe(false)
  })

  test('a folder', async () => {
    const { store, file } = open()
    mkdirSync(file, { recursive: true })
    await isRefused(store, `${file} is not a file`)
  })

  test('a pipe, which nobody waits for', async () => {
    const { store, folder, file } = open()
    mkdirSync(folder, { recursive: true })
    const child = spawn('mkfifo', [file])
    await new Promise((resolve) => child.once('close', resolve))
    await isRefused(store, `${file} is not a file`)
  })

  test("another user's", async (context) => {
    demand(context, isRoot ? null : 'only root can give files away')
    const { store, file } = open()
    await store.save(alice)
    chownSync(file, 65534, 65534)
    const before = readFileSync(file, 'utf8')
    await isRefused(store, `${file} belongs to another user (65534)`)
    expect([readFileSync(file, 'utf8'), statSync(file).uid]).toEqual([before, 65534])
  })

  test('a folder that cannot be made', async () => {
    const blocked = join(testFolder(), 'file')
    writeFileSync(blocked, '')
    const { store } = open(join(blocked, 'mytool'))
    await expect(store.save(alice)).rejects.toMatchObject({ code: 'bad_credential_file' })
    await expect(store.list()).rejects.toThrow('Cannot read')
  })

  test('one that is too large', async () => {
    const { store, folder, file } = open()
    mkdirSync(folder, { recursive: true })
    writeFileSync(file, ' '.repeat(4_000_001), { mode: 0o600 })
    await isRefused(store, `${file} is too large`)
    await expect(open().store.save({ ...alice, scope: 'x'.repeat(4_000_000) })).rejects.toThrow(
      'would be too large',
    )
  })
})

describe('what is damaged', () => {
  const good = async () => {
    const opened = open()
    await opened.store.save(alice, { activate: true })
    await opened.store.save(bob)
    await opened.store.activate(A, bob, { directory: opened.folder })
    return { ...opened, text: readFileSync(opened.file, 'utf8') }
  }
  const isUntouched = async (store: CredentialStore, file: string, words: string) => {
    const before = readFileSync(file)
    for (const error of await refusals(store)) {
      expect(error).toMatchObject({ name: 'LoginError', code: 'bad_credential_file' })
      expect(error.message).toContain(words)
      for (let at: unknown = error; at instanceof Error; at = at.cause) {
        expect(`${at.message} ${at.stack}`).not.toContain(SECRET)
      }
    }
    expect(readFileSync(file)).toEqual(before)
  }

  test.each([
    ['empty', ''],
    ['cut off', `{"version":2,"logins":[{"access_token":"${SECRET}`],
    ['not JSON', `${SECRET}`],
    ['a list', '[]'],
    ['null', 'null'],
    ['no version', '{}'],
    ['a version that is none', '{"version":"2"}'],
    ['nothing else', '{"version":2}'],
    ['NUL', '\0'.repeat(512)],
  ])('%s: said, and left as it is', async (_, text) => {
    const { store, file } = await good()
    writeFileSync(file, text, { mode: 0o600 })
    await isUntouched(store, file, `${file} is damaged: it was left as it is`)
  })

  test.each([1, 3, 2.5e9])('version %d: said, and left as it is', async (version) => {
    const { store, file } = await good()
    writeFileSync(file, JSON.stringify({ version, servers: { [A]: { access_token: SECRET } } }))
    await isUntouched(store, file, 'another version of this program')
  })

  test('every field that is missing or of another type, anywhere', async () => {
    const { store, file, text } = await good()
    const content = JSON.parse(text)
    const places = [[], ['logins', 0], ['logins', 1], ['active', 0], ['directories', 0]] as const
    for (const place of places) {
      const target = (root: Record<string, unknown>) =>
        place.reduce((at, key) => (at as Record<string, unknown>)[key] as never, root)
      for (const field of Object.keys(target(content))) {
        for (const wrong of [undefined, 7.5, {}, field]) {
          const changed = structuredClone(content)
          if (target(content)[field] === wrong) continue
          // a text in place of a text, and a time in place of a time, is not damage
          if (typeof wrong === typeof target(content)[field] && typeof wrong !== 'object') {
            if (!['kind', 'place'].includes(field)) continue
          }
          // these may be a text as well
          if (['default_server', 'name', 'refresh_token'].includes(field) && wrong === field) continue
          Object.assign(target(changed), { [field]: wrong })
          writeFileSync(file, JSON.stringify(changed), { mode: 0o600 })
          await expect(store.list(), `${place} ${field}: ${wrong}`).rejects.toMatchObject({
            code: 'bad_credential_file',
          })
        }
      }
    }
  })

  test('cut off anywhere, or with anything in between: read as it was, or refused, never quoted', async () => {
    const { store, file, text } = await good()
    const damage = fc.oneof(
      fc.nat(text.length - 2).map((at) => text.slice(0, at)),
      fc
        .tuple(fc.nat(text.length), fc.nat(20), fc.string({ maxLength: 3, unit: 'binary-ascii' }))
        .map(([at, length, instead]) => text.slice(0, at) + instead + text.slice(at + length)),
    )
    await holdsAsync(
      damage,
      async (damaged) => {
        writeFileSync(file, damaged, { mode: 0o600 })
        const error = await store.list().then(
          () => null,
          (reason) => reason,
        )
        if (error) await isUntouched(store, file, file)
      },
      200,
    )
  })

  test('what the keyring says about secrets that it cannot read is not quoted', async () => {
    const keyring: Keyring = {
      get: async () => `{"access_token":"${SECRET}`,
      set: async () => {},
      remove: async () => {},
    }
    const store = credentialStore({ name: 'x', mode: 'keyring', directory: testFolder(), keyring })
    await store.save(alice)
    expect(await store.find(A)).toBeNull()
  })
})

describe('what a crash leaves', () => {
  test('is deleted with the next change, and nothing else is', async () => {
    const { store, folder, file } = open()
    await store.save(alice)
    const old = new Date(Date.now() - 3_600_000)
    const left = [`${file}.0b2f.tmp`, `${file}.lock.5d1c`]
    const others = [join(folder, 'settings.tmp'), join(folder, 'credentials.json.bak'), `${file}.lock.young`]
    writeFileSync(String(left[0]), SECRET)
    for (const folder of [String(left[1]), String(others[2])]) {
      mkdirSync(folder)
      writeFileSync(join(folder, 'owner'), '{}')
    }
    for (const path of others.slice(0, 2)) writeFileSync(path, '')
    for (const path of [...left, ...others.slice(0, 2)]) utimesSync(path, old, old)
    await store.save(bob)
    expect(readdirSync(folder).sort()).toEqual(
      ['credentials.json', ...others.map((path) => path.slice(folder.length + 1))].sort(),
    )
  })

  test('killed at any point while it writes: the file is whole, and has what was said to be kept', async () => {
    const { store, folder, file } = open()
    let last = 0
    for (let round = 0; round < 25; round++) {
      const args = ['test/support/credential_child.ts', 'write', folder, String(last)]
      const child = spawn(process.execPath, args, {
        cwd: ROOT,
        env: plainEnvironment(),
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      onTestFinished(() => void child.kill('SIGKILL'))
      const ended = new Promise((resolve) => child.once('close', resolve))
      let lines = 0
      for await (const line of createInterface(child.stdout)) {
        last = Number(line)
        if (++lines > (round * 7) % 11) child.kill('SIGKILL')
      }
      await ended
      const login = await store.find(A)
      // the one that it was about to say may be there as well
      expect([last, last + 1]).toContain(login?.expires_at)
      expect(login?.access_token).toHaveLength(10_000)
      last = login?.expires_at ?? 0
    }
    await store.save(loginOf({ server: B }))
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
    expect(statSync(file).mode & 0o077).toBe(0)
  })
})
