/** The store contract, of the delivery `loopback`: what a decision stores, and what it then takes to collect. @module */

import { expect } from 'vitest'
import type { NewGrant } from '../../src/mod.ts'
import type { StoreCases } from './store_contract.ts'
import { approvedGrant, fresh, hash, NOW, newDecision, newGrant, newIssue, times } from './store_rows.ts'

const LOOPBACK: Partial<NewGrant> = {
  flow: 'pair',
  user_code: null,
  match_code: 'maple 42',
  loopback_port: 65_535,
  loopback_state: 'Az09._~-'.repeat(16),
}

/** The cases. */
export const loopbackCases: StoreCases = {
  'PC-11 a grant keeps its port and state; the decision adds the code’s hash and brings the end nearer':
    async ({ store }) => {
      const grant = newGrant(LOOPBACK)
      await store.insertGrant(grant)
      expect(await store.findGrant({ id: grant.id })).toMatchObject({ ...LOOPBACK, code_hash: null })
      const decided = { code_hash: hash(fresh('code')), expires_at: NOW + 60_000 }
      expect(await store.decideGrant(newDecision(grant.id, decided))).toBe(true)
      const late = { code_hash: hash(fresh('code')), expires_at: NOW + 600_000 }
      expect(await store.decideGrant(newDecision(grant.id, late))).toBe(false)
      expect(await store.findGrant({ id: grant.id })).toMatchObject({ ...LOOPBACK, ...decided })
    },

  'PC-11 issueCredential takes the code: refused without and with another, which changes nothing': async ({
    store,
  }) => {
    const code_hash = hash(fresh('code'))
    const grant = await approvedGrant(store, 'loopback', LOOPBACK, { code_hash, expires_at: NOW + 60_000 })
    const other = await approvedGrant(store, 'loopback', LOOPBACK, { code_hash: hash(fresh('code')) })
    const before = await store.findGrant({ id: grant.id })
    for (const wrong of [null, '', hash('wrong'), other.secret_hash, code_hash.toUpperCase()])
      expect(await store.issueCredential(newIssue(grant, { code_hash: wrong }))).toBe('refused')
    expect(await store.findGrant({ id: grant.id })).toEqual(before)
    const late = newIssue(grant, { code_hash, now: NOW + 60_000 })
    expect(await store.issueCredential(late)).toBe('refused')
    const inTime = newIssue(grant, { code_hash, now: NOW + 59_999 })
    expect(await store.issueCredential(inTime)).toBe('issued')
    expect(await store.issueCredential(newIssue(grant, { code_hash }))).toBe('already_issued')
  },

  'PC-11 issueCredential refuses a code where none was made': async ({ store }) => {
    const grant = await approvedGrant(store, 'loopback-none')
    expect(await store.issueCredential(newIssue(grant, { code_hash: hash('code') }))).toBe('refused')
    expect(await store.issueCredential(newIssue(grant))).toBe('issued')
  },

  'PC-11 issueCredential: 40 at once over two connections, half of them with the code: one credential':
    async ({ store, each }) => {
      const code_hash = hash(fresh('code'))
      const grant = await approvedGrant(store, 'loopback-race', LOOPBACK, { code_hash })
      const results = await times(40, (i) =>
        each(i).issueCredential(newIssue(grant, { code_hash: i % 4 < 2 ? code_hash : hash(`wrong ${i}`) })),
      )
      expect(results.filter((result) => result === 'issued')).toHaveLength(1)
      expect(results.filter((result) => result === 'already_issued')).toHaveLength(19)
    },
}
