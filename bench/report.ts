/** Writes up what was measured. @module */

import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { cpus, totalmem } from 'node:os'
import process from 'node:process'
import { BUN, DENO } from '../test/support/runtimes.ts'
import { failures } from './failures.ts'
import { cpuOf, type Effort, type Figures } from './figures.ts'
import { listGoals, type Results } from './goals.ts'
import type { Latency } from './jobs/latency.ts'
import type { Elsewhere } from './phases.ts'
import { pathOf } from './servers.ts'

/** The contenders on Node over SQLite, in the order of the columns. */
const NAMES = ['pairgate', 'floor', 'better-auth', 'oidc-provider', 'tRPC hello'] as const

/** Writes a table: the first column is of words, all others are of numbers. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(head),
    `|---|${head
      .slice(1)
      .map(() => '--:|')
      .join('')}`,
    ...rows.map(line),
  ].join('\n')
}

/** A number as a table has it: three digits or more, never an exponent. */
function plain(number: number | null | undefined): string {
  if (number == null || !Number.isFinite(number)) return '-'
  if (Math.abs(number) >= 100) return Math.round(number).toLocaleString('en')
  return number.toFixed(Math.abs(number) >= 10 ? 1 : 2).replace(/\.0+$/, '')
}

const versionOf = (program: string) =>
  existsSync(program)
    ? execFileSync(program, ['--version'], { encoding: 'utf8' })
        .split('\n', 1)[0]
        ?.replace(/^deno | \(.*/g, '')
    : 'missing'

const versionOfPackage = (name: string) => {
  const file = pathOf(`../node_modules/${name}/package.json`)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).version : 'missing'
}

/** What was measured on, and how. */
export function describeRun(command: string, { rounds, seconds }: Effort): string {
  const [cpu] = cpus()
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  const versions = ['better-auth', 'oidc-provider', '@trpc/server', 'workerd'].map(
    (name) => `${name} ${versionOfPackage(name)}`,
  )
  return [
    `\`${command}\`, ${new Date().toISOString().slice(0, 10)}. Medians of ${rounds} round${rounds === 1 ? '' : 's'}, in`,
    `each of which the contenders take turns; ${seconds} s a window, half of that in process and elsewhere; 32 connections`,
    'on loopback, every answer checked for status and body.',
    `${cpus().length} x ${cpu?.model.trim()}, ${gigabytes} GB, ${process.platform} ${process.arch}; Node ${process.version.slice(1)}`,
    `(SQLite ${process.versions.sqlite}), Deno ${versionOf(DENO)}, Bun ${versionOf(BUN)}; ${versions.join(', ')}.`,
  ].join('\n')
}

/** CPU time per request of each contender; how many floors and how much of the best peer pairgate's is. */
function cpuTable(figures: Figures, names: readonly string[]): string {
  const peers = names.filter((name) => name === 'better-auth' || name === 'oidc-provider')
  const rows = [...figures].map(([job, of]) => {
    const own = cpuOf(figures, job, 'pairgate')
    const found = peers.flatMap((name) => of.get(name)?.cpu ?? [])
    const best = found.length > 0 ? Math.min(...found) : Number.NaN
    const ratios = [own / cpuOf(figures, job, 'floor'), ...(peers.length > 0 ? [own / best] : [])]
    return [job, ...names.map((name) => plain(of.get(name)?.cpu)), ...ratios.map(plain)]
  })
  const ratios = ['pairgate / floor', ...(peers.length > 0 ? ['pairgate / best peer'] : [])]
  return table(['CPU µs', ...names, ...ratios], rows)
}

/** Requests or logins per second of each contender. */
function rateTable(figures: Figures, names: readonly string[]): string {
  const rows = [...figures].map(([job, of]) => [job, ...names.map((name) => plain(of.get(name)?.rate))])
  return table(['per second', ...names], rows)
}

/** How soon credentials arrive. */
function latencyTable(latencies: readonly (readonly [string, Latency])[]): string {
  const rows = latencies.map(([name, { p50, p99, polls }]) => [name, plain(p50), plain(p99), plain(polls)])
  return table(['E allowed until collected', 'p50, ms', 'p99, ms', 'polls each'], rows)
}

const megabytes = (bytes: number) => plain(bytes / 1e6)

/** Memory and bytes in the database. */
function memoryTable({ pending, pendingCodes }: Results): string {
  const rows = [...pending].map(([name, { atStart, memory, perGrant, inTable }]) => [
    name,
    megabytes(atStart),
    megabytes(memory),
    plain(perGrant),
    plain(inTable),
  ])
  const codes = pendingCodes.toLocaleString('en')
  return table(
    [
      'F',
      'MB at start',
      `MB with ${codes} codes`,
      'bytes each, whole file',
      'bytes each, their table and indexes',
    ],
    rows,
  )
}

const COLD_START = `From the start on an empty database to the first answer; that of others than pairgate with a
shell that starts them, and to the next 20 ms.`

/** Memory of held polls, and cold starts. */
function otherTables({ heldMemory, coldStart }: Results): string[] {
  const held = [...heldMemory].map(([name, one]) => [name, plain(one.held), plain(one.perPoll / 1000)])
  const starts = [...coldStart].map(([name, ms]) => [name, plain(ms)])
  return [
    ...(held.length > 0 ? [table(['F held polls', 'held at once', 'KB each'], held)] : []),
    ...(starts.length > 0 ? [COLD_START, table(['F cold start', 'first answer, ms'], starts)] : []),
  ]
}

/** The goals: what was to be reached, what was. Those of jobs that were not done are left out. */
function goalTable(results: Results): string {
  const rows = listGoals(results)
    .filter(({ value }) => Number.isFinite(value))
    .map(({ job, goal, value, limit, unit }) => {
      const met = Number.isFinite(limit) ? (value <= limit ? 'met' : '**missed**') : '-'
      return [job, goal, `${plain(limit)} ${unit}`.trim(), `${plain(value)} ${unit}`.trim(), met]
    })
  return table(['job', 'goal', 'at most', 'reached', ''], rows)
}

const NOTES = `- \`floor\` is \`bench/floor.ts\`: \`node:http\` and prepared statements by hand, with hashed secrets and guarded
  decisions; without checks of what came, limits, pages, an audit trail.
- pairgate is the built standalone server; limits that one machine's load would reach are raised, its log is the usual one
  and goes to \`/dev/null\`. In process it is \`gate.authenticate\`; the Request is there before.
- better-auth over \`node:sqlite\`, with device authorization and bearer tokens, its rate limiter off as it is by default
  outside production. Its codes end in sessions; API keys are a package of their own, which is not measured. Its
  \`/get-session\` stands for forward-auth.
- oidc-provider over SQLite by the adapter of \`bench/contenders/oidc_provider_server.ts\`; opaque tokens, no ID tokens, no
  second question after the click. It has no rate limiter, and no slow_down.
- All of them write ahead and synchronise as SQLite's \`NORMAL\` has it. Both peers take two requests for the click (page,
  decision), pairgate and the floor one.`

/** Writes it all up. Sections of what was not done are left out. */
export function writeUp(results: Results, elsewhere: Elsewhere | null): [title: string, text: string][] {
  const sections: [string, string][] = []
  const add = (title: string, ...texts: string[]) => sections.push([title, texts.join('\n\n')])
  const { figures, held, ordinary } = results
  const who = 'CPU time per request unless it says otherwise; the table below has who is who.'
  add('Goals', who, goalTable(results), ...failures.map((one) => `Failed, and left out: ${one}.`))
  const isMeasured = (name: string) => [...figures.values()].some((of) => of.has(name))
  const names = NAMES.filter(isMeasured)
  if (figures.size > 0) add('On Node over SQLite', NOTES, cpuTable(figures, names), rateTable(figures, names))
  const latencies = [
    ...[...held].map(([name, one]) => [`${name}, held poll`, one] as const),
    ...[...ordinary].map(([name, one]) => [`${name}, polls every 5 s`, one] as const),
  ]
  if (latencies.length > 0)
    add('From the click to the credential', 'Measured from the moment of the click.', latencyTable(latencies))
  if (results.pending.size > 0)
    add('Memory, database, cold start', memoryTable(results), ...otherTables(results))
  if (elsewhere) {
    const { names: places, figures: found, held: soon, missing } = elsewhere
    const texts = [
      'CPU time of pairgate: on workerd with the Node process before it, over MariaDB without the database server.',
      ...(found.size > 0 ? [cpuTable(found, places), rateTable(found, places)] : []),
      ...(soon.size > 0 ? [latencyTable([...soon])] : []),
      ...missing.map((one) => `Not measured: ${one}.`),
    ]
    add('On other runtimes and databases', ...texts)
  }
  return sections
}
