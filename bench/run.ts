/**
 * Measures pairgate beside a hand-written floor, better-auth, oidc-provider and tRPC itself, on every runtime and database
 * that this machine has. Prints tables, and writes them into `bench/results.md`.
 *
 * `npm run bench` does all of it; `npm run bench -- --quick` is a first impression, in two minutes and with the greatest
 * noise; `--only A,D` does these jobs. The last two print only.
 *
 * - A device authorization; B polls, each answered `authorization_pending` or `slow_down`; C whole logins: all over HTTP.
 * - D credentials verified, over HTTP and in process; E from the person's click until the CLI has its credential.
 * - F memory with logins that wait and with polls that are held, bytes in the database, cold starts.
 * - G what it costs with up to a million rows in the tables; not with `--quick`, see growth.ts.
 * - R jobs A to E again, on other runtimes and databases.
 *
 * CPU time is that of the server's process from `/proc`, with all that it has started; a database server is not counted.
 *
 * @module
 */

import { execFileSync } from 'node:child_process'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { attempt, failures } from './failures.ts'
import type { Results } from './goals.ts'
import { measureGrowth } from './growth.ts'
import * as phases from './phases.ts'
import * as report from './report.ts'
import { writeSection } from './results.ts'
import { NODE, pathOf } from './servers.ts'

const JOBS = ['A', 'B', 'C', 'D', 'E', 'F', 'G', 'R']
const FULL = {
  rounds: 3,
  seconds: 3,
  warmUp: 2,
  logins: 200,
  pendingCodes: 100_000,
  heldPolls: 10_000,
  repeats: 3,
}
const QUICK = {
  rounds: 1,
  seconds: 0.4,
  warmUp: 0.4,
  logins: 40,
  pendingCodes: 2_000,
  heldPolls: 1_000,
  repeats: 1,
}

const { values } = parseArgs({ options: { quick: { type: 'boolean' }, only: { type: 'string' } } })
const isQuick = values.quick === true
const only = new Set(values.only?.toUpperCase().split(',') ?? JOBS)
const unknown = [...only].find((job) => !JOBS.includes(job))
if (unknown) throw new Error(`--only takes ${JOBS.join(', ')}; got "${unknown}"`)
const plan: phases.Plan = { ...(isQuick ? QUICK : FULL), only }
// what is many, or is steady in a moment
const HALF = { seconds: plan.seconds / 2, warmUp: plan.warmUp / 2 }
const began = performance.now()

const elapsed = () => Math.round((performance.now() - began) / 1000)

/** Says how far it is: on a terminal in one line. */
const tell: phases.Tell = (text) => {
  const line = text && `${elapsed()} s: ${text}`
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${line}`)
  else if (line) process.stderr.write(`${line}\n`)
}

async function measureAll(): Promise<Results> {
  const { measureNode, measureInProcess, measureMemory, measureColdStarts } = phases
  const isNode = ['A', 'B', 'C', 'D', 'E'].some((job) => only.has(job))
  const node = isNode ? await attempt('jobs A to E', null, () => measureNode(plan, tell)) : null
  const half = { ...plan, ...HALF }
  const inProcess = await attempt('job D in process', null, () => measureInProcess(half, tell))
  const memory = only.has('F') ? await attempt('memory', null, () => measureMemory(plan, tell)) : null
  const starts = only.has('F')
    ? await attempt('cold starts', null, () => measureColdStarts(plan, tell))
    : null
  return {
    ...phases.NOTHING,
    ...node,
    figures: new Map([...(node?.figures ?? []), ...(inProcess ?? [])]),
    ...memory,
    ...(starts && { coldStart: starts }),
  }
}

process.chdir(pathOf('..'))
// whoever leaves a folder behind removes it when the process exits; servers end by themselves then
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
// what people install is what is measured
execFileSync(process.execPath, [...NODE.slice(1), 'tools/build.ts'], {
  stdio: ['ignore', 'ignore', 'inherit'],
})
const results = await measureAll()
// each job takes eight servers there: a quick look is at logins
const there = only.size === 1 ? JOBS : isQuick ? ['C'].filter((job) => only.has(job)) : only
const elsewhere = only.has('R')
  ? await attempt('other runtimes and databases', null, () =>
      phases.measureElsewhere({ ...plan, ...HALF, only: new Set(there) }, tell),
    )
  : null
const growth = only.has('G') && !isQuick ? [await measureGrowth({ tell })] : []
tell('')

const about = report.describeRun(`npm run bench${isQuick ? ' -- --quick' : ''}`, plan)
const sections = [...report.writeUp(results, elsewhere), ...growth]
console.log(`${about}\n`)
for (const one of phases.MISSING) console.log(`${one}\n`)
for (const [title, text] of sections) console.log(`## ${title}\n\n${text}\n`)
if (!isQuick && !values.only) for (const [title, text] of sections) writeSection(title, `${about}\n\n${text}`)
console.log(`It took ${elapsed()} s.`)
for (const one of failures) console.log(`Failed: ${one}`)
if (failures.length > 0) process.exitCode = 1
