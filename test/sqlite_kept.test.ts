/** Rows that SQLite's store keeps in memory: whoever changes one, and from wherever, the next verification sees it. @module */

import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { afterAll, describe, expect, test, vi } from 'vitest'
import { createKeptRows } from '../adapters/sqlite_kept.ts'
import { ENDS, settle, usedToken } from './support/credential_ends.ts'
import type { TestGate } from './support/gate.ts'
import { authenticate, createPlaces, DOORS, isGood, removeInstances } from './support/instances.ts'

afterAll(removeInstances)

/** Instances, and a credential that was used at one of them. */
async function open() {
  const places = await createPlaces()
  return { ...places, token: await usedToken(places.here) }
}

/** A verification at each door, twice: by then the row is kept. */
async function verifyOften(t: TestGate, token: string) {
  for (const door of Object.values(DOORS)) for (let i = 0; i < 2; i++) expect(await door(t, token)).toBe(true)
}

describe('KEY-06 KEY-11 SES-04 a credential that was verified is over at once', () => {
  for (const place of ['here', 'beside', 'elsewhere'] as const) {
    test.each(Object.entries(ENDS))(`%s ${place}`, async (_, end) => {
      const places = await open()
      await verifyOften(places.here, places.token)
      await end(places[place], places.token)
      for (const door of Object.values(DOORS)) expect(await door(places.here, places.token)).toBe(false)
    })
  }

  test.each([
    'UPDATE credentials SET revoked_at = 1',
    'UPDATE credentials SET expires_at = 1',
    'UPDATE users SET disabled_at = 1',
    'DELETE FROM credentials',
  ])('by hand: %s', async (sql) => {
    const { here, token, operator } = await open()
    await verifyOften(here, token)
    operator.exec(sql)
    operator.close()
    expect(await isGood(here, token)).toBe(false)
  })

  test('a person is told by the name of their last sign-in', async () => {
    const { here, elsewhere, token, operator } = await open()
    await verifyOften(here, token)
    operator.exec("UPDATE users SET name = 'Alice of the other house'")
    operator.close()
    for (const t of [here, elsewhere])
      expect((await authenticate(t, token))?.user.name).toBe('Alice of the other house')
  })
})

test('what nobody has changed is read once, and once more after a use was noted', async () => {
  const reads: string[] = []
  const { prepare } = DatabaseSync.prototype
  const spy = vi.spyOn(DatabaseSync.prototype, 'prepare').mockImplementation(function (
    this: DatabaseSync,
    sql,
  ) {
    const statement = prepare.call(this, sql)
    const { all } = statement
    if (/^select .* from "credentials" inner join "users"/s.test(sql))
      statement.all = ((...values: SQLInputValue[]) => {
        reads.push(sql)
        return all.apply(statement, values as never)
      }) as typeof all
    return statement
  })
  const { here, token, clock } = await open()
  await verifyOften(here, token)
  reads.length = 0
  await verifyOften(here, token)
  expect(reads).toHaveLength(0)
  clock.now += 60_000
  expect(await isGood(here, token)).toBe(true)
  await settle()
  await verifyOften(here, token)
  expect(reads).toHaveLength(1)
  spy.mockRestore()
})

describe('STO-02 KEY-06 a row that is kept', () => {
  const REVOKE = 'update "credentials" set "revoked_at" = ? where "id" = ?'
  const create = () => {
    const database = { version: 0 }
    const kept = createKeptRows<{ id: string; user_id: string; n: number }>(() => database.version)
    const read = (n: number, during = () => {}) => {
      const [row] = kept.read('hash', () => {
        during()
        return [{ id: 'a', user_id: 'b', n }]
      })
      return row?.n
    }
    return { database, kept, read }
  }

  test('is read again when somebody else has written', () => {
    const { database, read } = create()
    expect([read(0), read(1), read(2)]).toEqual([0, 1, 1])
    database.version++
    expect([read(3), read(4)]).toEqual([3, 3])
  })

  test('is not kept when somebody writes while it is read', () => {
    const { database, kept, read } = create()
    read(0)
    expect([read(1), read(2)]).toEqual([1, 1])
    kept.note(REVOKE, { id: 'a' })
    const during = () => void database.version++
    expect([read(3, during), read(4)]).toEqual([3, 4])
  })

  test('is forgotten before the changes after it are', () => {
    const { kept, read } = create()
    read(0)
    expect([read(1), read(2)]).toEqual([1, 1])
    kept.note(REVOKE, { id: 'a' })
    for (let i = 0; i < 10_000; i++) kept.note(REVOKE, { id: `${i}` })
    expect(read(3)).toBe(3)
  })
})
