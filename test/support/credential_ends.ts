/** What ends a credential, each done at an instance of ./instances.ts. @module */

import { expect } from 'vitest'
import { callAs, loginAs, personAt, postForm } from './credentials.ts'
import type { TestGate } from './gate.ts'
import { authenticate, isGood } from './instances.ts'

/** Whose they are. */
export const ALICE = { issuer: 'urn:pairgate:dev', subject: 'alice' }

/** Lets what goes on after an answer come to its end: on SQLite each write takes a turn of the event loop. */
export const settle = async () => {
  for (let turns = 0; turns < 3; turns++) await new Promise((resolve) => setImmediate(resolve))
}

/** Signs a CLI in, and uses the credential once: the first use is written down. */
export async function usedToken(t: TestGate, scope = 'read', client_id = 'mytool'): Promise<string> {
  const { access_token } = await loginAs(t, await personAt(t, 'alice'), 'device', { client_id, scope })
  expect(await isGood(t, access_token)).toBe(true)
  await settle()
  return access_token
}

/** What ends a credential, done at an instance. */
export const ENDS: Record<string, (t: TestGate, token: string) => Promise<unknown>> = {
  'revocation (RFC 7009)': (t, token) =>
    postForm(t, '/oauth/revoke', { client_id: 'mytool', token }).then(({ status }) =>
      expect(status).toBe(200),
    ),
  'sign-out of the CLI': (t, token) => callAs(t, token, 'session.signOut', {}),
  'the operator ends all': async (t) => expect(await t.gate.users.revoke(ALICE)).toBeGreaterThan(0),
  'the operator ends one': async (t, token) => {
    const { credential } = (await authenticate(t, token)) ?? {}
    expect(await t.gate.users.revoke(ALICE, credential?.id)).toBe(1)
  },
  'disabling the person': async (t) => expect(await t.gate.users.disable(ALICE)).toBeGreaterThan(0),
  'rotation without overlap': async (t, token) => {
    const manage = { client_id: 'manager', scope: 'pairgate:manage read' }
    const manager = await loginAs(t, await personAt(t, 'alice'), 'pair', manage)
    const { credential } = (await authenticate(t, token)) ?? {}
    const { status } = await callAs(t, manager.access_token, 'keys.rotate', { id: String(credential?.id) })
    expect(status).toBe(200)
  },
}
