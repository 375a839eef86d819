/** Every store, through the one contract suite. @module */

import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, test } from 'vitest'
import { memory } from '../adapters/memory.ts'
import { sqlite } from '../adapters/sqlite.ts'
import { testStore } from './support/store_contract.ts'

const folder = mkdtempSync(join(tmpdir(), 'pairgate-store-'))
afterAll(() => rmSync(folder, { recursive: true }))

testStore('memory', memory)
testStore('SQLite in memory', () => sqlite(':memory:'))
testStore('SQLite in a file', () => sqlite(join(folder, 'contract.db')))

test('a SQLite file is readable for its owner only', async () => {
  const file = join(folder, 'mode.db')
  const store = sqlite(file)
  await store.migrate()
  await store.close()
  expect(statSync(file).mode & 0o777).toBe(0o600)
})

test('a database that stays locked is ERR_PAIRGATE_STORE_UNAVAILABLE, and works again once it is free', async () => {
  const file = join(folder, 'locked.db')
  const store = sqlite(file)
  await store.migrate()
  const other = new DatabaseSync(file)
  other.exec('BEGIN EXCLUSIVE')
  await expect(store.takeLimit('locked', 1, 1)).rejects.toMatchObject({
    code: 'ERR_PAIRGATE_STORE_UNAVAILABLE',
  })
  other.exec('COMMIT')
  expect(await store.takeLimit('locked', 1, 1)).toBe(true)
  other.close()
  await store.close()
})

test('DF-16 two processes’ connections to one SQLite file: one winner', async () => {
  const file = join(folder, 'shared.db')
  const [one, two] = [sqlite(file), sqlite(file)]
  await Promise.all([one.migrate(), two.migrate()])
  const results = await Promise.all(
    Array.from({ length: 40 }, (_, i) => (i % 2 ? one : two).takeLimit('shared', 1, 1)),
  )
  expect(results.filter(Boolean)).toHaveLength(1)
  await Promise.all([one.close(), two.close()])
})
