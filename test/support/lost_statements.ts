/** What a store says when a statement is lost on its way, and when only its answer is. @module */

import { describe, expect, test } from 'vitest'
import type { NewGrant, Store } from '../../src/mod.ts'
import {
  fresh,
  hash,
  LATER,
  NOW,
  newDecision,
  newDelivery,
  newEvent,
  newGrant,
  newIssue,
  newKey,
  newRefresh,
  newRotation,
  newSession,
  newUser,
} from './store_rows.ts'
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
      await other.decideGrant(newDecision(grant.id, { user_id: user.id }))
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
      const code_hash = hash(fresh('code'))
      const decision = newDecision(grant.id, { user_id: user.id, code_hash })
      expect(await losing(grant.id, (store) => store.decideGrant(decision))).toBe(true)
      // the code of another answer of the same person was shown to nobody
      const codes = [{ code_hash: hash(fresh('code')) }, { code_hash: null }]
      const others = [{ status: 'denied' as const }, { user_id: hash('bob') }, { now: NOW + 1 }, ...codes]
      for (const other of others) {
        const second = { ...decision, ...other }
        expect(await losing(grant.id, (store) => store.decideGrant(second))).toBe(false)
      }
      expect(await other.findGrant({ id: grant.id })).toMatchObject({
        status: 'approved',
        decided_at: NOW,
        code_hash,
      })
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

    test('createKey: one key, and its secret is known; another with its id is not ours', async () => {
      const { other } = get()
      await other.upsertUser(user, NOW)
      const max = (await other.countCredentials(user.id, 'api_key', NOW)) + 1
      const key = newKey(user.id)
      expect(await losing(key.secret_hash, (store) => store.createKey(key, max))).toBe('created')
      expect(await other.findCredential(key.secret_hash)).not.toBeNull()
      const second = newKey(user.id, { id: key.id })
      expect(await losing(second.secret_hash, (store) => store.createKey(second, max))).toBe('taken')
      expect(await other.findCredential(second.secret_hash)).toBeNull()
    })

    test('rotateCredential: rotated once, and by us', async () => {
      const { other } = get()
      await other.upsertUser(user, NOW)
      const key = newKey(user.id)
      await other.insertCredential(key)
      const rotation = newRotation(key)
      expect(await losing(rotation.new_hash, (store) => store.rotateCredential(rotation))).toBe(true)
      const late = newRotation(key)
      expect(await losing(late.new_hash, (store) => store.rotateCredential(late))).toBe(false)
      expect((await other.findCredential(rotation.new_hash))?.credential).toMatchObject({
        secret_hash: rotation.new_hash,
        previous_hash: key.secret_hash,
      })
    })

    test('refreshCredential: refreshed once, and by us', async () => {
      const { other } = get()
      await other.upsertUser(user, NOW)
      const session = newSession(user.id)
      await other.insertCredential(session)
      const refresh = newRefresh(session)
      expect(await losing(refresh.new_hash, (store) => store.refreshCredential(refresh))).toBe(true)
      const late = newRefresh(session)
      expect(await losing(late.new_hash, (store) => store.refreshCredential(late))).toBe(false)
      expect((await other.findCredential(refresh.new_hash))?.credential).toMatchObject({
        refresh_hash: refresh.new_refresh_hash,
        previous_hash: session.secret_hash,
      })
    })

    test('noteFirstUse: noted once, and by us', async () => {
      const { other } = get()
      const key = newKey(user.id)
      await other.insertCredential(key)
      const note = (now: number) => (store: Store) => store.noteFirstUse(key.id, { now, address: null })
      expect(await losing(key.id, note(NOW + 1))).toBe(true)
      expect(await losing(key.id, note(NOW + 2))).toBe(false)
      expect((await other.findOwnCredential(key))?.first_used_at).toBe(NOW + 1)
    })

    test('revokeCredential: ended once, and by us', async () => {
      const { other } = get()
      const key = newKey(user.id)
      await other.insertCredential(key)
      expect(await losing(key.id, (store) => store.revokeCredential(key, NOW + 1, LATER))).toBe(true)
      expect(await losing(key.id, (store) => store.revokeCredential(key, NOW + 2, LATER))).toBe(false)
      expect((await other.findOwnCredential(key))?.revoked_at).toBe(NOW + 1)
    })

    test('claimDelivery: our turn is said to be ours, somebody else’s is not', async () => {
      const { other } = get()
      const event = newEvent()
      const delivery = newDelivery(event.id)
      await other.insertEvent(event)
      expect(await losing(delivery.id, (store) => store.insertDelivery(delivery))).toBeUndefined()
      expect(await losing(delivery.id, (store) => store.claimDelivery(delivery, NOW + 1))).toBe(true)
      for (const [attempts, until] of [
        [0, NOW + 2],
        [1, NOW + 1],
      ] as const) {
        const read = { ...delivery, attempts }
        expect(await losing(delivery.id, (store) => store.claimDelivery(read, until))).toBe(false)
      }
      const [due] = await other.dueDeliveries(NOW + 1, 1)
      expect(due?.delivery).toEqual({ ...delivery, attempts: 1, next_at: NOW + 1 })
      await losing(delivery.id, (store) => store.dropDelivery(delivery.id))
      expect(await other.dueDeliveries(NOW + 1, 1)).toEqual([])
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
      const event = newEvent()
      await losing(event.id, (store) => store.insertEvent(event))
      expect(await losing(user.id, (store) => store.findUser(user.id))).toMatchObject({ subject: 'ada' })
      await losing(user.id, (store) => store.upsertUser({ ...user, name: 'Countess' }, NOW))
      expect(await other.findUser(user.id)).toMatchObject({ name: 'Countess' })
    })
  })
}
