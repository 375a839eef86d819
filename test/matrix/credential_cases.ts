/** The life of credentials after a login: refreshed, introspected, listed, rotated, ended. Each case has people of its own. @module */

import assert from 'node:assert/strict'
import { readAccount } from '../support/account.ts'
import { DEVICE_GRANT, type TestBrowser } from '../support/gate.ts'
import { type Flow, preparePair } from '../support/logins.ts'
import { api, post, type Site, signIn } from './doors.ts'
import { type Cases, forFlows, type World } from './world.ts'

/** A client that gets refresh tokens, as the servers' options have it. */
const CLIENT = 'offline'
/** What the resource server of the options asks with. */
const API = { client_id: 'api', client_secret: 'matrix-resource-server-secret-32' }

type Tokens = { readonly access: string; readonly refresh: string; readonly scope: string }

const toTokens = (body: Record<string, unknown>): Tokens => ({
  access: String(body.access_token),
  refresh: String(body.refresh_token),
  scope: String(body.scope),
})

/** Somebody whom no other case knows, signed in. */
const newPerson = (site: Site) => signIn(site, `person ${crypto.randomUUID()}`)

/** Logs in, as a person who ticks these boxes. */
async function login(site: Site, person: TestBrowser, flow: Flow, scope: string): Promise<Tokens> {
  const { secret, code } = preparePair()
  const [startPath, more] =
    flow === 'device' ? ['/oauth/device/authorize', {}] : ['/cli_login', { paircode: code }]
  const started = await post(site, startPath, { client_id: CLIENT, scope, ...more })
  const { pathname, search } = new URL(
    String(started.body.verification_uri_complete ?? started.body.login_url),
  )
  const boxes = Object.fromEntries(scope.split(' ').map((one) => [`scope:${one}`, 'on']))
  assert.equal((await person.decide(pathname + search, 'allow', boxes)).status, 200)
  const { http, body } =
    flow === 'device'
      ? await post(site, '/oauth/device/token', {
          grant_type: DEVICE_GRANT,
          client_id: CLIENT,
          device_code: String(started.body.device_code),
        })
      : await post(site, '/token', { client_id: CLIENT, verifier: secret })
  assert.equal(http, 200)
  return toTokens(body)
}

const exchange = (site: Site, refresh_token: string) =>
  post(site, '/oauth/token', { grant_type: 'refresh_token', client_id: CLIENT, refresh_token })

const use = async (site: Site, token: string) =>
  (await site.send('/secured', { headers: { authorization: `Bearer ${token}` } })).status

/** One of the servers that share a database, in turn. */
const peer = ({ peers }: World, i: number): Site => peers[i % peers.length] ?? peers[0]

const refreshing = forFlows(
  { device: 'DF-20', pair: 'DF-20' },
  'refreshed at any server, with the same scope; what comes back ends the login',
  async (world, flow) => {
    const person = await newPerson(world.steady)
    const first = await login(world.steady, person, flow, 'read write')
    let last = first
    for (let i = 1; i < 4; i++) {
      const { http, body } = await exchange(peer(world, i), last.refresh)
      assert.deepEqual([http, body.expires_in, body.scope], [200, 3600, 'read write'])
      last = toTokens(body)
      assert.equal(await use(peer(world, i + 1), last.access), 200)
    }
    const again = await exchange(peer(world, 1), first.refresh)
    assert.deepEqual([again.http, again.body.error], [400, 'invalid_grant'])
    assert.equal(await use(world.steady, last.access), 401)
    assert.equal((await exchange(world.steady, last.refresh)).body.error, 'invalid_grant')
  },
)

const racing: Cases = {
  'DF-16 one refresh token at all servers at once: one gets tokens, then the login is over': async (
    world,
  ) => {
    const person = await newPerson(world.steady)
    const { refresh } = await login(world.steady, person, 'device', 'read')
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => exchange(peer(world, i), refresh)))
    const won = answers.filter(({ http }) => http === 200)
    assert.equal(won.length, 1)
    assert.equal(await use(world.steady, String(won[0]?.body.access_token)), 401)
  },
}

const asking: Cases = {
  'KEY-07 a resource server learns what a token is good for, and when it is over': async (world) => {
    const person = await newPerson(world.steady)
    const { access } = await login(world.steady, person, 'pair', 'read')
    const ask = async () => (await post(peer(world, 1), '/oauth/introspect', { ...API, token: access })).body
    const { active, scope, client_id, token_type } = await ask()
    assert.deepEqual([active, scope, client_id, token_type], [true, 'read', CLIENT, 'Bearer'])
    const wrong = await post(world.steady, '/oauth/introspect', { ...API, client_secret: 'x', token: access })
    assert.equal(wrong.http, 401)
    await post(world.steady, '/oauth/revoke', { client_id: CLIENT, token: access })
    assert.deepEqual(await ask(), { active: false })
  },
}

const managing: Cases = {
  'KEY-05 KEY-08 a CLI with the scope for it makes, rotates and ends keys; one without does not': async (
    world,
  ) => {
    const person = await newPerson(world.steady)
    const plain = await login(world.steady, person, 'pair', 'read write')
    await assert.rejects(api(world.steady, plain.access).keys.list.query(), /insufficient_scope/)
    const { access } = await login(world.steady, person, 'pair', 'read pairgate:manage')
    const { keys } = api(peer(world, 1), access)
    await assert.rejects(keys.create.mutate({ name: 'x', scope: 'write' }), /invalid_scope/)
    const made = await keys.create.mutate({ name: 'build box', scope: 'read', expires_in: 3600 })
    const rotated = await keys.rotate.mutate({ id: made.id, overlap_seconds: 600 })
    const secret = 'secret' in rotated ? rotated.secret : ''
    assert.deepEqual([await use(world.steady, made.secret), await use(world.steady, secret)], [200, 200])
    const [listed, ...others] = await keys.list.query()
    assert.deepEqual(
      [listed?.id, listed?.status, listed?.hint, others],
      [made.id, 'active', `pgk_…${secret.slice(-4)}`, []],
    )
    assert.deepEqual(await keys.revoke.mutate({ id: made.id }), { status: 'revoked' })
    assert.deepEqual([await use(world.steady, made.secret), await use(world.steady, secret)], [401, 401])
  },
  'SES-04 ending all other sessions spares the one that asks, at every server': async (world) => {
    const person = await newPerson(world.steady)
    const others = [
      await login(world.steady, person, 'pair', 'read write'),
      await login(world.steady, person, 'pair', 'read write'),
    ]
    const own = await login(world.steady, person, 'pair', 'read pairgate:manage')
    const { count } = await api(peer(world, 1), own.access).session.revokeOthers.mutate({})
    assert.equal(count, 3)
    for (const { access } of others) assert.equal(await use(peer(world, 0), access), 401)
    assert.equal(await use(peer(world, 1), own.access), 200)
    assert.equal((await person.get(`${world.steady.mount}/account`)).status, 303)
  },
  'KEY-08 the account page makes a key, lists it and ends it': async ({ steady }) => {
    const person = await newPerson(steady)
    const path = `${steady.mount}/account`
    const open = async () => readAccount(await (await person.get(path)).text())
    const made = await person.post(path, { ...(await open()).create, name: 'by hand' })
    const [secret = ''] = /pgk_[0-9A-Za-z]{49}/.exec(await made.text()) ?? []
    assert.equal(await use(steady, secret), 200)
    const { html, token } = await open()
    const row = html.split('<li').find((part) => part.includes('by hand')) ?? ''
    const [, id = ''] = /name="id" value="([^"]+)"/.exec(row) ?? []
    assert.ok(row.includes(`pgk_…${secret.slice(-4)}`) && !html.includes(secret))
    const ended = await person.post(path, { action: 'revoke', id, form_token: token })
    assert.equal(ended.status, 200)
    assert.equal(await use(steady, secret), 401)
  },
}

/** The cases. */
export const credentialCases: Cases = { ...refreshing, ...racing, ...asking, ...managing }
