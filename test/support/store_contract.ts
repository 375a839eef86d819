/** The one contract suite: what every store must do, whatever the database. @module */

import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Issue, NewCredential, NewGrant, Store } from '../../src/mod.ts'

const NOW = 1_800_000_000_000
let serial = 0
const hash = (text: string) => Buffer.from(text.padEnd(32, '.')).toString('hex').slice(0, 64)

function newGrant(values: Partial<NewGrant> = {}): NewGrant {
  serial++
  return {
    id: `grant-${serial}`,
    flow: 'device',
    client_id: 'cli',
    secret_hash: hash(`secret-${serial}`),
    user_code: `CODE${serial}`,
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

const newUser = (name: string) => ({
  id: hash(name),
  issuer: 'https://issuer.example',
  subject: name,
  name,
  email: null,
})

function newIssue(grant: NewGrant, values: Partial<Issue> = {}): Issue {
  serial++
  return {
    credential: {
      id: `credential-${serial}`,
      kind: 'api_key',
      secret_hash: hash(`key-${serial}`),
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

function newBrowser(userId: string): NewCredential {
  serial++
  return {
    ...newIssue(newGrant()).credential,
    id: `browser-${serial}`,
    kind: 'browser',
    user_id: userId,
    grant_id: null,
    client_id: null,
    scope: '',
    created_at: NOW,
  }
}

/** Runs the suite over a store that `open` makes. */
export function testStore(name: string, open: () => Store): void {
  describe(`store contract: ${name}`, () => {
    let store: Store
    beforeAll(async () => {
      store = open()
      await store.migrate()
    })
    afterAll(() => store.close())

    const approvedGrant = async (user: string, values?: Partial<NewGrant>) => {
      const grant = newGrant(values)
      await store.insertGrant(grant)
      await store.upsertUser(newUser(user), NOW)
      await store.decideGrant({ grant_id: grant.id, status: 'approved', user_id: hash(user), now: NOW })
      return grant
    }

    test('migrate may be called again; ping answers', async () => {
      await store.migrate()
      await store.ping()
    })

    test('insertGrant stores a pending grant that each of its keys finds', async () => {
      const grant = newGrant()
      expect(await store.insertGrant(grant)).toBe(true)
      const stored = { ...grant, status: 'pending', user_id: null, decided_at: null, credential_id: null }
      expect(await store.findGrant({ id: grant.id })).toEqual(stored)
      expect(await store.findGrant({ secret_hash: grant.secret_hash })).toEqual(stored)
      expect(await store.findGrant({ user_code: grant.user_code ?? '' })).toEqual(stored)
      expect(await store.findGrant({ secret_hash: hash('nothing') })).toBeNull()
    })

    test('PC-07 insertGrant refuses a known secret or user code and leaves the first as it was', async () => {
      const grant = newGrant()
      await store.insertGrant(grant)
      expect(await store.insertGrant(newGrant({ secret_hash: grant.secret_hash, client_id: 'other' }))).toBe(
        false,
      )
      expect(await store.insertGrant(newGrant({ user_code: grant.user_code }))).toBe(false)
      expect(await store.findGrant({ secret_hash: grant.secret_hash })).toMatchObject({
        id: grant.id,
        client_id: 'cli',
      })
    })

    test('grants without a user code do not clash', async () => {
      expect(await store.insertGrant(newGrant({ user_code: null, match_code: 'maple 42' }))).toBe(true)
      expect(await store.insertGrant(newGrant({ user_code: null, match_code: 'maple 42' }))).toBe(true)
    })

    test('STO-02 look-ups are exact: no case folding, no padding', async () => {
      const grant = newGrant({ secret_hash: 'a'.repeat(64) })
      await store.insertGrant(grant)
      expect(await store.findGrant({ secret_hash: 'A'.repeat(64) })).toBeNull()
      expect(await store.findGrant({ secret_hash: `${'a'.repeat(64)} ` })).toBeNull()
    })

    test('slowDown only raises, and only while pending', async () => {
      const grant = newGrant()
      await store.insertGrant(grant)
      await store.slowDown(grant.id, 15)
      await store.slowDown(grant.id, 10)
      expect(await store.findGrant({ id: grant.id })).toMatchObject({ poll_interval: 15 })
      await store.decideGrant({ grant_id: grant.id, status: 'denied', user_id: hash('x'), now: NOW })
      await store.slowDown(grant.id, 20)
      expect(await store.findGrant({ id: grant.id })).toMatchObject({ poll_interval: 15 })
    })

    test('DF-17 decideGrant: the first decision is final', async () => {
      const grant = newGrant()
      await store.insertGrant(grant)
      const decide = (status: 'approved' | 'denied', user: string) =>
        store.decideGrant({ grant_id: grant.id, status, user_id: hash(user), now: NOW })
      const results = await Promise.all([
        decide('denied', 'a'),
        decide('approved', 'b'),
        decide('approved', 'c'),
      ])
      expect(results.filter(Boolean)).toHaveLength(1)
      const first = await store.findGrant({ id: grant.id })
      expect(await decide('approved', 'd')).toBe(false)
      expect(await store.findGrant({ id: grant.id })).toEqual(first)
    })

    test('DF-19 decideGrant: too late is refused, to the millisecond', async () => {
      const late = newGrant({ expires_at: NOW })
      await store.insertGrant(late)
      const decision = { grant_id: late.id, status: 'approved', user_id: hash('a'), now: NOW } as const
      expect(await store.decideGrant(decision)).toBe(false)
      expect(await store.decideGrant({ ...decision, now: NOW - 1 })).toBe(true)
    })

    test('DF-16 issueCredential: 50 at once, one credential', async () => {
      const grant = await approvedGrant('issue-race')
      const results = await Promise.all(
        Array.from({ length: 50 }, () => store.issueCredential(newIssue(grant))),
      )
      expect(results.filter((result) => result === 'issued')).toHaveLength(1)
      expect(results.filter((result) => result === 'already_issued')).toHaveLength(49)
    })

    test('issueCredential: the same try again is a success, another one is not', async () => {
      const grant = await approvedGrant('issue-retry')
      const issue = newIssue(grant)
      expect(await store.issueCredential(issue)).toBe('issued')
      expect(await store.issueCredential(issue)).toBe('issued')
      expect(await store.issueCredential(newIssue(grant))).toBe('already_issued')
    })

    test('issueCredential takes owner and scope from the grant; findGrant shows the redemption', async () => {
      const grant = await approvedGrant('issue-owner')
      const issue = newIssue(grant)
      await store.issueCredential(issue)
      const found = await store.findCredential(issue.credential.secret_hash)
      expect(found).toMatchObject({
        user: { subject: 'issue-owner', issuer: 'https://issuer.example', disabled_at: null },
        credential: {
          ...issue.credential,
          grant_id: grant.id,
          client_id: 'cli',
          scope: 'read write',
          created_at: NOW,
        },
      })
      expect(await store.findGrant({ id: grant.id })).toMatchObject({ credential_id: issue.credential.id })
    })

    test('issueCredential refuses: pending, denied, expired, other client, other flow, disabled user', async () => {
      const pending = newGrant()
      await store.insertGrant(pending)
      expect(await store.issueCredential(newIssue(pending))).toBe('refused')
      const denied = newGrant()
      await store.insertGrant(denied)
      await store.decideGrant({
        grant_id: denied.id,
        status: 'denied',
        user_id: hash('issue-denied'),
        now: NOW,
      })
      expect(await store.issueCredential(newIssue(denied))).toBe('refused')
      const grant = await approvedGrant('issue-guard')
      expect(await store.issueCredential(newIssue(grant, { now: grant.expires_at }))).toBe('refused')
      expect(await store.issueCredential(newIssue(grant, { client_id: 'other' }))).toBe('refused')
      expect(await store.issueCredential(newIssue(grant, { flow: 'pair' }))).toBe('refused')
      await store.setUserDisabled(newUser('issue-guard'), NOW, NOW)
      expect(await store.issueCredential(newIssue(grant))).toBe('refused')
      await store.setUserDisabled(newUser('issue-guard'), null, NOW)
      expect(await store.issueCredential(newIssue(grant))).toBe('issued')
    })

    test('insertCredential and findCredential: a browser', async () => {
      await store.upsertUser(newUser('browser'), NOW)
      const browser = newBrowser(hash('browser'))
      await store.insertCredential(browser)
      expect((await store.findCredential(browser.secret_hash))?.credential).toEqual({
        ...browser,
        last_used_at: NOW,
        revoked_at: null,
      })
      expect(await store.findCredential(hash('unknown'))).toBeNull()
    })

    test('touchCredential: only when the last use is older', async () => {
      await store.upsertUser(newUser('touch'), NOW)
      const browser = newBrowser(hash('touch'))
      await store.insertCredential(browser)
      await store.touchCredential(browser.id, NOW + 5, NOW - 1)
      expect((await store.findCredential(browser.secret_hash))?.credential.last_used_at).toBe(NOW)
      await store.touchCredential(browser.id, NOW + 5, NOW)
      expect((await store.findCredential(browser.secret_hash))?.credential.last_used_at).toBe(NOW + 5)
    })

    test('revokeCredential: once, and only for its own client', async () => {
      const grant = await approvedGrant('revoke')
      const issue = newIssue(grant)
      await store.issueCredential(issue)
      const { secret_hash } = issue.credential
      expect(await store.revokeCredential({ secret_hash, client_id: 'other' }, NOW)).toBe(false)
      expect(await store.revokeCredential({ secret_hash: hash('unknown') }, NOW)).toBe(false)
      const results = await Promise.all(
        [1, 2, 3].map((n) => store.revokeCredential({ secret_hash, client_id: 'cli' }, NOW + n)),
      )
      expect(results.filter(Boolean)).toHaveLength(1)
      expect((await store.findCredential(secret_hash))?.credential.revoked_at).toBeGreaterThan(NOW)
    })

    test('upsertUser updates name and e-mail but never enables', async () => {
      await store.setUserDisabled(newUser('upsert'), NOW, NOW)
      await store.upsertUser({ ...newUser('upsert'), name: 'New', email: 'n@example.com' }, NOW + 1)
      expect(await store.findUser(hash('upsert'))).toEqual({
        ...newUser('upsert'),
        name: 'New',
        email: 'n@example.com',
        disabled_at: NOW,
      })
      expect(await store.findUser(hash('nobody'))).toBeNull()
    })

    test('takeLimit counts up to its maximum, also under concurrency', async () => {
      const results = await Promise.all(Array.from({ length: 20 }, () => store.takeLimit('race', 100, 7)))
      expect(results.filter(Boolean)).toHaveLength(7)
      expect(await store.takeLimit('race', 200, 1)).toBe(true)
      const sums = [
        { key: 'race', since: 100, until: 200 },
        { key: 'absent', since: 0, until: 1_000 },
      ]
      expect(await store.readLimits(sums)).toEqual([7, 0])
      expect(await store.readLimits([{ key: 'race', since: 100, until: 201 }])).toEqual([8])
    })

    test('releaseLimit gives room again, never below nothing', async () => {
      await store.takeLimit('release', 100, 1)
      await store.releaseLimit('release', 100)
      await store.releaseLimit('release', 100)
      expect(await store.readLimits([{ key: 'release', since: 0, until: 1_000 }])).toEqual([0])
      expect(await store.takeLimit('release', 100, 1)).toBe(true)
      expect(await store.takeLimit('release', 100, 1)).toBe(false)
    })

    test('insertEvent adds a line', async () => {
      const nothing = {
        user_id: null,
        client_id: null,
        grant_id: null,
        credential_id: null,
        remote_address: null,
      }
      await store.insertEvent({
        id: 'event-1',
        at: NOW,
        type: 'started',
        request_id: 'r',
        detail: 'd',
        ...nothing,
      })
    })

    test('STO-06 purge deletes what ended before, a bounded number, and nothing else', async () => {
      const old = Array.from({ length: 5 }, (_, i) => newGrant({ expires_at: 1000 + i }))
      for (const grant of old) await store.insertGrant(grant)
      const fresh = newGrant()
      await store.insertGrant(fresh)
      const before = { grants: 2000, credentials: 0, limits: 0 }
      expect(await store.purge(before, 3)).toBe(3)
      expect(await store.purge(before, 3)).toBe(2)
      expect(await store.purge(before, 3)).toBe(0)
      expect(await store.findGrant({ id: old[0]?.id ?? '' })).toBeNull()
      expect(await store.findGrant({ id: fresh.id })).not.toBeNull()
    })
  })
}
