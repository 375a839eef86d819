/** From the start of each standalone server to its first answer, and what it holds in memory then. @module */

import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'

const ROUNDS = 7
const deno = `node_modules/@deno/linux-${process.arch}-glibc/deno`
const bun = `node_modules/@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : 'x64'}/bin/bun`
const SERVERS: Record<string, readonly string[]> = {
  'node, SQLite': [process.execPath, '--import', 'tsx', 'examples/serve.ts'],
  'deno, SQLite': [deno, 'task', 'serve'],
  'bun, SQLite': [bun, 'examples/serve.ts'],
  'workers, D1': [process.execPath, '--import', 'tsx', 'examples/workers/serve.ts'],
}

async function findPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address ? address.port : 0
}

/** Resident memory of a process and all that it started, in MB. */
function memory(pid: number): number {
  const read = (id: number, file: string) => readFileSync(`/proc/${id}/${file}`, 'utf8')
  const [, kilobytes = '0'] = /VmRSS:\s+(\d+)/.exec(read(pid, 'status')) ?? []
  const children = readdirSync(`/proc/${pid}/task`)
    .flatMap((task) => read(pid, `task/${task}/children`).trim().split(' '))
    .filter(Boolean)
  return children.reduce((sum, child) => sum + memory(Number(child)), Number(kilobytes) / 1024)
}

/** Starts a server on an empty database, waits for its first answer, and ends it. */
async function measure([program = '', ...args]: readonly string[]): Promise<{ ms: number; mb: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-bench-'))
  const port = await findPort()
  const kind = args.at(-1)?.includes('workers') ? 'd1' : 'sqlite'
  const start = performance.now()
  const child = spawn(program, args, {
    env: { ...process.env, PORT: String(port), DATABASE_URL: `${kind}:${join(folder, 'bench.db')}` },
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
    return { ms: performance.now() - start, mb: memory(child.pid ?? 0) }
  } finally {
    child.kill('SIGTERM')
    await ended
    rmSync(folder, { recursive: true })
  }
}

const median = (numbers: number[]) => Math.round(numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? 0)

const table: Record<string, object> = {}
for (const [name, command] of Object.entries(SERVERS)) {
  const rounds: { ms: number; mb: number }[] = []
  for (let i = 0; i < ROUNDS; i++) rounds.push(await measure(command))
  const times = rounds.map(({ ms }) => ms)
  table[name] = {
    'first answer, ms (median)': median(times),
    best: Math.round(Math.min(...times)),
    'memory, MB': median(rounds.map(({ mb }) => mb)),
  }
}
console.log(`From start to first answer, tables made, ${ROUNDS} rounds each`)
console.table(table)
