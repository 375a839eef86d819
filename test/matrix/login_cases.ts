/** Logins that succeed, and what the credential is good for. @module */

import assert from 'node:assert/strict'
import { toLoginError } from '../../clients/mod.ts'
import { createClient, loginWithDevice, loginWithPaircode } from '../support/kit.ts'
import type { Flow } from '../support/logins.ts'
import {
  api,
  DOORS,
  openPage,
  poll,
  pollUntilOver,
  post,
  type Site,
  signIn,
  start,
  startAllowed,
} from './doors.ts'
import { type Cases, forFlows, type World } from './world.ts'

const TOKENS = { device: /^pgk_[0-9A-Za-z]{49}$/, pair: /^pgs_[0-9A-Za-z]{49}$/ }
const KINDS = { device: 'api_key', pair: 'session' }
const LOGINS = { device: loginWithDevice, pair: loginWithPaircode }

/** Expects a credential to be alice's, for programs and for people. */
async function expectAlice(site: Site, flow: Flow, token: string): Promise<void> {
  assert.match(token, TOKENS[flow])
  const { subject, kind } = await api(site, token).session.whoami.query()
  assert.deepEqual([subject, kind], ['alice', KINDS[flow]])
  const secured = await site.send('/secured', { headers: { authorization: `Bearer ${token}` } })
  assert.deepEqual([secured.status, await secured.text()], [200, 'You are authenticated as: alice'])
}

const byHand = Object.assign(
  {},
  ...DOORS.map((door) =>
    forFlows(
      { device: 'DF-21', pair: 'PC-01' },
      `a login by ${door}: pending, Allow, a credential of the person who allowed it`,
      async ({ steady }, flow) => {
        const alice = await signIn(steady, 'alice')
        const login = await start(steady, flow, door)
        assert.deepEqual([login.expires_in, login.interval], [600, 1])
        const first = await poll(steady, login, door)
        assert.deepEqual([first.status, first.interval], ['authorization_pending', 1])
        const decide = await openPage(steady, alice, login)
        assert.equal(await decide('allow', door), 'approved')
        const { status, access_token } = await pollUntilOver(steady, login, { door })
        assert.equal(status, 'issued')
        await expectAlice(steady, flow, access_token ?? '')
      },
    ),
  ),
) as Cases

const byClient = forFlows(
  { device: 'DF-21', pair: 'PC-01' },
  'the typed client signs in at its own pace',
  async ({ steady }, flow) => {
    const alice = await signIn(steady, 'alice')
    let page: Promise<Response> | undefined
    const token = await LOGINS[flow](createClient({ server: steady.base }), {
      deviceName: 'matrix 👩‍💻',
      onPrompt: ({ url }) => {
        const { pathname, search } = new URL(url)
        page = alice.decide(pathname + search, 'allow')
      },
    })
    assert.equal((await page)?.status, 200)
    await expectAlice(steady, flow, token.access_token)
  },
)

const race = forFlows(
  { device: 'DF-16', pair: 'PC-09' },
  '50 polls at once after Allow, half at each door: exactly one collects',
  async ({ steady, peers }, flow) => {
    const login = await startAllowed(steady, flow)
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        poll(peers[(i >> 1) % peers.length] ?? steady, login, DOORS[i % DOORS.length]),
      ),
    )
    const issued = answers.filter(({ status }) => status === 'issued')
    const others = answers.filter(({ status }) => status === 'invalid_grant')
    assert.deepEqual([issued.length, others.length], [1, 49])
    await expectAlice(steady, flow, issued[0]?.access_token ?? '')
  },
)

async function expectRefused(site: Site, token: string): Promise<void> {
  const secured = await site.send('/secured', { headers: { authorization: `Bearer ${token}` } })
  await secured.text()
  assert.equal(secured.status, 401)
  assert.match(secured.headers.get('www-authenticate') ?? '', /error="invalid_token"/)
  const error = await api(site, token)
    .session.whoami.query()
    .then(() => null, toLoginError)
  assert.equal(error?.code, 'not_signed_in')
}

const credentials: Cases = {
  ...forFlows(
    { device: 'KEY-06', pair: 'KEY-06' },
    'a revoked credential is refused at once',
    async ({ steady }, flow) => {
      const { access_token = '' } = await poll(steady, await startAllowed(steady, flow))
      await expectAlice(steady, flow, access_token)
      const foreign = await post(steady, '/oauth/revoke', { client_id: 'other', token: access_token })
      assert.equal(foreign.http, 200)
      await expectAlice(steady, flow, access_token)
      const own = await post(steady, '/oauth/revoke', { client_id: 'pairgate-cli', token: access_token })
      assert.equal(own.http, 200)
      await expectRefused(steady, access_token)
    },
  ),

  'SES-04 a session that signs out by the typed client is refused at once': async ({ steady }) => {
    const { access_token = '' } = await poll(steady, await startAllowed(steady, 'pair', 'trpc'), 'trpc')
    await api(steady, access_token).session.signOut.mutate({})
    await expectRefused(steady, access_token)
  },

  'KEY-02 what only looks like a credential is refused': async ({ steady }) => {
    await expectRefused(steady, `pgk_${'0'.repeat(49)}`)
    await expectRefused(steady, 'x')
  },
}

const around: Cases = {
  'DF-01 the metadata name the issuer, and endpoints that are there': async ({ steady }: World) => {
    const path = '/.well-known/oauth-authorization-server'
    const metadata = (await (await steady.send(path)).json()) as Record<string, string>
    assert.equal(metadata.issuer, steady.base)
    for (const name of ['token_endpoint', 'device_authorization_endpoint', 'revocation_endpoint']) {
      const response = await steady.send(metadata[name] ?? '', { method: 'POST' })
      assert.equal(((await response.json()) as Record<string, unknown>).error, 'invalid_request')
    }
    const head = await steady.send(path, { method: 'HEAD' })
    assert.deepEqual([head.status, await head.text()], [200, ''])
  },

  'DF-03 a wrong method is 405 and told the right one': async ({ steady }) => {
    const response = await steady.send('/oauth/device/token')
    await response.text()
    assert.deepEqual([response.status, response.headers.get('allow')], [405, 'POST'])
  },

  'OPS-01 a body that is too long is answered 413, not cut off': async ({ steady }) => {
    const body = new URLSearchParams({ client_id: 'pairgate-cli', device_name: 'x'.repeat(200_000) })
    const response = await steady.send('/oauth/device/authorize', { method: 'POST', body })
    await response.text()
    assert.equal(response.status, 413)
  },

  'DF-22 DF-25 the page tells where the login comes from, which is this machine': async ({ steady }) => {
    const alice = await signIn(steady, 'alice')
    const { page, code } = await start(steady, 'device')
    const html = await (await alice.get(page)).text()
    for (const text of ['127.0.0.1', 'matrix', 'alice', code]) assert.ok(html.includes(text), text)
    assert.ok(!html.includes('another network'))
  },
}

/** The cases. */
export const loginCases: Cases = { ...byHand, ...byClient, ...race, ...credentials, ...around }
