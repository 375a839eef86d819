/** From the start of each standalone server to its first answer, and what it costs. Run: `npm run bench:cold-start`. @module */

import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

const ROUNDS = 9
const deno = `node_modules/@deno/linux-${process.arch}-glibc/deno`
const bun = `node_modules/@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : 'x64'}/bin/bun`
/** What `npm run build` makes, and people install: `pairgate-server`. */
const BUILT = 'dist/server.js'
const SERVERS: Record<string, readonly string[]> = {
  'node, built': [process.execPath, BUILT],
  'node, built, compiled before': [process.execPath, BUILT],
  'deno, built': [deno, 'run', '-A', BUILT],
  'bun, built': [bun, BUILT],
  'node, npm start': [process.execPath, '--import', 'tsx', 'examples/serve.ts'],
  'deno, task serve': [deno, 'task', 'serve'],
  'bun, serve.ts': [bun, 'examples/serve.ts'],
  'workers and D1': [process.execPath, '--import', 'tsx', 'examples/workers/serve.ts'],
}
const TICKS = Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))

/** What a server has cost at its first answer, with all that it started. */
export interface Start {
  /** From the spawn to the first answer, in milliseconds. */
  readonly ms: number
  /** User and system time, in milliseconds. */
  readonly cpu: number
  /** Resident memory, in MB. */
  readonly mb: number
}

async function findPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}

/** What a process and all that it started have used. */
function usage(pid: number): Omit<Start, 'ms'> {
  const read = (id: number, file: string) => readFileSync(`/proc/${id}/${file}`, 'utf8')
  const [, kilobytes = '0'] = /VmRSS:\s+(\d+)/.exec(read(pid, 'status')) ?? []
  // after the name, which may hold anything: the state is field 3, user and system time are 14 and 15 (proc(5))
  const fields = read(pid, 'stat').replace(/.*\) /s, '').split(' ')
  const own = {
    mb: Number(kilobytes) / 1024,
    cpu: ((Number(fields[11]) + Number(fields[12])) / TICKS) * 1000,
  }
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => read(pid, `task/${task}/children`).trim().split(' '))
    .filter(Boolean)
    .map((child) => usage(Number(child)))
    .reduce((sum, { mb, cpu }) => ({ mb: sum.mb + mb, cpu: sum.cpu + cpu }), own)
}

/**
 * Starts a standalone server on an empty database of its own, waits until `/readyz` answers 200, and ends it.
 *
 * @param command The program and its arguments.
 * @param env Variables besides those of this process; `PORT` and `DATABASE_URL` are set here.
 * @throws {Error} When the server ends by itself.
 */
export async function measureStart(
  [program = '', ...args]: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Start> {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-bench-'))
  const port = await findPort()
  const kind = args.at(-1)?.includes('workers') ? 'd1' : 'sqlite'
  const start = performance.now()
  const child = spawn(program, args, {
    env: {
      ...process.env,
      PORT: String(port),
      DATABASE_URL: `${kind}:${join(folder, 'bench.db')}`,
      ...env,
    },
    stdio: 'ignore',
  })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  try {
    for (;;) {
      const response = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => null)
      if (response?.ok) break
      if (child.exitCode !== null)
        throw new Error(`${program} ${args.join(' ')} ended with ${child.exitCode}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
    return { ms: performance.now() - start, ...usage(child.pid ?? 0) }
  } finally {
    child.kill('SIGTERM')
    await ended
    rmSync(folder, { recursive: true })
  }
}

const median = (numbers: number[]) => Math.round(numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0)

async function main(): Promise<void> {
  execFileSync(process.execPath, ['--import', 'tsx', 'tools/build.ts'], { stdio: 'inherit' })
  const cache = mkdtempSync(join(tmpdir(), 'pairgate-bench-'))
  const table: Record<string, object> = {}
  for (const [name, command] of Object.entries(SERVERS)) {
    const env = name.endsWith('before') ? { NODE_COMPILE_CACHE: cache } : {}
    // the files are read, and the cache is filled
    await measureStart(command, env)
    const rounds: Start[] = []
    for (let i = 0; i < ROUNDS; i++) rounds.push(await measureStart(command, env))
    const times = rounds.map(({ ms }) => ms)
    table[name] = {
      'first answer, ms (median)': median(times),
      best: Math.round(Math.min(...times)),
      'CPU, ms': median(rounds.map(({ cpu }) => cpu)),
      'memory, MB': median(rounds.map(({ mb }) => mb)),
    }
  }
  rmSync(cache, { recursive: true })
  console.log(`From start to first answer, tables made, ${ROUNDS} rounds each`)
  console.table(table)
}

if (import.meta.main) await main()
