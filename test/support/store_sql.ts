/** The store contract, of what only an SQL database has: its tables, and what can be read beside the store. @module */

import { expect } from 'vitest'
import type { AuditEvent } from '../../src/mod.ts'
import type { EmptyDatabase } from './databases.ts'
import type { StoreCases } from './store_contract.ts'
import { FIRST_ROWS, FIRST_SECRET, FIRST_USER, makeFirstTables } from './store_first_tables.ts'
import { fresh, hash, NOW, newDecision, newGrant, newIssue, newKey } from './store_rows.ts'
import { makeSecondTables, SECOND_GRANTS } from './store_second_tables.ts'
import { letters, odd } from './store_text.ts'

const TABLES = ['credentials', 'deliveries', 'events', 'grants', 'limits', 'pairgate_migrations', 'users']

const STEPS = ['0001_tables', '0002_credentials', '0003_loopback', '0004_decisions']

/** The tables, without the one that a migrator may lock itself with. */
async function listTables({ tables }: EmptyDatabase): Promise<string[]> {
  return (await tables()).filter((name) => name !== 'pairgate_migrations_lock')
}

/** All that is in a database. */
async function dump({ tables, sql }: EmptyDatabase): Promise<Record<string, Record<string, unknown>[]>> {
  const found: Record<string, Record<string, unknown>[]> = {}
  for (const table of await tables()) found[table] = await sql(`SELECT * FROM ${table}`)
  return found
}

const making: StoreCases = {
  'migrate may be called again; ping answers': async ({ store }) => {
    await store.migrate()
    await store.ping()
  },

  'migrate: five stores at once on an empty database make it once': async ({ create }) => {
    const database = await create()
    const stores = Array.from({ length: 5 }, () => database.open())
    await Promise.all(stores.map((store) => store.migrate()))
    expect(await listTables(database)).toEqual(TABLES)
    const steps = await database.sql('SELECT name FROM pairgate_migrations')
    expect(steps.length).toBeGreaterThan(0)
    expect(new Set(steps.map(({ name }) => name)).size).toBe(steps.length)
    for (const store of stores) {
      await store.checkSchema()
      expect(await store.insertGrant(newGrant())).toBe(true)
    }
  },

  'migrate after a crash half-way goes on, and keeps what is there': async ({ create }) => {
    const database = await create()
    await makeFirstTables(database)
    const crash = database.isAtomic ? failHalfWay : undoHalf
    await crash(database)
    const store = database.open()
    await store.migrate()
    await store.checkSchema()
    expect(await listTables(database)).toEqual(TABLES)
    await expectUpgraded(database)
    expect(await store.createKey(newKey(FIRST_USER.id), 3)).toBe('created')
  },

  'migrate: a step that is done twice leaves alone what was written since': async ({ create }) => {
    const database = await create()
    await makeFirstTables(database)
    const store = database.open()
    await store.migrate()
    const address = '203.0.113.5'
    await store.noteFirstUse('first-unused', { now: NOW + 1, address })
    await store.touchCredential('first-unused', { now: NOW + 9, before: NOW + 1, address })
    const before = await database.sql('SELECT * FROM credentials ORDER BY id')
    await database.sql('DELETE FROM pairgate_migrations')
    const again = database.open().migrate()
    // what is done blindly cannot be done twice; that is refused as a whole
    await (database.isAtomic ? expect(again).rejects.toThrow() : again)
    expect(await database.sql('SELECT * FROM credentials ORDER BY id')).toEqual(before)
  },
}

/** Leaves of all steps what a process may leave that ends in between. */
async function undoHalf({ open, sql }: EmptyDatabase): Promise<void> {
  await open().migrate()
  await sql('DROP TABLE deliveries')
  await sql('DROP TABLE limits')
  await sql('ALTER TABLE grants DROP COLUMN decided_address')
  await sql('ALTER TABLE grants DROP COLUMN loopback_state')
  await sql('ALTER TABLE credentials DROP COLUMN last_used_address')
  await sql('DELETE FROM pairgate_migrations')
}

/** Lets the last step fail near its end, of which there is no trace then: there is no half-way. */
async function failHalfWay(database: EmptyDatabase): Promise<void> {
  const { open, sql } = database
  // an index cannot have the name of a table
  await sql('CREATE TABLE deliveries_next_at (id INTEGER)')
  const read = () => sql("SELECT name, sql FROM sqlite_master WHERE name NOT LIKE '%cf%' ORDER BY name")
  const before = await read()
  const rows = await dump(database)
  await expect(open().migrate()).rejects.toThrow()
  expect(await read()).toEqual(before)
  expect(await dump(database)).toEqual(rows)
  await sql('DROP TABLE deliveries_next_at')
}

/** What the third step adds. */
const NO_LOOPBACK = { loopback_port: null, loopback_state: null, code_hash: null }

/** Expects the rows of the first tables to be there, with nothing in the new columns but what is known of the past. */
async function expectUpgraded({ sql }: EmptyDatabase): Promise<void> {
  const grants = { tenant: null, decided_address: null, ...NO_LOOPBACK }
  const credentials = {
    ...{ tenant: null, approved_address: null, access_expires_at: null, previous_hash: null },
    ...{ previous_until: null, family_hash: null, refresh_hash: null, last_used_address: null },
  }
  const added: Record<string, object> = { grants, credentials }
  for (const [table, rows] of Object.entries(FIRST_ROWS)) {
    if (table === 'limits') continue
    const found = await sql(`SELECT * FROM ${table} ORDER BY id DESC`)
    const firstUse = ({ last_used_at, created_at }: { last_used_at?: number; created_at?: number }) =>
      last_used_at === created_at ? null : last_used_at
    expect(found).toEqual(
      rows.map((row) => ({
        ...row,
        ...added[table],
        ...(table === 'credentials' && { first_used_at: firstUse(row) }),
      })),
    )
  }
}

const upgrading: StoreCases = {
  'migrate: five stores at once upgrade the tables of 0.1.0 once, and keep their rows': async ({
    create,
  }) => {
    const database = await create()
    await makeFirstTables(database)
    const stores = Array.from({ length: 5 }, () => database.open())
    for (const store of stores)
      await expect(store.checkSchema()).rejects.toMatchObject({
        code: 'ERR_PAIRGATE_SCHEMA',
        message: expect.stringContaining('older'),
      })
    await Promise.all(stores.map((store) => store.migrate()))
    expect(await listTables(database)).toEqual(TABLES)
    const steps = await database.sql('SELECT name FROM pairgate_migrations ORDER BY name')
    expect(steps.map(({ name }) => name)).toEqual(STEPS)
    await expectUpgraded(database)
    expect(await database.sql('SELECT * FROM limits')).toEqual(FIRST_ROWS.limits)
    for (const store of stores) await store.checkSchema()
  },

  'migrate: what version 0.1.0 has stored goes on': async ({ create }) => {
    const database = await create()
    await makeFirstTables(database)
    const store = database.open()
    await store.migrate()
    const found = await store.findCredential(FIRST_SECRET)
    expect(found).toMatchObject({ credential: { id: 'first-used' }, user: FIRST_USER })
    const grant = await store.findGrant({ user_code: 'FIRSTONE' })
    expect(grant).toMatchObject({ id: 'first-grant', credential_id: null, tenant: null })
    expect(await store.issueCredential(newIssue(grant!, { max: 3 }))).toBe('issued')
    expect(await store.createKey(newKey(FIRST_USER.id), 3)).toBe('refused')
    expect(await store.noteFirstUse('first-used', { now: NOW, address: null })).toBe(false)
    expect(await store.noteFirstUse('first-unused', { now: NOW, address: null })).toBe(true)
    expect(await store.purge('events', NOW + 1, 10)).toBe(1)
  },

  'migrate: five stores at once upgrade the tables of the second step, and keep their rows': async ({
    create,
  }) => {
    const database = await create()
    await makeSecondTables(database)
    const { pairgate_migrations: _steps, ...before } = await dump(database)
    const stores = Array.from({ length: 5 }, () => database.open())
    await Promise.all(stores.map((store) => store.migrate()))
    const { pairgate_migrations: steps, ...after } = await dump(database)
    expect((steps as { name: string }[]).map(({ name }) => name).sort()).toEqual(STEPS)
    const { pairgate_migrations_lock: _lock, ...tables } = after
    const { grants = [], ...others } = before
    expect(tables).toEqual({ ...others, grants: grants.map((grant) => ({ ...grant, ...NO_LOOPBACK })) })
    expect(grants).toHaveLength(3)
  },

  'PC-11 migrate: logins of the second step go on, and take no code': async ({ create }) => {
    const database = await create()
    await makeSecondTables(database)
    const store = database.open()
    await store.migrate()
    const [allowed, pending] = await Promise.all(
      [SECOND_GRANTS.allowed, SECOND_GRANTS.pending].map((secret_hash) => store.findGrant({ secret_hash })),
    )
    const unlike = { code_hash: hash('code') }
    expect(await store.issueCredential(newIssue(allowed!, { ...unlike, max: 9 }))).toBe('refused')
    expect(await store.issueCredential(newIssue(allowed!, { max: 9 }))).toBe('issued')
    expect(await store.decideGrant(newDecision(pending!.id, { user_id: FIRST_USER.id }))).toBe(true)
    expect(await store.issueCredential(newIssue(pending!, { max: 9 }))).toBe('issued')
  },

  'the tables of an upgrade have the columns and indexes of new ones': async ({ create }) => {
    const [upgraded, further, made] = [await create(), await create(), await create()]
    await makeFirstTables(upgraded)
    await makeSecondTables(further)
    for (const database of [upgraded, further, made]) await database.open().migrate()
    const shape = async ({ engine, sql }: EmptyDatabase) =>
      engine === 'mysql'
        ? await sql(`SELECT table_name, column_name, ordinal_position, column_type, is_nullable, column_key
            FROM information_schema.columns WHERE table_schema = DATABASE()
              AND table_name NOT LIKE 'pairgate%' ORDER BY 1, 3`)
        : await sql(`SELECT name, sql FROM sqlite_master
            WHERE name NOT LIKE '%cf%' AND name NOT LIKE '%pairgate%' ORDER BY name`)
    expect(await shape(upgraded)).toEqual(await shape(made))
    expect(await shape(further)).toEqual(await shape(made))
    expect((await shape(made)).length).toBeGreaterThan(15)
  },
}

const checking: StoreCases = {
  'checkSchema refuses an empty database and writes nothing; is content after migrate': async ({
    create,
  }) => {
    const database = await create()
    const store = database.open()
    await expect(store.checkSchema()).rejects.toMatchObject({ code: 'ERR_PAIRGATE_SCHEMA' })
    expect(await database.tables()).toEqual([])
    await store.migrate()
    const before = await dump(database)
    await store.checkSchema()
    expect(await dump(database)).toEqual(before)
  },

  'statements before any migrate are refused, and write nothing': async ({ create }) => {
    const database = await create()
    const store = database.open()
    await expect(store.ping()).rejects.toThrow()
    await expect(store.insertGrant(newGrant())).rejects.toThrow()
    expect(await database.tables()).toEqual([])
  },

  'a step of a newer version makes migrate and checkSchema refuse, and change nothing': async ({
    create,
  }) => {
    const database = await create()
    const old = database.open()
    await old.migrate()
    await old.insertGrant(newGrant())
    await database.sql("INSERT INTO pairgate_migrations (name, timestamp) VALUES ('9999_newer', '2030')")
    const before = await dump(database)
    for (const store of [old, database.open()]) {
      const refusal = { code: 'ERR_PAIRGATE_SCHEMA', message: expect.stringContaining('9999_newer') }
      await expect(store.checkSchema()).rejects.toMatchObject(refusal)
      await expect(store.migrate()).rejects.toMatchObject(refusal)
    }
    expect(await dump(database)).toEqual(before)
  },
}

const reading: StoreCases = {
  'a column that a newer version has added meanwhile moves no other': async ({ create }) => {
    const database = await create()
    const store = database.open()
    await store.migrate()
    const grant = newGrant()
    await store.insertGrant(grant)
    // statements that stay prepared were prepared by now
    const before = await store.findGrant({ id: grant.id })
    await database.sql('ALTER TABLE grants ADD COLUMN newer integer')
    await database.sql('UPDATE grants SET newer = 7')
    for (let i = 0; i < 2; i++) expect(await store.findGrant({ id: grant.id })).toMatchObject(before!)
  },

  'insertEvent adds a line, of any text and as long as its columns': async ({ store, database }) => {
    const nobody = { user_id: null, client_id: null, grant_id: null, credential_id: null }
    const nothing = { ...nobody, remote_address: null, request_id: null, detail: null }
    const empty: AuditEvent = { id: fresh('event'), at: NOW, type: 'started', ...nothing }
    const ids = {
      user_id: letters(64),
      client_id: letters(128),
      grant_id: letters(64),
      credential_id: letters(64),
    }
    const words = { remote_address: odd(64), request_id: odd(64), detail: odd(255) }
    const full: AuditEvent = { id: letters(64), at: NOW, type: 'user_disabled', ...ids, ...words }
    for (const event of [empty, full]) {
      await store.insertEvent(event)
      expect(await database.sql(`SELECT * FROM events WHERE id = '${event.id}'`)).toEqual([event])
    }
  },

  'STO-01 text that looks like SQL is only text': async ({ store, database }) => {
    const text = "'); DROP TABLE limits; --"
    const grant = newGrant({ device_name: text, client_id: text })
    await store.insertGrant(grant)
    expect(await store.findGrant({ user_code: "' OR '1'='1" })).toBeNull()
    expect(await store.takeLimit(text, 1, 1)).toBe(true)
    expect(await store.findGrant({ id: grant.id })).toMatchObject({ device_name: text, client_id: text })
    expect(await listTables(database)).toEqual(TABLES)
  },
}

/** The cases. */
export const sqlCases: StoreCases = { ...making, ...upgrading, ...checking, ...reading }
