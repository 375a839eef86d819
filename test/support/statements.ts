/** A gate whose SQL can be listened to, and a tour through all of its doors. @module */

import { DatabaseSync, type SQLInputValue } from 'node:sqlite'
import { type SqliteDatabase, sqlite } from '../../adapters/sqlite.ts'
import type { PairgateOptions } from '../../src/mod.ts'
import { BASE, createTestGate, type TestGate } from './gate.ts'
import {
  call,
  type Door,
  FLOWS,
  type Flow,
  openDecision,
  pageHeaders,
  poll,
  requestLogin,
  type Send,
  signIn,
  startLogin,
} from './logins.ts'

/** Both flows through both doors. */
export const EACH: [Flow, Door][] = FLOWS.flatMap((flow) => [
  [flow, 'form'],
  [flow, 'trpc'],
])

/** One statement that was run. */
export interface Statement {
  readonly text: string
  /** Its first word, in capitals. */
  readonly verb: string
  readonly values: readonly SQLInputValue[]
}

/** A database that notes each statement it runs. */
function listen(database: DatabaseSync, statements: Statement[]): SqliteDatabase {
  const note = (text: string, values: readonly SQLInputValue[]) => {
    // writes that happen to come side by side share a transaction; no flow knows of it
    if (text === 'BEGIN IMMEDIATE' || text === 'COMMIT') return
    statements.push({ text, values, verb: /\w+/.exec(text)?.[0]?.toUpperCase() ?? '' })
  }
  return {
    prepare(text) {
      const statement = database.prepare(text)
      return {
        columns: () => statement.columns(),
        setReturnArrays: (enabled) => statement.setReturnArrays(enabled),
        all: (...values) => {
          note(text, values)
          return statement.all(...values)
        },
        run: (...values) => {
          note(text, values)
          return statement.run(...values)
        },
      }
    },
    exec(text) {
      note(text, [])
      database.exec(text)
    },
    close: () => database.close(),
  }
}

/** A test gate whose statements can be listened to. */
export interface Listened extends TestGate {
  readonly send: Send
  /** The statements that `work` takes, those after its answer included, but for those of {@link tidying}. */
  during(work: () => Promise<unknown>): Promise<Statement[]>
  /** The statements that delete what is old: whoever writes something runs them once a minute. */
  tidying(work: () => Promise<unknown>): Promise<Statement[]>
}

const isTidying = (text: string) => /^delete from "\w+" where rowid in \(select .* limit \?\)$/.test(text)

/** A gate whose tables are there already. */
export async function createListened(
  options: Partial<PairgateOptions> = {},
  file = ':memory:',
): Promise<Listened> {
  const statements: Statement[] = []
  const database = new DatabaseSync(file)
  const t = createTestGate({
    database: sqlite(listen(database, statements)),
    ...options,
  })
  await t.gate.migrate()
  const send: Send = (path, init) => t.fetch(path, init)
  const listened: Listened = {
    ...t,
    database,
    send,
    rows: (sql, ...values) => database.prepare(sql).all(...values) as Record<string, unknown>[],
    async during(work) {
      await t.settle()
      statements.length = 0
      await work()
      await t.settle()
      return statements.filter(({ text }) => !isTidying(text))
    },
    async tidying(work) {
      await t.settle()
      statements.length = 0
      await work()
      await t.settle()
      return statements.filter(({ text }) => isTidying(text))
    },
  }
  // the first to write something tidies up
  await listened.tidying(() => startLogin(send, 'device'))
  return listened
}

/** Logs somebody in and hands out the token. */
export async function collectToken(t: Listened, flow: Flow): Promise<string> {
  const alice = await signIn(t.send, BASE, 'alice')
  const login = await startLogin(t.send, flow)
  await (await openDecision(t.send, BASE, alice, login))('allow')
  return String((await poll(t.send, login)).body.access_token)
}

/** Every row of every table. */
export function dump(t: Listened): { table: string; row: Record<string, unknown> }[] {
  return t
    .rows("SELECT name FROM sqlite_master WHERE type = 'table'")
    .map(({ name }) => String(name))
    .filter((name) => !name.startsWith('pairgate_migrations'))
    .flatMap((table) => t.rows(`SELECT * FROM "${table}"`).map((row) => ({ table, row })))
}

/** Goes through every door with a marker in every text that a stranger may choose. */
export async function doEverything(t: Listened, marker: string): Promise<void> {
  const { send } = t
  const odd = { 'user-agent': `agent${marker}`, 'x-forwarded-for': `${marker}, 203.0.113.9` }
  const sendOdd: Send = (path, init) => {
    const headers = new Headers(init?.headers)
    for (const [name, value] of Object.entries(odd)) headers.set(name, value)
    return send(path, { ...init, headers })
  }
  const more = { device_name: `laptop${marker}` }
  const person = await signIn(sendOdd, BASE, `alice${marker}`)
  for (const [flow, door] of EACH) {
    await requestLogin(sendOdd, flow, door, { ...more, scope: `read${marker}` })
    for (const decision of ['allow', 'deny'] as const) {
      const { login } = await requestLogin(sendOdd, flow, door, more)
      await poll(sendOdd, login, door)
      const decide = await openDecision(sendOdd, BASE, person, login)
      const html = await (await person.get(login.page)).text()
      await person.submit(html, { decision, code: `ABCD${marker}`, form_token: `token${marker}` })
      const said = await decide(decision, door)
      if (said !== (decision === 'allow' ? 'approved' : 'denied')) throw new Error(said)
      const { body } = await poll(sendOdd, login, door)
      await poll(sendOdd, login, door)
      const headers = { authorization: `Bearer ${body.access_token}` }
      await sendOdd('/secured', { headers })
      await t.post('/oauth/revoke', { client_id: 'pairgate-cli', token: String(body.access_token) })
      for (const secret of [`${login.secret}${marker}`, `a${marker}`.padEnd(43, 'a')])
        await poll(sendOdd, { ...login, secret }, door)
    }
  }
  const headers = pageHeaders(person, BASE)
  for (const code of [`BCDF-GHJK${marker}`, `BCDFGHJK`, marker || 'x']) {
    await person.get(`/device?${new URLSearchParams({ user_code: code })}`)
    await call(sendOdd, 'device.review', { user_code: code, code }, headers)
    await call(sendOdd, 'device.approve', { user_code: code, code }, headers)
    await person.get(`/pair/${encodeURIComponent(code)}`)
    await call(sendOdd, 'pair.deny', { paircode: code, code }, headers)
  }
  for (const [path, field] of [
    ['/oauth/device/authorize', 'client_id'],
    ['/oauth/device/token', 'grant_type'],
    ['/oauth/device/token', 'device_code'],
    ['/cli_login', 'paircode'],
    ['/token', 'verifier'],
    ['/oauth/revoke', 'token'],
  ] as const)
    await t.post(path, { client_id: 'pairgate-cli', [field]: `x${marker}` })
  await person.post('/sign-in/dev', { username: `bob${marker}`, next: `/device?user_code=${marker}` })
  const cookie = `pairgate-session=x${marker.replace(/[^a-z]/g, '')}; pairgate-form=${marker || 'x'}`
  await sendOdd('/device', { headers: { cookie, accept: 'text/html' } })
  await t.gate.users.disable({ issuer: `issuer${marker}`, subject: `subject${marker}` })
  await t.gate.users.enable({ issuer: `issuer${marker}`, subject: `subject${marker}` })
  await person.post('/sign-out', {})
}
