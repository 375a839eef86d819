/** SQLite's writes side by side: one transaction, in which each still stands or falls by itself. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, describe, expect, test } from 'vitest'
import { type SqliteDatabase, sqlite } from '../adapters/sqlite.ts'
import { newGrant } from './support/store_rows.ts'

const folder = mkdtempSync(join(tmpdir(), 'pairgate-writes-'))
afterAll(() => rmSync(folder, { recursive: true }))
let serial = 0

/** A store whose statements are noted by their first word, and can be made to fail. */
async function open(fail: (text: string) => void = () => {}) {
  const file = join(folder, `${serial++}.db`)
  const database = new DatabaseSync(file)
  const ran: string[] = []
  const noted = <T>(text: string, work: () => T): T => {
    fail(text)
    const result = work()
    ran.push(text.split(' ')[0] ?? '')
    return result
  }
  const watched: SqliteDatabase = {
    prepare(text) {
      const statement = database.prepare(text)
      return {
        columns: () => statement.columns(),
        setReturnArrays: (enabled) => statement.setReturnArrays(enabled),
        all: (...values) => noted(text, () => statement.all(...values)),
        run: (...values) => noted(text, () => statement.run(...values)),
      }
    },
    exec: (text) => database.exec(text),
    close: () => database.close(),
  }
  const store = sqlite(watched)
  await store.migrate()
  ran.length = 0
  const beside = new DatabaseSync(file)
  const count = () => Number(beside.prepare('SELECT count(*) AS n FROM grants').get()?.n)
  const close = async () => {
    await store.close()
    beside.close()
  }
  return { store, ran, beside, count, close }
}

/** Throws the first time that a statement begins like this. */
function failOnce(start: string, message: string) {
  let isArmed = false
  return {
    arm: () => {
      isArmed = true
    },
    fail(text: string) {
      if (!isArmed || !text.toUpperCase().startsWith(start)) return
      isArmed = false
      throw new Error(message)
    },
  }
}

const grants = (n: number) => Array.from({ length: n }, () => newGrant())

describe('writes of one turn', () => {
  test('share one transaction, and are answered after it', async () => {
    const { store, ran, count, close } = await open()
    const seen = await Promise.all(
      grants(5).map(async (grant) => {
        expect(await store.insertGrant(grant)).toBe(true)
        return [ran.at(-1), count()]
      }),
    )
    expect(ran).toEqual(['BEGIN', ...Array(5).fill('insert'), 'COMMIT'])
    expect(seen).toEqual(Array(5).fill(['COMMIT', 5]))
    await close()
  })

  test('one alone needs none', async () => {
    const { store, ran, close } = await open()
    await store.insertGrant(newGrant())
    expect(ran).toEqual(['insert'])
    await close()
  })

  test('a value that is taken fails its own statement, and no other', async () => {
    const { store, ran, count, close } = await open()
    const [one, two, three] = grants(3)
    const clash = { ...newGrant(), secret_hash: one!.secret_hash }
    const answers = await Promise.all([one!, clash, two!, three!].map((grant) => store.insertGrant(grant)))
    expect(answers).toEqual([true, false, true, true])
    expect(ran.filter((word) => word === 'COMMIT')).toHaveLength(1)
    expect(count()).toBe(3)
    await close()
  })

  test('a guard holds between them', async () => {
    const { store, close } = await open()
    expect(await store.takeLimit('key', 1, 3)).toBe(true)
    const taken = await Promise.all(Array.from({ length: 6 }, () => store.takeLimit('key', 1, 3)))
    expect(taken.filter(Boolean)).toHaveLength(2)
    await close()
  })

  test.each([
    ['BEGIN', 'database is locked'],
    ['INSERT', 'database is locked'],
    ['COMMIT', 'database or disk is full'],
  ])('a %s that fails for the moment loses nothing, and doubles nothing: %s', async (start, message) => {
    const once = failOnce(start, message)
    const { store, count, close } = await open(once.fail)
    once.arm()
    const answers = await Promise.all(grants(4).map((grant) => store.insertGrant(grant)))
    expect(answers).toEqual([true, true, true, true])
    expect(count()).toBe(4)
    await close()
  })

  test('a statement that is wrong fails, and takes nobody along', async () => {
    const { store, count, close } = await open()
    const wrong = { ...newGrant(), device_name: {} as unknown as string }
    const results = await Promise.allSettled(
      [...grants(2), wrong, ...grants(2)].map((grant) => store.insertGrant(grant)),
    )
    expect(results.map(({ status }) => status)).toEqual([
      ...Array(2).fill('fulfilled'),
      'rejected',
      ...Array(2).fill('fulfilled'),
    ])
    expect(count()).toBe(4)
    await close()
  })

  test('a lock that another process holds is waited for', async () => {
    const { store, beside, count, close } = await open()
    beside.exec('BEGIN IMMEDIATE')
    const answers = Promise.all(grants(3).map((grant) => store.insertGrant(grant)))
    // they fail once, after SQLite's own wait, and try again later
    setImmediate(() => setImmediate(() => beside.exec('ROLLBACK')))
    expect(await answers).toEqual([true, true, true])
    expect(count()).toBe(3)
    await close()
  })

  test('a transaction that the host has open on its own connection takes them in', async () => {
    const database = new DatabaseSync(join(folder, `${serial++}.db`))
    const store = sqlite(database)
    await store.migrate()
    database.exec('BEGIN')
    expect(await Promise.all(grants(3).map((grant) => store.insertGrant(grant)))).toEqual([true, true, true])
    database.exec('COMMIT')
    expect(database.prepare('SELECT count(*) AS n FROM grants').get()).toMatchObject({ n: 3 })
    await store.close()
  })

  test('those that wait when the store is closed are written first', async () => {
    const { store, count, beside } = await open()
    const answers = Promise.all(grants(3).map((grant) => store.insertGrant(grant)))
    await store.close()
    expect(await answers).toEqual([true, true, true])
    expect(count()).toBe(3)
    // a second time is none too many, and nothing is opened again
    await store.close()
    await expect(store.ping()).rejects.toThrow('not open')
    beside.close()
  })
})
