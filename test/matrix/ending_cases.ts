/** Logins that end without a credential, or ask for a second one. @module */

import assert from 'node:assert/strict'
import type { LoginError } from '../../clients/mod.ts'
import { createClient, loginWithDevice, loginWithPaircode } from '../support/kit.ts'
import { preparePair } from '../support/logins.ts'
import {
  api,
  DOORS,
  openPage,
  poll,
  pollUntilOver,
  post,
  type Site,
  type Started,
  signIn,
  start,
  startAllowed,
} from './doors.ts'
import { type Cases, forFlows } from './world.ts'

const LOGINS = { device: loginWithDevice, pair: loginWithPaircode }

/** Expects every poll from now on to be answered alike, twice at each door. */
async function expectForGood(site: Site, login: Started, status: string): Promise<void> {
  for (const door of [...DOORS, ...DOORS]) assert.equal((await poll(site, login, door)).status, status, door)
}

const denied = forFlows(
  { device: 'DF-13', pair: 'PC-10' },
  'Deny is access_denied for good, and final',
  async ({ steady }, flow) => {
    const alice = await signIn(steady, 'alice')
    const login = await start(steady, flow, 'trpc')
    const decide = await openPage(steady, alice, login)
    assert.equal(await decide('deny'), 'denied')
    await expectForGood(steady, login, 'access_denied')
    for (const door of DOORS) assert.equal(await decide('allow', door), 'already_denied')
    await expectForGood(steady, login, 'access_denied')
  },
)

const deniedToClient = forFlows(
  { device: 'DF-13', pair: 'PC-10' },
  'the typed client is told of Deny',
  async ({ steady }, flow) => {
    const alice = await signIn(steady, 'alice')
    const login = LOGINS[flow](createClient({ server: steady.base }), {
      onPrompt: ({ url }) => void alice.decide(new URL(url).pathname + new URL(url).search, 'deny'),
    })
    const error = await login.then(
      () => null,
      (failure: LoginError) => failure,
    )
    assert.equal(error?.code, 'access_denied')
  },
)

const replayed = forFlows(
  { device: 'DF-15', pair: 'PC-09' },
  'what was collected is invalid_grant ever after, and stays good',
  async ({ steady }, flow) => {
    const login = await startAllowed(steady, flow)
    const { access_token } = await poll(steady, login)
    await expectForGood(steady, login, 'invalid_grant')
    const { subject } = await api(steady, access_token).session.whoami.query()
    assert.equal(subject, 'alice')
  },
)

const expired = forFlows(
  { device: 'DF-19', pair: 'DF-19' },
  'when its time is over it is expired_token, also when allowed or polled fast; Allow is too late',
  async ({ hasty }, flow) => {
    const alice = await signIn(hasty, 'alice')
    const allowed = await startAllowed(hasty, flow)
    const askedAt = performance.now()
    const login = await start(hasty, flow)
    const startedAt = performance.now()
    const decide = await openPage(hasty, alice, login)
    let polledAt = 0
    const beforePoll = () => {
      assert.ok(polledAt - startedAt < login.expires_in * 1000 + 20, 'it expired too late')
      polledAt = performance.now()
    }
    const answer = await pollUntilOver(hasty, login, { beforePoll })
    assert.equal(answer.status, 'expired_token')
    // clocks run a little apart
    assert.ok(performance.now() - askedAt >= login.expires_in * 1000 - 20, 'it expired too early')
    await expectForGood(hasty, login, 'expired_token')
    await expectForGood(hasty, allowed, 'expired_token')
    assert.match(await decide('allow'), /^410 /)
    assert.equal(await decide('allow', 'trpc'), 'expired')
    assert.equal((await alice.get(login.page)).status, 410)
    await expectForGood(hasty, login, 'expired_token')
  },
)

const expiredToClient = forFlows(
  { device: 'DF-19', pair: 'DF-19' },
  'the typed client is told when nobody has decided in time',
  async ({ hasty }, flow) => {
    const login = LOGINS[flow](createClient({ server: hasty.base }), { onPrompt: () => {} })
    const error = await login.then(
      () => null,
      (failure: LoginError) => failure,
    )
    assert.equal(error?.code, 'expired_token')
  },
)

const foreign: Cases = {
  ...forFlows(
    { device: 'DF-07', pair: 'PC-05' },
    'another client, or an unknown one, neither collects nor consumes',
    async ({ steady }, flow) => {
      const login = await startAllowed(steady, flow)
      for (const door of DOORS) {
        assert.equal((await poll(steady, login, door, 'other')).status, 'invalid_grant')
        assert.equal((await poll(steady, login, door, 'nobody')).status, 'invalid_client')
      }
      assert.equal((await poll(steady, login)).status, 'issued')
    },
  ),

  ...forFlows(
    { device: 'DF-06', pair: 'PC-08' },
    'an unknown code is invalid_grant at both doors, and no page',
    async ({ steady }, flow) => {
      const made = { ...preparePair(), flow, expires_in: 1, interval: 1 }
      await expectForGood(steady, made, 'invalid_grant')
      const alice = await signIn(steady, 'alice')
      const page = flow === 'pair' ? made.page : '/device?user_code=BCDF-GHJK'
      assert.equal((await alice.get(steady.mount + page)).status, 404)
    },
  ),

  'PC-07 a known paircode is refused at both doors': async ({ steady }) => {
    const { code: paircode } = await start(steady, 'pair')
    const input = { client_id: 'pairgate-cli', paircode }
    assert.equal((await post(steady, '/cli_login', input)).http, 409)
    const error = await api(steady)
      .pair.start.mutate(input)
      .then(
        () => null,
        (failure: Error) => failure,
      )
    assert.match(error?.message ?? '', /known already/)
  },
}

/** The cases. */
export const endingCases: Cases = {
  ...denied,
  ...deniedToClient,
  ...replayed,
  ...expired,
  ...expiredToClient,
  ...foreign,
}
