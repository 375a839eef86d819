/** The real standalone server as a process of its own, on a free port and a database of its own. @module */

import { type ChildProcess, type ChildProcessByStdio, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Readable } from 'node:stream'
import { createBrowser, type TestBrowser } from './gate.ts'
import { findFreePorts } from './guarded.ts'
import { BUN, DENO, plainEnvironment, ROOT, TSX } from './runtimes.ts'

/** How each runtime starts the server, as the README has it. */
export const SERVERS = {
  node: [...TSX, join(ROOT, 'examples/serve.ts')],
  deno: [DENO, 'task', 'serve'],
  bun: [BUN, join(ROOT, 'examples/serve.ts')],
  workers: [...TSX, join(ROOT, 'examples/workers/serve.ts')],
} as const

/** What the server can run on. */
export type ServerRuntime = keyof typeof SERVERS

/** A running server. */
export interface StandaloneServer {
  /** The base URL, without a trailing slash. */
  readonly base: string
  readonly pid: number
  /** The SQLite file, unless `DATABASE_URL` named another one. */
  readonly file: string
  /** Everything it has written so far, to stdout and stderr. */
  output(): string
  /** Ends it by SIGTERM. Resolves to its exit code; its files stay until {@link StandaloneServer.remove}. */
  stop(): Promise<number | null>
  /** Deletes its directory. */
  remove(): void
}

const given = new Set<number>()

/** Finds a port that nobody listens on, another one each time: those who asked before may not listen yet. */
export async function findFreePort(): Promise<number> {
  for (;;) {
    const [port = 0] = await findFreePorts(1)
    if (given.has(port)) continue
    given.add(port)
    return port
  }
}

interface Launched {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  /** Its exit code. */
  readonly ended: Promise<number | null>
  output(): string
  /** Resolves once it says that it listens. Rejects with its output when it ends before. */
  readonly listening: Promise<void>
}

function launch(runtime: ServerRuntime, base: string, env: Readonly<Record<string, string>>): Launched {
  const [program, ...args] = SERVERS[runtime]
  const child = spawn(program, args, {
    cwd: ROOT,
    env: { ...plainEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  const listening = new Promise<void>((resolve, reject) => {
    child.once('error', reject)
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (output.includes(`pairgate listens on ${base}\n`)) resolve()
      })
    }
    ended.then((code) => reject(new Error(`The server ended with ${code}: ${output}`)))
  })
  return { child, ended, output: () => output, listening }
}

/** Kills a server that takes too long over something; {@link Launched.ended} is then null. */
async function within<T>(child: ChildProcess, something: Promise<T>): Promise<T> {
  const timer = setTimeout(() => child.kill('SIGKILL'), 20_000)
  try {
    return await something
  } finally {
    clearTimeout(timer)
  }
}

/** The `DATABASE_URL` for a database in a folder, of the kind that a runtime has. */
function databaseIn(directory: string, runtime: ServerRuntime): string {
  return runtime === 'workers' ? `d1:${join(directory, 'd1')}` : `sqlite:${join(directory, 'test.db')}`
}

/**
 * Starts the standalone server, as `npm start` and `deno task serve` do.
 *
 * @param env Settings beside `PORT` and `DATABASE_URL`, which are made up.
 * @param mount Path of the base URL, such as `/auth`; empty for the root.
 * @returns Once it says that it listens. Rejects with its output when it ends before.
 */
export async function startStandalone(
  env: Readonly<Record<string, string>> = {},
  mount = '',
  runtime: ServerRuntime = 'node',
): Promise<StandaloneServer> {
  const directory = mkdtempSync(join(tmpdir(), 'pairgate-'))
  const remove = () => rmSync(directory, { recursive: true, force: true })
  const port = await findFreePort()
  const base = `http://127.0.0.1:${port}${mount}`
  const { child, ended, output, listening } = launch(runtime, base, {
    PORT: String(port),
    DATABASE_URL: databaseIn(directory, runtime),
    ...(mount && { PAIRGATE_BASE_URL: base }),
    ...env,
  })
  await within(child, listening).catch((error) => {
    remove()
    throw error
  })
  return {
    base,
    pid: child.pid ?? 0,
    file: join(directory, 'test.db'),
    output,
    stop() {
      child.kill('SIGTERM')
      return within(child, ended)
    },
    remove,
  }
}

/**
 * Starts the standalone server with settings that it must refuse.
 *
 * @returns Its exit code and all that it has written. Rejects when it listens, or does not end within 20 seconds.
 */
export async function startInVain(
  env: Readonly<Record<string, string>>,
  runtime: ServerRuntime,
): Promise<{ code: number | null; output: string }> {
  const port = await findFreePort()
  const { child, ended, output, listening } = launch(runtime, `http://127.0.0.1:${port}`, {
    PORT: String(port),
    ...env,
  })
  const hasStarted = await within(child, listening).then(
    () => true,
    () => false,
  )
  if (hasStarted) child.kill('SIGTERM')
  const code = await within(child, ended)
  if (hasStarted || child.signalCode === 'SIGKILL')
    throw new Error(
      `Expected the server to refuse to start, ${hasStarted ? 'it listened' : 'it did not end'}: ${output()}`,
    )
  return { code, output: output() }
}

/** Runs SQL in the database, beside the running server. */
export function sqlBeside(
  server: StandaloneServer,
  text: string,
  ...values: (string | number)[]
): Record<string, unknown>[] {
  const database = new DatabaseSync(server.file)
  try {
    return database.prepare(text).all(...values) as Record<string, unknown>[]
  } finally {
    database.close()
  }
}

/** A browser in which somebody has signed in by the dev sign-in. */
export async function signInAt(server: StandaloneServer, name: string): Promise<TestBrowser> {
  const { origin, pathname } = new URL(server.base)
  const browser = createBrowser((path, init) => fetch(new URL(path, origin), init), origin)
  await browser.post(`${pathname.replace(/\/$/, '')}/sign-in/dev`, { username: name })
  if (browser.cookies.size === 0) throw new Error(`${name} could not sign in: ${server.output()}`)
  return browser
}

/** Everything that neither the log nor the database may hold in clear, noted along the way. */
export function createSecretNotes() {
  const secrets: string[] = []
  const noted = (secret: string) => {
    secrets.push(secret)
    return secret
  }
  return {
    secrets,
    noted,
    /** Signs somebody in and notes the cookies. */
    async signIn(server: StandaloneServer, name: string): Promise<TestBrowser> {
      const browser = await signInAt(server, name)
      for (const value of browser.cookies.values()) noted(value)
      return browser
    },
  }
}

/** Finds out which secrets are in the log, or in clear in the database; call it after the server has stopped. */
export function findLeaks(server: StandaloneServer, secrets: readonly string[]): string[] {
  const directory = dirname(server.file)
  const files = readdirSync(directory).filter((name) => /^test\.db(-\w+)?$/.test(name))
  const stored = files.map((name) => readFileSync(join(directory, name), 'latin1')).join()
  const codes = sqlBeside(server, "SELECT user_code FROM grants WHERE flow = 'device'").flatMap(
    ({ user_code }) => {
      const code = String(user_code)
      return [code, `${code.slice(0, 4)}-${code.slice(4)}`]
    },
  )
  return [
    ...[...secrets, ...codes]
      .filter((one) => server.output().includes(one))
      .map((one) => `the log holds ${one}`),
    ...secrets.filter((one) => stored.includes(one)).map((one) => `the database holds ${one}`),
  ]
}
