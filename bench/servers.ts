/** The servers that are measured: each a process of its own with a folder of its own, and what it takes. @module */

import { readdirSync, readFileSync } from 'node:fs'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { accepts, createGuarded, findFreePorts } from '../test/support/guarded.ts'
import { plainEnvironment } from '../test/support/runtimes.ts'

/** Runs a TypeScript file as `npm start` does. */
export const NODE = [process.execPath, '--import', import.meta.resolve('tsx')] as const

/** The path of a file beside this one, or above. */
export const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url))

/** A server that runs. */
export interface Server {
  readonly port: number
  /** Empty at the start, but for what the server has made. */
  readonly folder: string
  /** CPU time that it has used, in microseconds: user and system, with all that it has started. */
  cpu(): number
  /** Resident memory, in bytes, with all that it has started. */
  memory(): number
  /** Whether it still runs. */
  isRunning(): boolean
  /** What it has written to stderr. */
  output(): string
  /** Ends it and removes its folder. */
  stop(): Promise<void>
}

/** `USER_HZ`: what `/proc` counts in is the same on all Linux machines. */
const TICK = 10_000

const read = (pid: number, file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8')

/** A process and all that it has started. */
function family(pid: number): number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    read(pid, `task/${task}/children`).split(' ').filter(Boolean).map(Number),
  )
  return [pid, ...children.flatMap(family)]
}

/** CPU time of a process and all that it has started, in microseconds; proc(5) has the fields. */
export function cpuOf(pid: number): number {
  const ticks = family(pid).map((one) => {
    // the name of the program may have blanks
    const fields = read(one, 'stat')
      .replace(/^.*\) /s, '')
      .split(' ')
    return Number(fields[11]) + Number(fields[12])
  })
  return ticks.reduce((sum, one) => sum + one, 0) * TICK
}

/** Resident memory of a process and all that it has started, in bytes. */
export function memoryOf(pid: number): number {
  const sizes = family(pid).map((one) => Number(/VmRSS:\s+(\d+)/.exec(read(one, 'status'))?.[1] ?? 0))
  return sizes.reduce((sum, one) => sum + one, 0) * 1024
}

/** What a server is started with. */
export interface Start {
  readonly command: readonly string[]
  readonly env: Readonly<Record<string, string>>
}

/**
 * Starts a server. It ends with this process at the latest, however that ends.
 *
 * @param name For messages, and for the name of its folder.
 * @param make The command and its settings, made for a port and a folder. What it prints to stdout goes to `/dev/null`.
 * @returns Once it listens. Rejects with what it has written to stderr when it ends before.
 */
export async function startServer(
  name: string,
  make: (port: number, folder: string) => Promise<Start> | Start,
): Promise<Server> {
  const guarded = createGuarded(`bench-${name.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`)
  const [port = 0] = await findFreePorts(1)
  const { command, env } = await make(port, guarded.folder)
  const quiet = ['sh', '-c', `cd '${pathOf('..')}' && exec "$@" >/dev/null`, 'sh', ...command]
  guarded.start(quiet, { ...plainEnvironment(), ...env })
  await guarded
    .until(() => accepts(port))
    .catch((error) => guarded.remove().then(() => Promise.reject(error)))
  return {
    port,
    folder: guarded.folder,
    cpu: () => cpuOf(guarded.pid),
    memory: () => memoryOf(guarded.pid),
    isRunning: () => guarded.pid > 0,
    output: guarded.output,
    async stop() {
      await guarded.end('SIGTERM')
      await guarded.remove()
    },
  }
}
