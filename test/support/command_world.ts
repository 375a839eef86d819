/** The `pairgate` command with logins that are there already: a server, a folder for logins, processes of their own. @module */

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createClient, credentialStore, type LoginEntry, type LoginPrompt } from '../../clients/mod.ts'
import type { PairgateOptions } from '../../src/mod.ts'
import { scopeFields } from './credentials.ts'
import { type LiveGate, listenGate } from './listen.ts'
import { plainEnvironment } from './runtimes.ts'

/** The file that `pairgate` is. */
export const LAUNCHER = fileURLToPath(new URL('../../clients/pairgate.js', import.meta.url))

/** How a run of the command went. */
export interface Ran {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** What a run of a program gets. */
export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
  readonly cwd?: string
}

/** Runs a program to its end. */
export async function runProgram(
  program: string,
  args: readonly string[],
  { env, input = '', cwd }: RunOptions,
): Promise<Ran> {
  const child = spawn(program, args, { env, cwd, stdio: ['pipe', 'pipe', 'pipe'] })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text
  })
  // one that reads nothing may be gone before
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

/** A server, and a person's machine. */
export interface CommandWorld {
  readonly gate: LiveGate
  /** Base URL of the server. */
  readonly server: string
  /** Where the logins are. */
  readonly directory: string
  /** The environment in which the command finds them. */
  readonly env: NodeJS.ProcessEnv
  /** Runs the command. */
  run(args: readonly string[], options?: RunOptions): Promise<Ran>
  /** Signs somebody in at the server, and keeps the login as the active one. */
  login(name: string, how?: LoginHow): Promise<LoginEntry & { readonly access_token: string }>
  close(): Promise<void>
}

/** How somebody is signed in. */
export interface LoginHow {
  readonly via?: 'device' | 'link'
  readonly scope?: string
  readonly clientId?: string
}

/**
 * Starts a server with an empty folder for logins.
 *
 * @param options With a `baseUrl`, something of the test's own has to listen there.
 * @param mount Path of the base URL; empty for the root.
 */
export async function createCommandWorld(
  options: Partial<PairgateOptions> = {},
  mount = '/auth',
): Promise<CommandWorld> {
  const gate = await listenGate(() => options, mount)
  const server = options.baseUrl ?? gate.base
  const home = mkdtempSync(join(tmpdir(), 'pairgate-command-'))
  const directory = join(home, 'config')
  const own = Object.entries(plainEnvironment()).filter(([name]) => !name.startsWith('npm_'))
  const env = {
    ...Object.fromEntries(own),
    HOME: home,
    PAIRGATE_CONFIG_DIR: directory,
    PAIRGATE_CREDENTIAL_STORE: 'file',
    PAIRGATE_SERVER: server,
  }
  const store = credentialStore({ name: 'pairgate', mode: 'file', directory })
  return {
    gate,
    server,
    directory,
    env,
    run: async (args, { env: more = {}, ...rest } = {}) =>
      await runProgram(process.execPath, [LAUNCHER, ...args], { ...rest, env: { ...env, ...more } }),
    async login(name, { via = 'device', scope, clientId = 'pairgate-cli' } = {}) {
      const client = createClient({ server, clientId, name: 'pairgate', store, token: null })
      const person = gate.browser()
      await person.post(`${mount}/sign-in/dev`, { username: name })
      let decided: Promise<Response> | undefined
      const login = await client.login({
        via,
        scope,
        browser: false,
        onPrompt: ({ url }: LoginPrompt) => {
          decided = person.decide(url, 'allow', scopeFields(scope))
        },
        async wait() {
          await decided
        },
      })
      return { ...login, access_token: (await client.access())?.access_token ?? '' }
    },
    async close() {
      await gate.close()
      await gate.gate.close()
      rmSync(home, { recursive: true, force: true })
    },
  }
}
