/** The parts of a run, in their order. Each starts what it needs and ends it. @module */

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type MariaDb, startMariaDb } from '../test/support/mariadb.ts'
import { whyNot } from '../test/support/runtimes.ts'
import { measureStart } from './cold_start.ts'
import type { Contender, Running } from './contender.ts'
import { bareHttp } from './contenders/bare_http.ts'
import { betterAuth } from './contenders/better_auth.ts'
import { floor } from './contenders/floor.ts'
import { oidcProvider } from './contenders/oidc_provider.ts'
import { BUILT, COMMANDS, pairgate, type Runtime } from './contenders/pairgate.ts'
import { trpcHello } from './contenders/trpc_hello.ts'
import { createConnection, createWire } from './driver.ts'
import { attempt } from './failures.ts'
import { type Effort, type Figures, median } from './figures.ts'
import type { Results } from './goals.ts'
import { type Latency, measureLatency } from './jobs/latency.ts'
import { type HeldMemory, measureHeld, measurePending, mostConnections, type Pending } from './jobs/memory.ts'
import { measureVerification } from './jobs/verify.ts'
import { measureRequests, startAll, stopAll } from './measure.ts'
import { NODE, pathOf } from './servers.ts'

/** How much is done. */
export interface Plan extends Effort {
  /** Letters of the jobs; `R` is the same jobs on other runtimes and databases. */
  readonly only: ReadonlySet<string>
  /** Logins of job E. */
  readonly logins: number
  readonly pendingCodes: number
  readonly heldPolls: number
  /** How often memory of held polls is measured, and cold starts. */
  readonly repeats: number
}

/** Says how far it is. */
export type Tell = (text: string) => void

const OWN = pairgate('pairgate')

/** Whether the package that a contender takes is installed. */
const isInstalled = ({ needs }: Contender) =>
  !needs || existsSync(pathOf(`../node_modules/${needs.replace(/@[^@]+$/, '')}/package.json`))

const CONTENDERS = [OWN, floor, betterAuth, oidcProvider].filter(isInstalled)

/** What is missing for a comparison, and how to get it. */
export const MISSING = [betterAuth, oidcProvider].flatMap((one) =>
  isInstalled(one) ? [] : [`${one.name} is not installed: npm install --no-save ${one.needs}`],
)

/** Nothing measured. */
export const NOTHING: Results = {
  figures: new Map(),
  ordinary: new Map(),
  held: new Map(),
  pending: new Map(),
  pendingCodes: 0,
  heldMemory: new Map(),
  coldStart: new Map(),
}

const hasRequests = ({ only }: Plan) => ['A', 'B', 'C', 'D'].some((job) => only.has(job))

/** How soon credentials arrive, by contender. */
type Latencies = ReadonlyMap<string, Latency>

async function measureHeldLogins(all: readonly Running[], { logins }: Plan, tell: Tell): Promise<Latencies> {
  const found = new Map<string, Latency>()
  for (const running of all) {
    tell(`E held polls: ${running.name}`)
    const latency = await attempt(`${running.name}, held polls`, running.server, () =>
      measureLatency(running, { logins, isHeld: true }),
    )
    if (latency) found.set(running.name, latency)
  }
  return found
}

/** People who click at another instance than the one that holds the poll; both have the same database. */
async function measureTwoInstances(running: Running, { logins }: Plan, tell: Tell): Promise<Latencies> {
  const name = `${running.name}, allowed at another instance`
  tell(`E held polls: ${name}`)
  const file = join(running.server.folder, OWN.stored?.file ?? '')
  const others = await startAll([pairgate(name, 'Node', () => `sqlite:${file}`)])
  try {
    const latency = await measureLatency(running, { logins, isHeld: true, clickAt: others[0] })
    return new Map(latency ? [[name, latency]] : [])
  } finally {
    await stopAll(others)
  }
}

/** All at once, because all that they do is to wait. */
async function measureOrdinaryLogins(
  all: readonly Running[],
  { logins }: Plan,
  tell: Tell,
): Promise<Latencies> {
  tell('E ordinary polls')
  const found = await Promise.all(
    all.map(
      async (running) => [running.name, await measureLatency(running, { logins, isHeld: false })] as const,
    ),
  )
  return new Map(found.flatMap(([name, latency]) => (latency ? [[name, latency] as const] : [])))
}

/** Jobs A to E on Node over SQLite. Only pairgate holds polls. */
export async function measureNode(
  plan: Plan,
  tell: Tell,
): Promise<Pick<Results, 'figures' | 'held' | 'ordinary'>> {
  const all = await startAll([...CONTENDERS, trpcHello])
  try {
    const figures = hasRequests(plan) ? await measureRequests(all, plan, tell) : new Map()
    if (!plan.only.has('E')) return { figures, held: new Map(), ordinary: new Map() }
    const own = all.filter(({ name }) => name === OWN.name)
    const held = await measureHeldLogins(own, plan, tell)
    const apart = own[0] ? await measureTwoInstances(own[0], plan, tell) : new Map()
    const ordinary = await measureOrdinaryLogins(all, plan, tell)
    return { figures, held: new Map([...held, ...apart]), ordinary }
  } finally {
    await stopAll(all)
  }
}

/** Job D in process. */
export async function measureInProcess(plan: Plan, tell: Tell): Promise<Figures> {
  if (!plan.only.has('D')) return new Map()
  const names = CONTENDERS.map(({ name }) => name)
  return await measureVerification(names, plan, tell)
}

/** What was found out about pairgate elsewhere. */
export interface Elsewhere {
  readonly names: readonly string[]
  readonly figures: Figures
  readonly held: Latencies
  /** What could not be measured on this machine, and why. */
  readonly missing: readonly string[]
}

/** Pairgate on each runtime and database that this machine has. */
async function listElsewhere(
  missing: string[],
): Promise<{ contenders: Contender[]; mariaDb: MariaDb | null }> {
  const mariaDb = await startMariaDb().catch((error: Error) => {
    missing.push(`MariaDB: ${error.message.split('\n', 1)[0]}`)
    return null
  })
  const contenders: Contender[] = []
  for (const runtime of ['Node', 'Deno', 'Bun', 'workerd'] as const satisfies Runtime[]) {
    const reason = whyNot(COMMANDS[runtime])
    if (reason) missing.push(`${runtime}: ${reason}`)
    else if (runtime === 'workerd') contenders.push(pairgate('workerd, D1', runtime))
    else {
      contenders.push(pairgate(runtime === 'Node' ? 'pairgate' : runtime, runtime))
      if (mariaDb) contenders.push(pairgate(`${runtime}, MariaDB`, runtime, () => mariaDb.createDatabase()))
    }
  }
  return { contenders, mariaDb }
}

/** The jobs of the plan, on other runtimes and databases; beside the floor, and pairgate on Node over SQLite. */
export async function measureElsewhere(plan: Plan, tell: Tell): Promise<Elsewhere> {
  const missing: string[] = []
  const { contenders, mariaDb } = await listElsewhere(missing)
  try {
    const all = await startAll([...contenders, floor])
    try {
      const figures = hasRequests(plan) ? await measureRequests(all, plan, tell) : new Map()
      const held = plan.only.has('E')
        ? await measureHeldLogins(
            all.filter(({ name }) => name !== floor.name),
            plan,
            tell,
          )
        : new Map()
      return { names: all.map(({ name }) => name), figures, held, missing }
    } finally {
      await stopAll(all)
    }
  } finally {
    await mariaDb?.remove()
  }
}

/** Memory and database of job F. */
export async function measureMemory(
  { pendingCodes, heldPolls, repeats }: Plan,
  tell: Tell,
): Promise<Pick<Results, 'pending' | 'heldMemory' | 'pendingCodes'>> {
  const pending = new Map<string, Pending>()
  for (const contender of CONTENDERS) {
    tell(`F ${pendingCodes} pending codes: ${contender.name}`)
    pending.set(contender.name, await measurePending(contender, pendingCodes))
  }
  const count = Math.min(heldPolls, mostConnections())
  const found = new Map<string, HeldMemory[]>()
  for (let i = 1; i <= repeats; i++) {
    for (const contender of [OWN, bareHttp]) {
      tell(`F ${count} held polls, ${i} of ${repeats}: ${contender.name}`)
      found.set(contender.name, [...(found.get(contender.name) ?? []), await measureHeld(contender, count)])
    }
  }
  const heldMemory = new Map(
    [...found].map(([name, all]) => [
      name,
      { held: Math.min(...all.map(({ held }) => held)), perPoll: median(all.map(({ perPoll }) => perPoll)) },
    ]),
  )
  return { pending, heldMemory, pendingCodes }
}

/** From the start of a peer's server to its first device authorization, to the next 20 ms. */
async function startPeer({ start, moves }: Contender): Promise<number> {
  const began = performance.now()
  const server = await start()
  try {
    const { send, close } = createConnection(server.port)
    await moves(createWire(server.port)).authorize?.(send)
    close()
    return performance.now() - began
  } finally {
    await server.stop()
  }
}

/** Cold starts of job F, in turns. */
export async function measureColdStarts({ repeats }: Plan, tell: Tell): Promise<Results['coldStart']> {
  const ways: Record<string, () => Promise<number>> = {
    'pairgate-server, built': async () => (await measureStart(BUILT)).ms,
    'npm start': async () => (await measureStart([...NODE, 'examples/serve.ts'])).ms,
    ...Object.fromEntries(CONTENDERS.slice(1).map((one) => [one.name, () => startPeer(one)])),
  }
  const found = new Map<string, number[]>()
  for (let i = 0; i <= 3 * repeats; i++) {
    for (const [name, measure] of Object.entries(ways)) {
      tell(`F cold start, ${i} of ${3 * repeats}: ${name}`)
      const ms = await measure()
      // the first one reads the files
      if (i > 0) found.set(name, [...(found.get(name) ?? []), ms])
    }
  }
  return new Map([...found].map(([name, all]) => [name, median(all)]))
}
