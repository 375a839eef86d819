/** The store contract, of grants: each step of a login, from its start to its redemption. @module */

import { expect } from 'vitest'
import type { StoreCases } from './store_contract.ts'
import {
  approvedGrant,
  fresh,
  hash,
  LATER,
  NOW,
  newDecision,
  newGrant,
  newIssue,
  newKey,
  newUser,
  times,
  UNUSED,
} from './store_rows.ts'

const starting: StoreCases = {
  'insertGrant stores a pending grant that each of its keys finds': async ({ store }) => {
    const grant = newGrant()
    expect(await store.insertGrant(grant)).toBe(true)
    const undecided = {
      ...{ user_id: null, tenant: null, decided_at: null, decided_address: null },
      code_hash: null,
    }
    const stored = { ...grant, status: 'pending', ...undecided, credential_id: null }
    expect(await store.findGrant({ id: grant.id })).toEqual(stored)
    expect(await store.findGrant({ secret_hash: grant.secret_hash })).toEqual(stored)
    expect(await store.findGrant({ user_code: grant.user_code ?? '' })).toEqual(stored)
    expect(await store.findGrant({ secret_hash: hash('nothing') })).toBeNull()
  },

  'PC-07 insertGrant refuses a known secret or user code and leaves the first as it was': async ({
    store,
  }) => {
    const grant = newGrant()
    await store.insertGrant(grant)
    const { secret_hash, user_code } = grant
    expect(await store.insertGrant(newGrant({ secret_hash, client_id: 'other' }))).toBe(false)
    expect(await store.insertGrant(newGrant({ user_code }))).toBe(false)
    expect(await store.findGrant({ secret_hash })).toMatchObject({ id: grant.id, client_id: 'cli' })
  },

  'PC-07 insertGrant: 20 at once with one secret, over two connections: one is stored': async ({ each }) => {
    const secret_hash = hash(fresh('raced'))
    const results = await times(20, (i) => each(i).insertGrant(newGrant({ secret_hash })))
    expect(results.filter(Boolean)).toHaveLength(1)
  },

  'grants without a user code do not clash': async ({ store }) => {
    expect(await store.insertGrant(newGrant({ user_code: null, match_code: 'maple 42' }))).toBe(true)
    expect(await store.insertGrant(newGrant({ user_code: null, match_code: 'maple 42' }))).toBe(true)
  },

  'slowDown only raises, and nothing that was denied': async ({ store }) => {
    const grant = newGrant()
    await store.insertGrant(grant)
    await store.slowDown(grant.id, 15)
    await store.slowDown(grant.id, 10)
    expect(await store.findGrant({ id: grant.id })).toMatchObject({ poll_interval: 15 })
    await store.decideGrant(newDecision(grant.id, { status: 'denied' }))
    await store.slowDown(grant.id, 20)
    expect(await store.findGrant({ id: grant.id })).toMatchObject({ poll_interval: 15 })
  },
}

const deciding: StoreCases = {
  'DF-17 decideGrant: the first decision is final': async ({ store, each }) => {
    const grant = newGrant()
    await store.insertGrant(grant)
    const words = ['denied', 'approved'] as const
    const results = await times(20, (i) =>
      each(i).decideGrant(
        newDecision(grant.id, { status: words[(i >> 1) % 2]!, user_id: hash(`person ${i}`) }),
      ),
    )
    expect(results.filter(Boolean)).toHaveLength(1)
    const winner = results.indexOf(true)
    const first = await store.findGrant({ id: grant.id })
    expect(first).toMatchObject({ status: words[(winner >> 1) % 2], user_id: hash(`person ${winner}`) })
    const late = { user_id: hash('late'), scope: 'late', tenant: 'late', now: NOW + 1 }
    expect(await store.decideGrant(newDecision(grant.id, late))).toBe(false)
    expect(await store.findGrant({ id: grant.id })).toEqual(first)
  },

  'DF-19 decideGrant: too late is refused, to the millisecond': async ({ store }) => {
    const late = newGrant({ expires_at: NOW })
    await store.insertGrant(late)
    const decision = newDecision(late.id)
    expect(await store.decideGrant(decision)).toBe(false)
    expect(await store.decideGrant({ ...decision, now: NOW - 1 })).toBe(true)
  },
}

const ending: StoreCases = {
  'listDecided names what somebody decided since, from another connection, and nothing else': async ({
    store,
    each,
  }) => {
    const [pending, early, late] = [newGrant(), newGrant(), newGrant()]
    for (const grant of [pending, early, late]) await store.insertGrant(grant)
    // far from what other cases decide
    const since = NOW - 500_000
    await store.decideGrant(newDecision(early.id, { now: since - 1 }))
    await store.decideGrant(newDecision(late.id, { status: 'denied', now: since }))
    const decided = await each(1).listDecided(since)
    expect(decided).toContain(late.id)
    expect(decided).not.toContain(early.id)
    expect(decided).not.toContain(pending.id)
    expect(await each(1).listDecided(LATER * 2)).toEqual([])
  },

  'expireGrants ends what one person allowed in one flow and nobody collected': async ({ store, each }) => {
    const pair = { flow: 'pair', user_code: null } as const
    const [first, other, paired] = [
      await approvedGrant(store, 'expire-grants'),
      await approvedGrant(store, 'expire-grants-other'),
      await approvedGrant(store, 'expire-grants', pair),
    ]
    const pending = newGrant()
    await store.insertGrant(pending)
    const expiry = async ({ id }: { id: string }) => (await store.findGrant({ id }))?.expires_at
    await each(1).expireGrants(hash('expire-grants'), 'device', first.expires_at)
    expect(await expiry(first)).toBe(first.expires_at)
    await each(1).expireGrants(hash('expire-grants'), 'device', NOW)
    expect(await expiry(first)).toBe(first.created_at)
    for (const one of [other, paired, pending]) expect(await expiry(one)).toBe(one.expires_at)
    expect(await store.issueCredential(newIssue(first))).toBe('refused')
    expect(await store.issueCredential(newIssue(paired))).toBe('issued')
  },
}

const chosen: StoreCases = {
  'decideGrant narrows the scope, and notes tenant and place': async ({ store }) => {
    const grant = newGrant({ scope: 'read write' })
    await store.insertGrant(grant)
    const choice = { scope: 'read', tenant: 'acme', decided_address: '2001:db8::7' }
    expect(await store.decideGrant(newDecision(grant.id, choice))).toBe(true)
    expect(await store.findGrant({ id: grant.id })).toMatchObject({ ...choice, decided_at: NOW })
  },

  'issueCredential takes what was chosen: scope, tenant, and where that was': async ({ store }) => {
    await store.upsertUser(newUser('chosen'), NOW)
    const grant = newGrant({ scope: 'read write' })
    await store.insertGrant(grant)
    const choice = { scope: 'read', tenant: 'acme', decided_address: '2001:db8::7' }
    await store.decideGrant(newDecision(grant.id, { user_id: hash('chosen'), ...choice }))
    const { credential, ...issue } = newIssue(grant)
    const refreshable = {
      access_expires_at: NOW + 60_000,
      family_hash: hash(fresh('family')),
      refresh_hash: hash(fresh('refresh')),
    }
    const { family_hash } = refreshable
    expect(await store.issueCredential({ ...issue, credential: { ...credential, ...refreshable } })).toBe(
      'issued',
    )
    expect((await store.findFamily(family_hash))?.credential).toMatchObject({
      ...refreshable,
      scope: 'read',
      tenant: 'acme',
      approved_address: '2001:db8::7',
    })
  },
}

const capped: StoreCases = {
  'issueCredential refuses one more than may be; only live ones of the kind and the person count': async ({
    store,
  }) => {
    const user_id = hash('issue-cap')
    await store.upsertUser(newUser('issue-cap'), NOW)
    await store.upsertUser(newUser('issue-cap-other'), NOW)
    const ended = newKey(user_id)
    await store.insertCredential(ended)
    await store.revokeCredential(ended, NOW, LATER)
    await store.insertCredential(newKey(user_id, { expires_at: NOW }))
    await store.insertCredential(newKey(user_id, { kind: 'session' }))
    await store.insertCredential(newKey(hash('issue-cap-other')))
    await store.insertCredential(newKey(user_id, { expires_at: NOW + 1 }))
    const grant = await approvedGrant(store, 'issue-cap')
    expect(await store.issueCredential(newIssue(grant, { max: 1 }))).toBe('refused')
    expect(await store.issueCredential(newIssue(grant, { max: 2 }))).toBe('issued')
    // its own grant’s credential is no reason to refuse, only to say what happened
    expect(await store.issueCredential(newIssue(grant, { max: 2 }))).toBe('already_issued')
    const next = await approvedGrant(store, 'issue-cap')
    expect(await store.issueCredential(newIssue(next, { max: 2 }))).toBe('refused')
  },

  'issueCredential: 20 grants of one person at once, five may be, five are': async ({ store, each }) => {
    const grants = await times(20, () => approvedGrant(store, 'issue-crowd'))
    const results = await times(20, (i) => each(i).issueCredential(newIssue(grants[i]!, { max: 5 })))
    expect(results.filter((result) => result === 'issued')).toHaveLength(5)
    expect(results.filter((result) => result === 'refused')).toHaveLength(15)
  },
}

const redeeming: StoreCases = {
  'DF-16 issueCredential: 50 at once over two connections, one credential': async ({ store, each }) => {
    const grant = await approvedGrant(store, 'issue-race')
    const results = await times(50, (i) => each(i).issueCredential(newIssue(grant)))
    expect(results.filter((result) => result === 'issued')).toHaveLength(1)
    expect(results.filter((result) => result === 'already_issued')).toHaveLength(49)
  },

  'issueCredential: the same try again is a success, another one is not': async ({ store }) => {
    const grant = await approvedGrant(store, 'issue-retry')
    const issue = newIssue(grant)
    expect(await store.issueCredential(issue)).toBe('issued')
    expect(await store.issueCredential(issue)).toBe('issued')
    expect(await store.issueCredential(newIssue(grant))).toBe('already_issued')
  },

  'issueCredential takes owner and scope from the grant; findGrant shows the redemption': async ({
    store,
  }) => {
    const grant = await approvedGrant(store, 'issue-owner')
    const issue = newIssue(grant)
    await store.issueCredential(issue)
    expect(await store.findCredential(issue.credential.secret_hash)).toEqual({
      user: { ...newUser('issue-owner'), disabled_at: null },
      credential: {
        ...issue.credential,
        user_id: hash('issue-owner'),
        grant_id: grant.id,
        client_id: 'cli',
        scope: 'read write',
        tenant: null,
        approved_address: null,
        created_at: NOW,
        ...UNUSED,
      },
    })
    expect(await store.findGrant({ id: grant.id })).toMatchObject({ credential_id: issue.credential.id })
  },

  'issueCredential refuses: pending, denied, expired, other client, other flow, disabled user': async ({
    store,
  }) => {
    const pending = newGrant()
    await store.insertGrant(pending)
    expect(await store.issueCredential(newIssue(pending))).toBe('refused')
    const denied = newGrant()
    await store.insertGrant(denied)
    const user_id = hash('issue-denied')
    await store.upsertUser(newUser('issue-denied'), NOW)
    await store.decideGrant(newDecision(denied.id, { status: 'denied', user_id }))
    expect(await store.issueCredential(newIssue(denied))).toBe('refused')
    const grant = await approvedGrant(store, 'issue-guard')
    expect(await store.issueCredential(newIssue(grant, { now: grant.expires_at }))).toBe('refused')
    expect(await store.issueCredential(newIssue(grant, { client_id: 'other' }))).toBe('refused')
    expect(await store.issueCredential(newIssue(grant, { flow: 'pair' }))).toBe('refused')
    await store.setUserDisabled(newUser('issue-guard'), NOW, NOW)
    expect(await store.issueCredential(newIssue(grant))).toBe('refused')
    await store.setUserDisabled(newUser('issue-guard'), null, NOW)
    expect(await store.issueCredential(newIssue(grant))).toBe('issued')
  },
}

/** The cases. */
export const grantCases: StoreCases = {
  ...starting,
  ...deciding,
  ...ending,
  ...chosen,
  ...redeeming,
  ...capped,
}
