/**
 * Random requests at every door, a fixed seed: nothing breaks, nothing leaks, nobody is sent elsewhere, and no row
 * changes but those that the answer speaks of, of those people whose secrets the request carries.
 *
 * @module
 */

import { expect, test } from 'vitest'
import { cleanLabel } from '../src/core/text.ts'
import { createDice, spoil, toRequest } from './support/fuzz.ts'
import { drawDraft } from './support/fuzz_drafts.ts'
import {
  createWorld,
  hash,
  keep,
  PROVIDER,
  type RowChange,
  revive,
  type World,
} from './support/fuzz_world.ts'
import { BASE } from './support/gate.ts'

const SEED = 20_261_121
const REQUESTS = 6_000

/** A request, its answer, and what became of it. */
interface Exchange {
  readonly request: Request
  /** All that the request said. */
  readonly text: string
  readonly response: Response
  readonly body: string
  readonly changes: readonly RowChange[]
}

const HEADERS: readonly [string, RegExp][] = [
  ['cache-control', /^no-store$/],
  ['x-content-type-options', /^nosniff$/],
  ['referrer-policy', /^same-origin$/],
  ['x-frame-options', /^DENY$/],
  ['cross-origin-opener-policy', /^same-origin$/],
  ['content-security-policy', /default-src 'none'.*frame-ancestors 'none'; base-uri 'none'/],
]

/** Where a browser goes to bring the CLI a code, or that there is none; nothing else follows. */
const CALLBACK =
  /^http:\/\/127\.0\.0\.1:(?:1024|40000|65535)\/callback\?(?:code=([\w-]{43})|error=access_denied)&state=[\w.%-]{1,128}&iss=[\w.%-]+$/

/** What is wrong with the answer alone. */
function judgeAnswer({ secrets, t }: World, { request, text, response, body }: Exchange): string[] {
  const wrong = HEADERS.filter(([name, value]) => !value.test(response.headers.get(name) ?? '')).map(
    ([name]) => `header ${name}`,
  )
  if (response.status >= 500) wrong.push(`status ${response.status}`)
  const location = response.headers.get('location')
  if (location !== null) {
    const { origin } = new URL(location, request.url)
    const { pathname } = new URL(request.url)
    const isSignIn = origin === PROVIDER && pathname.endsWith('/sign-in/stub')
    if (origin !== BASE && !isSignIn && !(CALLBACK.test(location) && pathname.startsWith('/pair/')))
      wrong.push(`location ${location}`)
  }
  for (const name of response.headers.keys())
    if (name.startsWith('access-control-')) wrong.push(`header ${name}`)
  const [leak] =
    /\bat \S+ \(|\.(ts|tsx|js|mjs):\d|"stack":|node_modules|SQLITE_|\bSELECT \S+ FROM /.exec(body) ?? []
  if (leak) wrong.push(`the body says ${leak}`)
  for (const [found] of body.matchAll(/[A-Za-z0-9_-]{22,80}/g)) {
    if (secrets.has(found) && !text.includes(found)) wrong.push(`the secret ${found}`)
    const isHash = /^[0-9a-f]{64}$/.test(found) && !text.includes(found)
    if (isHash && t.rows('SELECT id FROM users WHERE id = ?', found).length === 0)
      wrong.push(`the hash ${found}`)
  }
  return wrong
}

/** Whose secrets a request carries: nobody else's rows may change. */
function findPeople({ t }: World, { request, text }: Exchange): Set<unknown> {
  const people = new Set<unknown>()
  for (const [found] of text.matchAll(/[A-Za-z0-9_~.-]{22,}/g)) {
    const [one, family] = [hash(found), hash(found.slice(4, 26))]
    const rows = t.rows(
      `SELECT user_id FROM credentials WHERE ? IN (secret_hash, previous_hash, refresh_hash) OR family_hash = ?
       UNION SELECT user_id FROM grants WHERE secret_hash = ? AND user_id IS NOT NULL`,
      ...[one, family, one],
    )
    for (const { user_id } of rows) people.add(user_id)
  }
  // signing in takes no secret in development, but a name
  const named = cleanLabel(new URLSearchParams(text.slice(text.indexOf('\n\n') + 2)).get('username'))
  if (new URL(request.url).pathname.endsWith('/sign-in/dev'))
    for (const { id, subject } of t.rows('SELECT id, subject FROM users'))
      if (subject === named) people.add(id)
  return people
}

/** A use is noted after the answer: the credential may be over by then. */
const USE = ['first_used_at', 'last_used_at', 'last_used_address']
const FIXED = [
  'id',
  'kind',
  'user_id',
  'grant_id',
  'client_id',
  'scope',
  'tenant',
  'name',
  'created_at',
  'family_hash',
]
const count = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].length
const differs = ({ before, after }: RowChange, column: string) =>
  before !== null && after !== null && before[column] !== after[column]

function isForeign({ headers }: Request): boolean {
  const site = headers.get('sec-fetch-site') ?? 'same-origin'
  return (headers.get('origin') ?? BASE) !== BASE || site !== 'same-origin'
}

/** What each row that changed may not have done, whatever the answer was. */
function judgeRow(change: RowChange, { request, text }: Exchange, people: Set<unknown>): string | null {
  const { table, before, after } = change
  if (table === 'events') return before === null ? null : 'the audit trail was changed'
  if (after === null) return `a row of ${table} is gone`
  const owner = table === 'users' ? after.id : (after.user_id ?? null)
  if (owner !== null && !people.has(owner)) return `a row of ${table} of somebody else changed`
  if (table === 'users' && differs(change, 'disabled_at')) return 'somebody was disabled or enabled'
  if (table === 'grants' && before !== null) {
    const others = Object.keys(before).filter((column) => column !== 'expires_at')
    // who ends everything ends what was allowed and not collected yet
    const isOver = before.status === 'approved' && after.expires_at === before.created_at
    if (before.status !== 'pending' && !(isOver && !others.some((column) => differs(change, column))))
      return 'a decided login changed'
    if (differs(change, 'status') && (isForeign(request) || request.method !== 'POST'))
      return 'decided from elsewhere'
    if (differs(change, 'secret_hash') || differs(change, 'client_id')) return 'a login became another one'
  }
  if (table === 'credentials' && before !== null) {
    const fixed = FIXED.find((column) => differs(change, column))
    if (fixed) return `the ${fixed} of a credential changed`
    const isMore = Object.keys(before).some((column) => !USE.includes(column) && differs(change, column))
    if (before.revoked_at !== null && isMore) return 'a credential that was over changed'
    if (differs(change, 'revoked_at') && request.method !== 'POST') return 'ended without a POST'
    const isPage = /^\/(account|sign-out|sign-in)/.test(new URL(request.url).pathname)
    if (differs(change, 'revoked_at') && isPage && isForeign(request)) return 'ended from elsewhere'
    const isLonger = Number(after.expires_at) > Number(before.expires_at)
    if (isLonger || (differs(change, 'expires_at') && !differs(change, 'revoked_at')))
      return 'the end of a credential moved'
    if (differs(change, 'secret_hash') && !/refresh|rotate/.test(text)) return 'a secret changed'
  }
  return null
}

/** What the answer says was done, against the rows: as many of each. */
function judgeCounts({ request, response, body, changes }: Exchange): string[] {
  const { pathname } = new URL(request.url)
  const cookies = response.headers.getSetCookie().join('\n')
  const isOk = response.status === 200
  const of = (table: string) => changes.filter((change) => change.table === table)
  const added = (table: string) => of(table).filter(({ before }) => before === null)
  const isBrowser = ({ after }: RowChange) => after?.kind === 'browser'
  const said = {
    started:
      count(body, /"(device_code|login_url)":"/g) +
      (isOk && pathname === '/cli_login' && body.startsWith(BASE) ? 1 : 0),
    decided:
      count(body, /"status":"(approved|denied)"/g) +
      count(body, /<title>(Allowed|Denied) /g) +
      (CALLBACK.test(response.headers.get('location') ?? '') ? 1 : 0) +
      count(body, /"message":"Device authorized successfully!"/g),
    secrets:
      count(body, /"(access_token|secret)":"/g) +
      count(body, /class="code secret"/g) +
      count(cookies, /pairgate-seed=[^;]/g),
    signedIn: count(cookies, /pairgate-session=[^;]/g),
  }
  const done = {
    started: added('grants').length,
    decided: of('grants').filter((change) => differs(change, 'status')).length,
    secrets:
      added('credentials').filter((change) => !isBrowser(change)).length +
      of('credentials').filter((change) => differs(change, 'secret_hash')).length,
    signedIn: added('credentials').filter(isBrowser).length,
  }
  return JSON.stringify(said) === JSON.stringify(done)
    ? []
    : [`said ${JSON.stringify(said)}, done ${JSON.stringify(done)}`]
}

/** Takes what an answer handed out into the pool. */
function learn(world: World, { text, response, body, changes }: Exchange): void {
  const [, inBody = response.headers.get('location') ?? ''] = /"redirect_to":"([^"]+)"/.exec(body) ?? []
  const [, code] = CALLBACK.exec(inBody) ?? []
  const pair = world.pairs.find(({ paircode }) => text.includes(paircode))
  if (code && pair) {
    world.codes.push({ verifier: pair.verifier, code })
    keep(world, code)
  }
  for (const [, device_code = '', user_code = ''] of body.matchAll(
    /"device_code":"([^"]+)","user_code":"([^"]+)"/g,
  )) {
    world.devices.push({ device_code, user_code })
    keep(world, device_code)
    world.pool.push(user_code)
  }
  for (const [, secret = ''] of body.matchAll(
    /(?:_token":"|"secret":"|class="code secret"[^>]*>)(pg[ksr]_[0-9A-Za-z]+)/g,
  ))
    keep(world, secret)
  // whoever calls a machine by a secret has told it everybody
  for (const { after } of changes)
    for (const [word] of `${after?.name} ${after?.device_name}`.matchAll(/[\w-]+/g))
      world.secrets.delete(word)
  for (const { table, before, after } of changes)
    if (table === 'credentials' && before === null) world.ids.push(String(after?.id))
}

/** Every row that is the bystander's. */
const rowsOf = ({ t, bystander }: World) =>
  ['credentials', 'grants', 'users'].map((table) =>
    t.rows(`SELECT * FROM ${table} WHERE ${table === 'users' ? 'id' : 'user_id'} = ?`, bystander),
  )

test(`OPS-04 DF-03 WEB-01 RPC-06 KEY-09 STO-04 ${REQUESTS} random requests, seed ${SEED}`, {
  timeout: 120_000,
}, async () => {
  const dice = createDice(SEED)
  const world = await createWorld()
  const untouched = rowsOf(world)
  const seen: Record<string, number> = {}
  for (let i = 0; i < REQUESTS; i++) {
    if (dice.oneIn(60)) world.t.advance(7)
    const { request, text } = toRequest(spoil(drawDraft(world, dice), dice, world.pool))
    const response = await world.t.gate.fetch(request, { remoteAddress: '127.0.0.1' })
    const body = await response.text()
    // what goes on after the answer has been started by now, and the database answers at once
    await new Promise((resolve) => setImmediate(resolve))
    const exchange = { request, text, response, body, changes: world.takeChanges() }
    const people = exchange.changes.length > 0 ? findPeople(world, exchange) : new Set()
    const wrong = [
      ...judgeAnswer(world, exchange),
      ...exchange.changes.flatMap((change) => judgeRow(change, exchange, people) ?? []),
      ...judgeCounts(exchange),
    ]
    if (wrong.length > 0)
      expect.fail(
        `seed ${SEED}, request ${i}: ${wrong.join('; ')}\n\n${text.slice(0, 3_000)}\n\n${response.status} ${body.slice(0, 2_000)}\n\n${JSON.stringify(exchange.changes, null, 1).slice(0, 4_000)}`,
      )
    learn(world, exchange)
    for (const { table, before, after } of exchange.changes) {
      const what = before === null ? 'added' : after?.revoked_at !== before.revoked_at ? 'ended' : 'changed'
      seen[`${table} ${what}`] = (seen[`${table} ${what}`] ?? 0) + 1
      const isLoopback = world.codes.some(({ code }) => exchange.text.includes(code))
      if (table === 'credentials' && before === null && isLoopback)
        seen['loopback collected'] = (seen['loopback collected'] ?? 0) + 1
    }
    seen[String(response.status)] = (seen[String(response.status)] ?? 0) + 1
    if (exchange.changes.some((change) => differs(change, 'revoked_at') || differs(change, 'secret_hash')))
      await revive(world)
  }
  expect(rowsOf(world)).toEqual(untouched)
  // and it was no walk past closed doors
  for (const what of [
    'grants added',
    'grants changed',
    'credentials added',
    'credentials ended',
    'credentials changed',
    '200',
    '303',
    '400',
    '401',
    '403',
    '404',
    '405',
    '409',
    '413',
    '415',
    '421',
  ])
    expect([what, (seen[what] ?? 0) > 5]).toEqual([what, true])
  expect(seen['loopback collected']).toBeGreaterThan(0)
})
