/** Polls that are held: one request that is answered when the person decides, wherever they do. @module */

import assert from 'node:assert/strict'
import { DEVICE_GRANT } from '../support/gate.ts'
import type { Door } from '../support/logins.ts'
import { api, DOORS, openPage, type Site, type Started, signIn, start } from './doors.ts'
import { type Cases, forFlows } from './world.ts'

const client_id = 'pairgate-cli'

/** Polls once, for as long as a server holds it; the status. */
async function holdPoll(site: Site, { flow, secret }: Started, door: Door): Promise<string> {
  if (door === 'trpc') {
    const { device, pair } = api(site)
    const wait = 30
    const { status } =
      flow === 'device'
        ? await device.token.mutate({ client_id, device_code: secret, wait })
        : await pair.token.mutate({ client_id, verifier: secret, wait })
    return status
  }
  const [path, form] =
    flow === 'device'
      ? (['/oauth/device/token', { client_id, grant_type: DEVICE_GRANT, device_code: secret }] as const)
      : (['/token', { client_id, verifier: secret }] as const)
  const body = new URLSearchParams(form)
  const response = await site.send(path, { method: 'POST', headers: { prefer: 'wait=30' }, body })
  const answer = (await response.json()) as { error?: string; access_token?: string }
  return answer.access_token ? 'issued' : String(answer.error)
}

const decidedHere = forFlows(
  { device: 'DF-21', pair: 'PC-01' },
  'a poll that is held is answered by Allow and by Deny, at both doors',
  async ({ steady }, flow) => {
    const alice = await signIn(steady, 'alice')
    for (const door of DOORS) {
      for (const [decision, status] of [
        ['allow', 'issued'],
        ['deny', 'access_denied'],
      ] as const) {
        const login = await start(steady, flow, door)
        const decide = await openPage(steady, alice, login)
        const answer = holdPoll(steady, login, door)
        await decide(decision, door)
        assert.equal(await answer, status)
      }
    }
  },
)

const decidedElsewhere = forFlows(
  { device: 'DF-21', pair: 'PC-01' },
  'a poll that is held is answered when the person allows at another server',
  async ({ steady, peers }, flow) => {
    const login = await start(steady, flow)
    const answer = holdPoll(steady, login, 'form')
    const peer = peers.at(-1) ?? steady
    const alice = await signIn(peer, 'alice')
    assert.equal(await (await openPage(peer, alice, login))('allow'), 'approved')
    assert.equal(await answer, 'issued')
  },
)

/** The cases. */
export const heldCases: Cases = { ...decidedHere, ...decidedElsewhere }
