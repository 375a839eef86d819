/** Rows for the store contract: each has values of its own, so that cases do not meet. @module */

import { createHash } from 'node:crypto'
import { expect } from 'vitest'
import type {
  AuditEvent,
  Decision,
  Delivery,
  Issue,
  NewCredential,
  NewGrant,
  Refresh,
  Rotation,
  Store,
} from '../../src/mod.ts'

/** The moment at which everything happens, in epoch milliseconds. */
export const NOW = 1_800_000_000_000

/** How long ended credentials are kept: longer than any lives. */
export const LATER = NOW + 400 * 86_400_000

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
    loopback_port: null,
    loopback_state: null,
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
      access_expires_at: null,
      family_hash: null,
      refresh_hash: null,
    },
    secret_hash: grant.secret_hash,
    code_hash: null,
    client_id: grant.client_id,
    flow: grant.flow,
    max: 1_000,
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
    tenant: null,
    approved_address: null,
    created_at: NOW,
    ...values,
  }
}

/** A key that somebody made by hand. */
export const newKey = (userId: string, values: Partial<NewCredential> = {}): NewCredential =>
  newBrowser(userId, { id: fresh('key'), kind: 'api_key', ...values })

/** A login with a refresh token. */
export const newSession = (userId: string, values: Partial<NewCredential> = {}): NewCredential =>
  newBrowser(userId, {
    id: fresh('session'),
    kind: 'session',
    client_id: 'cli',
    access_expires_at: NOW + 3_600_000,
    family_hash: hash(fresh('family')),
    refresh_hash: hash(fresh('refresh')),
    ...values,
  })

/** What a new credential has not. */
export const UNUSED = {
  previous_hash: null,
  previous_until: null,
  first_used_at: null,
  last_used_at: NOW,
  last_used_address: null,
  revoked_at: null,
}

/** Another secret for a key. */
export const newRotation = (
  { id, user_id, secret_hash }: NewCredential,
  values: Partial<Rotation> = {},
): Rotation => ({
  ...{ id, user_id, secret_hash },
  new_hash: hash(fresh('rotated')),
  hint: 'pgk_…wxyz',
  previous_until: NOW + 60_000,
  now: NOW,
  ...values,
})

/** Other tokens for a login. */
export const newRefresh = (
  { id, client_id, refresh_hash }: NewCredential,
  values: Partial<Refresh> = {},
): Refresh => ({
  ...{ id, client_id: client_id ?? '', refresh_hash: refresh_hash ?? '' },
  new_refresh_hash: hash(fresh('refresh')),
  new_hash: hash(fresh('access')),
  hint: 'pgs_…wxyz',
  access_expires_at: NOW + 7_200_000,
  idle_since: NOW - 86_400_000,
  now: NOW + 1_000,
  ...values,
})

/** A line of the audit trail. */
export const newEvent = (values: Partial<AuditEvent> = {}): AuditEvent => ({
  id: fresh('event'),
  at: NOW,
  type: 'started',
  user_id: null,
  client_id: null,
  grant_id: null,
  credential_id: null,
  remote_address: null,
  request_id: null,
  detail: null,
  ...values,
})

/** An event on its way. */
export const newDelivery = (eventId: string, values: Partial<Delivery> = {}): Delivery => ({
  id: fresh('delivery'),
  event_id: eventId,
  endpoint: 'webhook',
  attempts: 0,
  next_at: NOW,
  created_at: NOW,
  ...values,
})

/** A person's decision. */
export const newDecision = (grantId: string, values: Partial<Decision> = {}): Decision => ({
  grant_id: grantId,
  status: 'approved',
  user_id: hash('somebody'),
  scope: 'read write',
  tenant: null,
  decided_address: null,
  code_hash: null,
  expires_at: NOW + 600_000,
  now: NOW,
  ...values,
})

/** Stores a grant that a person has allowed. */
export async function approvedGrant(
  store: Store,
  user: string,
  values?: Partial<NewGrant>,
  decision?: Partial<Decision>,
): Promise<NewGrant> {
  const grant = newGrant(values)
  await store.insertGrant(grant)
  await store.upsertUser(newUser(user), NOW)
  const { scope, expires_at } = grant
  expect(
    await store.decideGrant(newDecision(grant.id, { user_id: hash(user), scope, expires_at, ...decision })),
  ).toBe(true)
  return grant
}

/** Runs something many times at once. */
export const times = <T>(n: number, make: (i: number) => Promise<T>) =>
  Promise.all(Array.from({ length: n }, (_, i) => make(i)))
