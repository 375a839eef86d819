/** The lock between processes: whose it is when, and what becomes of one whose owner is gone. @module */

import { spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { credentialStore } from '../clients/credential_store.ts'
import { createFileLock, type Pause } from '../clients/lock.ts'
import { A, loginOf, testFolder } from './support/login_entries.ts'

const MINUTE = 60_000

/** What this machine is called in locks: taken from one. */
const HOST = await (async () => {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-lock-'))
  const path = join(folder, 'lock')
  return await createFileLock(path)
    .run(async () => JSON.parse(readFileSync(join(path, String(readdirSync(path)[0])), 'utf8')).host)
    .finally(() => rmSync(folder, { recursive: true }))
})()

/** The id of a process that has ended. */
async function goneProcess(): Promise<number> {
  const child = spawn('true')
  await new Promise((resolve) => child.once('close', resolve))
  return Number(child.pid)
}

/** A lock that is had by somebody, who last showed signs of life so long ago, in milliseconds. */
function lockOf(owner: unknown, age: number, name = 'somebody') {
  const path = join(testFolder(), 'credentials.json.lock')
  const file = join(path, name)
  mkdirSync(path)
  writeFileSync(file, typeof owner === 'string' ? owner : JSON.stringify(owner))
  const showLife = (ms = Date.now()) => utimesSync(file, new Date(ms), new Date(ms))
  showLife(Date.now() - age)
  return { path, file, showLife }
}

/** Time that passes only while somebody waits. `during` is called before each wait, with all of the waiting so far. */
function waiting(during: (waited: number) => void = () => {}) {
  const start = Date.now()
  let waited = 0
  const pause: Pause = async (ms, signal) => {
    signal?.throwIfAborted()
    during(waited)
    waited += ms
  }
  return { pause, now: () => start + waited, waited: () => waited }
}

test('while it is had there is a folder with one file, afterwards nothing', async () => {
  const path = join(testFolder(), 'deep', 'x.lock')
  const lock = createFileLock(path)
  await lock.run(async () => {
    expect(readdirSync(path)).toHaveLength(1)
    expect(readdirSync(join(path, '..'))).toEqual(['x.lock'])
  })
  expect(readdirSync(join(path, '..'))).toEqual([])
})

describe('an owner that is gone', () => {
  test('from this machine: at once', async () => {
    const { path } = lockOf({ pid: await goneProcess(), host: HOST }, 0)
    const time = waiting()
    expect(await createFileLock(path, time).run(async () => 'in')).toBe('in')
    expect(time.waited()).toBe(0)
    expect(existsSync(path)).toBe(false)
  })

  test.each([
    ['on another machine', { pid: 1, host: 'elsewhere' }],
    ['whose process id is somebody else’s now', { pid: process.pid, host: HOST }],
    ['that says nothing', ''],
    ['that says nonsense', '{"pid":"1"}'],
  ])('%s: once it was seen to show no life for two minutes', async (_, owner) => {
    for (const [age, isTaken] of [
      [0, false],
      [MINUTE, false],
      [3 * MINUTE, true],
    ] as const) {
      const { path } = lockOf(owner, age)
      const time = waiting()
      const taken = createFileLock(path, time).run(async () => 'in')
      if (isTaken) expect(await taken).toBe('in')
      else await expect(taken).rejects.toMatchObject({ code: 'busy' })
      // clocks jump: some of it this process has to see itself
      expect(time.waited()).toBeGreaterThanOrEqual(12_000)
      expect(existsSync(path)).toBe(!isTaken)
    }
  })

  test('one that shows life again, as after the machine has slept, keeps it', async () => {
    const { path, file, showLife } = lockOf({ pid: 1, host: 'elsewhere' }, 10 * MINUTE)
    const time = waiting((waited) => {
      if (waited > 5_000) showLife(Date.now() - 5 * MINUTE + Math.floor(waited / 5_000))
    })
    await expect(createFileLock(path, time).run(async () => 'in')).rejects.toMatchObject({ code: 'busy' })
    expect(existsSync(file)).toBe(true)
  })

  test('leaves its lock to one of many, and then to the next', async () => {
    const { path } = lockOf({ pid: await goneProcess(), host: HOST }, 0)
    let inside = 0
    let most = 0
    let count = 0
    const enter = async () => {
      most = Math.max(most, ++inside)
      await new Promise((resolve) => setImmediate(resolve))
      count++
      inside--
    }
    // each has a lock of its own, as processes do
    await Promise.all(Array.from({ length: 20 }, () => createFileLock(path).run(enter)))
    expect([most, count]).toEqual([1, 20])
  })

  test('whoever was slow to see that leaves the lock of the next one alone', async () => {
    const { path } = lockOf({ pid: await goneProcess(), host: HOST }, 0)
    const next = join(path, 'next')
    const time = waiting()
    let isTaken = false
    const now = () => {
      // just when it has seen that the owner is gone, another process is quicker
      if (!isTaken) {
        rmSync(path, { recursive: true })
        mkdirSync(path)
        writeFileSync(next, JSON.stringify({ pid: process.ppid, host: HOST }))
      }
      isTaken = true
      return time.now()
    }
    const slow = createFileLock(path, { ...time, now }).run(async () => 'in')
    await expect(slow).rejects.toMatchObject({ code: 'busy' })
    expect([isTaken, existsSync(next)]).toEqual([true, true])
  })

  test('an empty folder, as a crash leaves it, is nobody’s', async () => {
    const path = join(testFolder(), 'x.lock')
    mkdirSync(path)
    const time = waiting()
    expect(await createFileLock(path, time).run(async () => 'in')).toBe('in')
    expect(time.waited()).toBe(0)
  })
})

describe('waiting', () => {
  test('ends after half a minute, and says who has it', async () => {
    const { path, file } = lockOf({ pid: 4711, host: 'elsewhere' }, 0)
    const time = waiting()
    const message = `The stored logins are in use by process 4711 on elsewhere (${path}); try again later`
    await expect(createFileLock(path, time).run(async () => 'in')).rejects.toMatchObject({
      code: 'busy',
      message,
    })
    expect(time.waited()).toBeGreaterThanOrEqual(30_000)
    expect(time.waited()).toBeLessThan(30_200)
    expect(existsSync(file)).toBe(true)
    expect(readdirSync(join(path, '..'))).toEqual(['credentials.json.lock'])
    const { path: here } = lockOf({ pid: process.ppid, host: HOST }, 0)
    const busy = createFileLock(here, waiting()).run(async () => 'in')
    await expect(busy).rejects.toThrow(`by process ${process.ppid} (`)
  })

  test('is stopped by a signal, in the middle too', async () => {
    const { path } = lockOf({ pid: 1, host: 'elsewhere' }, 0)
    const reason = new Error('Ctrl-C')
    const controller = new AbortController()
    const time = waiting((waited) => waited > 1_000 && controller.abort(reason))
    const waits = createFileLock(path, time).run(async () => 'in', controller.signal)
    await expect(waits).rejects.toBe(reason)
    expect(readdirSync(join(path, '..'))).toEqual(['credentials.json.lock'])
  })

  test('what is there but no lock is an error', async () => {
    const path = join(testFolder(), 'x.lock')
    writeFileSync(path, '')
    const lock = createFileLock(path, waiting())
    await expect(lock.run(async () => 'in')).rejects.toMatchObject({
      code: 'bad_credential_file',
      message: expect.stringContaining(`Cannot lock ${path}`),
    })
  })
})

test('an owner whose lock was taken over, as it was stopped for minutes, waits for its turn to write', async () => {
  const directory = testFolder()
  const store = () => credentialStore({ name: 'mytool', mode: 'file', directory, env: {} })
  const path = join(directory, 'credentials.json.lock')
  const [slow, quick] = [store(), store()]
  const steps: string[] = []
  await slow.lock(async () => {
    rmSync(path, { recursive: true })
    let go = () => {}
    const isIn = new Promise<void>((resolve) => {
      go = resolve
    })
    const other = quick.lock(async () => {
      go()
      // the slow one either waits, with a lock of its own prepared, or it has written
      while (!readdirSync(directory).some((name) => /^credentials\.json(\.lock\..*)?$/.test(name))) {
        await new Promise((resolve) => setImmediate(resolve))
      }
      expect(await quick.list()).toEqual([])
      await quick.save(loginOf({ subject: 'quick' }))
      steps.push('quick')
    })
    await isIn
    await slow.save(loginOf({ subject: 'slow' }))
    steps.push('slow')
    await other
  })
  expect(steps).toEqual(['quick', 'slow'])
  expect((await slow.list()).map(({ subject }) => subject)).toEqual(['quick', 'slow'])
  expect(await slow.find(A, loginOf({ subject: 'slow' }))).not.toBeNull()
  expect(existsSync(path)).toBe(false)
})
