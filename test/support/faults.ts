/** Places where a server can be made to fail: around each statement, each call of its store, and each answer. @module */

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { type SqliteDatabase, sqlite } from '../../adapters/sqlite.ts'
import type { Pairgate, PairgateOptions, Store } from '../../src/mod.ts'

/** One place: `decideGrant:after:1` is when the first call of that method has done its work. */
export type FaultPoint = `${string}:${'before' | 'after'}:${number}`

/** Is told of every place as it is passed, and may throw there. */
export type Watch = (point: FaultPoint) => void

function counter(watch: Watch): <T>(name: string, work: () => Promise<T>) => Promise<T> {
  const counts = new Map<string, number>()
  return async (name, work) => {
    const nth = (counts.get(name) ?? 0) + 1
    counts.set(name, nth)
    watch(`${name}:before:${nth}`)
    const result = await work()
    watch(`${name}:after:${nth}`)
    return result
  }
}

/** A database that tells of each statement, as `sql`. */
function watchDatabase(database: DatabaseSync, watch: Watch): SqliteDatabase {
  let nth = 0
  const run = <T>(text: string, work: () => T): T => {
    // which writes come side by side, and share a transaction, is a matter of chance; the call of the store is over with its end
    if (/^(BEGIN|COMMIT|ROLLBACK)/.test(text)) return work()
    const n = ++nth
    watch(`sql:before:${n}`)
    const result = work()
    watch(`sql:after:${n}`)
    return result
  }
  return {
    prepare(text) {
      const statement = database.prepare(text)
      return {
        columns: () => statement.columns(),
        setReturnArrays: (enabled) => statement.setReturnArrays(enabled),
        all: (...values) => run(text, () => statement.all(...values)),
        run: (...values) => run(text, () => statement.run(...values)),
      }
    },
    exec: (text) => run(text, () => database.exec(text)),
    close: () => database.close(),
  }
}

/** A SQLite store that tells of each statement, and of each call by the method's name. */
export function watchSqlite(file: string, watch: Watch): Store {
  return watchStore(sqlite(watchDatabase(new DatabaseSync(file), watch)), watch)
}

function watchStore(store: Store, watch: Watch): Store {
  const count = counter(watch)
  return new Proxy(store, {
    get(target, name: string & keyof Store) {
      const method = target[name] as (...args: unknown[]) => Promise<unknown>
      return (...args: unknown[]) => count(name, () => method.apply(target, args))
    },
  })
}

/** A gate that tells of each request, as `answer`: before any work, and after all of it but before the first byte. */
export function watchGate(gate: Pick<Pairgate, 'fetch'>, watch: Watch): Pick<Pairgate, 'fetch'> {
  const count = counter(watch)
  return { fetch: (request, info) => count('answer', () => gate.fetch(request, info)) }
}

/** What `crash_server.ts` is told in `CRASH_SERVER`. */
export interface CrashServerSettings {
  readonly file: string
  /** Where it kills itself. */
  readonly fault?: FaultPoint | undefined
  /** What its clock shows all the time; epoch ms. Default: the real time. */
  readonly now?: number | undefined
  readonly limits?: PairgateOptions['limits']
}

/** A server in a process of its own. */
export interface CrashServer {
  readonly base: string
  /** The signal that ended it, or null when it ended by itself. */
  readonly ended: Promise<NodeJS.Signals | null>
  stop(): Promise<NodeJS.Signals | null>
}

/** Starts `crash_server.ts`; it ends when it is stopped, when its fault is reached, and with this process. */
export async function startCrashServer(settings: CrashServerSettings): Promise<CrashServer> {
  const script = join(import.meta.dirname, 'crash_server.ts')
  const child = spawn(process.execPath, ['--import', 'tsx', script], {
    cwd: join(import.meta.dirname, '../..'),
    env: { PATH: process.env.PATH, HOME: process.env.HOME, CRASH_SERVER: JSON.stringify(settings) },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const ended = new Promise<NodeJS.Signals | null>((resolve) =>
    child.once('close', (_code, signal) => resolve(signal)),
  )
  const base = await new Promise<string>((resolve, reject) => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => resolve(text.trim()))
    ended.then(() => reject(new Error(`The server ended: ${output}`)))
  })
  return {
    base,
    ended,
    stop() {
      child.stdin.end()
      return ended
    },
  }
}
