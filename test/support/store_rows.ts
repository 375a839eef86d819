/** Rows for the store contract: each has values of its own, so that cases do not meet. @module */

import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import type { Issue, NewCredential, NewGrant, Store } from '../../src/mod.ts'

/** The moment at which everything happens, in epoch milliseconds. */
export const NOW = 1_800_000_000_000

let serial = 0

/** A name that no other row has. */
export const fresh = (name: string) => `${name}-${++serial}`

/** What a secret is stored as. */
export const hash = (text: string) => createHash('sha256').update(text).digest('hex')

/** A pending grant of the device flow. */
export function newGrant(values: Partial<NewGrant> = {}): NewGrant {
  return {
    id: fresh('grant'),
    flow: 'device',
    client_id: 'cli',
    secret_hash: hash(fresh('secret')),
    user_code: fresh('CODE'),
    match_code: null,
    scope: 'read write',
    device_name: 'laptop',
    remote_address: '203.0.113.7',
    poll_interval: 5,
    created_at: NOW,
    expires_at: NOW + 600_000,
    ...values,
  }
}

/** A person, known by a name. */
export const newUser = (name: string) => ({
  id: hash(name),
  issuer: 'https://issuer.example',
  subject: name,
  name,
  email: null,
})

/** What redeems a grant. */
export function newIssue(grant: NewGrant, values: Partial<Issue> = {}): Issue {
  return {
    credential: {
      id: fresh('credential'),
      kind: 'api_key',
      secret_hash: hash(fresh('key')),
      hint: 'pgk_…abcd',
      name: 'laptop (CODE)',
      remote_address: null,
      expires_at: NOW + 86_400_000,
    },
    secret_hash: grant.secret_hash,
    client_id: grant.client_id,
    flow: grant.flow,
    now: NOW,
    ...values,
  }
}

/** A browser's credential. */
export function newBrowser(userId: string, values: Partial<NewCredential> = {}): NewCredential {
  return {
    ...newIssue(newGrant()).credential,
    id: fresh('browser'),
    kind: 'browser',
    user_id: userId,
    grant_id: null,
    client_id: null,
    scope: '',
    created_at: NOW,
    ...values,
  }
}

/** Stores a grant that a person has allowed. */
export async function approvedGrant(
  store: Store,
  user: string,
  values?: Partial<NewGrant>,
): Promise<NewGrant> {
  const grant = newGrant(values)
  await store.insertGrant(grant)
  await store.upsertUser(newUser(user), NOW)
  const decision = { grant_id: grant.id, status: 'approved', user_id: hash(user), now: NOW } as const
  expect(await store.decideGrant(decision)).toBe(true)
  return grant
}

/** Runs something many times at once. */
export const times = <T>(n: number, make: (i: number) => Promise<T>) =>
  Promise.all(Array.from({ length: n }, (_, i) => make(i)))
