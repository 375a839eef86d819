/**
 * Measures pairgate beside others, prints tables and writes them into `bench/results.md`.
 *
 * `npm run bench` takes half an hour, `npm run bench -- --quick` two minutes; `--only A,D` does these jobs and writes
 * nothing.
 *
 * @module
 */

import process from 'node:process'
import { parseArgs } from 'node:util'
import { betterAuth } from './contenders/better_auth.ts'
import { floor } from './contenders/floor.ts'
import { oidcProvider } from './contenders/oidc_provider.ts'
import { pairgate } from './contenders/pairgate.ts'
import { trpcHello } from './contenders/trpc_hello.ts'
import type { Effort } from './figures.ts'
import { measureVerification } from './jobs/verify.ts'
import { measureRequests, startAll, stopAll } from './measure.ts'
import { cpuTable, rateTable } from './table.ts'

const FULL: Effort = { rounds: 3, seconds: 3, warmUp: 2 }
const QUICK: Effort = { rounds: 1, seconds: 0.8, warmUp: 0.6 }

const { values } = parseArgs({ options: { quick: { type: 'boolean' }, only: { type: 'string' } } })
const effort = values.quick ? QUICK : FULL
const only = new Set((values.only ?? 'A,B,C,D').toUpperCase().split(','))
const tell = (text: string) => process.stderr.write(`\r\x1b[K${text}`)

const all = await startAll([pairgate('pairgate'), floor, betterAuth, oidcProvider, trpcHello])
try {
  const names = all.map(({ name }) => name)
  const figures = await measureRequests(all, only, effort, tell)
  const inProcess = only.has('D') ? await measureVerification(['pairgate', 'floor'], effort, tell) : new Map()
  tell('')
  console.log(cpuTable(new Map([...figures, ...inProcess]), names, 'pairgate', 'floor'))
  console.log(rateTable(new Map([...figures, ...inProcess]), names))
} finally {
  await stopAll(all)
}
