/** What every place for logins has to do, whatever it is made of. @module */

import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Account, CredentialStore, StoredLogin } from '../../clients/store.ts'
import { A, B, loginOf, testFolder } from './login_entries.ts'

/** A place for logins, empty; another one with the same logins, for a program that runs in `cwd`. */
export interface Place {
  readonly store: CredentialStore
  readonly at: (cwd: string) => CredentialStore
  /** What the place is called. */
  readonly name: string
}

const alice = loginOf()
const bob = loginOf({ subject: 'bob' })
const carol = loginOf({ subject: 'carol', server: B, kind: 'api_key', refresh_token: null, name: null })
const entryOf = ({ access_token: _access, refresh_token: _refresh, ...entry }: StoredLogin) => entry
const subjects = async (store: CredentialStore) =>
  (await store.list()).map(({ subject, active }) => `${subject}${active ? '*' : ''}`)

/** Defines the tests. `make` is called in each of them. */
export function credentialContract(make: () => Place): void {
  test('before the first login there is nothing', async () => {
    const { store } = make()
    expect(await store.list()).toEqual([])
    expect(await store.defaultServer()).toBeNull()
    expect(await store.find(A)).toBeNull()
    expect(await store.find(A, alice)).toBeNull()
    await store.remove(A, alice)
    expect(await store.list()).toEqual([])
  })

  test('a login comes back as it was kept, and in the list without its secrets', async () => {
    const { store, name } = make()
    expect(await store.save(alice, { activate: true })).toMatchObject({ place: name })
    expect(await store.find(A)).toEqual(alice)
    expect(await store.find(A, { issuer: alice.issuer, subject: 'alice' })).toEqual(alice)
    expect(await store.find(B)).toBeNull()
    expect(await store.list()).toEqual([{ ...entryOf(alice), active: true, place: name }])
    await store.save(carol)
    expect(await store.find(B)).toEqual(carol)
  })

  test('only the entry is kept, whatever else the object has', async () => {
    const { store } = make()
    await store.save({ ...alice, active: true, place: 'x', password: 'y' } as StoredLogin)
    expect(await store.find(A)).toEqual(alice)
  })

  test('the same subject of two issuers, and at two servers, is different people', async () => {
    const { store } = make()
    const all = [A, B].flatMap((server) =>
      ['https://id.example', 'id example', 'id'].map((issuer) =>
        loginOf({ server, issuer, access_token: `${server} ${issuer}` }),
      ),
    )
    for (const login of all) await store.save(login)
    for (const login of all) expect(await store.find(login.server, login)).toEqual(login)
    await store.remove(A, all[0] as Account)
    expect(await store.find(A, all[0])).toBeNull()
    for (const login of all.slice(1)) expect(await store.find(login.server, login)).toEqual(login)
  })

  test('saving again replaces, and leaves what is active and the default as they are', async () => {
    const { store } = make()
    await store.save(alice, { activate: true })
    await store.save(carol, { activate: true })
    await store.save(bob)
    const renewed = { ...bob, access_token: 'renewed', refresh_token: null, scope: '' }
    await store.save(renewed)
    expect(await store.find(A, bob)).toEqual(renewed)
    expect(await store.find(A)).toEqual(alice)
    expect(await store.defaultServer()).toBe(B)
    expect(await subjects(store)).toEqual(['carol*', 'alice*', 'bob'])
  })

  test('the list: the default server first, then by server and subject', async () => {
    const { store } = make()
    for (const login of [carol, bob, alice]) await store.save(login)
    expect(await subjects(store)).toEqual(['alice', 'bob*', 'carol*'])
    await store.activate(B, carol)
    expect(await subjects(store)).toEqual(['carol*', 'alice', 'bob*'])
  })

  test('the first login of a server is the active one there; later ones become so when asked', async () => {
    const { store } = make()
    await store.save(bob)
    await store.save(alice)
    expect(await store.find(A)).toEqual(bob)
    expect(await store.defaultServer()).toBeNull()
    await store.activate(A, alice)
    expect(await store.find(A)).toEqual(alice)
    expect(await store.defaultServer()).toBe(A)
    await expect(store.activate(B, alice)).rejects.toMatchObject({ code: 'not_signed_in' })
    await expect(store.activate(A, { ...alice, issuer: 'x' })).rejects.toThrow('alice is not signed in')
  })

  test('removing: another account takes over, the server stays the default', async () => {
    const { store } = make()
    for (const login of [carol, bob, alice]) await store.save(login, { activate: true })
    await store.remove(A, alice)
    expect(await store.find(A)).toEqual(bob)
    expect(await store.find(A, alice)).toBeNull()
    await store.remove(A, bob)
    expect(await store.find(A)).toBeNull()
    expect(await store.defaultServer()).toBe(A)
    expect(await subjects(store)).toEqual(['carol*'])
    // nothing of the one before comes back
    await store.save(loginOf({ refresh_token: null }))
    expect(await store.find(A)).toEqual(loginOf({ refresh_token: null }))
  })

  test('removing one that is not active leaves the active one', async () => {
    const { store } = make()
    for (const login of [alice, bob]) await store.save(login, { activate: true })
    await store.remove(A, alice)
    expect(await store.find(A)).toEqual(bob)
  })

  describe('bound to directories', () => {
    test('the nearest one counts, for the account and for the server', async () => {
      const { store, at } = make()
      const root = testFolder()
      const work = join(root, 'work')
      const deep = join(work, 'project', 'src')
      const near = join(root, 'workshop')
      for (const folder of [deep, near]) mkdirSync(folder, { recursive: true })
      for (const login of [carol, bob, alice]) await store.save(login, { activate: true })
      await store.activate(A, bob, { directory: work })
      await store.activate(B, carol, { directory: join(work, 'project') })
      expect(await store.defaultServer()).toBe(A)
      expect(await store.find(A)).toEqual(alice)
      expect([await at(work).defaultServer(), await at(deep).defaultServer()]).toEqual([A, B])
      expect(await at(deep).find(A)).toEqual(bob)
      expect(await at(deep).find(A, alice)).toEqual(alice)
      expect(await subjects(at(deep))).toEqual(['carol*', 'alice', 'bob*'])
      expect(await subjects(at(work))).toEqual(['alice', 'bob*', 'carol*'])
      // a name that starts alike is no folder below
      for (const folder of [root, near]) expect(await at(folder).find(A)).toEqual(alice)
    })

    test('of those of one directory the last one is the default, and each server has its own', async () => {
      const { store, at } = make()
      const folder = testFolder()
      for (const login of [alice, bob, carol]) await store.save(login)
      await store.activate(B, carol, { directory: folder })
      await store.activate(A, alice, { directory: folder })
      await store.activate(A, bob, { directory: folder })
      expect(await at(folder).defaultServer()).toBe(A)
      expect(await at(folder).find(A)).toEqual(bob)
      await store.activate(B, carol, { directory: folder })
      expect(await at(folder).defaultServer()).toBe(B)
      expect(await at(folder).find(A)).toEqual(bob)
    })

    test('by whichever way one gets there', async () => {
      const { store, at } = make()
      const folder = testFolder()
      mkdirSync(join(folder, 'real', 'below'), { recursive: true })
      symlinkSync('real', join(folder, 'link'))
      for (const login of [bob, alice]) await store.save(login, { activate: true })
      await store.activate(A, bob, { directory: join(folder, 'link') })
      for (const way of ['real', 'link', 'link/below', 'real/below'])
        expect(await at(join(folder, way)).find(A)).toEqual(bob)
    })

    test('a removed login is bound to nothing', async () => {
      const { store, at } = make()
      const folder = testFolder()
      for (const login of [bob, carol]) await store.save(login, { activate: true })
      await store.activate(A, bob, { directory: folder })
      await store.remove(A, bob)
      expect(await at(folder).defaultServer()).toBe(B)
      await store.save(alice)
      expect(await at(folder).find(A)).toEqual(alice)
    })

    test('only to directories that there are', async () => {
      const { store } = make()
      await store.save(alice)
      for (const directory of [join(testFolder(), 'none'), import.meta.filename]) {
        const bad = expect(store.activate(A, alice, { directory })).rejects
        await bad.toMatchObject({ code: 'bad_credential_file', message: expect.stringContaining(directory) })
      }
    })

    test('a login that is made where another one is bound says so', async () => {
      const { store, at } = make()
      const folder = testFolder()
      for (const login of [bob, alice]) await store.save(login, { activate: true })
      await store.activate(A, bob, { directory: folder })
      const here = at(folder)
      expect((await here.save(bob, { activate: true })).notice ?? '').not.toContain(folder)
      const { notice } = await here.save(alice, { activate: true })
      expect(notice).toContain(`In ${folder} the login of bob is used`)
    })
  })

  describe('the lock', () => {
    test('one at a time, in which saving and removing do not wait for it', async () => {
      const { store } = make()
      await store.save(loginOf({ expires_at: 0 }))
      const count = async () =>
        await store.lock(async () => {
          const login = (await store.find(A)) as StoredLogin
          await store.save({ ...login, expires_at: login.expires_at + 1 })
          await Promise.all([store.save(bob), store.save(carol), store.remove(B, carol)])
        })
      await Promise.all(Array.from({ length: 8 }, count))
      expect(await store.find(A, alice)).toMatchObject({ expires_at: 8 })
      expect(await subjects(store)).toEqual(['alice*', 'bob'])
    })

    test('whatever the work comes to comes out, and the lock is free again', async () => {
      const { store } = make()
      expect(await store.lock(async () => 7)).toBe(7)
      const boom = new Error('boom')
      await expect(store.lock(() => Promise.reject(boom))).rejects.toBe(boom)
      expect(await store.lock(async () => await store.lock(async () => 8))).toBe(8)
    })

    test('waiting for it can be stopped', async () => {
      const { store } = make()
      let leave = () => {}
      let isIn = () => {}
      const inside = new Promise<void>((resolve) => {
        isIn = resolve
      })
      const work = store.lock(async () => {
        isIn()
        await new Promise<void>((resolve) => {
          leave = resolve
        })
      })
      await inside
      const controller = new AbortController()
      const waiting = store.lock(async () => 'never', controller.signal)
      const reason = new Error('Ctrl-C')
      controller.abort(reason)
      await expect(waiting).rejects.toBe(reason)
      await expect(store.lock(async () => 'never', controller.signal)).rejects.toBe(reason)
      leave()
      await work
      expect(await store.lock(async () => 'free')).toBe('free')
    })

    test('what outlives the work that started it waits for its turn', async () => {
      const { store } = make()
      await store.save(alice)
      let late: Promise<unknown> = Promise.resolve()
      let go = () => {}
      await store.lock(async () => {
        const gate = new Promise<void>((resolve) => {
          go = resolve
        })
        late = gate.then(() => store.save(bob))
      })
      let isInside = false
      await store.lock(async () => {
        go()
        isInside = true
        await store.save(carol)
        expect(await store.find(A, bob)).toBeNull()
        isInside = false
      })
      await late
      expect(isInside).toBe(false)
      expect(await store.find(A, bob)).toEqual(bob)
    })
  })
}
