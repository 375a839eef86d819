/** Runs all cases in a client of its own process, and reads what came of them; what the servers are told that it is run against. @module */

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { BUN, DENO, plainEnvironment, ROOT, type Runtime, TSX } from '../support/runtimes.ts'
import { CASES } from './cases.ts'

const CLIENT = join(ROOT, 'test/matrix/client.ts')

/** How each runtime is started as a client; Deno may do nothing but talk to the servers. */
export const CLIENTS: Record<Runtime, (hosts: string) => readonly string[]> = {
  node: () => [...TSX, CLIENT],
  deno: (hosts) => [DENO, 'run', '--no-prompt', '--no-lock', `--allow-net=${hosts}`, CLIENT],
  bun: () => [BUN, CLIENT],
}

const MANY = 1_000_000
/** Options of a server whose codes live for as long as people need. */
export const STEADY = {
  clients: { other: {}, offline: { refresh: true, scopes: ['read', 'write', 'pairgate:manage'] } },
  scopes: { read: 'Read', write: 'Write' },
  resourceServers: { api: { secret: 'matrix-resource-server-secret-32' } },
  pollSeconds: 1,
  limits: {
    startPerMinute: MANY,
    pendingPerAddress: MANY,
    pendingTotal: MANY,
    wrongCodesPerAccount: MANY,
    wrongCodesPerAddress: MANY,
    wrongCodesTotal: MANY,
    keysPerUser: MANY,
    sessionsPerUser: MANY,
  },
}
/** Options of one whose codes live for a few seconds: time enough to open a page, also on a busy machine. */
export const HASTY = { ...STEADY, deviceCodeSeconds: 8, paircodeSeconds: 8 }

/** What came of the cases, by name: null is good, a text says what went wrong. */
export type Outcome = ReadonlyMap<string, string | null>

/** Lets a few go ahead at once; the others wait for their turn. */
export function createTurns(room: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let free = room
  return async (work) => {
    if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve))
    else free--
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else free++
    }
  }
}

/** Runs a client to its end. */
export async function runClient(runtime: Runtime, bases: readonly string[]): Promise<Outcome> {
  const [program = '', ...args] = CLIENTS[runtime](bases.map((base) => new URL(base).host).join())
  const lines = await new Promise<string>((resolve) => {
    const options = { cwd: ROOT, env: plainEnvironment(), timeout: 60_000, maxBuffer: 2 ** 24 }
    execFile(program, [...args, ...bases], options, (error, stdout, stderr) =>
      resolve(error ? `${stdout}\n${error}\n${stderr}` : stdout),
    )
  })
  const outcome = new Map<string, string | null>()
  const others: string[] = []
  for (const line of lines.split('\n')) {
    if (!line.startsWith('{"name":')) {
      others.push(line)
      continue
    }
    const { name, failure } = JSON.parse(line) as { name: string; failure: string | null }
    outcome.set(name, failure)
  }
  for (const name of Object.keys(CASES))
    if (!outcome.has(name)) outcome.set(name, `This case did not end: ${others.join('\n').trim()}`)
  return outcome
}
