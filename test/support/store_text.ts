/** The store contract, of text: what is stored comes back as it was, and look-ups are exact. @module */

import { expect } from 'vitest'
import type { Store } from '../../src/mod.ts'
import type { StoreCases } from './store_contract.ts'
import {
  approvedGrant,
  fresh,
  hash,
  LATER,
  NOW,
  newBrowser,
  newDecision,
  newGrant,
  newIssue,
  newKey,
  newRefresh,
  newRotation,
  newSession,
  newUser,
} from './store_rows.ts'

/** Another text to whoever compares exactly; the same to some database, some collation or some driver. */
const ALIKE: readonly ((text: string) => string)[] = [
  (text) => text.toUpperCase(),
  (text) => `${text} `,
  (text) => ` ${text}`,
  (text) => `${text}\t`,
  (text) => text.replace('e', 'é'),
  (text) => text.slice(0, -1),
]
const TEXT = 'e2e-code'

/** Characters of up to four bytes in UTF-8, joined ones and a flag among them. */
const EMOJI = '👩‍💻🇪🇺𝕏🦄'
/** As many of them as are asked for. */
export const odd = (length: number) => [...EMOJI.repeat(length)].slice(0, length).join('')

const exactness: StoreCases = {
  'STO-02 a grant is found by exactly its id, secret and user code': async ({ store }) => {
    for (const column of ['id', 'secret_hash', 'user_code'] as const) {
      const text = `${TEXT}${column.length}`
      const key = (value: string) => ({ [column]: value }) as { id: string }
      expect(await store.insertGrant(newGrant(key(text)))).toBe(true)
      for (const alike of ALIKE) expect(await store.findGrant(key(alike(text)))).toBeNull()
      for (const alike of ALIKE) expect(await store.insertGrant(newGrant(key(alike(text))))).toBe(true)
      for (const alike of ALIKE)
        expect(await store.findGrant(key(alike(text)))).toMatchObject(key(alike(text)))
      expect(await store.findGrant(key(text))).toMatchObject(key(text))
    }
  },

  'STO-02 DF-07 a grant is redeemed by exactly its client and secret': async ({ store }) => {
    const grant = await approvedGrant(store, 'exact-redeem', { client_id: TEXT })
    for (const alike of ALIKE) {
      expect(await store.issueCredential(newIssue(grant, { client_id: alike(TEXT) }))).toBe('refused')
      const { secret_hash } = grant
      if (alike(secret_hash) !== secret_hash)
        expect(await store.issueCredential(newIssue(grant, { secret_hash: alike(secret_hash) }))).toBe(
          'refused',
        )
    }
    expect(await store.issueCredential(newIssue(grant))).toBe('issued')
  },

  'STO-02 PC-11 a grant of the delivery loopback is redeemed by exactly its code': async ({ store }) => {
    const pair = { flow: 'pair', user_code: null, loopback_port: 4_000, loopback_state: 's' } as const
    const grant = await approvedGrant(store, 'exact-code', pair, { code_hash: TEXT })
    for (const alike of ALIKE)
      expect(await store.issueCredential(newIssue(grant, { code_hash: alike(TEXT) }))).toBe('refused')
    expect(await store.issueCredential(newIssue(grant, { code_hash: TEXT }))).toBe('issued')
  },

  'STO-02 a decision and a slower pace reach exactly the grant that is named': async ({ store }) => {
    const grant = newGrant({ id: fresh(TEXT) })
    await store.insertGrant(grant)
    for (const alike of ALIKE) {
      const grant_id = alike(grant.id)
      expect(await store.decideGrant(newDecision(grant_id))).toBe(false)
      await store.slowDown(grant_id, 60)
    }
    expect(await store.findGrant({ id: grant.id })).toMatchObject({ status: 'pending', poll_interval: 5 })
  },

  'STO-02 KEY-06 a credential is found, used and revoked by exactly its secret, id and owner': async ({
    store,
  }) => {
    const grant = await approvedGrant(store, 'exact-credential', { client_id: TEXT })
    const issue = newIssue(grant)
    const credential = { ...issue.credential, id: fresh(TEXT), secret_hash: fresh(TEXT) }
    await store.issueCredential({ ...issue, credential })
    const { id, secret_hash } = credential
    const user_id = hash('exact-credential')
    for (const alike of ALIKE) {
      expect(await store.findCredential(alike(secret_hash))).toBeNull()
      for (const key of [
        { id: alike(id), user_id },
        { id, user_id: alike(user_id) },
      ]) {
        // no letter of a hash is another one with an accent
        if (key.id === id && key.user_id === user_id) continue
        expect(await store.findOwnCredential(key)).toBeNull()
        expect(await store.revokeCredential(key, NOW, LATER)).toBe(false)
        const others = { user_id: key.user_id, kinds: ['api_key'], except: null } as const
        if (key.user_id !== user_id) expect(await store.revokeCredentials(others, NOW, LATER)).toBe(0)
      }
      await store.touchCredential(alike(id), { now: NOW + 9, before: NOW, address: null })
      expect(await store.noteFirstUse(alike(id), { now: NOW + 9, address: null })).toBe(false)
    }
    const found = await store.findCredential(secret_hash)
    expect(found?.credential).toMatchObject({ last_used_at: NOW, first_used_at: null, revoked_at: null })
    expect(await store.revokeCredential({ id, user_id }, NOW, LATER)).toBe(true)
  },

  'STO-02 secrets are renewed by exactly id, owner, client and present secret': async ({ store }) => {
    const user = { ...newUser('exact-renewal'), id: fresh(TEXT) }
    await store.upsertUser(user, NOW)
    const texts = () => ({ id: fresh(TEXT), secret_hash: fresh(TEXT) })
    const key = newKey(user.id, texts())
    const tokens = { client_id: TEXT, family_hash: fresh(TEXT), refresh_hash: fresh(TEXT) }
    const session = newSession(user.id, { ...texts(), ...tokens })
    await store.insertCredential(key)
    await store.insertCredential(session)
    const { id, secret_hash } = key
    const { client_id, family_hash, refresh_hash } = tokens
    for (const alike of ALIKE) {
      for (const other of [
        { id: alike(id) },
        { user_id: alike(user.id) },
        { secret_hash: alike(secret_hash) },
      ])
        expect(await store.rotateCredential(newRotation({ ...key, ...other }))).toBe(false)
      for (const other of [
        { id: alike(session.id) },
        { client_id: alike(client_id) },
        { refresh_hash: alike(refresh_hash) },
      ])
        expect(await store.refreshCredential(newRefresh({ ...session, ...other }))).toBe(false)
      expect(await store.findFamily(alike(family_hash))).toBeNull()
    }
    expect(await store.rotateCredential(newRotation(key))).toBe(true)
    expect(await store.refreshCredential(newRefresh(session))).toBe(true)
    for (const alike of ALIKE) expect(await store.findCredential(alike(secret_hash))).toBeNull()
  },

  'STO-02 people and counters are exactly the ones that are named': async ({ store }) => {
    const id = fresh(TEXT)
    await store.upsertUser({ ...newUser('exact'), id }, NOW)
    await store.takeLimit(id, 1, 1)
    for (const alike of ALIKE) {
      expect(await store.findUser(alike(id))).toBeNull()
      await store.setUserDisabled({ ...newUser('exact'), id: alike(id) }, NOW, NOW)
      expect(await store.takeLimit(alike(id), 1, 1)).toBe(true)
    }
    expect(await store.findUser(id)).toMatchObject({ id, disabled_at: null })
    const keys = [id, ...ALIKE.map((alike) => alike(id))]
    expect(await store.readLimits(keys.map((key) => ({ key, since: 0, until: 2 })))).toEqual(
      keys.map(() => 1),
    )
  },
}

/** Stores one row of each kind, and expects to read it as it was. */
async function expectRoundTrip(
  store: Store,
  text: (length: number) => string,
  ascii: (length: number) => string,
) {
  const names = { issuer: text(255), subject: text(255), name: text(255), email: text(255) }
  const user = { ...newUser(fresh('text')), ...names }
  await store.upsertUser(user, NOW)
  expect(await store.findUser(user.id)).toEqual({ ...user, disabled_at: null })

  const keys = { id: ascii(64), client_id: ascii(128), user_code: ascii(16) }
  const words = { match_code: text(32), scope: text(1024), device_name: text(255), remote_address: text(64) }
  const grant = newGrant({ ...keys, ...words })
  expect(await store.insertGrant(grant)).toBe(true)
  expect(await store.findGrant({ id: grant.id })).toMatchObject(grant)
  expect(await store.findGrant({ user_code: keys.user_code })).toMatchObject(grant)

  const choice = { scope: text(1024), tenant: text(255), decided_address: text(64) }
  expect(await store.decideGrant(newDecision(grant.id, { user_id: user.id, ...choice }))).toBe(true)
  expect(await store.findGrant({ id: grant.id })).toMatchObject(choice)

  const labels = {
    ...{ scope: text(1024), hint: text(16), name: text(255), remote_address: text(64) },
    ...{ tenant: text(255), approved_address: text(64) },
    ...{ family_hash: ascii(64), refresh_hash: ascii(64) },
  }
  const browser = newBrowser(user.id, { id: ascii(64), client_id: ascii(128), ...labels })
  await store.insertCredential(browser)
  expect(await store.findCredential(browser.secret_hash)).toMatchObject({
    credential: browser,
    user: names,
  })

  const address = text(64)
  expect(await store.noteFirstUse(browser.id, { now: NOW, address })).toBe(true)
  expect((await store.findFamily(labels.family_hash))?.credential).toMatchObject({
    last_used_address: address,
  })

  const key = ascii(191)
  expect(await store.takeLimit(key, NOW, 1)).toBe(true)
  expect(await store.readLimits([{ key, since: 0, until: NOW + 1 }])).toEqual([1])
}

/** A text of so many letters that no other row has. */
export const letters = (length: number) => fresh('x').padEnd(length, 'long').slice(0, length)

const roundTrips: StoreCases = {
  'STO-02 text of every kind comes back as it was: emoji, joined letters, quotes, blanks, nothing': async ({
    store,
  }) => {
    for (const text of [
      EMOJI,
      'O\'Hara \\ " ` % _ ? :x ; --',
      ' blanks around ',
      'e\u0301 \u00e9',
      '\u{10ffff}',
      '',
    ]) {
      const grant = newGrant({ device_name: text, scope: text, remote_address: text, match_code: text })
      await store.insertGrant(grant)
      expect(await store.findGrant({ id: grant.id })).toMatchObject(grant)
      const user = { ...newUser(fresh('text')), name: text, email: text, subject: text }
      await store.upsertUser(user, NOW)
      expect(await store.findUser(user.id)).toMatchObject(user)
    }
  },

  'values as long as their columns come back whole: letters': ({ store }) =>
    expectRoundTrip(store, letters, letters),

  'values as long as their columns come back whole: emoji of four bytes': ({ store }) =>
    expectRoundTrip(store, odd, letters),
}

/** The cases. */
export const textCases: StoreCases = { ...exactness, ...roundTrips }
