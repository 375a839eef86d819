/**
 * Clients on every runtime against servers on every runtime and database, over real sockets. What came of each case
 * inside the client's runtime is a test of its own here.
 *
 * @module
 */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, inject, test } from 'vitest'
import { connectMariaDb } from '../support/mariadb.ts'
import { demand, type EndToEndCell, NO_MARIADB, SERVER_CELLS } from '../support/matrix.ts'
import { RUNTIMES, type Runtime, whyNot } from '../support/runtimes.ts'
import { SERVERS, type StandaloneServer, startStandalone } from '../support/standalone.ts'
import { CASES } from './cases.ts'
import { CLIENTS, createTurns, HASTY, type Outcome, runClient, STEADY } from './run_client.ts'

const inTurn = createTurns(4)
const mariadb = inject('mariadb')

/** Two servers over one database, with different lifetimes; in D1, which belongs to one workerd, each has its own. */
async function startServers(
  { runtime, database }: Pick<EndToEndCell, 'runtime' | 'database'>,
  folder: string,
): Promise<StandaloneServer[]> {
  const shared =
    database === 'mysql' ? await connectMariaDb(mariadb ?? '').createDatabase() : `sqlite:${folder}/matrix.db`
  const starting = Object.entries({ steady: STEADY, hasty: HASTY }).map(([name, config]) => {
    const file = join(folder, `${name}.json`)
    writeFileSync(file, JSON.stringify(config))
    const env = {
      PAIRGATE_CONFIG: file,
      PAIRGATE_SECRET: 'matrix-secret-matrix-secret-matrix',
      DATABASE_URL: database === 'd1' ? `d1:${join(folder, name)}` : shared,
    }
    return startStandalone(env, '', runtime)
  })
  const started = await Promise.allSettled(starting)
  const servers = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  const failed = started.find((one) => one.status === 'rejected')
  if (!failed) return servers
  await stopServers(servers)
  throw failed.reason
}

async function stopServers(servers: readonly StandaloneServer[]): Promise<(number | null)[]> {
  const codes = await Promise.all(servers.map((server) => server.stop()))
  for (const server of servers) server.remove()
  return codes
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** What came of all clients, and how the servers ended. */
interface Result {
  readonly outcomes: ReadonlyMap<Runtime, Outcome>
  /** Whether both servers were still there in the end. */
  readonly isUp: boolean
  readonly codes: readonly (number | null)[]
  readonly output: string
}

async function run(server: Pick<EndToEndCell, 'runtime' | 'database'>): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-matrix-'))
  try {
    const servers = await startServers(server, folder)
    try {
      const able = RUNTIMES.filter((client) => whyNot(CLIENTS[client]('')) === null)
      const bases = servers.map(({ base }) => base)
      const peers = server.database === 'd1' ? [] : bases.slice(1)
      const ran = await Promise.all(
        able.map(async (one) => [one, await runClient(one, [...bases, ...peers])] as const),
      )
      const isUp = servers.every(({ pid }) => isRunning(pid))
      const codes = await stopServers(servers)
      return { outcomes: new Map(ran), isUp, codes, output: servers.map(({ output }) => output()).join('\n') }
    } finally {
      await stopServers(servers)
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

for (const server of SERVER_CELLS) {
  const { runtime, database } = server
  const noServer = whyNot(SERVERS[runtime]) ?? (database === 'mysql' && mariadb === null ? NO_MARIADB : null)

  describe.concurrent(`server ${runtime}, ${database}`, () => {
    let result: Promise<Result>
    beforeAll(async () => {
      if (noServer !== null) return
      result = inTurn(() => run(server))
      // each test says what went wrong
      await result.catch(() => {})
    }, 300_000)

    for (const client of RUNTIMES) {
      const cell: EndToEndCell = { suite: 'end to end', runtime, database, client }
      const reason = noServer ?? whyNot(CLIENTS[client](''))
      for (const title of Object.keys(CASES)) {
        test(`client ${client}: ${title}`, { meta: { cell } }, async (context) => {
          demand(context, reason)
          const failure = (await result).outcomes.get(client)?.get(title)
          if (failure !== null) throw new Error(`On ${client}: ${failure}`)
        })
      }
    }

    test('both servers stay, log no error, and end cleanly', async (context) => {
      demand(context, noServer)
      const { isUp, codes, output } = await result
      expect([isUp, ...codes]).toEqual([true, 0, 0])
      expect(output.split('\n').filter((line) => /"level":"(ERROR|FATAL)"/.test(line))).toEqual([])
    })
  })
}
