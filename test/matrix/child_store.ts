/** The store contract, to be run by Vitest inside Deno or Bun; store.test.ts starts it there. @module */

import process from 'node:process'
import { mariaDbDatabases, sqliteDatabases } from '../support/databases.ts'
import { NO_MARIADB } from '../support/matrix.ts'
import { testStore } from '../support/store_contract.ts'

const runtime = 'Deno' in globalThis ? 'deno' : 'Bun' in globalThis ? 'bun' : 'node'
const mariadb = process.env.PAIRGATE_TEST_MARIADB
const suite = 'store contract'

testStore({ suite, runtime, database: 'sqlite' }, sqliteDatabases)
testStore({ suite, runtime, database: 'mysql' }, () => mariaDbDatabases(mariadb ?? ''), {
  reason: mariadb ? null : NO_MARIADB,
})
