/** What only a database server can do to a store: break the wire, lock, stop, be full, be for reading only. @module */

import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mysql } from '../adapters/mysql.ts'
import type { NewGrant, Store } from '../src/mod.ts'
import { testLostStatements } from './support/lost_statements.ts'
import { type MariaDb, startMariaDb } from './support/mariadb.ts'
import {
  fresh,
  NOW,
  newDecision,
  newGrant,
  newIssue,
  newKey,
  newRefresh,
  newRotation,
  newSession,
  newUser,
} from './support/store_rows.ts'
import { startTcpProxy, type TcpProxy } from './support/tcp_proxy.ts'

const UNAVAILABLE = { code: 'ERR_PAIRGATE_STORE_UNAVAILABLE' }
const user = newUser('ada')

let server: MariaDb
let url: string
let proxy: TcpProxy
/** Reaches the server through the proxy. */
let store: Store
/** Reaches it directly, as another instance does. */
let other: Store

/** The same URL by another way. */
const through = (port: number) => url.replace(/:\d+\//, `:${port}/`)

beforeAll(async () => {
  server = await startMariaDb()
  url = await server.createDatabase()
  proxy = await startTcpProxy(server.port)
  store = mysql(`${through(proxy.port)}?connections=4`)
  other = mysql(url)
  await store.migrate()
  await store.upsertUser(user, NOW)
})
afterAll(async () => {
  await proxy?.close()
  await Promise.all([store?.close(), other?.close()])
  await server?.remove()
})

/** Adds a database user. */
async function addUser(password: string, more = '', rights = 'ALL'): Promise<string> {
  const name = fresh('user').slice(-30)
  await server.sql(`CREATE USER ? IDENTIFIED BY ? ${more}`, name, password)
  await server.sql(`GRANT ${rights} ON *.* TO ?`, name)
  return name
}

async function approved(): Promise<NewGrant> {
  const grant = newGrant()
  await other.insertGrant(grant)
  await other.decideGrant(newDecision(grant.id, { user_id: user.id }))
  return grant
}

testLostStatements(() => ({
  store,
  other,
  lose: (what, text) => proxy.lose(what, text),
  lost: proxy.lost,
}))

describe('a server that is away', () => {
  test('is ERR_PAIRGATE_STORE_UNAVAILABLE, and used again as soon as it is back', async () => {
    await proxy.shut()
    await expect(store.ping()).rejects.toMatchObject(UNAVAILABLE)
    await expect(store.takeLimit('away', 1, 1)).rejects.toMatchObject(UNAVAILABLE)
    await proxy.reopen()
    await store.ping()
    expect(await store.takeLimit('away', 1, 1)).toBe(true)
  })

  test('the next host is used, and the first no more', async () => {
    const wire = await startTcpProxy(server.port)
    const store = mysql(url.replace(/@[^/]*/, `@127.0.0.1:${wire.port},127.0.0.1:${server.port}`))
    await store.ping()
    await wire.shut()
    const grant = newGrant()
    expect(await store.insertGrant(grant)).toBe(true)
    expect(await store.findGrant({ id: grant.id })).not.toBeNull()
    await store.close()
  })

  test('a first host that was never there is passed over', async () => {
    const wire = await startTcpProxy(server.port)
    await wire.close()
    const store = mysql(url.replace(/@[^/]*/, `@127.0.0.1:${wire.port},127.0.0.1:${server.port}`))
    await store.ping()
    await store.close()
  })

  /** What makes a secret that this process alone knows: its hash, and how it is stored. */
  const secrets = {
    async issueCredential() {
      const issue = newIssue(await approved())
      return { hash: issue.credential.secret_hash, run: () => store.issueCredential(issue), done: 'issued' }
    },
    async createKey() {
      const key = newKey(user.id)
      return { hash: key.secret_hash, run: () => store.createKey(key, 1_000), done: 'created' }
    },
    async rotateCredential() {
      const key = newKey(user.id)
      await other.insertCredential(key)
      const rotation = newRotation(key)
      return { hash: rotation.new_hash, run: () => store.rotateCredential(rotation), done: true }
    },
    async refreshCredential() {
      const session = newSession(user.id)
      await other.insertCredential(session)
      const refresh = newRefresh(session)
      return { hash: refresh.new_hash, run: () => store.refreshCredential(refresh), done: true }
    },
  }

  test.each(Object.keys(secrets) as (keyof typeof secrets)[])(
    '%s waits for it longer: nobody else could find out what became of it',
    async (name) => {
      const { hash, run, done } = await secrets[name]()
      proxy.lose('answer', hash)
      const { lost, refused } = proxy
      const result = run()
      proxy.isClosed = true
      // more often than any other statement is tried
      await expect.poll(() => proxy.refused - refused, { timeout: 5_000 }).toBeGreaterThan(4)
      expect(proxy.lost).toBe(lost + 1)
      proxy.isClosed = false
      expect(await result).toBe(done)
    },
  )

  test('one that says nothing is given up after ten seconds, and its connection with it', async () => {
    const wire = await startTcpProxy(server.port)
    const store = mysql(`${through(wire.port)}?connections=2`)
    await store.ping()
    await Promise.all([store.ping(), store.ping()])
    wire.isPaused = true
    await expect(store.ping()).rejects.toMatchObject(UNAVAILABLE)
    wire.isPaused = false
    await store.ping()
    await store.close()
    await wire.close()
  })
})

describe('a server that is busy', () => {
  test('a lock that times out is tried again', async () => {
    const key = fresh('lock')
    await other.takeLimit(key, 1, 9)
    const rival = await createConnection(url)
    await rival.query('START TRANSACTION')
    await rival.query('UPDATE limits SET n = n WHERE `key` = ?', [key])
    await server.sql('SET GLOBAL innodb_lock_wait_timeout = 1')
    const impatient = mysql(url)
    const waits = async () => {
      const [status] = await server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'")
      return Number(status?.Value)
    }
    const before = await waits()
    const taken = impatient.takeLimit(key, 1, 9)
    // it waits once more after it has given up once
    await expect.poll(waits, { timeout: 5_000 }).toBe(before + 2)
    await rival.query('COMMIT')
    expect(await taken).toBe(true)
    await rival.end()
    await impatient.close()
    await server.sql('SET GLOBAL innodb_lock_wait_timeout = 50')
  })

  test('DF-16 two instances, fifty statements each, at once: no deadlock reaches the caller', async () => {
    for (let round = 0; round < 5; round++) {
      const grant = await approved()
      const issues = Array.from({ length: 100 }, (_, i) =>
        (i % 2 ? store : other).issueCredential(newIssue(grant)),
      )
      const results = await Promise.all(issues)
      expect(results.filter((result) => result === 'issued')).toHaveLength(1)
      const key = fresh('race')
      const taken = await Promise.all(
        Array.from({ length: 100 }, (_, i) => (i % 2 ? store : other).takeLimit(key, 1, 30)),
      )
      expect(taken.filter(Boolean)).toHaveLength(30)
    }
  })

  test.each(['createKey', 'issueCredential'] as const)(
    '%s counts a credential that is just being added, at any isolation level',
    async (name) => {
      await server.sql('SET GLOBAL TRANSACTION ISOLATION LEVEL READ COMMITTED')
      const store = mysql(url)
      const owner = newUser(fresh('owner'))
      await other.upsertUser(owner, NOW)
      const grant = newGrant()
      await other.insertGrant(grant)
      await other.decideGrant(newDecision(grant.id, { user_id: owner.id }))
      const first = newKey(owner.id)
      // as far as another instance's statement is when it has counted, and not added its own yet
      const rival = await createConnection(url)
      await rival.query('START TRANSACTION')
      await rival.query('SELECT id FROM users WHERE id = ? FOR UPDATE', [owner.id])
      const status = async () => {
        const [row] = await server.sql("SHOW GLOBAL STATUS LIKE 'Innodb_row_lock_waits'")
        return Number(row?.Value)
      }
      const before = await status()
      const second =
        name === 'createKey'
          ? store.createKey(newKey(owner.id), 1)
          : store.issueCredential(newIssue(grant, { max: 1 }))
      await expect.poll(status, { timeout: 5_000 }).toBe(before + 1)
      await other.insertCredential(first)
      await rival.query('COMMIT')
      expect(await second).toBe('refused')
      await rival.end()
      await store.close()
      await server.sql('SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ')
    },
  )

  test('more connections than it gives are waited for', async () => {
    const name = await addUser('pw', 'WITH MAX_USER_CONNECTIONS 5')
    const many = mysql(`${url.replace(/\/\/[^@]*@/, `//${name}:pw@`)}?connections=50`)
    const results = await Promise.allSettled(Array.from({ length: 200 }, () => many.ping()))
    expect(results.some(({ status }) => status === 'fulfilled')).toBe(true)
    for (const result of results)
      if (result.status === 'rejected') expect(result.reason).toMatchObject(UNAVAILABLE)
    await many.ping()
    await many.close()
  })

  test('one that is for reading only changes nothing, and is told apart from a fault', async () => {
    await server.sql('SET GLOBAL read_only = 1')
    const grant = newGrant()
    await expect(other.insertGrant(grant)).rejects.toMatchObject(UNAVAILABLE)
    await server.sql('SET GLOBAL read_only = 0')
    expect(await other.insertGrant(grant)).toBe(true)
  })
})

describe('an account that may not make tables', () => {
  test('says what it lacks, and is enough once they are there', async () => {
    const name = await addUser('pw', '', 'SELECT, INSERT, UPDATE, DELETE')
    const as = (database: string) => mysql(database.replace(/\/\/[^@]*@/, `//${name}:pw@`))
    const early = as(await server.createDatabase())
    await expect(early.migrate()).rejects.toThrow(/The database user lacks a right .*CREATE/)
    await early.close()
    const late = as(url)
    await late.migrate()
    const grant = newGrant()
    expect(await late.insertGrant(grant)).toBe(true)
    expect(await late.purge('grants', 1, 10)).toBe(0)
    await late.close()
  })
})

describe('the URL', () => {
  test.each([
    ['mysql://', 'must be mysql://USER'],
    ['mysql://user:pw@host', 'must be mysql://USER'],
    ['mysql://user:p@ss@host/db', 'must be mysql://USER'],
    ['mysql://user:hunter%2@host/db', 'does not encode'],
    ['mysql://user:hunter2@ho st/db', 'hosts'],
    ['mysql://user:hunter2@host:99999999/db', 'hosts'],
    ['mysql://user:hunter2@host/db?sssl=1', 'unknown parameter "sssl"'],
    ['mysql://user:hunter2@host/db?ssl=yes', '"ssl"'],
    ['mysql://user:hunter2@host/db?connections=0', '"connections"'],
  ])('%s is refused without being quoted', (text, message) => {
    expect(() => mysql(text)).toThrow(message)
    expect(() => mysql(text)).not.toThrow('hunter')
  })

  test('a password may hold anything, percent-encoded', async () => {
    const password = 'p@ss:w/o?r,d#%"\\\''
    const name = await addUser(password)
    const there = mysql(url.replace(/\/\/[^@]*@/, `//${name}:${encodeURIComponent(password)}@`))
    await there.ping()
    await there.close()
    const wrong = mysql(url.replace(/:[^:@/]*@/, ':wrong@'))
    await expect(wrong.migrate()).rejects.toThrow(/refuses user or password/)
    await wrong.close()
  })
})
