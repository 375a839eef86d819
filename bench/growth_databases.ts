/** Databases that are filled with many rows, each a private one that is gone afterwards. @module */

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout } from 'node:timers/promises'
import { Miniflare } from 'miniflare'
import { createConnection } from 'mysql2/promise'
import { d1 } from '../adapters/d1.ts'
import { mysql } from '../adapters/mysql.ts'
import { sqlite } from '../adapters/sqlite.ts'
import type { Store } from '../src/mod.ts'
import { type Add, toD1, toMariaDb, toSqlite } from '../test/support/filled.ts'
import { type MariaDb, startMariaDb } from '../test/support/mariadb.ts'

/** A database that grows. */
export interface GrowingDatabase {
  readonly name: string
  /** How often something is done in a round; different rows every time. */
  readonly operations: number
  /** Makes a store over it; its tables are there. */
  open(): Promise<Store>
  /** Adds rows as fast as can be. No store is open meanwhile. */
  fill(work: (add: Add) => Promise<void>): Promise<void>
  /** CPU time that its server has taken, in microseconds; 0 where it runs in this process, or cannot be seen. */
  serverCpu(): number
  remove(): Promise<void>
}

/** A file, written without regard to a crash while it is filled. */
export async function growingSqlite(): Promise<GrowingDatabase> {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-growth-'))
  const file = join(folder, 'growth.db')
  return {
    name: 'SQLite',
    operations: 250,
    async open() {
      const store = sqlite(file)
      await store.migrate()
      return store
    },
    async fill(work) {
      const database = new DatabaseSync(file)
      database.exec('PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-500000; BEGIN')
      await work(toSqlite(database))
      database.exec('COMMIT')
      database.close()
    },
    serverCpu: () => 0,
    remove: async () => rmSync(folder, { recursive: true }),
  }
}

/** A server with so many rows is given memory, where that of the tests has 32 MB; and the disk is not waited for. */
const MARIADB = [
  '--innodb-buffer-pool-size=2G',
  '--innodb-log-file-size=2G',
  '--innodb-flush-log-at-trx-commit=2',
  '--innodb-flush-method=nosync',
  '--innodb-doublewrite=0',
]
/** Microseconds in a tick of `/proc`. */
const TICK = 10_000

/** User and system time of a process, in microseconds. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return (Number(fields[11]) + Number(fields[12])) * TICK
}

/** Waits until a server has written what it has in memory only; for a minute at most. */
async function settle(server: MariaDb): Promise<void> {
  await server.sql('SET GLOBAL innodb_max_dirty_pages_pct = 0')
  for (const start = performance.now(); performance.now() - start < 60_000; ) {
    const [row] = await server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_buffer_pool_pages_dirty'")
    if (Number(row?.Value) < 200) break
    await setTimeout(200)
  }
  await server.sql('SET GLOBAL innodb_max_dirty_pages_pct = DEFAULT')
}

/** A server of its own, on loopback. */
export async function growingMariaDb(): Promise<GrowingDatabase> {
  const server = await startMariaDb({ extra: MARIADB })
  const url = await server.createDatabase()
  return {
    name: 'MariaDB',
    operations: 250,
    async open() {
      const store = mysql(url)
      await store.migrate()
      return store
    },
    async fill(work) {
      const connection = await createConnection(url)
      await connection.query('SET SESSION unique_checks = 0')
      await work(toMariaDb(connection))
      await connection.end()
      // what it has still to write would be counted with what comes next
      await settle(server)
    },
    serverCpu: () => cpuOf(server.pid),
    remove: () => server.remove(),
  }
}

/** D1 as `wrangler dev` has it, in memory. */
export async function growingD1(): Promise<GrowingDatabase> {
  const worker = new Miniflare({ modules: true, script: 'export default {}', d1Databases: ['DB'] })
  const database = await worker.getD1Database('DB')
  return {
    name: 'D1 (workerd)',
    // every statement is a request to another process
    operations: 40,
    async open() {
      const store = d1(database)
      await store.migrate()
      return store
    },
    fill: (work) => work(toD1(database)),
    serverCpu: () => 0,
    remove: () => worker.dispose(),
  }
}
