/** Three instances over one database, with logins under way, while instances and database servers are killed. @module */

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Galera, startGalera } from '../support/galera.ts'
import { type MariaDb, startMariaDb } from '../support/mariadb.ts'
import { type Load, startLoad } from './load.ts'
import { type Service, startService } from './service.ts'

const WORKERS = 12
/** Logins that must finish before, between and after the blows. */
const SOME = 40

let service: Service
let load: Load
/** Runs SQL in the database of the test. */
let sql: (text: string) => Promise<Record<string, unknown>[]>
const report: Record<string, Record<string, number>> = {}

/** Starts the service and its load on a database; what a suite does before each of its tests. */
async function begin(urls: readonly string[], admin: MariaDb): Promise<void> {
  const [one = '', two = one, three = one] = urls
  const database = one.slice(one.lastIndexOf('/') + 1)
  sql = (text) => admin.sql(text.replace('credentials', `\`${database}\`.credentials`))
  service = await startService([one, two, three])
  load = await startLoad(service.base, WORKERS)
  await load.finish(SOME)
}

/** Ends the load and checks that nothing was lost, doubled or stale. */
async function settle(): Promise<void> {
  await load.finish(SOME)
  await load.stop()
  const { wrong, ...numbers } = load.tally
  report[expect.getState().currentTestName ?? ''] = Object.fromEntries(
    Object.entries(numbers).map(([name, value]) => [name, Math.round(value)]),
  )
  expect(wrong).toEqual([])
  expect(load.tally).toMatchObject({ lost: 0, doubled: 0, stale: 0, silent: 0 })
  expect(load.tally.finished + load.tally.restarted).toBeGreaterThanOrEqual(load.tally.tried)
  expect(
    await sql(
      'SELECT grant_id FROM credentials GROUP BY grant_id HAVING grant_id IS NOT NULL AND COUNT(*) > 1',
    ),
  ).toEqual([])
  for (const token of load.tokens) {
    const response = await fetch(`${service.base}/secured`, { headers: { authorization: `Bearer ${token}` } })
    expect(response.status).toBe(200)
  }
}

/** Finds out what a CLI is told while the database is away. */
async function askWhileAway(): Promise<void> {
  const ask = () =>
    fetch(`${service.base}/oauth/device/authorize`, {
      method: 'POST',
      body: new URLSearchParams({ client_id: 'pairgate-cli' }),
    })
  // at first the balancer, which has not noticed yet, may lose patience
  await expect
    .poll(
      async () => {
        const response = await ask()
        const { status, headers } = response
        return [status, headers.get('retry-after'), (await response.text()).slice(0, 36)]
      },
      { timeout: 15_000 },
    )
    .toEqual([503, '5', '{"error":"temporarily_unavailable","'])
}

async function killAndRestart(instance: number): Promise<void> {
  await service.instances[instance]?.kill()
  await load.finish(SOME)
  await service.instances[instance]?.start()
}

afterAll(() => console.table(report))

describe('MariaDB', () => {
  let database: MariaDb
  beforeAll(async () => {
    database = await startMariaDb()
  })
  afterAll(() => database?.remove())
  beforeEach(async () => begin([await database.createDatabase()], database))
  afterEach(() => service?.stop())

  test('one instance after another is killed and started again', async () => {
    for (const i of [0, 1, 2]) await killAndRestart(i)
    await settle()
  })

  test('the database is killed and comes back', async () => {
    await database.kill()
    await askWhileAway()
    await database.start()
    await settle()
  })

  test('the database is restarted, as for an upgrade', async () => {
    await database.stop()
    await database.start()
    await settle()
  })
})

describe('Galera', () => {
  let cluster: Galera
  beforeAll(async () => {
    cluster = await startGalera()
  })
  afterAll(() => cluster?.remove())
  // each instance writes to another node, which is the hardest case: more conflicts than with one writer
  beforeEach(async () => {
    const urls = await cluster.createDatabase()
    const hosts = urls.map((url) => new URL(url).host)
    const rotated = urls.map((url, i) => {
      const order = [...hosts.slice(i), ...hosts.slice(0, i)].join(',')
      return url.replace(/@[^/]*/, `@${order}`)
    })
    await begin(rotated, cluster.nodes[0] as MariaDb)
  })
  afterEach(() => service?.stop())

  test('an instance is killed and started again', async () => {
    await killAndRestart(1)
    await settle()
  })

  test('one node after another is killed and joins again', async () => {
    for (const node of cluster.nodes) {
      await node.kill()
      await load.finish(SOME)
      await node.start()
      await load.finish(SOME)
    }
    await settle()
  })

  test('all nodes are killed at once and come back', async () => {
    await cluster.restartAll()
    await settle()
  })
})
