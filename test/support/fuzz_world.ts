/** What random requests are sent to: two people who act, one who must not notice, and every row that changes, noted. @module */

import { createHash } from 'node:crypto'
import { PairgateError } from '../../src/errors.ts'
import { userId } from '../../src/flows/browser.ts'
import { sign } from '../../src/hash.ts'
import { callAs, loginAs, personAt, startAs } from './credentials.ts'
import { batch, type Dice, type Draft, form, get, mutation } from './fuzz.ts'
import {
  BASE,
  createPaircode,
  createTestGate,
  DEVICE_GRANT,
  SECRET,
  type TestBrowser,
  type TestGate,
} from './gate.ts'

/** The secret of the resource server. */
export const SERVER_SECRET = 'resource-server-secret-resource-server'
/** Where the provider of the sign-in page sends people. */
export const PROVIDER = 'https://idp.example'
const CLIENT = 'pairgate-cli'
const MANY = 1_000_000

/** One row before and after a request. */
export interface RowChange {
  readonly table: string
  readonly before: Readonly<Record<string, unknown>> | null
  readonly after: Readonly<Record<string, unknown>> | null
}

/** Somebody who acts. */
interface Actor {
  readonly name: string
  readonly id: string
  browser: TestBrowser
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
  const id = userId({ issuer: 'urn:pairgate:dev', subject: name })
  return {
    name,
    id,
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
    const fresh = await personAt(t, actor.name)
    fresh.cookies.set('pairgate-form', `nonce-of-${actor.name}-nonce`)
    const [was = ''] = secretsOf(actor)
    if (live(was)) await fresh.post('/sign-out', {}).then(() => undefined)
    else actor.browser = fresh
    // room for more
    if (live(actor.key)) await callAs(t, actor.key, 'keys.revokeOthers', {})
    const next = await createActor(t, actor.name)
    Object.assign(actor, next)
    keep(world, ...secretsOf(actor))
  }
  world.takeChanges()
}

/** The headers of a page's own request. */
function asPerson({ browser }: Actor): Record<string, string> {
  const cookie = [...browser.cookies].map((pair) => pair.join('=')).join('; ')
  return { cookie, origin: BASE, 'sec-fetch-site': 'same-origin', accept: 'text/html' }
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const token = ({ name }: Actor, ...purpose: string[]) =>
  sign(SECRET, 'form', ['urn:pairgate:dev', name, `nonce-of-${name}-nonce`, ...purpose])

interface Hand {
  readonly world: World
  readonly dice: Dice
  readonly actor: Actor
}

const aDevice = ({ world, dice }: Hand) =>
  world.devices.length > 0
    ? dice.pick(world.devices.slice(-12))
    : { device_code: 'x', user_code: 'BCDF-GHJK' }
const aPair = ({ world, dice }: Hand) =>
  world.pairs.length > 0 ? dice.pick(world.pairs.slice(-12)) : createPaircode()

function newPair({ world }: Hand, seed = false): { verifier: string; paircode: string } {
  const { verifier } = createPaircode()
  const secret = seed ? verifier.slice(0, 22) : verifier
  const pair = { verifier: secret, paircode: createHash('sha256').update(secret).digest('base64url') }
  world.pairs.push(pair)
  keep(world, secret)
  return pair
}

const START = { client_id: CLIENT, scope: 'offline_access', device_name: 'laptop' }

const ofPrograms: readonly ((hand: Hand) => Draft)[] = [
  () => form('/oauth/device/authorize', START),
  () => form('/oauth/device/authorize', { client_id: 'mytool', scope: 'read write' }),
  () => ({ ...form('/oauth/device/authorize', {}), kind: 'json' }),
  (hand) =>
    form('/oauth/device/token', {
      grant_type: DEVICE_GRANT,
      client_id: CLIENT,
      device_code: aDevice(hand).device_code,
    }),
  (hand) =>
    form('/oauth/token', {
      grant_type: DEVICE_GRANT,
      client_id: 'mytool',
      device_code: aDevice(hand).device_code,
    }),
  ({ actor }) =>
    form('/oauth/token', {
      grant_type: 'refresh_token',
      client_id: 'mytool',
      refresh_token: actor.refresh,
      scope: 'read',
    }),
  ({ actor, dice }) =>
    form('/oauth/revoke', {
      client_id: dice.pick([CLIENT, 'mytool']),
      token: dice.pick([actor.access, actor.refresh, actor.key]),
    }),
  ({ actor }) =>
    form('/oauth/introspect', { client_id: 'api', client_secret: SERVER_SECRET, token: actor.access }),
  ({ actor }) =>
    form(
      '/oauth/introspect',
      { token: actor.key },
      { authorization: `Basic ${btoa(`api:${SERVER_SECRET}`)}` },
    ),
  (hand) => form('/cli_login', { ...START, paircode: newPair(hand).paircode }),
  (hand) => form('/token', { client_id: CLIENT, verifier: aPair(hand).verifier }),
  (hand) => get(`/cli_login?paircode=${newPair(hand, true).verifier}`),
  (hand) => get(`/token?paircode=${aPair(hand).verifier}`),
  ({ actor, dice }) =>
    get('/secured', { ...bearer(dice.pick([actor.key, actor.access])), accept: 'application/json' }),
  ({ actor }) => get('/secured', { cookie: `pairgate-seed=${actor.access}` }),
  ({ dice }) =>
    get(
      dice.pick([
        '/healthz',
        '/readyz',
        '/',
        '/.well-known/oauth-authorization-server',
        '/nope',
        '/oauth/device/verify?user_code=x',
      ]),
    ),
]

const ofPages: readonly ((hand: Hand) => Draft)[] = [
  (hand) => get(`/device?user_code=${aDevice(hand).user_code}`, asPerson(hand.actor)),
  (hand) => {
    const { user_code } = aDevice(hand)
    const fields = {
      form_token: token(hand.actor, 'device', user_code),
      user_code,
      decision: hand.dice.pick(['allow', 'allow', 'deny']),
    }
    return form('/device', { ...fields, 'scope:offline_access': 'on' }, asPerson(hand.actor))
  },
  (hand) => get(`/pair/${aPair(hand).paircode}`, asPerson(hand.actor)),
  (hand) => {
    const { paircode } = aPair(hand)
    const fields = {
      form_token: token(hand.actor, 'pair', paircode),
      decision: hand.dice.pick(['allow', 'allow', 'deny']),
    }
    return form(`/pair/${paircode}`, { ...fields, 'scope:offline_access': 'on' }, asPerson(hand.actor))
  },
  ({ actor }) => get('/account', asPerson(actor)),
  ({ actor, dice }) => {
    const id = `made-${dice.below(1_000_000)}`
    return form(
      '/account',
      {
        action: 'create',
        id,
        form_token: token(actor, 'account', 'create', id),
        name: 'ci',
        expires_in: '3600',
        'scope:read': 'on',
      },
      asPerson(actor),
    )
  },
  ({ actor, dice, world }) => {
    const action = dice.pick([
      'revoke',
      'report',
      'rotate',
      'rotate',
      'revoke_sessions',
      'revoke_keys',
      'revoke_others',
      'revoke_all',
    ])
    const id = dice.pick(world.ids)
    const [row] = world.t.rows('SELECT hint FROM credentials WHERE id = ?', id)
    return form(
      '/account',
      {
        action,
        id,
        form_token: token(actor, 'account'),
        hint: String(row?.hint),
        overlap: dice.pick(['0', '3600']),
      },
      asPerson(actor),
    )
  },
  ({ actor, dice }) =>
    get(
      `/sign-in?next=${encodeURIComponent(dice.pick(['/device', '//evil.example', '/\\evil.example', 'https://evil.example']))}`,
      dice.oneIn(2) ? asPerson(actor) : {},
    ),
  ({ actor, dice }) =>
    form(
      '/sign-in/dev',
      {
        username: dice.pick(['dave', 'erin']),
        next: dice.pick(['/account', '//evil.example', '/\\/evil.example']),
      },
      { ...asPerson(actor), cookie: '' },
    ),
  ({ actor }) => form('/sign-out', {}, asPerson(actor)),
  () => get('/sign-in/stub?next=/account'),
  ({ actor }) => get('/sign-in/callback/stub?code=x&state=y', asPerson(actor)),
  (hand) =>
    form('/oauth/device/verify-authenticated', { user_code: aDevice(hand).user_code }, asPerson(hand.actor)),
]

const calls: readonly ((hand: Hand) => Draft)[] = [
  () => mutation('device.authorize', START),
  (hand) => mutation('device.token', { client_id: CLIENT, device_code: aDevice(hand).device_code }),
  (hand) =>
    mutation(`device.${hand.dice.pick(['review', 'approve', 'approve', 'deny'])}`, {
      user_code: aDevice(hand).user_code,
    }),
  (hand) => mutation('pair.start', { ...START, paircode: newPair(hand).paircode, delivery: 'poll' }),
  (hand) => mutation('pair.token', { client_id: CLIENT, verifier: aPair(hand).verifier }),
  (hand) =>
    mutation(`pair.${hand.dice.pick(['review', 'approve', 'approve', 'deny'])}`, {
      paircode: aPair(hand).paircode,
    }),
  ({ actor }) => mutation('session.refresh', { client_id: 'mytool', refresh_token: actor.refresh }),
  ({ dice }) =>
    mutation(
      dice.pick([
        'session.signOut',
        'session.revokeOthers',
        'session.revokeAll',
        'keys.revokeOthers',
        'keys.revokeAll',
      ]),
      {},
    ),
  ({ dice, world }) => mutation(dice.pick(['session.revoke', 'keys.revoke']), { id: dice.pick(world.ids) }),
  () => mutation('keys.create', { name: 'ci', scope: 'read', expires_in: 3600 }),
  ({ dice, world }) =>
    mutation('keys.rotate', { id: dice.pick(world.ids), overlap_seconds: dice.pick([0, 60]) }),
]

/** Draws a request that may well work. */
export function drawDraft(world: World, dice: Dice): Draft {
  const hand = { world, dice, actor: dice.pick(world.actors) }
  const kind = dice.below(10)
  if (kind < 3) return dice.pick(ofPrograms)(hand)
  if (kind < 6) return dice.pick(ofPages)(hand)
  const headers = dice.oneIn(3)
    ? bearer(dice.pick([hand.actor.key, hand.actor.access]))
    : asPerson(hand.actor)
  if (kind === 6) {
    const query = dice.pick([
      'session.whoami',
      'session.list',
      'keys.list',
      'keys.create',
      'keys.list,session.whoami?batch=1',
    ])
    return get(`/trpc/${query}`, headers)
  }
  if (kind === 7)
    return batch(
      Array.from({ length: 1 + dice.below(4) }, () => dice.pick(calls)(hand)),
      headers,
    )
  return { ...dice.pick(calls)(hand), headers }
}
