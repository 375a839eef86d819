/** A server that kills itself at one place, as by `kill -9`; see faults.ts. Run as a process of its own. @module */

import { serve } from '../../adapters/node.ts'
import { createPairgate, type Pairgate } from '../../src/mod.ts'
import { type CrashServerSettings, type FaultPoint, watchGate, watchSqlite } from './faults.ts'
import { SECRET } from './gate.ts'

const { file, fault, now, limits } = JSON.parse(process.env.CRASH_SERVER ?? '{}') as CrashServerSettings

const watch = (point: FaultPoint) => {
  if (point === fault) process.kill(process.pid, 'SIGKILL')
}

let gate: Pick<Pairgate, 'fetch'> | undefined
const server = await serve(
  {
    fetch: async (request, info) => (await gate?.fetch(request, info)) ?? new Response(null, { status: 503 }),
  } as Pairgate,
  { hostname: '127.0.0.1', port: 0 },
)
const base = `http://127.0.0.1:${server.port}`
const pairgate = createPairgate({
  baseUrl: base,
  secrets: [SECRET],
  database: watchSqlite(file, watch),
  devSignIn: true,
  limits,
  ...(now !== undefined && { now: () => now }),
})
gate = watchGate(pairgate, watch)
process.stdin.resume().once('end', () => process.exit(0))
console.log(base)
