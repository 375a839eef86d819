/** What was to be reached, and whether it was. @module */

import { cpuOf, type Figures, JOB, type JobName } from './figures.ts'
import type { Latency } from './jobs/latency.ts'
import type { HeldMemory, Pending } from './jobs/memory.ts'

/** All that was measured, on Node over SQLite. What was not is missing. */
export interface Results {
  readonly figures: Figures
  /** By contender, by ordinary polling. */
  readonly ordinary: ReadonlyMap<string, Latency>
  /** By contender, by held polls. */
  readonly held: ReadonlyMap<string, Latency>
  /** By contender, with {@link Results.pendingCodes}. */
  readonly pending: ReadonlyMap<string, Pending>
  readonly pendingCodes: number
  /** By contender. */
  readonly heldMemory: ReadonlyMap<string, HeldMemory>
  /** From the start to the first answer, in milliseconds. */
  readonly coldStart: ReadonlyMap<string, number>
}

/** A goal: a number that another one must not exceed. */
export interface Goal {
  readonly job: string
  readonly goal: string
  readonly value: number
  readonly limit: number
  readonly unit: string
}

const PEERS = ['better-auth', 'oidc-provider']

/** Goals for CPU time: so many times that of somebody. */
function cpuGoals({ figures }: Results): Goal[] {
  const own = (job: JobName) => cpuOf(figures, job, 'pairgate')
  const times = (job: JobName, factor: number, whose: string, of: JobName = job): Goal => {
    const part = factor < 1 ? `1/${Math.round(1 / factor)}` : `${factor} x`
    const what = of === job ? '' : ` (${of.slice(2)})`
    return {
      job,
      goal: `at most ${part} ${whose}${what}`,
      value: own(job),
      limit: factor * cpuOf(figures, of, whose),
      unit: 'µs',
    }
  }
  const trpc = (goal: string, limit: number): Goal => {
    return { job: JOB.pollTrpc, goal, value: own(JOB.pollTrpc), limit, unit: 'µs' }
  }
  const peerPolls = PEERS.map((name) => cpuOf(figures, JOB.pollForm, name))
  return [
    times(JOB.authorize, 1.6, 'floor'),
    times(JOB.authorize, 1 / 2, 'oidc-provider'),
    times(JOB.pollForm, 1.5, 'floor'),
    times(JOB.pollForm, 1 / 2, 'oidc-provider'),
    trpc(
      'at most tRPC hello and 60 % of the floor',
      cpuOf(figures, JOB.pollTrpc, 'tRPC hello') + 0.6 * cpuOf(figures, JOB.pollForm, 'floor'),
    ),
    trpc("less than every peer's poll", Math.min(...peerPolls)),
    times(JOB.slowDown, 1.8, 'floor'),
    times(JOB.login, 2, 'floor'),
    times(JOB.login, 1 / 3, 'oidc-provider'),
    times(JOB.key, 1.5, 'floor'),
    times(JOB.key, 1, 'oidc-provider'),
    times(JOB.session, 1.5, 'floor'),
    times(JOB.session, 1 / 15, 'better-auth'),
    times(JOB.forward, 2, 'floor'),
    times(JOB.forward, 1 / 4, 'oidc-provider', JOB.introspect),
    times(JOB.introspect, 2, 'floor'),
    times(JOB.introspect, 1 / 4, 'oidc-provider'),
    times(JOB.malformed, 1, 'floor'),
  ]
}

function latencyGoals({ held, ordinary }: Results): Goal[] {
  const own = held.get('pairgate')
  const job = 'E allowed until collected, held poll'
  const soonest = Math.min(...PEERS.map((name) => ordinary.get(name)?.p50 ?? Number.NaN))
  const { p50 = Number.NaN, p99 = Number.NaN, polls = Number.NaN } = own ?? {}
  return [
    { job, goal: 'p50', value: p50, limit: 30, unit: 'ms' },
    { job, goal: 'p99', value: p99, limit: 250, unit: 'ms' },
    { job, goal: 'requests', value: polls, limit: 1, unit: '' },
    { job, goal: "p50, 1/50 of every peer's", value: p50, limit: soonest / 50, unit: 'ms' },
  ]
}

const MB = 1_000_000
const KB = 1_000

function memoryGoals({ pending, pendingCodes, heldMemory, coldStart }: Results): Goal[] {
  const { memory = Number.NaN, inTable } = pending.get('pairgate') ?? {}
  const per = (name: string) => (heldMemory.get(name)?.perPoll ?? Number.NaN) / KB
  const codes = pendingCodes.toLocaleString('en')
  return [
    { job: 'F memory', goal: `with ${codes} pending codes`, value: memory / MB, limit: 130, unit: 'MB' },
    {
      job: 'F memory',
      goal: 'per held poll, beyond that of node:http',
      value: per('pairgate') - per('node:http'),
      limit: 8,
      unit: 'KB',
    },
    {
      job: 'F database',
      // the audit trail and the counters are in the file, too: see the table
      goal: 'per pending grant, its row and indexes',
      value: inTable ?? Number.NaN,
      limit: 340,
      unit: 'bytes',
    },
    {
      job: 'F cold start',
      goal: 'of the built standalone server',
      value: coldStart.get('pairgate-server, built') ?? Number.NaN,
      limit: 200,
      unit: 'ms',
    },
  ]
}

/** The goals, each with what was reached. */
export function listGoals(results: Results): Goal[] {
  return [...cpuGoals(results), ...latencyGoals(results), ...memoryGoals(results)]
}
