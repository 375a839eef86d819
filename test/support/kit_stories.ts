/** Programs that use the login kit, as processes of their own: from the sources, or in a project that has the package. @module */

import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { expect } from 'vitest'
import type { Login, LoginPrompt } from '../../clients/mod.ts'
import type { LiveGate } from './listen.ts'
import { BUN, DENO, plainEnvironment, ROOT, type Runtime } from './runtimes.ts'

/** How each runtime runs a program. Not by the program tsx: its child would outlive it. */
const RUNTIMES: Readonly<Record<Runtime, readonly string[]>> = {
  node: [process.execPath, '--import', 'tsx'],
  deno: [DENO, 'run', '--no-prompt', '--no-lock', '-A'],
  bun: [BUN],
}

/** Where the programs are. */
export interface Place {
  readonly cwd: string
  /** What is before the name of a program. */
  readonly prefix: string
  readonly node: readonly string[]
}

/** The checkout. */
export const SOURCES: Place = { cwd: ROOT, prefix: 'test/support/', node: RUNTIMES.node }

/** What `kit_login.ts` says. */
export interface Line {
  readonly prompt?: LoginPrompt
  readonly login?: Login
  readonly subject?: string
  readonly answer?: string
  readonly error?: string
  readonly browser?: string
  readonly logout?: { readonly error: unknown }
}

/** Starts programs, and ends those that are left. */
export function createPrograms({ cwd, prefix, node }: Place) {
  const children: ChildProcess[] = []
  const start = (runtime: Runtime, program: string, args: readonly string[], env = {}) => {
    const [file = '', ...before] = runtime === 'node' ? node : RUNTIMES[runtime]
    const child = spawn(file, [...before, `${prefix}${program}`, ...args], {
      cwd,
      env: { ...plainEnvironment(), ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    children.push(child)
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const next = async () => {
      const { value, done } = await lines.next()
      if (done) throw new Error(`${program} on ${runtime} ended`)
      return String(value)
    }
    return { next, write: (line: string) => child.stdin.write(`${line}\n`) }
  }
  return {
    /** A program that signs in; its lines come one by one. */
    login(
      runtime: Runtime,
      server: string,
      via: string,
      { folder = '', ...env }: Record<string, string> = {},
    ) {
      const { next } = start(runtime, 'kit_login.ts', [server, via, ...(folder ? [folder] : [])], env)
      return async (): Promise<Line> => JSON.parse(await next())
    },
    /** A program that makes a call with a login that it shares, each time that it is told how far the clock has gone on. */
    async caller(runtime: Runtime, server: string, folder: string) {
      const { next, write } = start(runtime, 'kit_fetch.ts', [server, folder])
      expect(await next()).toBe('ready')
      return async (ahead: number): Promise<string> => {
        write(String(ahead))
        return await next()
      }
    },
    end() {
      for (const child of children.splice(0)) child.kill('SIGKILL')
    },
  }
}

/** Alice allows what a prompt names. */
export async function allowAs(gate: LiveGate, name: string, { url }: LoginPrompt): Promise<Response> {
  const person = gate.browser()
  await person.post('/auth/sign-in/dev', { username: name })
  const { pathname, search } = new URL(url)
  return await person.decide(pathname + search, 'allow')
}

/** What a gate must be like for {@link shareLogin}. */
export const SHARED = { clients: { mytool: { refresh: true } }, accessSeconds: 600 }

/**
 * Ten programs share a login over five expiries, each met by one refresh, until it is revoked.
 *
 * @param folder Has a file of logins, with one of alice's at `gate` by the client `mytool`.
 */
export async function shareLogin(
  gate: LiveGate,
  folder: string,
  programs: ReturnType<typeof createPrograms>,
  signOut: () => Promise<unknown>,
): Promise<void> {
  const runtimes: Runtime[] = [...Array<Runtime>(6).fill('node'), 'deno', 'deno', 'bun', 'bun']
  const callers = await Promise.all(runtimes.map((one) => programs.caller(one, gate.base, folder)))
  const count = (type: string) => gate.rows('select id from events where type = ?', type).length
  const before = count('refreshed')
  for (let expiry = 1; expiry <= 5; expiry++) {
    gate.advance(601)
    const answers = await Promise.all(callers.map((call) => call(601 * expiry)))
    expect(answers).toEqual(callers.map(() => '200 You are authenticated as: alice'))
    expect(count('refreshed') - before).toBe(expiry)
  }
  expect(count('replayed')).toBe(0)
  await signOut()
  const after = await Promise.all(callers.map((call) => call(601 * 5)))
  expect(after.filter((line) => !line.startsWith('failed: not_signed_in'))).toEqual([])
}
