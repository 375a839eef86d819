/** How fast a CLI may poll, and what it is told when it is too fast. @module */

import assert from 'node:assert/strict'
import { createClient, loginWithDevice, loginWithPaircode } from '../support/kit.ts'
import { DOORS, openPage, type Polled, poll, type Site, type Started, signIn, sleep, start } from './doors.ts'
import { type Cases, forFlows } from './world.ts'

const LOGINS = { device: loginWithDevice, pair: loginWithPaircode }

/** Polls without a pause until that is too fast: on a busy machine two polls may be further apart than they should. */
async function pollTooFast(site: Site, login: Started): Promise<Polled> {
  for (;;) {
    const answer = await poll(site, login)
    if (answer.status !== 'authorization_pending') return answer
    assert.equal(answer.interval, login.interval)
  }
}

const slowDown = forFlows(
  { device: 'DF-12', pair: 'DF-12' },
  'slow_down adds 5 seconds each time, tells and stores them; Allow is answered even so',
  async ({ steady, peers }, flow) => {
    const alice = await signIn(steady, 'alice')
    const login = await start(steady, flow)
    const first = await pollTooFast(steady, login)
    assert.deepEqual([first.status, first.interval], ['slow_down', 6])
    for (const [i, interval] of [11, 16, 21].entries()) {
      const answer = await poll(steady, login, DOORS[i % DOORS.length])
      assert.deepEqual([answer.status, answer.interval], ['slow_down', interval])
    }
    // each server counts polls for itself, and knows the pace from the database
    for (const peer of peers.slice(1)) {
      const answer = await poll(peer, login)
      assert.deepEqual([answer.status, answer.interval], ['authorization_pending', 21])
    }
    assert.equal(await (await openPage(steady, alice, login))('allow'), 'approved')
    assert.equal((await poll(steady, login)).status, 'issued')
  },
)

/** As at a server that holds no polls: else none of them comes too fast. */
const askPlainly: typeof fetch = (url, init) => {
  const body = typeof init?.body === 'string' ? init.body.replace(/,"wait":\d+/, '') : init?.body
  return fetch(url, { ...init, ...(body != null && { body }) })
}

const slowerClient = forFlows(
  { device: 'DF-12', pair: 'DF-12' },
  'the typed client keeps the pace that it is told',
  async ({ steady }, flow) => {
    const alice = await signIn(steady, 'alice')
    const told: number[] = []
    const waits: number[] = []
    let page = ''
    const token = await LOGINS[flow](createClient({ server: steady.base, fetch: askPlainly }), {
      onPrompt: ({ url }) => {
        page = new URL(url).pathname + new URL(url).search
      },
      onSlowDown: (interval) => void told.push(interval),
      // too fast until that is said; then one real wait, after which nothing is said again; then Allow
      wait: async (ms) => {
        if (told.length === 0) return
        waits.push(ms)
        if (waits.length === 1) await sleep(ms / 1000)
        else assert.equal((await alice.decide(page, 'allow')).status, 200)
      },
    })
    assert.deepEqual([told, waits], [[6], [6000, 6000]])
    assert.ok(token.access_token)
  },
)

/** The cases. */
export const paceCases: Cases = { ...slowDown, ...slowerClient }
