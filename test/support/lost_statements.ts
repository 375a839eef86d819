/** What a store says when a statement is lost on its way, and when only its answer is. @module */

import { describe, expect, test } from 'vitest'
import type { NewGrant, Store } from '../../src/mod.ts'
import { fresh, hash, NOW, newGrant, newIssue, newUser } from './store_rows.ts'
import type { Loss } from './tcp_proxy.ts'

/** A store over a wire that can be cut, and one over another wire. */
export interface LossyStore {
  readonly store: Store
  readonly other: Store
  /** Loses the next statement that holds this text. */
  lose(what: Loss, text: string): void
  /** How often something was lost. */
  readonly lost: number
}

const UNAVAILABLE = { code: 'ERR_PAIRGATE_STORE_UNAVAILABLE' }
const user = newUser('ada')

/** Runs the suite; `get` gives the stores once they are there, with their tables. */
export function testLostStatements(get: () => LossyStore): void {
  describe.each<Loss>(['request', 'answer'])('STO-04 the connection breaks and the %s is lost', (what) => {
    /** Runs a call whose statement with this text is lost on its way. */
    async function losing<T>(text: string, call: (store: Store) => Promise<T>): Promise<T> {
      const { lost } = get()
      get().lose(what, text)
      const result = await call(get().store)
      expect(get().lost).toBe(lost + 1)
      return result
    }

    async function approved(): Promise<NewGrant> {
      const { other } = get()
      const grant = newGrant()
      await other.upsertUser(user, NOW)
      await other.insertGrant(grant)
      await other.decideGrant({ grant_id: grant.id, status: 'approved', user_id: user.id, now: NOW })
      return grant
    }

    test('insertGrant: the grant is there once, and it was ours', async () => {
      const { other } = get()
      const grant = newGrant()
      expect(await losing(grant.id, (store) => store.insertGrant(grant))).toBe(true)
      expect(await other.findGrant({ id: grant.id })).toMatchObject({ status: 'pending' })
      expect(
        await losing(grant.secret_hash, (store) => store.insertGrant({ ...grant, id: fresh('g') })),
      ).toBe(false)
    })

    test('decideGrant: ours is said to be ours, somebody else’s is not', async () => {
      const { other } = get()
      const grant = newGrant()
      await other.insertGrant(grant)
      const decision = { grant_id: grant.id, status: 'approved', user_id: user.id, now: NOW } as const
      expect(await losing(grant.id, (store) => store.decideGrant(decision))).toBe(true)
      const others = [{ status: 'denied' as const }, { user_id: hash('bob') }, { now: NOW + 1 }]
      for (const other of others) {
        const second = { ...decision, ...other }
        expect(await losing(grant.id, (store) => store.decideGrant(second))).toBe(false)
      }
      expect(await other.findGrant({ id: grant.id })).toMatchObject({ status: 'approved', decided_at: NOW })
    })

    test('DF-16 issueCredential: one credential, and its secret is known', async () => {
      const { other } = get()
      const grant = await approved()
      const issue = newIssue(grant)
      expect(await losing(issue.credential.secret_hash, (store) => store.issueCredential(issue))).toBe(
        'issued',
      )
      expect(await other.findCredential(issue.credential.secret_hash)).not.toBeNull()
      const second = newIssue(grant)
      const result = await losing(second.credential.secret_hash, (store) => store.issueCredential(second))
      expect(result).toBe('already_issued')
      expect(await other.findCredential(second.credential.secret_hash)).toBeNull()
    })

    test('revokeCredential: ended once, and by us', async () => {
      const { other } = get()
      const issue = newIssue(await approved())
      await other.issueCredential(issue)
      const key = { secret_hash: issue.credential.secret_hash }
      expect(await losing(key.secret_hash, (store) => store.revokeCredential(key, NOW + 1))).toBe(true)
      expect(await losing(key.secret_hash, (store) => store.revokeCredential(key, NOW + 2))).toBe(false)
      expect((await other.findCredential(key.secret_hash))?.credential.revoked_at).toBe(NOW + 1)
    })

    test('limits never count less than what happened', async () => {
      const { other } = get()
      const key = fresh('limit')
      const count = async () => (await other.readLimits([{ key, since: 0, until: 10 }]))[0]
      expect(await losing(key, (store) => store.takeLimit(key, 1, 5))).toBe(true)
      expect(await other.takeLimit(key, 1, 5)).toBe(true)
      const before = (await count()) ?? 0
      expect(before).toBeGreaterThanOrEqual(2)
      const released = losing(key, (store) => store.releaseLimit(key, 1))
      await expect(released).rejects.toMatchObject(UNAVAILABLE)
      expect(await count()).toBe(what === 'answer' ? before - 1 : before)
    })

    test('reads, people and events are simply done again', async () => {
      const { other } = get()
      const id = fresh('event')
      const empty = { user_id: null, client_id: null, grant_id: null, credential_id: null, detail: null }
      const event = {
        id,
        at: NOW,
        type: 'started',
        remote_address: null,
        request_id: null,
        ...empty,
      } as const
      await losing(id, (store) => store.insertEvent(event))
      expect(await losing(user.id, (store) => store.findUser(user.id))).toMatchObject({ subject: 'ada' })
      await losing(user.id, (store) => store.upsertUser({ ...user, name: 'Countess' }, NOW))
      expect(await other.findUser(user.id)).toMatchObject({ name: 'Countess' })
    })
  })
}
