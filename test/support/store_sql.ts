/** The store contract, of what only an SQL database has: its tables, and what can be read beside the store. @module */

import { expect } from 'vitest'
import type { AuditEvent } from '../../src/mod.ts'
import type { EmptyDatabase } from './databases.ts'
import type { StoreCases } from './store_contract.ts'
import { fresh, NOW, newGrant } from './store_rows.ts'
import { letters, odd } from './store_text.ts'

const TABLES = ['credentials', 'events', 'grants', 'limits', 'pairgate_migrations', 'users']

/** The tables, without the one that a migrator may lock itself with. */
async function listTables({ tables }: EmptyDatabase): Promise<string[]> {
  return (await tables()).filter((name) => name !== 'pairgate_migrations_lock')
}

/** All that is in a database. */
async function dump({ tables, sql }: EmptyDatabase): Promise<Record<string, unknown>> {
  const found: Record<string, unknown> = {}
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
    const first = database.open()
    await first.migrate()
    const grant = newGrant()
    await first.insertGrant(grant)
    await database.sql('DROP TABLE events')
    await database.sql('DELETE FROM pairgate_migrations')
    const second = database.open()
    await second.migrate()
    await second.checkSchema()
    expect(await listTables(database)).toEqual(TABLES)
    expect(await second.findGrant({ id: grant.id })).toMatchObject(grant)
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

  'STO-03 text that looks like SQL is only text': async ({ store, database }) => {
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
export const sqlCases: StoreCases = { ...making, ...checking, ...reading }
