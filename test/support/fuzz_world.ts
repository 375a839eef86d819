/** What random requests are sent to: two people who act, one who must not notice, and every row that changes, noted. @module */

import { createHash } from 'node:crypto'
import { PairgateError } from '../../src/errors.ts'
import { loginAs, personAt, startAs } from './credentials.ts'
import { createTestGate, SECRET, type TestBrowser, type TestGate } from './gate.ts'

/** The secret of the resource server. */
export const SERVER_SECRET = 'resource-server-secret-resource-server'
/** Where the provider of the sign-in page sends people. */
export const PROVIDER = 'https://idp.example'
const MANY = 1_000_000

/** One row before and after a request. */
export interface RowChange {
  readonly table: string
  readonly before: Readonly<Record<string, unknown>> | null
  readonly after: Readonly<Record<string, unknown>> | null
}

/** Somebody who acts. */
export interface Actor {
  readonly name: string
  readonly id: string
  readonly browser: TestBrowser
  /** A key that may manage. */
  key: string
  access: string
  refresh: string
}

/** Everything there is. */
export interface World {
  readonly t: TestGate
  readonly actors: readonly Actor[]
  readonly bystander: string
  /** Whatever a request may carry in a wrong place. */
  readonly pool: string[]
  /** What no body may ever have in it again. */
  readonly secrets: Set<string>
  readonly devices: { device_code: string; user_code: string }[]
  readonly pairs: { verifier: string; paircode: string }[]
  /** What browsers have brought to CLIs that listen, and what it is good with. */
  readonly codes: { verifier: string; code: string }[]
  /** Ids of credentials, those of the bystander too. */
  readonly ids: string[]
  /** The rows that changed since it was asked last. */
  takeChanges(): RowChange[]
}

/** Lower-case hex SHA-256, as secrets are stored. */
export const hash = (secret: string) => createHash('sha256').update(secret).digest('hex')

/** Has the database itself note what becomes of each row, whoever changes it. */
function watch(t: TestGate): () => RowChange[] {
  t.database.exec('CREATE TEMP TABLE noted (tab TEXT, was TEXT, is_now TEXT)')
  const tables = t.rows("SELECT name FROM sqlite_master WHERE type = 'table'").map(({ name }) => String(name))
  for (const table of tables.filter((name) => !/^(pairgate_|sqlite_|limits$)/.test(name))) {
    const columns = t.rows(`SELECT name FROM pragma_table_info('${table}')`).map(({ name }) => String(name))
    const row = (at: string) => `json_object(${columns.map((name) => `'${name}', ${at}."${name}"`).join()})`
    for (const [operation, was, is] of [
      ['INSERT', 'NULL', row('NEW')],
      ['UPDATE', row('OLD'), row('NEW')],
      ['DELETE', row('OLD'), 'NULL'],
    ])
      t.database.exec(
        `CREATE TEMP TRIGGER note_${table}_${operation} AFTER ${operation} ON main."${table}"
         BEGIN INSERT INTO noted VALUES ('${table}', ${was}, ${is}); END`,
      )
  }
  return () => {
    const noted = t.rows('SELECT * FROM noted')
    if (noted.length > 0) t.database.exec('DELETE FROM noted')
    const read = (text: unknown) => (text === null ? null : JSON.parse(String(text)))
    const changes = noted.map(({ tab, was, is_now }) => ({
      table: String(tab),
      before: read(was),
      after: read(is_now),
    }))
    return changes.filter(({ before, after }) => JSON.stringify(before) !== JSON.stringify(after))
  }
}

function createGate(): TestGate {
  return createTestGate({
    devSignIn: true,
    seedCompat: true,
    clients: {
      mytool: { scopes: ['read', 'write', 'offline_access'], refresh: true },
      other: { flows: ['pair'] },
    },
    scopes: { read: 'Read', write: 'Write' },
    resourceServers: { api: { secret: SERVER_SECRET } },
    signIn: [
      {
        id: 'stub',
        name: 'Stub',
        issuer: PROVIDER,
        authorize: async ({ state }) => new URL(`${PROVIDER}/authorize?state=${state}`),
        callback: () => Promise.reject(new PairgateError('ERR_PAIRGATE_SIGN_IN_CANCELLED', 'You cancelled')),
      },
    ],
    limits: {
      ...{
        startPerMinute: MANY,
        pendingPerAddress: MANY,
        pendingTotal: MANY,
        sessionsPerUser: 30,
        keysPerUser: 30,
      },
      ...{ wrongCodesPerAccount: MANY, wrongCodesPerAddress: MANY, wrongCodesTotal: MANY },
    },
  })
}

async function createActor(t: TestGate, name: string): Promise<Actor> {
  const browser = await personAt(t, name)
  const manager = await loginAs(t, browser, 'device', { scope: 'pairgate:manage' })
  const tokens = await loginAs(t, browser, 'pair', { client_id: 'mytool', scope: 'read write' })
  // any nonce is good: what ties a form to a browser is the signature over it
  browser.cookies.set('pairgate-form', `nonce-of-${name}-nonce`)
  const [user] = t.rows('SELECT id FROM users WHERE subject = ?', name)
  return {
    name,
    id: String(user?.id),
    browser,
    key: manager.access_token,
    access: tokens.access_token,
    refresh: tokens.refresh_token ?? '',
  }
}

/** Makes the world. The bystander has one of everything, half-way and done. */
export async function createWorld(): Promise<World> {
  const t = createGate()
  await t.gate.migrate()
  const actors = [await createActor(t, 'alice'), await createActor(t, 'bob')]
  const carol = await createActor(t, 'carol')
  const secrets = new Set([
    SECRET,
    SERVER_SECRET,
    carol.key,
    carol.access,
    carol.refresh,
    carol.browser.cookies.get('pairgate-session') ?? '',
  ])
  for (const decision of ['allow', 'deny'] as const)
    for (const flow of ['device', 'pair'] as const)
      await carol.browser.decide((await startAs(t, flow)).page, decision)
  const ids = t.rows('SELECT id FROM credentials').map(({ id }) => String(id))
  const world: World = {
    ...{ t, actors, bystander: carol.id, secrets, ids, pool: [...ids], devices: [], pairs: [] },
    codes: [],
    takeChanges: watch(t),
  }
  for (const actor of actors) keep(world, ...secretsOf(actor))
  return world
}

const secretsOf = ({ browser, key, access, refresh }: Actor) => [
  browser.cookies.get('pairgate-session') ?? '',
  key,
  access,
  refresh,
]

/** Notes secrets that exist from now on. */
export function keep({ pool, secrets }: World, ...made: string[]): void {
  for (const secret of made) {
    secrets.add(secret)
    pool.push(secret)
  }
  // what is old is mostly over
  if (pool.length > 400) pool.splice(0, 100)
}

/** Brings those back who were signed out or lost what they work with. */
export async function revive(world: World): Promise<void> {
  const { t } = world
  for (const actor of world.actors) {
    const live = (secret: string) =>
      t.rows('SELECT id FROM credentials WHERE secret_hash = ? AND revoked_at IS NULL', hash(secret)).length >
      0
    if (secretsOf(actor).slice(0, 3).every(live)) continue
    // makes room for more
    await t.gate.users.revoke({ issuer: 'urn:pairgate:dev', subject: actor.name })
    Object.assign(actor, await createActor(t, actor.name))
    keep(world, ...secretsOf(actor))
  }
  world.takeChanges()
}
