/**
 * Mutual exclusion between the processes of a machine, and between the tasks of one: a folder that is moved into place
 * with one file in it, named by chance, that says who made it. That name is never used again. So whoever finds that its
 * owner is gone deletes that very file and no other lock, however slow it was; and an emptied folder is free for all.
 *
 * @module
 */

import { AsyncLocalStorage } from 'node:async_hooks'
import {
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  rmdir,
  stat,
  unlink,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join } from 'node:path'
import process from 'node:process'
import { LoginError } from './errors.ts'

/** Runs one thing at a time. Within `work` it may be used again, and then does not wait for the outer one. */
export interface Lock {
  /**
   * @param signal Stops waiting; rejects with its reason.
   * @throws {LoginError} `busy` after 30 seconds of waiting for another process; `bad_credential_file` when the folder
   *   cannot be used.
   */
  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>
}

/** Waits; rejects with the signal's reason when that is aborted. */
export type Pause = (ms: number, signal?: AbortSignal) => Promise<void>

/** For tests; the defaults are the system's clock and timers. */
export interface LockOptions {
  /** Epoch milliseconds. */
  readonly now?: (() => number) | undefined
  readonly pause?: Pause | undefined
}

/** Longest wait for others, in milliseconds. */
const PATIENCE = 30_000
/** How often an owner shows that it lives, in milliseconds. */
const HEARTBEAT = 5_000
/** Without a sign of life for so long an owner counts as gone, in milliseconds. */
const STALE = 120_000
/** A waiter has to have seen no sign of life for so long itself: clocks jump, and machines sleep; in milliseconds. */
const WATCH = 12_000

/** One stretch of work that has the lock. */
interface Held {
  readonly outer: Held | undefined
  isOver: boolean
  /** What runs within it, one after the other. */
  queue: Promise<unknown>
  /** Whether nobody has taken the lock over, as when this process was stopped for minutes. */
  isMine(): Promise<boolean>
}

/** Waits with the system's timer. */
const pauseByTimer: Pause = async (ms, signal) => {
  let timer: ReturnType<typeof setTimeout> | undefined
  try {
    await orAborted(
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms)
      }),
      signal,
    )
  } finally {
    clearTimeout(timer)
  }
}

/** Rejects early, with the signal's reason, when that is aborted. */
async function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return await promise
  let stop = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
  })
  signal.addEventListener('abort', stop, { once: true })
  try {
    signal.throwIfAborted()
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

/** Whose turn is last, and rejects as `work` does; the queue itself goes on. */
function enqueue<T>(at: { queue: Promise<unknown> }, work: () => Promise<T>): Promise<T> {
  const turn = at.queue.then(work)
  at.queue = turn.catch(() => {})
  return turn
}

/** Makes a lock of a way to get it: `acquire` resolves, once it is had, to what tells whether it still is, and ends it. */
function createLock(
  acquire: (signal?: AbortSignal) => Promise<{ isMine(): Promise<boolean>; release(): Promise<void> }>,
): Lock {
  const context = new AsyncLocalStorage<Held>()
  const runHeld = async <T>(held: Held, work: () => Promise<T>): Promise<T> => {
    try {
      return await context.run(held, work)
    } finally {
      held.isOver = true
    }
  }
  const runAlone = async <T>(
    outer: Held | undefined,
    work: () => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> => {
    const { isMine, release } = await acquire(signal)
    try {
      return await runHeld({ outer, isOver: false, queue: Promise.resolve(), isMine }, work)
    } finally {
      await release()
    }
  }
  return {
    async run(work, signal) {
      signal?.throwIfAborted()
      let outer = context.getStore()
      // what was started within, and not waited for, may outlive it
      while (outer?.isOver) outer = outer.outer
      if (!outer) return await runAlone(outer, work, signal)
      const { isMine } = outer
      return await enqueue(outer, async () =>
        (await isMine())
          ? await runHeld({ outer, isOver: false, queue: Promise.resolve(), isMine }, work)
          : await runAlone(outer, work, signal),
      )
    },
  }
}

/** Makes a lock for the tasks of this process alone. They wait for as long as it takes. */
export function createLocalLock(): Lock {
  let last: Promise<void> = Promise.resolve()
  return createLock(async (signal) => {
    const before = last
    let pass = () => {}
    last = new Promise((resolve) => {
      pass = resolve
    })
    try {
      await orAborted(before, signal)
    } catch (error) {
      // its turn comes nonetheless, and ends at once
      before.then(pass)
      throw error
    }
    return { isMine: async () => true, release: async () => pass() }
  })
}

/** Who has a lock. */
interface Owner {
  readonly pid: number
  /** Where process ids mean the same. */
  readonly host: string
}

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code

/** Names this machine, and on Linux the container, as those number their processes for themselves. */
async function nameHost(): Promise<string> {
  try {
    const namespace = await readlink('/proc/self/ns/pid').catch(() => '')
    return `${hostname()} ${namespace}`.trim()
  } catch {
    // Deno may not tell: then nobody's process ids mean anything here
    return crypto.randomUUID()
  }
}

/** Tells whether a process of this host is gone. In doubt it is not. */
function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return false
  } catch (error) {
    return codeOf(error) === 'ESRCH'
  }
}

/** Reads who has a lock; null when that says nothing, as after a power cut. */
async function readOwner(file: string): Promise<Owner | null> {
  const text = await readFile(file, 'utf8')
  try {
    const { pid, host } = JSON.parse(text)
    return Number.isInteger(pid) && pid > 0 && typeof host === 'string' ? { pid, host } : null
  } catch {
    return null
  }
}

/** What one process saw of a lock while it waits for it. */
interface Waiting {
  readonly path: string
  readonly host: string
  readonly now: () => number
  owner: Owner | null
  /** The lock and its last sign of life, as seen last. */
  seen: string
  /** For how long that has not changed, in milliseconds of waiting. */
  unchanged: number
}

/** Deletes a lock whose owner is gone. */
async function removeStale(waiting: Waiting): Promise<'free' | 'held'> {
  const { path, host, now } = waiting
  try {
    const [name] = await readdir(path)
    if (name === undefined) {
      // it fails when somebody has just moved a new one here
      await rmdir(path)
      return 'free'
    }
    const file = join(path, name)
    const [owner, { mtimeMs }] = await Promise.all([readOwner(file), stat(file)])
    const sign = `${name} ${mtimeMs}`
    if (sign !== waiting.seen) Object.assign(waiting, { owner, seen: sign, unchanged: 0 })
    const isDead = owner?.host === host && isGone(owner.pid)
    const isOld = now() - mtimeMs > STALE && waiting.unchanged >= WATCH
    if (!isDead && !isOld) return 'held'
    await unlink(file)
    return 'free'
  } catch (error) {
    if (['ENOENT', 'ENOTEMPTY', 'EEXIST', 'EBUSY', 'EPERM', 'EACCES'].includes(`${codeOf(error)}`))
      return 'held'
    throw error
  }
}

/** Makes what is moved to the lock's place: a folder with the owner's file. */
async function prepare(folder: string, name: string, owner: Owner): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await writeFile(join(folder, name), JSON.stringify(owner), { mode: 0o600 })
}

/** Tries to move a prepared folder to the lock's place. */
async function tryMove(folder: string, path: string): Promise<boolean> {
  try {
    await rename(folder, path)
    return true
  } catch (error) {
    // Windows says EPERM for what exists; ENOENT: somebody has cleaned up what was prepared
    if (['ENOTEMPTY', 'EEXIST', 'EPERM', 'EACCES', 'EBUSY', 'ENOENT'].includes(`${codeOf(error)}`))
      return false
    throw error
  }
}

async function release(path: string, name: string): Promise<void> {
  // Windows may have the file open for a reader; what stays is stale once this process is gone
  await rm(join(path, name), { force: true, maxRetries: 5, retryDelay: 20 }).catch(() => {})
  // not empty: somebody has it already
  await rmdir(path).catch(() => {})
}

/** Waits for the lock's place to be free, and takes it with the owner's file `name`. */
async function acquireFile(
  path: string,
  name: string,
  { now = Date.now, pause = pauseByTimer }: LockOptions,
  signal?: AbortSignal,
): Promise<void> {
  const host = await nameHost()
  const prepared = `${path}.${name}`
  const waiting: Waiting = { path, host, now, owner: null, seen: '', unchanged: 0 }
  try {
    for (let waited = 0; ; ) {
      await prepare(prepared, name, { pid: process.pid, host })
      if (await tryMove(prepared, path)) return
      if ((await removeStale(waiting)) === 'free') continue
      if (waited >= PATIENCE) throw busy(waiting)
      const ms = 10 + Math.random() * Math.min(90, 10 + waited / 10)
      await pause(ms, signal)
      waited += ms
      waiting.unchanged += ms
    }
  } finally {
    await rm(prepared, { recursive: true, force: true }).catch(() => {})
  }
}

function busy({ path, owner, host }: Waiting): LoginError {
  const who = owner
    ? `process ${owner.pid}${owner.host === host ? '' : ` on ${owner.host}`}`
    : 'another process'
  return new LoginError('busy', `The stored logins are in use by ${who} (${path}); try again later`)
}

/**
 * Makes a lock for all processes that name the same path.
 *
 * @param path Where the lock is while it is had. Its folder is made, for its owner alone, if it is missing.
 */
export function createFileLock(path: string, options: LockOptions = {}): Lock {
  return createLock(async (signal) => {
    const name = crypto.randomUUID()
    const file = join(path, name)
    try {
      await acquireFile(path, name, options, signal)
    } catch (error) {
      if (error instanceof LoginError || signal?.aborted) throw error
      throw new LoginError('bad_credential_file', `Cannot lock ${path}: ${(error as Error).message}`, {
        cause: error,
      })
    }
    const beat = () => {
      const time = new Date()
      utimes(file, time, time).catch(() => {})
    }
    const timer = setInterval(beat, HEARTBEAT)
    timer.unref?.()
    return {
      isMine: async () =>
        await stat(file).then(
          () => true,
          () => false,
        ),
      async release() {
        clearInterval(timer)
        await release(path, name)
      },
    }
  })
}

/** Deletes what processes left here that ended while they waited for the lock. Call it with the lock. */
export async function sweepLocks(path: string, now: () => number = Date.now): Promise<void> {
  const folder = dirname(path)
  const prefix = `${basename(path)}.`
  for (const name of await readdir(folder)) {
    if (!name.startsWith(prefix)) continue
    const left = join(folder, name)
    const { mtimeMs } = await stat(left).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    if (now() - mtimeMs > STALE) await rm(left, { recursive: true, force: true }).catch(() => {})
  }
}
