/** The requests that work, at every door, from which random ones are made. @module */

import { createHash } from 'node:crypto'
import { sign } from '../../src/hash.ts'
import { batch, type Dice, type Draft, form, get, mutation } from './fuzz.ts'
import { type Actor, keep, SERVER_SECRET, type World } from './fuzz_world.ts'
import { BASE, createPaircode, DEVICE_GRANT, SECRET } from './gate.ts'

const CLIENT = 'pairgate-cli'

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

/** A verifier, and a code that a browser has brought: its own, or that of another login. */
function aCode(hand: Hand): { verifier: string; code: string } {
  const { world, dice } = hand
  const brought = world.codes.length > 0 ? dice.pick(world.codes.slice(-2)) : { verifier: 'x', code: 'x' }
  return dice.oneIn(4) ? { ...brought, verifier: aPair(hand).verifier } : brought
}

/** What asks for the delivery loopback; states of the CLI are nobody's secrets. */
const loopback = ({ dice }: Hand) => ({
  ...{ delivery: 'loopback', state: dice.pick(['s', 'Az09._~-']) },
  port: dice.pick(['1024', '40000', '65535']),
})

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
  (hand) => form('/cli_login', { ...START, paircode: newPair(hand).paircode, ...loopback(hand) }),
  (hand) => form('/token', { client_id: CLIENT, verifier: aPair(hand).verifier }),
  (hand) => {
    const { verifier, code } = aCode(hand)
    return form('/token', { client_id: CLIENT, verifier, code })
  },
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
  (hand) =>
    mutation('pair.start', {
      ...{ ...START, paircode: newPair(hand).paircode, ...loopback(hand), port: 40_000 },
    }),
  (hand) => mutation('pair.token', { client_id: CLIENT, verifier: aPair(hand).verifier }),
  (hand) => mutation('pair.token', { client_id: CLIENT, ...aCode(hand) }),
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
  // some by a page of somebody else's
  const foreign = dice.oneIn(6) && { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
  if (kind < 6) {
    const draft = dice.pick(ofPages)(hand)
    return { ...draft, headers: { ...draft.headers, ...foreign } }
  }
  const own = { ...asPerson(hand.actor), ...foreign }
  const headers = dice.oneIn(3) ? bearer(dice.pick([hand.actor.key, hand.actor.access])) : own
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
