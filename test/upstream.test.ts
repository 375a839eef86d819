/** Upstream sign-in through the gate's own door: one browser, one use, one provider, one person. @module */

import { describe, expect, test } from 'vitest'
import { sqlite } from '../adapters/sqlite.ts'
import { createTestGate, SECRET } from './support/gate.ts'
import { OCTOCAT } from './support/github.ts'
import {
  comeBack,
  expectRefused,
  gateWith,
  hub,
  issuer,
  MOUNT,
  PAGE,
  SESSION,
  signIn,
  TRANSACTION,
  title,
  whoIs,
} from './support/sign_in.ts'

describe('the way there and back', () => {
  test('UP-01 code flow: fresh state, nonce and PKCE S256 each time, the exact redirect_uri', async () => {
    const { server, provider } = await issuer()
    const person = gateWith([provider]).browser()
    const urls: URLSearchParams[] = []
    for (let i = 0; i < 2; i++) {
      const response = await person.get('/auth/sign-in/oidc')
      urls.push(new URL(response.headers.get('location') ?? '').searchParams)
    }
    for (const query of urls) {
      expect(Object.fromEntries(query)).toEqual({
        client_id: server.clientId,
        redirect_uri: `${MOUNT}/sign-in/callback/oidc`,
        response_type: 'code',
        scope: 'openid profile email',
        state: expect.stringMatching(/^[\w-]{43}$/),
        nonce: expect.stringMatching(/^[\w-]{43}$/),
        code_challenge: expect.stringMatching(/^[\w-]{43}$/),
        code_challenge_method: 'S256',
      })
    }
    for (const name of ['state', 'nonce', 'code_challenge']) {
      expect(urls[0]?.get(name)).not.toBe(urls[1]?.get(name))
    }
    const secrets = ['state', 'nonce', 'code_challenge'].map((name) => urls[1]?.get(name))
    expect(new Set(secrets).size).toBe(3)
  })

  test('UP-01 a person signs in at an OpenID issuer and is back where they were going', async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const person = gate.browser()
    const done = await signIn(person, server)
    expect([done.status, done.headers.get('location')]).toEqual([303, PAGE])
    expect(await whoIs(person)).toBe('ann (ann@example.com)')
    expect(person.cookies.has(TRANSACTION)).toBe(false)
    expect(gate.rows('SELECT issuer, subject FROM users')).toEqual([
      { issuer: server.issuer, subject: 'sub-ann' },
    ])
  })

  test('UP-01 a person signs in at GitHub', async () => {
    const { server, provider } = await hub()
    const person = gateWith([provider]).browser()
    const done = await signIn(person, server, { id: 'github' })
    expect([done.status, done.headers.get('location')]).toEqual([303, PAGE])
    expect(await whoIs(person)).toBe('The Octocat (octocat@example.com)')
  })

  test('SES-01 the cookies are HttpOnly, SameSite=Lax, __Host- and Secure on https', async () => {
    const base = 'https://gateway.example/auth'
    const { server, provider } = await issuer('oidc', undefined, base)
    const person = createTestGate({ baseUrl: base, signIn: [provider] }).browser()
    const start = await person.get('/auth/sign-in/oidc')
    const back = await server.visit(start.headers.get('location') ?? '', 'ann')
    const done = await person.get(back.pathname + back.search)
    const flags = (name: string) =>
      new RegExp(`^__Host-pairgate-${name}=[^;]+; Max-Age=\\d+; Path=/; HttpOnly; SameSite=Lax; Secure$`)
    expect(start.headers.getSetCookie()).toEqual([expect.stringMatching(flags('sign-in'))])
    expect(done.headers.getSetCookie()[0]).toMatch(flags('session'))
  })
})

describe('UP-02 a transaction belongs to one browser, once, for ten minutes', () => {
  test('UP-02 a callback without the cookie signs nobody in', async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const callback = await comeBack(gate.browser(), server)
    const victim = gate.browser()
    await expectRefused(await victim.get(callback), victim, gate)
    expect(server.requests).not.toContain('/token')
  })

  test("UP-02 nor with another browser's cookie", async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const callback = await comeBack(gate.browser(), server, { login: 'mallory' })
    const victim = gate.browser()
    await comeBack(victim, server, { login: 'victim' })
    await expectRefused(await victim.get(callback), victim, gate)
    expect(server.requests).not.toContain('/token')
  })

  test('UP-02 nor with a tampered cookie, whatever part was changed', async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const person = gate.browser()
    const callback = await comeBack(person, server)
    const parts = (person.cookies.get(TRANSACTION) ?? '').split('.')
    expect(parts).toHaveLength(5)
    const changes: [number, string][] = [
      [0, 'A'.repeat(43)],
      [1, 'github'],
      [2, String(Number(parts[2]) + 1)],
      [3, Buffer.from('/auth/pair/evil').toString('base64url')],
      [4, 'A'.repeat(43)],
      [4, ''],
    ]
    for (const [part, value] of changes) {
      person.cookies.set(TRANSACTION, parts.with(part, value).join('.'))
      await expectRefused(await person.get(callback), person, gate)
    }
    person.cookies.set(TRANSACTION, [...parts, 'more'].join('.'))
    await expectRefused(await person.get(callback), person, gate)
    person.cookies.set(TRANSACTION, parts.join('.'))
    expect((await person.get(callback)).status).toBe(303)
  })

  test('UP-02 nor with another state', async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const person = gate.browser()
    const callback = await comeBack(person, server)
    for (const change of [/state=[^&]*/, /[?&]state=[^&]*/]) {
      await expectRefused(await person.get(callback.replace(change, 'state=')), person, gate)
    }
    expect((await person.get(callback)).status).toBe(303)
  })

  test('UP-02 nor after ten minutes', async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const person = gate.browser()
    const callback = await comeBack(person, server)
    gate.advance(600)
    await expectRefused(await person.get(callback), person, gate)
    const slow = gate.browser()
    const inTime = await comeBack(slow, server)
    gate.advance(599)
    expect((await slow.get(inTime)).status).toBe(303)
  })

  test('UP-02 nor twice, even when the browser kept the cookie', async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const person = gate.browser()
    const callback = await comeBack(person, server)
    const cookie = person.cookies.get(TRANSACTION) ?? ''
    await person.get(callback)
    await person.post('/auth/sign-out', {})
    person.cookies.set(TRANSACTION, cookie)
    await expectRefused(await person.get(callback), person, gate)
    expect(server.requests.filter((path) => path === '/token')).toHaveLength(1)
  })

  test('UP-02 nor twice over instances that share the database, not even at the same moment', async () => {
    const { server, provider } = await issuer()
    const one = gateWith([provider])
    const other = gateWith([provider], { database: sqlite(one.database) })
    const person = one.browser()
    const callback = await comeBack(person, server)
    const headers = { cookie: `${TRANSACTION}=${person.cookies.get(TRANSACTION)}` }
    const gates = [one, other, one, other]
    const answers = await Promise.all(gates.map((gate) => gate.fetch(callback, { headers })))
    expect(answers.map(({ status }) => status).sort()).toEqual([303, 400, 400, 400])
    expect(one.rows("SELECT id FROM credentials WHERE kind = 'browser'")).toHaveLength(1)
  })

  test('SES-03 secrets rotate: what the old one signed still comes back, what neither signed does not', async () => {
    const { server, provider } = await issuer()
    const old = gateWith([provider])
    const rotated = gateWith([provider], {
      database: sqlite(old.database),
      secrets: ['a-new-secret-a-new-secret-a-new-sec', SECRET],
    })
    const dropped = gateWith([provider], {
      database: sqlite(old.database),
      secrets: ['a-new-secret-a-new-secret-a-new-sec'],
    })
    const person = old.browser()
    const callback = await comeBack(person, server)
    const headers = { cookie: `${TRANSACTION}=${person.cookies.get(TRANSACTION)}` }
    expect((await dropped.fetch(callback, { headers })).status).toBe(400)
    const done = await rotated.fetch(callback, { headers })
    expect([done.status, done.headers.get('location')]).toEqual([303, PAGE])
  })
})

describe('UP-03 several providers', () => {
  test("UP-03 what comes from one is refused at the other's path", async () => {
    const first = await issuer('first')
    const second = await issuer('second')
    const octo = await hub()
    const gate = gateWith([first.provider, second.provider, octo.provider])
    const person = gate.browser()
    const callback = await comeBack(person, first.server, { id: 'first' })
    for (const other of ['second', 'github']) {
      await expectRefused(
        await person.get(callback.replace('callback/first', `callback/${other}`)),
        person,
        gate,
      )
    }
    expect(second.server.requests).not.toContain('/token')
    expect((await person.get(callback)).status).toBe(303)
  })

  test('UP-03 a code of one issuer does not come in under the state of another (mix-up)', async () => {
    const honest = await issuer('honest')
    const evil = await issuer('evil')
    const gate = gateWith([honest.provider, evil.provider])
    const person = gate.browser()
    const honestQuery = new URLSearchParams(
      (await comeBack(person, honest.server, { id: 'honest' })).split('?')[1],
    )
    const evilCallback = await comeBack(person, evil.server, { id: 'evil' })
    const state = new URLSearchParams(evilCallback.split('?')[1]).get('state') ?? ''
    honestQuery.set('state', state)
    const response = await person.get(`/auth/sign-in/callback/evil?${honestQuery}`)
    expect([response.status, await title(response)]).toEqual([502, 'Sign-in failed'])
    expect(evil.server.requests).not.toContain('/token')
    expect(await whoIs(person)).toBeNull()
  })

  test('UP-03 a provider that is not configured is no page', async () => {
    const { provider } = await issuer()
    const person = gateWith([provider]).browser()
    for (const path of ['github', 'callback', 'callback/github', '__proto__', 'OIDC', 'dev']) {
      const response = await person.get(`/auth/sign-in/${path}`)
      expect([path, path === 'dev' ? 405 : 404]).toEqual([path, response.status])
    }
  })
})

describe('UP-05 who is who', () => {
  test('UP-05 the same e-mail at two issuers is two people', async () => {
    const claims = () => ({ name: 'Ann', email: 'ann@example.com', email_verified: true })
    const first = await issuer('first', claims)
    const second = await issuer('second', claims)
    const gate = gateWith([first.provider, second.provider])
    await signIn(gate.browser(), first.server, { id: 'first' })
    await signIn(gate.browser(), second.server, { id: 'second' })
    expect(gate.rows('SELECT issuer, subject, email FROM users ORDER BY created_at, issuer')).toHaveLength(2)
    const ids = gate.rows("SELECT DISTINCT user_id FROM credentials WHERE kind = 'browser'")
    expect(ids).toHaveLength(2)
  })

  test('UP-05 renamed is the same person, and a recycled login is not', async () => {
    const { server, provider } = await hub()
    const gate = gateWith([provider])
    const person = gate.browser()
    await signIn(person, server, { id: 'github' })
    server.account = { ...OCTOCAT, login: 'tentacles', name: 'Tentacles', emails: [] }
    await signIn(person, server, { id: 'github' })
    expect(gate.rows('SELECT subject, name, email FROM users')).toEqual([
      { subject: String(OCTOCAT.id), name: 'Tentacles', email: null },
    ])
    server.account = { ...OCTOCAT, id: 999_999_999 }
    await signIn(gate.browser(), server, { id: 'github' })
    expect(gate.rows('SELECT subject FROM users ORDER BY subject')).toHaveLength(2)
  })

  test('UP-05 one subject at two issuers is two people', async () => {
    const first = await issuer('first')
    const second = await issuer('second')
    const gate = gateWith([first.provider, second.provider])
    await signIn(gate.browser(), first.server, { id: 'first' })
    await signIn(gate.browser(), second.server, { id: 'second' })
    expect(gate.rows('SELECT subject FROM users')).toEqual([{ subject: 'sub-ann' }, { subject: 'sub-ann' }])
  })

  test('SES-04 a disabled person cannot sign in, and is told so', async () => {
    const { server, provider } = await issuer()
    const gate = gateWith([provider])
    const person = gate.browser()
    await signIn(person, server)
    await gate.gate.users.disable({ issuer: server.issuer, subject: 'sub-ann' })
    expect(await whoIs(person)).toBeNull()
    const refused = gate.browser()
    const response = await signIn(refused, server)
    expect([response.status, await title(response)]).toEqual([403, 'Account disabled'])
    expect(refused.cookies.has(SESSION)).toBe(false)
    expect(gate.rows("SELECT id FROM credentials WHERE kind = 'browser'")).toHaveLength(1)
    await gate.gate.users.enable({ issuer: server.issuer, subject: 'sub-ann' })
    expect((await signIn(refused, server)).status).toBe(303)
  })
})
