/** Instances over one SQLite file and by one clock, most of which answer verifications from memory for some seconds. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { sqlite } from '../../adapters/sqlite.ts'
import type { PairgateOptions } from '../../src/mod.ts'
import { postForm } from './credentials.ts'
import { BASE, createTestGate, SECRET, type TestGate } from './gate.ts'
import { holdStore } from './held_store.ts'
import { createListened } from './statements.ts'

/** For how long these answer from memory. */
export const SECONDS = 5

const OPTIONS = {
  verifyCacheSeconds: SECONDS,
  clients: {
    mytool: { scopes: ['read', 'offline_access'] },
    manager: { scopes: ['pairgate:manage', 'read'] },
  },
  scopes: { read: 'Read' },
  resourceServers: { api: { secret: SECRET } },
} satisfies Partial<PairgateOptions>

const folder = mkdtempSync(join(tmpdir(), 'pairgate-verify-'))
const gates: TestGate['gate'][] = []
let serial = 0

/** Closes them, and deletes their files. */
export async function removeInstances(): Promise<void> {
  for (const gate of gates) await gate.close()
  rmSync(folder, { recursive: true })
}

/** Two instances, a clock for both, and the connections to their one database. */
export async function createInstances(options: Partial<PairgateOptions> = {}) {
  const file = join(folder, `${++serial}.db`)
  const clock = { now: Date.now() }
  const make = () => createListened({ ...OPTIONS, now: () => clock.now, ...options }, file)
  const [a, b] = [await make(), await make()]
  gates.push(a.gate, b.gate)
  return { a, b, clock }
}

/** An instance whose calls of the database can be held up, and another one beside it. */
export async function createHeld() {
  const file = join(folder, `${++serial}.db`)
  const clock = { now: Date.now() }
  const { store, hold } = holdStore(sqlite(file))
  const make = (database: PairgateOptions['database']) =>
    createTestGate({ ...OPTIONS, now: () => clock.now, database })
  const [a, b] = [make(store), make(sqlite(file))]
  gates.push(a.gate, b.gate)
  return { a, b, clock, hold }
}

/**
 * One gate, another one over the same store, one that has a connection of its own as another process would, and an
 * operator's. None of them answers from memory for some seconds.
 */
export async function createPlaces() {
  const file = join(folder, `${++serial}.db`)
  const clock = { now: Date.now() }
  const make = (database: PairgateOptions['database']) =>
    createTestGate({ ...OPTIONS, verifyCacheSeconds: 0, now: () => clock.now, database })
  const store = sqlite(file)
  const [here, beside, elsewhere] = [make(store), make(store), make(sqlite(file))]
  gates.push(here.gate, beside.gate, elsewhere.gate)
  const operator = new DatabaseSync(file)
  return { here, beside, elsewhere, operator, clock }
}

const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })

/** What the host is told. */
export const authenticate = (t: TestGate, token: string) =>
  t.gate.authenticate(new Request(BASE, bearer(token)))

/** The ways to have a credential verified; each answers whether it was good. */
export const DOORS = {
  'gate.authenticate': async (t, token) => (await authenticate(t, token)) !== null,
  '/authz/forward': async (t, token) => (await t.fetch('/authz/forward', bearer(token))).status === 200,
  introspection: async (t, token) => {
    const headers = { authorization: `Basic ${btoa(`api:${SECRET}`)}` }
    return (await postForm(t, '/oauth/introspect', { token }, headers)).body.active === true
  },
} satisfies Record<string, (t: TestGate, token: string) => Promise<boolean>>
/** Asks at the first of them. */
export const isGood = DOORS['gate.authenticate']
