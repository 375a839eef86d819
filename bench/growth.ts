/**
 * What a poll, an authorization, a verification and a purge cost with 1,000 to 1,000,000 waiting logins and as many live
 * credentials in the tables; and how many bytes a login that waits takes in a SQLite file.
 *
 * `npm run bench:growth` writes it into `bench/results.md`; with `--quick` it ends at 100,000 and only prints.
 *
 * @module
 */

import { mkdtempSync, rmSync, statfsSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { DatabaseSync } from 'node:sqlite'
import { parseArgs } from 'node:util'
import { sqlite } from '../adapters/sqlite.ts'
import { createPairgate, type Log, type Pairgate, type PurgedKind, type Store } from '../src/mod.ts'
import { deviceCodeOf, type FilledTable, fill, keyOf } from '../test/support/filled.ts'
import { type GrowingDatabase, growingD1, growingMariaDb, growingSqlite } from './growth_databases.ts'
import { writeSection } from './results.ts'

const SIZES = [1_000, 10_000, 100_000, 1_000_000]
/** Far from a real one: the tables are full of logins that wait at this time. */
const NOW = 1_800_000_000_000
const DAY = 86_400_000
const FILLED: FilledTable[] = ['users', 'grants', 'credentials']
/** What stands beside them, up to a size: nothing looks for a row of it. */
const BESIDE: FilledTable[] = ['limits', 'events']
const MOST_BESIDE = 100_000
/** Bytes on the disk that must be free for the largest size. */
const ROOM = 8e9

const ROUNDS = 3
/** Rows that a purge deletes with a statement. */
const BATCH = 100
const PURGES = 6
/** The number of the first row that is old. */
const OLD = 2_000_000

/** What doing something costs, in microseconds. */
interface Cost {
  /** CPU time of this process, and of the database's server. */
  readonly cpu: number
  readonly serverCpu: number
  readonly p50: number
  readonly p99: number
}
type Costs = Record<string, Cost>

/** Says how far it is. */
type Tell = (text: string) => void

const BASE = 'http://127.0.0.1:8787'
const nothing = () => {}
const QUIET: Log = { debug: nothing, info: nothing, warn: nothing, error: console.error }

function createGate(database: Store, now: () => number): Pairgate {
  return createPairgate({
    baseUrl: BASE,
    secrets: ['growth-secret-growth-secret-grow'],
    database,
    now,
    identify: () => null,
    log: QUIET,
    limits: { startPerMinute: 1e6, pendingPerAddress: 1e6, pendingTotal: 1e6 },
  })
}

async function post(gate: Pairgate, path: string, form: Record<string, string>) {
  const body = new URLSearchParams({ client_id: 'pairgate-cli', ...form })
  const request = new Request(BASE + path, { method: 'POST', body })
  const response = await gate.fetch(request, { remoteAddress: '127.0.0.1' })
  return (await response.json()) as Record<string, unknown>
}

function expect(isRight: boolean, what: string, found: unknown): void {
  if (!isRight) throw new Error(`${what}: got ${JSON.stringify(found)}`)
}

/** What is done to the n-th row; each checks its answer. */
const OPERATE: Record<string, (gate: Pairgate, n: number) => Promise<void>> = {
  async poll(gate, n) {
    const form = { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: deviceCodeOf(n) }
    const { error } = await post(gate, '/oauth/device/token', form)
    expect(error === 'authorization_pending', 'A poll', error)
  },
  async authorization(gate) {
    const answer = await post(gate, '/oauth/device/authorize', {})
    expect(typeof answer.device_code === 'string', 'An authorization', answer)
  },
  async verification(gate, n) {
    const headers = { authorization: `Bearer ${keyOf(n)}` }
    const who = await gate.authenticate(new Request(BASE, { headers }))
    expect(who?.credential.hint.endsWith(keyOf(n).slice(-4)) === true, 'A verification', who)
  },
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0
const percentile = (values: readonly number[], share: number) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length * share)] ?? 0

/** Does something many times in rounds, one after the other, with what each takes before and apart. */
async function measure(
  database: GrowingDatabase,
  times: number,
  prepare: (round: number) => Promise<(() => Promise<unknown>)[]>,
): Promise<Cost> {
  const cpus: number[] = []
  const serverCpus: number[] = []
  const latencies: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const operations = await prepare(round)
    const server = database.serverCpu()
    const before = process.cpuUsage()
    for (const operation of operations) {
      const start = performance.now()
      await operation()
      latencies.push((performance.now() - start) * 1000)
    }
    const { user, system } = process.cpuUsage(before)
    cpus.push((user + system) / times)
    serverCpus.push((database.serverCpu() - server) / times)
  }
  return {
    cpu: median(cpus),
    serverCpu: median(serverCpus),
    p50: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
  }
}

/** Deletes rows that ended long ago from tables that are full of others: one statement of 200 rows each time. */
function measurePurge(
  database: GrowingDatabase,
  store: Store,
  kind: PurgedKind,
  from: number,
): Promise<Cost> {
  const rows = PURGES * BATCH
  return measure(database, PURGES, async (round) => {
    // where there are no others
    const start = 10 * from + OLD + round * rows
    await database.fill((add) =>
      fill(add, [kind as FilledTable], { from: start, to: start + rows, now: NOW - 40 * DAY }),
    )
    return Array.from({ length: PURGES }, () => async () => {
      const gone = await store.purge(kind, NOW - DAY, BATCH)
      expect(gone === BATCH, 'A purge', gone)
    })
  })
}

/** Rows all over the table, each once. */
function choose(size: number, count: number, seed: number): number[] {
  const step = Math.max(1, Math.floor(size / count))
  return Array.from({ length: count }, (_, i) => (i * step + seed) % size)
}

async function measureAll(database: GrowingDatabase, size: number, now: number): Promise<Costs> {
  const store = await database.open()
  const gate = createGate(store, () => now)
  const costs: Costs = {}
  try {
    for (const [name, operate] of Object.entries(OPERATE)) {
      const rounds = (round: number) =>
        choose(size, database.operations, round * 31 + 7).map((n) => () => operate(gate, n))
      // once before, so that no size has to pay for what is loaded and compiled only then
      for (const operation of rounds(ROUNDS)) await operation()
      costs[name] = await measure(database, database.operations, async (round) => rounds(round))
    }
    for (const kind of ['grants', 'credentials'] as const)
      costs[`purge of ${BATCH} ${kind}`] = await measurePurge(database, store, kind, size)
  } finally {
    await gate.close()
  }
  return costs
}

async function grow(create: () => Promise<GrowingDatabase>, sizes: readonly number[], tell: Tell) {
  const database = await create()
  try {
    await (await database.open()).close()
    const costs = new Map<number, Costs>()
    let [from, now] = [0, NOW]
    for (const size of sizes) {
      tell(`${database.name}: ${size} rows`)
      await database.fill(async (add) => {
        await fill(add, FILLED, { from, to: size, now: NOW })
        await fill(add, BESIDE, { from, to: Math.min(size, MOST_BESIDE), now: NOW })
      })
      from = size
      // the pace of each grant's polls is kept
      now += 6_000
      costs.set(size, await measureAll(database, size, now))
    }
    return { name: database.name, costs }
  } finally {
    await database.remove()
  }
}

const figure = (value: number) => (value < 10 ? value.toFixed(1) : String(Math.round(value)))
const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`

/** A table of one database: a line for each figure, a column for each size. */
function table({ name, costs }: Awaited<ReturnType<typeof grow>>): string {
  const sizes = [...costs.keys()]
  const line = (what: string, of: (costs: Costs) => number) => {
    const values = [...costs.values()].map(of)
    const times = (values.at(-1) ?? 0) / (values[0] ?? 1)
    return row([what, ...values.map(figure), times.toFixed(2)])
  }
  const names = Object.keys(costs.get(sizes[0] ?? 0) ?? {})
  const hasServer = [...costs.values()].some((all) => names.some((one) => (all[one]?.serverCpu ?? 0) > 0))
  return [
    `### ${name}\n`,
    row(['µs', ...sizes.map((size) => size.toLocaleString('en')), 'last : first']),
    `|---${'|--:'.repeat(sizes.length + 1)}|`,
    ...names.flatMap((one) => [
      line(`${one}: CPU`, (all) => all[one]?.cpu ?? 0),
      ...(hasServer ? [line(`${one}: CPU of the server`, (all) => all[one]?.serverCpu ?? 0)] : []),
      line(`${one}: p50`, (all) => all[one]?.p50 ?? 0),
      line(`${one}: p99`, (all) => all[one]?.p99 ?? 0),
    ]),
  ].join('\n')
}

/** Starts logins by the door, and tells what each takes in the file, part by part. */
async function measureBytes(count: number): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-growth-'))
  try {
    const file = join(folder, 'bytes.db')
    const store = sqlite(file)
    await store.migrate()
    const empty = statSync(file).size
    const gate = createGate(store, Date.now)
    for (let i = 0; i < count; i++) await OPERATE.authorization?.(gate, i)
    await gate.close()
    const database = new DatabaseSync(file)
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)')
    const parts = database
      .prepare(
        `SELECT m.tbl_name AS name, sum(CASE WHEN m.type = 'table' THEN pgsize END) AS own, sum(pgsize) AS size
         FROM dbstat d JOIN sqlite_master m ON m.name = d.name GROUP BY 1 HAVING size > ? ORDER BY size DESC`,
      )
      .all(count)
      .map(({ name, own, size }) => ({ name: String(name), own: Number(own), size: Number(size) }))
    database.close()
    const each = (bytes: number) => figure(bytes / count)
    return [
      `### Bytes of a login that waits\n`,
      `${count.toLocaleString('en')} device authorizations with nothing but a \`client_id\`, in a SQLite file:\n`,
      row(['bytes each', 'rows', 'with indexes']),
      '|---|--:|--:|',
      ...parts.map(({ name, own, size }) => row([`\`${name}\``, each(own), each(size)])),
      row(['the whole file', '', each(statSync(file).size - empty)]),
    ].join('\n')
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const ABOUT = `So many logins wait in the tables, with as many live credentials, and up to 100,000 events and counters. One request
after the other, in process: ${ROUNDS} rounds, each with other rows. CPU is the median of the rounds, for one operation. A purge is one
statement that deletes ${BATCH} rows which ended long ago; nothing else goes on in the process meanwhile.`

/**
 * Measures all databases.
 *
 * @param options.isQuick Ends at 100,000 rows.
 * @param options.tell Says how far it is.
 * @returns The tables, for `writeSection`: title and Markdown.
 */
export async function measureGrowth(
  options: { isQuick?: boolean; tell?: Tell } = {},
): Promise<[title: string, text: string]> {
  const { isQuick = false, tell = nothing } = options
  const { bavail, bsize } = statfsSync(tmpdir())
  const hasRoom = bavail * bsize > ROOM
  if (!hasRoom) tell(`Less than ${ROOM / 1e9} GB are free in ${tmpdir()}: the largest size is left out`)
  const sizes = SIZES.filter((size) => size <= (isQuick || !hasRoom ? 100_000 : 1_000_000))
  const tables: string[] = []
  for (const create of [growingSqlite, growingMariaDb]) tables.push(table(await grow(create, sizes, tell)))
  tables.push(table(await grow(growingD1, sizes.slice(0, 2), tell)))
  tell('Bytes of a login that waits')
  tables.push(await measureBytes(isQuick ? 5_000 : 20_000))
  return ['Growth', [ABOUT, ...tables].join('\n\n')]
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { quick: { type: 'boolean' } } })
  const tell: Tell = (text) => console.error(`${Math.round(performance.now() / 1000)} s: ${text}`)
  const [title, text] = await measureGrowth({ isQuick: values.quick === true, tell })
  console.log(text)
  if (!values.quick) writeSection(title, `\`npm run bench:growth\`\n\n${text}`)
}
