/** The standalone server as people start it, on each runtime. @module */

import { createHash } from 'node:crypto'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, describe, expect, inject, test } from 'vitest'
import { mysql } from '../adapters/mysql.ts'
import { sqlite } from '../adapters/sqlite.ts'
import type { Store } from '../src/mod.ts'
import { createClient, loginWithDevice, loginWithPaircode } from './support/kit.ts'
import { connectMariaDb } from './support/mariadb.ts'
import { demand, NO_MARIADB } from './support/matrix.ts'
import { whyNot } from './support/runtimes.ts'
import {
  findFreePort,
  SERVERS,
  type ServerRuntime,
  type StandaloneServer,
  signInAt,
  startInVain,
  startStandalone,
} from './support/standalone.ts'

/** Signs in by one flow with the typed client, while somebody allows it in a browser. */
async function login(server: StandaloneServer, signIn: typeof loginWithDevice): Promise<string> {
  const person = await signInAt(server, 'alice')
  let allowed: Promise<Response> | undefined
  const token = await signIn(createClient({ server: server.base }), {
    onPrompt: ({ url }) => {
      allowed = person.decide(new URL(url).pathname + new URL(url).search, 'allow')
    },
    wait: async () => void (await allowed),
  })
  return token.access_token
}

const whoami = (server: StandaloneServer, token: string) =>
  createClient({ server: server.base, token }).api.session.whoami.query()

describe.each<ServerRuntime>(['node', 'deno', 'bun'])('%s', (runtime) => {
  test('it greets, signs in by both flows, keeps everything over a restart, and ends cleanly on SIGTERM', async (context) => {
    demand(context, whyNot(SERVERS[runtime]))
    const first = await startStandalone({}, '', runtime)
    expect(first.output()).toContain(`npx pairgate login --server ${first.base}`)
    const key = await login(first, loginWithDevice)
    const session = await login(first, loginWithPaircode)
    expect(await whoami(first, key)).toMatchObject({ subject: 'alice', kind: 'api_key' })
    expect(await first.stop()).toBe(0)
    // SQLite leaves no write-ahead log behind when it was closed
    expect(existsSync(`${first.file}-wal`)).toBe(false)
    const second = await startStandalone({ DATABASE_URL: `sqlite:${first.file}` }, '', runtime)
    try {
      expect(await whoami(second, session)).toMatchObject({ subject: 'alice', kind: 'session' })
    } finally {
      await second.stop()
      second.remove()
      first.remove()
    }
  })

  test('OPS-06 what is wrong is said in one line, without a stack', async (context) => {
    demand(context, whyNot(SERVERS[runtime]))
    const running = await startStandalone({}, '', runtime)
    try {
      const { port } = new URL(running.base)
      const taken = await startStandalone({ PORT: port }, '', runtime).catch((error: Error) => error.message)
      expect(taken).toMatch(
        /ended with 1: .*pairgate cannot start: Cannot listen on 127.0.0.1:\d+ \(HOST, PORT\)/s,
      )
      expect(taken).not.toMatch(/\n\s+at /)
    } finally {
      await running.stop()
      running.remove()
    }
    const unsafe = await startStandalone({ HOST: '0.0.0.0' }, '', runtime).catch(
      (error: Error) => error.message,
    )
    expect(unsafe).toMatch(/pairgate cannot start: PAIRGATE_BASE_URL is missing/)
  })
})

const folder = mkdtempSync(join(tmpdir(), 'pairgate-vain-'))
afterAll(() => rmSync(folder, { recursive: true }))
const mariadb = inject('mariadb')
const noMariaDb = mariadb === null ? NO_MARIADB : null
const PASSWORD = 'hunter2hunter2'

/** What must not change: the files of a folder, and perhaps a MySQL database. */
interface Place {
  readonly env: Readonly<Record<string, string>>
  look(): Promise<unknown>
}

const readFolder = (path: string) =>
  readdirSync(path)
    .sort()
    .map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(path, name)))
        .digest('hex'),
    ])

/** A folder of its own; `fill` gets the path of the database in it. */
function makeFolder(fill: (file: string) => void | Promise<void> = () => {}) {
  return async (): Promise<Place> => {
    const path = mkdtempSync(join(folder, 'place-'))
    const file = join(path, 'test.db')
    await fill(file)
    return { env: { DATABASE_URL: `sqlite:${file}` }, look: async () => readFolder(path) }
  }
}

/** Some other `DATABASE_URL`, with which nothing is to be found anywhere. */
const makeUrl = (url: () => string | Promise<string>) => async (): Promise<Place> => ({
  env: { DATABASE_URL: await url() },
  look: async () => null,
})

/** A MySQL database of its own. */
function makeDatabase(
  fill: (url: string) => void | Promise<void> = () => {},
  change: (url: string) => string = (url) => url,
) {
  return async (): Promise<Place> => {
    const url = await connectMariaDb(mariadb ?? '').createDatabase()
    await fill(url)
    const { sql } = connectMariaDb(url)
    const look = async () => {
      const tables = (await sql('SHOW TABLES')).map((row) => String(Object.values(row)[0]))
      return await Promise.all(tables.map(async (table) => [table, await sql(`SELECT * FROM ${table}`)]))
    }
    return { env: { DATABASE_URL: change(url) }, look }
  }
}

const NEWER = "INSERT INTO pairgate_migrations (name, timestamp) VALUES ('9999_newer', '2030')"

async function migrate(store: Store): Promise<void> {
  await store.migrate()
  await store.close()
}

function runSqlite(file: string, text: string): void {
  const database = new DatabaseSync(file)
  database.exec(text)
  database.close()
}

/** Settings that must be refused, and in which words. */
type Refused = Readonly<
  Record<string, { make: () => Promise<Place>; env?: Record<string, string>; says: RegExp }>
>

const REFUSED: Refused = {
  'a database of an unknown kind': {
    make: makeUrl(() => `postgres://user:${PASSWORD}@127.0.0.1/db`),
    says: /DATABASE_URL must be sqlite:FILE or mysql:.*, got the kind "postgres"/,
  },
  'a folder that is not there': {
    make: makeUrl(() => `sqlite:${folder}/nowhere/test.db`),
    says: /DATABASE_URL names a folder that is not there: ".*nowhere"/,
  },
  'a file that is no SQLite database': {
    make: makeFolder((file) => writeFileSync(file, 'These are notes, not a database. '.repeat(99))),
    says: /The SQLite file cannot be used: file is not a database/,
  },
  'a SQLite file of a newer version': {
    make: makeFolder(async (file) => {
      await migrate(sqlite(file))
      // without a write-ahead log, as backups are
      runSqlite(file, `${NEWER}; PRAGMA journal_mode=DELETE`)
    }),
    says: /made by a newer pairgate \(step "9999_newer"\): run that version, or restore a backup/,
  },
  'no SQLite file, and PAIRGATE_MIGRATE=0': {
    make: makeFolder(),
    env: { PAIRGATE_MIGRATE: '0' },
    says: /DATABASE_URL names a file that is not there, and PAIRGATE_MIGRATE=0 makes none: /,
  },
  'an empty SQLite file, and PAIRGATE_MIGRATE=0': {
    make: makeFolder((file) => writeFileSync(file, '')),
    env: { PAIRGATE_MIGRATE: '0' },
    says: /has no tables of pairgate yet: start once with PAIRGATE_MIGRATE=1/,
  },
  'a malformed MySQL URL': {
    make: makeUrl(() => `mysql://user:${PASSWORD}@127.0.0.1`),
    says: /The database URL must be mysql:\/\/USER:PASSWORD@HOST:PORT\/DATABASE/,
  },
  'a MySQL server that is not there': {
    make: makeUrl(async () => `mysql://user:${PASSWORD}@127.0.0.1:${await findFreePort()}/db`),
    says: /No database server answers at 127.0.0.1:\d+ .*: check DATABASE_URL, and that the server runs/,
  },
}

/** The same with a MySQL server that runs. */
const REFUSED_BY_MARIADB: Refused = {
  'a wrong password': {
    make: makeDatabase(undefined, (url) => url.replace(/:[^:@]+@/, `:${PASSWORD}@`)),
    says: /The database refuses user or password \(.*\): check DATABASE_URL/,
  },
  'no such MySQL database': {
    make: makeDatabase(undefined, (url) => `${url}_not`),
    says: /There is no such database \(.*\): create it/,
  },
  'a MySQL database of a newer version': {
    make: makeDatabase(async (url) => {
      await migrate(mysql(url))
      await connectMariaDb(url).sql(NEWER)
    }),
    says: /made by a newer pairgate \(step "9999_newer"\): run that version, or restore a backup/,
  },
  'an empty MySQL database, and PAIRGATE_MIGRATE=0': {
    make: makeDatabase(),
    env: { PAIRGATE_MIGRATE: '0' },
    says: /has no tables of pairgate yet: start once with PAIRGATE_MIGRATE=1/,
  },
}

describe.each<ServerRuntime>(['node', 'deno', 'bun'])('%s', (runtime) => {
  const all = [
    ...Object.entries(REFUSED).map(([name, refused]) => ({ name, reason: null, ...refused })),
    ...Object.entries(REFUSED_BY_MARIADB).map(([name, refused]) => ({ name, reason: noMariaDb, ...refused })),
  ]
  test.concurrent.for(all)(
    'OPS-06 refuses to start, in one line, and writes nothing: $name',
    async ({ reason, make, env, says }, context) => {
      demand(context, whyNot(SERVERS[runtime]) ?? reason)
      const { look, env: place } = await make()
      const before = await look()
      const settings = { PAIRGATE_SECRET: 'vain-secret-vain-secret-vain-secret', ...place, ...env }
      const { code, output } = await startInVain(settings, runtime)
      // Deno tells which task it runs
      const lines = stripVTControlCharacters(output)
        .split('\n')
        .filter((line) => line && !line.startsWith('Task serve '))
      expect(lines).toEqual([expect.stringMatching(/^pairgate cannot start: /)])
      expect(lines[0]).toMatch(says)
      expect(code).toBe(1)
      expect(output).not.toContain(PASSWORD)
      expect(await look()).toEqual(before)
    },
  )
})
