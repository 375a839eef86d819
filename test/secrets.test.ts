/**
 * A standalone server with everything switched on, walked through from end to end: each secret is in the one answer
 * that hands it out, and nowhere else; not in the log, not in an event, not in the database, in no spelling.
 *
 * @module
 */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import {
  createNotes,
  createWalk,
  type Notes,
  type Walk,
  walkKeys,
  walkLogins,
  walkLoopback,
  walkMistakes,
  walkRefresh,
  walkSeeds,
} from './support/everything.ts'
import { type StandaloneServer, startStandalone } from './support/standalone.ts'
import { listenWebhook, type Receiver } from './support/webhook_receiver.ts'

const SIGNING = 'signing-secret-of-this-very-test-0123456789'
const SERVER = 'resource-server-secret-of-this-very-test'

const notes: Notes = createNotes()
let folder: string
let server: StandaloneServer
let receiver: Receiver
let walk: Walk
/** What the server has left behind: its log, its events, its database. */
let left: { log: string; events: string; hooks: string; database: string }

/** The configuration file: everything on, all events into a file. */
function configuration(): string {
  const options = {
    clients: { mytool: { scopes: ['read', 'offline_access'] } },
    scopes: { read: 'Read' },
    resourceServers: { api: { secret: SERVER } },
    webhooks: [{ url: receiver.url, secret: receiver.secret }],
    seedCompat: true,
    limits: { startPerMinute: 100_000, wrongCodesPerAccount: 100_000, wrongCodesPerAddress: 100_000 },
  }
  return `import { appendFileSync } from 'node:fs'
const onEvent = (event) => appendFileSync(${JSON.stringify(join(folder, 'events'))}, JSON.stringify(event) + '\\n')
export default { ...${JSON.stringify(options)}, onEvent }`
}

/** A table that fails each INSERT, for as long as it takes to see what an error says. */
async function walkFailure({ post, notes: { handedOut } }: Walk): Promise<void> {
  const database = new DatabaseSync(server.file, { timeout: 5000 })
  try {
    database.exec("CREATE TRIGGER broken BEFORE INSERT ON grants BEGIN SELECT RAISE(ABORT, 'boom'); END")
    const secret = handedOut.get('key made by hand') ?? ''
    const { status } = await post(
      '/oauth/device/authorize',
      { client_id: 'mytool', device_name: 'x' },
      { authorization: `Bearer ${secret}` },
    )
    expect(status).toBe(500)
    database.exec('DROP TRIGGER broken')
  } finally {
    database.close()
  }
}

/** What a resource server asks, and the end of it all. */
async function walkEnds(one: Walk, key: string, token: string): Promise<void> {
  const basic = { authorization: `Basic ${btoa(`api:${SERVER}`)}` }
  for (const secret of [key, token]) {
    expect((await one.post('/oauth/introspect', { token: secret }, basic)).body).toMatchObject({
      active: true,
    })
    await one.fetch('/secured', {
      headers: { authorization: `Bearer ${secret}`, accept: 'application/json' },
    })
    await one.fetch('/trpc/session.whoami', { headers: { authorization: `Bearer ${secret}` } })
  }
  await one.post('/oauth/revoke', { client_id: 'mytool', token })
  await one.call('session.signOut', {}, { authorization: `Bearer ${key}` })
  const bob = await one.person('bob')
  await bob.get('/account')
  await bob.post('/sign-out', {})
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'pairgate-secrets-'))
  receiver = await listenWebhook()
  const config = join(folder, 'config.mjs')
  writeFileSync(config, configuration())
  server = await startStandalone({
    PAIRGATE_CONFIG: config,
    PAIRGATE_LOG: 'json:debug',
    PAIRGATE_SECRET: SIGNING,
  })
  walk = createWalk(server.base, notes)
  notes.brought.set('signing secret', SIGNING).set('secret of the resource server', SERVER)
  notes.brought.set('webhook secret', receiver.secret.slice('whsec_'.length))
  notes.brought.set('path and query of the webhook', 'hidden-path')
  const { tokens, alice } = await walkLogins(walk, server.base)
  await walkLoopback(walk, server.base, alice)
  await walkRefresh(walk, tokens)
  const key = await walkKeys(walk, server.base, alice)
  await walkSeeds(walk, alice)
  await walkFailure(walk)
  await walkEnds(walk, key, tokens[3]?.access_token ?? '')
  await walkMistakes(walk, alice)
  const written = () => readFileSync(join(folder, 'events'), 'utf8').trim().split('\n').length
  await vi.waitFor(
    async () => {
      // whoever comes gives the webhooks their turn
      await walk.fetch('/readyz')
      expect(receiver.events().length).toBeGreaterThanOrEqual(written())
    },
    { timeout: 30_000, interval: 100 },
  )
  await server.stop()
  const files = readdirSync(dirname(server.file)).filter((name) => name.startsWith(basename(server.file)))
  left = {
    log: server.output(),
    events: readFileSync(join(folder, 'events'), 'utf8'),
    hooks: receiver.requests.map(({ headers, body }) => JSON.stringify(headers) + body).join('\n'),
    database: files.map((name) => readFileSync(join(dirname(server.file), name), 'latin1')).join('\n'),
  }
}, 120_000)

afterAll(async () => {
  await server?.stop()
  server?.remove()
  await receiver?.close()
  rmSync(folder, { recursive: true, force: true })
})

/** A secret in all the ways in which somebody could have written it down. */
function spellings(secret: string): string[] {
  const bytes = Buffer.from(secret)
  const decoded = /^[A-Za-z0-9_+/=-]{43,44}$/.test(secret) ? Buffer.from(secret, 'base64') : null
  const others = [bytes, ...(decoded ? [decoded] : [])].flatMap((one) => [
    one.toString('hex'),
    one.toString('hex').toUpperCase(),
    one.toString('base64').replace(/=+$/, ''),
    one.toString('base64url'),
    one.toString('latin1'),
  ])
  // without what all secrets of a kind begin with, it is still the secret
  const bare = secret.replace(/^pg[bskr]_/, '')
  return [...new Set([secret, bare, Buffer.from(bare).toString('base64').slice(0, -4), ...others])]
}

/** Which of the secrets a text has, by name. */
function findIn(text: string, secrets: ReadonlyMap<string, string>): string[] {
  return [...secrets]
    .filter(([, secret]) => spellings(secret).some((one) => text.includes(one)))
    .map(([name]) => name)
}

test('every secret that there is was noted, and the walk went everywhere', () => {
  const kinds = [...notes.handedOut, ...notes.brought, ...notes.shown]
  // the shortest is a match code: `plum 42`
  expect(kinds.filter(([, secret]) => secret.length < 7)).toEqual([])
  expect(kinds.length).toBeGreaterThan(35)
  const types = new Set(
    left.events
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).type),
  )
  for (const type of [
    'started',
    'approved',
    'issued',
    'replayed',
    'first_used',
    'rotated',
    'refreshed',
    'revoked',
    'reported',
    'signed_in',
    'signed_out',
    'wrong_code',
  ])
    expect(types).toContain(type)
  expect(new Set(receiver.events().map(({ type }) => type))).toEqual(types)
  expect(left.log).toMatch(/"level":"ERROR"|boom/)
})

test('STO-03 the database holds none of them, in no spelling, and nothing that clients say of themselves', () => {
  expect(findIn(left.database, new Map([...notes.handedOut, ...notes.brought, ...notes.chatter]))).toEqual([])
  const tokens = new Map([...notes.shown].filter(([name]) => name.startsWith('form token')))
  expect(findIn(left.database, tokens)).toEqual([])
  expect(left.database).not.toMatch(/pairgate-(session|form|seed)=|Bearer /)
})

test('OPS-03 PC-12 the log holds none of them, nor a code that people read or type', () => {
  const all = new Map([...notes.handedOut, ...notes.brought, ...notes.shown, ...notes.chatter])
  expect(findIn(left.log, all)).toEqual([])
})

test('OPS-05 events and webhooks carry none of them', () => {
  const all = new Map([...notes.handedOut, ...notes.brought, ...notes.shown, ...notes.chatter])
  all.delete('path and query of the webhook')
  expect([findIn(left.events, all), findIn(left.hooks, all)]).toEqual([[], []])
})

test('KEY-08 PC-12 OPS-04 each is in the one answer that hands it out; what was brought is in none', () => {
  const where = (secret: string) =>
    notes.answers
      .filter(({ text }) => spellings(secret).some((one) => text.includes(one)))
      .map(({ request, status }) => `${status} ${request}`)
  const repeated = [...notes.handedOut]
    .map(([name, secret]) => [name, where(secret)] as const)
    .filter(([, at]) => at.length !== 1)
  expect(repeated).toEqual([])
  expect(
    [...notes.brought]
      .map(([name, secret]) => [name, where(secret)] as const)
      .filter(([, at]) => at.length > 0),
  ).toEqual([])
  // what people read is shown on pages and at the start, never in the words of an error
  for (const [name, secret] of notes.shown)
    for (const at of where(secret))
      expect([name, at]).toEqual([name, expect.not.stringMatching(/^4.. (POST|GET) \/(oauth|token|trpc)/)])
})
