/** The real standalone server as a process of its own, on a free port and a database file of its own. @module */

import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { createBrowser, type TestBrowser } from './gate.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** How each runtime starts the server, as the README has it. */
const COMMANDS = {
  node: [process.execPath, join(ROOT, 'node_modules/tsx/dist/cli.mjs'), join(ROOT, 'examples/serve.ts')],
  deno: [join(ROOT, `node_modules/@deno/linux-${process.arch}-glibc/deno`), 'task', 'serve'],
} as const

/** What the server can run on. */
export type Runtime = keyof typeof COMMANDS

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

/** Finds a port that nobody listens on. */
export async function findFreePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}

/** The environment without settings of pairgate's, so that a developer's own do not reach a test. */
function plainEnvironment(): NodeJS.ProcessEnv {
  const own = /^(PAIRGATE_|DATABASE_URL$|HOST$|PORT$|NODE_ENV$|NODE_OPTIONS$|VITEST)/
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !own.test(name)))
}

/**
 * Starts `examples/serve.ts`, as `npm start` and `deno task serve` do.
 *
 * @param env Settings beside `PORT` and `DATABASE_URL`, which are made up.
 * @param mount Path of the base URL, such as `/auth`; empty for the root.
 * @returns Once it says that it listens. Rejects with its output when it ends before.
 */
export async function startStandalone(
  env: Readonly<Record<string, string>> = {},
  mount = '',
  runtime: Runtime = 'node',
): Promise<StandaloneServer> {
  const directory = mkdtempSync(join(tmpdir(), 'pairgate-'))
  const file = join(directory, 'test.db')
  const port = await findFreePort()
  const base = `http://127.0.0.1:${port}${mount}`
  const [program, ...args] = COMMANDS[runtime]
  const child = spawn(program, args, {
    cwd: ROOT,
    env: {
      ...plainEnvironment(),
      PORT: String(port),
      DATABASE_URL: `sqlite:${file}`,
      ...(mount && { PAIRGATE_BASE_URL: base }),
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (output.includes(`pairgate listens on ${base}\n`)) resolve()
      })
    }
    ended.then((code) => reject(new Error(`The server ended with ${code}: ${output}`)))
  })
  return {
    base,
    pid: child.pid ?? 0,
    file,
    output: () => output,
    stop() {
      child.kill('SIGTERM')
      return ended
    },
    remove: () => rmSync(directory, { recursive: true, force: true }),
  }
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
