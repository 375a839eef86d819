/** Every store, through the one contract suite, on Node; the other runtimes are in matrix/. @module */

import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, expect, inject, test } from 'vitest'
import { memory } from '../adapters/memory.ts'
import { sqlite } from '../adapters/sqlite.ts'
import {
  type Databases,
  d1Databases,
  lonelyDatabases,
  mariaDbDatabases,
  sqliteDatabases,
} from './support/databases.ts'
import { type DatabaseKind, NO_MARIADB, STORE_CELLS } from './support/matrix.ts'
import { STORE_CASES, testStore } from './support/store_contract.ts'

const folder = mkdtempSync(join(tmpdir(), 'pairgate-store-'))
afterAll(() => rmSync(folder, { recursive: true }))

const mariadb = inject('mariadb')
const KINDS: Record<DatabaseKind, () => Promise<Databases>> = {
  sqlite: sqliteDatabases,
  mysql: () => mariaDbDatabases(mariadb ?? ''),
  d1: d1Databases,
}

testStore('memory', () => lonelyDatabases(memory), { cases: STORE_CASES })
testStore('SQLite in memory', () => lonelyDatabases(() => sqlite(':memory:')), { cases: STORE_CASES })
for (const cell of STORE_CELLS.filter(({ runtime }) => runtime === 'node')) {
  const reason = cell.database === 'mysql' && mariadb === null ? NO_MARIADB : null
  testStore(cell, KINDS[cell.database], { reason })
}

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
