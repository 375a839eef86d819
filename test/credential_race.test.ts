/**
 * Two gates over one database, asked in turn and at the same moment: for each pair of requests that can meet there is
 * one outcome that is promised, in both answers, in the rows, and in whatever is asked afterwards.
 *
 * @module
 */

import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, inject, type TestContext, test } from 'vitest'
import {
  type Databases,
  d1Databases,
  type EmptyDatabase,
  mariaDbDatabases,
  sqliteDatabases,
} from './support/databases.ts'
import { farSqlite } from './support/far_sqlite.ts'
import { BASE, readForm, type TestBrowser } from './support/gate.ts'
import {
  type Answer,
  call,
  FLOWS,
  type Flow,
  type Login,
  openDecision,
  pageHeaders,
  poll,
  requestLogin,
  type Send,
  signIn,
  startLogin,
} from './support/logins.ts'
import { demand, NO_MARIADB } from './support/matrix.ts'
import { both, createTwins, type Twins } from './support/twins.ts'

const ROUNDS = 50
/** Of D1, where each statement is a journey through two processes; `npm run test:races` takes minutes and does them all. */
const D1_ROUNDS = Number(process.env.D1_ROUNDS ?? 5)
/** Rounds that are under way at once; they share nothing but the database. */
const AT_ONCE = 5
const CLIENT = 'pairgate-cli'

/** The time of all gates. */
const now = Date.now()

const PLACES: Record<string, () => Promise<Databases>> = {
  SQLite: sqliteDatabases,
  'SQLite, far away': async () => {
    const databases = await sqliteDatabases()
    return {
      ...databases,
      async create() {
        const database = await databases.create()
        // the file has a name of its own in there: it is where the first store makes it
        const [{ file } = { file: '' }] = await database.sql('PRAGMA database_list')
        return { ...database, open: () => farSqlite(String(file)) }
      },
    }
  },
  MariaDB: async () => await mariaDbDatabases(inject('mariadb') ?? ''),
  D1: d1Databases,
}

const hash = (secret: string) => createHash('sha256').update(secret).digest('hex')
const bearer = (token: string) => ({ headers: { authorization: `Bearer ${token}` } })
const times = <T>(n: number, make: (i: number) => Promise<T>) =>
  Promise.all(Array.from({ length: n }, (_, i) => make(i)))

/** Plays the rounds, some at once, and says in the report how often each outcome came. */
async function play({ annotate }: TestContext, rounds: number, round: (i: number) => Promise<string>) {
  const outcomes = new Map<string, number>()
  for (let i = 0; i < rounds; i += AT_ONCE)
    for (const outcome of await times(AT_ONCE, (k) => round(i + k)))
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1)
  const said = [...outcomes].map(([outcome, n]) => `${outcome} ${n}`).toSorted()
  await annotate(`${rounds} rounds: ${said.join(', ')}`)
}

describe.each(Object.entries(PLACES))('%s', { timeout: 600_000 }, (name, place) => {
  const rounds = name === 'D1' ? D1_ROUNDS : ROUNDS
  let databases: Databases | undefined
  let database: EmptyDatabase
  let twins: Twins
  let capped: Twins
  let alice: TestBrowser
  let bob: TestBrowser

  beforeAll(async () => {
    if (name === 'MariaDB' && inject('mariadb') === null) return
    databases = await place()
    database = await databases.create()
    const stores = [database.open(), database.open()] as const
    for (const store of stores) await store.migrate()
    twins = createTwins(stores, { now })
    capped = createTwins(stores, { now, keysPerUser: CAP })
    alice = await signIn(twins.send, BASE, 'alice')
    bob = await signIn(twins.send, BASE, 'bob')
    // from here on the browsers have what ties forms to them
    for (const person of [alice, bob]) await person.get('/account')
  })
  afterAll(async () => {
    // the capped ones have the same stores
    for (const gate of twins?.gates ?? []) await gate.close()
    await databases?.remove()
  })
  const demanded = (context: TestContext) =>
    demand(context, name === 'MariaDB' && inject('mariadb') === null ? NO_MARIADB : null)

  const ping = () => twins.send('/readyz')
  const rows = async (sql: string) => await database.sql(sql)
  const grantOf = async ({ secret }: Login) => {
    const [grant = {}, ...others] = await rows(`SELECT * FROM grants WHERE secret_hash = '${hash(secret)}'`)
    expect(others).toEqual([])
    return grant
  }
  const credentialsOf = async (login: Login) => {
    const { id } = await grantOf(login)
    return await rows(
      `SELECT c.*, u.subject FROM credentials c JOIN users u ON u.id = c.user_id WHERE c.grant_id = '${id}'`,
    )
  }
  const use = async (token: string, send = twins.send) => (await send('/secured', bearer(token))).status
  const useAtBoth = (token: string) => Promise.all(twins.at.map((send) => use(token, send)))
  const whois = async (token: string) => await (await twins.send('/secured', bearer(token))).text()
  const open = (send: Send, person: TestBrowser, login: Login) => openDecision(send, BASE, person, login)
  const asPage = (send: Send, person: TestBrowser, path: string, input: Record<string, string | number>) =>
    call(send, path, input as Record<string, string>, pageHeaders(person, BASE))
  const allow = async (person: TestBrowser, { flow, code }: Login) => {
    const input: Record<string, string> = flow === 'device' ? { user_code: code } : { paircode: code }
    expect((await asPage(twins.send, person, `${flow}.approve`, input)).status).toBe('approved')
  }
  const refresh = async (send: Send, token: string): Promise<Answer> =>
    await call(send, 'session.refresh', { client_id: CLIENT, refresh_token: token })
  const inTurn = (round: number): readonly [Send, Send] =>
    round % 4 < 2 ? twins.at : [twins.at[1], twins.at[0]]

  /** A login of alice's with a refresh token. */
  async function loginToStay(flow: Flow) {
    const { login } = await requestLogin(twins.send, flow, 'form', { scope: 'offline_access' })
    await allow(alice, login)
    const { body } = await poll(twins.send, login)
    return { login, access: String(body.access_token), refresh: String(body.refresh_token) }
  }

  /** A key that bob has made by hand. */
  async function makeKey() {
    const { body } = await asPage(twins.send, bob, 'keys.create', { name: 'ci', expires_in: 3600 })
    return { id: String(body.id), secret: String(body.secret) }
  }

  test('DF-17 DF-16 PC-10 two people allow: one did, collects once, and is who the credential says', async (context) => {
    demanded(context)
    await play(context, rounds, async (round) => {
      const [one, other] = inTurn(round)
      const login = await startLogin(twins.send, FLOWS[round % 2] ?? 'device')
      const [byAlice, byBob] = [await open(one, alice, login), await open(other, bob, login)]
      const said = await both(
        round,
        ping,
        () => byAlice('allow', 'trpc'),
        () => byBob('allow', 'trpc'),
      )
      expect(said.toSorted()).toEqual(['already_decided', 'approved'])
      const winner = said[0] === 'approved' ? 'alice' : 'bob'
      const answers = await Promise.all(twins.at.map((send) => poll(send, login)))
      expect(answers.map(({ status }) => status).toSorted()).toEqual(['invalid_grant', 'issued'])
      const token = String(answers.find(({ status }) => status === 'issued')?.body.access_token)
      expect(await whois(token)).toBe(`You are authenticated as: ${winner}`)
      expect(await credentialsOf(login)).toMatchObject([{ subject: winner, secret_hash: hash(token) }])
      expect(await grantOf(login)).toMatchObject({ status: 'approved' })
      return winner
    })
  })

  test('DF-13 DF-17 PC-10 Allow and Deny: the first is final, for polls before and after', async (context) => {
    demanded(context)
    await play(context, rounds, async (round) => {
      const [one, other] = inTurn(round)
      const login = await startLogin(twins.send, FLOWS[round % 2] ?? 'device')
      const [yes, no] = [await open(one, alice, login), await open(other, bob, login)]
      const during = poll(twins.send, login)
      const said = await both(
        round,
        ping,
        () => yes('allow'),
        () => no('deny', 'trpc'),
      )
      const winner = said[0] === 'approved' ? 'approved' : 'denied'
      expect(said).toEqual(
        winner === 'approved' ? ['approved', 'already_decided'] : ['already_decided', 'denied'],
      )
      const answers = [await during, ...(await Promise.all(twins.at.map((send) => poll(send, login))))]
      const issued = answers.filter(({ status }) => status === 'issued')
      expect(issued).toHaveLength(winner === 'approved' ? 1 : 0)
      for (const { status } of answers.slice(1))
        expect(winner === 'approved' ? ['issued', 'invalid_grant'] : ['access_denied']).toContain(status)
      expect(await credentialsOf(login)).toHaveLength(issued.length)
      expect(await grantOf(login)).toMatchObject({ status: winner })
      return winner
    })
  })

  test('KEY-06 a key that is rotated while it is used: the old secret as was asked for, the new one always', async (context) => {
    demanded(context)
    await play(context, rounds, async (round) => {
      const [one] = inTurn(round)
      const overlap = round % 2 ? 3600 : 0
      const { id, secret } = await makeKey()
      // each after the other, so that some come before the rotation and some after it
      const useAll = async () =>
        (await times(2, async () => [await use(secret), await use(secret), await use(secret)])).flat()
      const rotate = () => asPage(one, bob, 'keys.rotate', { id, overlap_seconds: overlap })
      const [{ status, body }, used] = await both(round, ping, rotate, useAll)
      expect(status).toBe('rotated')
      const fresh = String(body.secret)
      for (const answer of used) expect(overlap ? [200] : [200, 401]).toContain(answer)
      const old = overlap ? 200 : 401
      expect([await useAtBoth(secret), await useAtBoth(fresh)]).toEqual([
        [old, old],
        [200, 200],
      ])
      expect(await rows(`SELECT * FROM credentials WHERE id = '${id}'`)).toMatchObject([
        {
          secret_hash: hash(fresh),
          previous_hash: hash(secret),
          previous_until: now + overlap * 1000,
          revoked_at: null,
        },
      ])
      return overlap
        ? 'overlap'
        : `cut off, ${used.filter((answer) => answer === 200).length < 6 ? 'some uses' : 'no use'} too late`
    })
  })

  /** Rotates by the account page that was read before; the new secret, or null when somebody was faster. */
  async function rotateByPage(send: Send, form: Record<string, string>): Promise<string | null> {
    const body = new URLSearchParams(form)
    const response = await send('/account', { method: 'POST', headers: pageHeaders(bob, BASE), body })
    const [secret] = /pgk_[0-9A-Za-z]{49}/.exec(await response.text()) ?? []
    expect(response.status).toBe(secret === undefined ? 409 : 200)
    return secret ?? null
  }

  test('KEY-06 two rotations of one key: one is told, and only its secret works, with the one before while asked for', async (context) => {
    demanded(context)
    await play(context, rounds, async (round) => {
      const [one, other] = inTurn(round)
      const overlap = round % 2 ? '3600' : '0'
      const { id, secret } = await makeKey()
      const html = await (await bob.get('/account')).text()
      const form = { ...rotateForm(html, id), action: 'rotate', overlap }
      const secrets = await both(
        round,
        ping,
        () => rotateByPage(one, form),
        () => rotateByPage(other, form),
      )
      const [fresh = '', ...others] = secrets.filter((text) => text !== null)
      expect([others, fresh]).toEqual([[], expect.stringMatching(/^pgk_/)])
      const old = overlap === '0' ? 401 : 200
      expect([await useAtBoth(secret), await useAtBoth(fresh)]).toEqual([
        [old, old],
        [200, 200],
      ])
      expect(await rows(`SELECT * FROM credentials WHERE id = '${id}'`)).toMatchObject([
        { secret_hash: hash(fresh), previous_hash: hash(secret) },
      ])
      return secrets[0] === null ? 'second' : 'first'
    })
  })

  test('KEY-06 DF-15 a login that is refreshed while it is revoked: whoever won, nothing of it works', async (context) => {
    demanded(context)
    await play(context, rounds, async (round) => {
      const [one, other] = inTurn(round)
      const login = await loginToStay(FLOWS[round % 2] ?? 'device')
      const body = new URLSearchParams({
        client_id: CLIENT,
        token: round % 4 === 1 ? login.refresh : login.access,
      })
      const revoke = async () => (await one('/oauth/revoke', { method: 'POST', body })).status
      const [refreshed, revoked] = await both(round, ping, () => refresh(other, login.refresh), revoke)
      expect(revoked).toBe(200)
      expect(['issued', 'invalid_grant']).toContain(refreshed.status)
      await expectOver(
        login.login,
        [login.access, String(refreshed.body.access_token)],
        [login.refresh, String(refreshed.body.refresh_token)],
      )
      return refreshed.status === 'issued' ? 'refreshed first' : 'revoked first'
    })
  })

  /** Nothing of a login works: its row is ended, and each token is refused by both gates. */
  async function expectOver(login: Login, accesses: readonly string[], refreshes: readonly string[]) {
    expect(await credentialsOf(login)).toMatchObject([{ revoked_at: now }])
    for (const token of accesses) expect(await useAtBoth(token)).toEqual([401, 401])
    for (const token of refreshes) expect((await refresh(twins.send, token)).status).toBe('invalid_grant')
    expect((await credentialsOf(login)).map(({ revoked_at }) => revoked_at)).toEqual([now])
  }

  test('DF-15 one refresh token used twice at once: one answer has tokens, and then the login is over', async (context) => {
    demanded(context)
    await play(context, rounds, async (round) => {
      const [one, other] = inTurn(round)
      const login = await loginToStay(FLOWS[round % 2] ?? 'device')
      const answers = await both(
        round,
        ping,
        () => refresh(one, login.refresh),
        () => refresh(other, login.refresh),
      )
      expect(answers.map(({ status }) => status).toSorted()).toEqual(['invalid_grant', 'issued'])
      const { body = {} } = answers.find(({ status }) => status === 'issued') ?? {}
      await expectOver(
        login.login,
        [login.access, String(body.access_token)],
        [login.refresh, String(body.refresh_token)],
      )
      expect(
        await rows(
          `SELECT type FROM events WHERE type = 'replayed' AND credential_id = '${(await credentialsOf(login.login))[0]?.id}'`,
        ),
      ).toHaveLength(1)
      return answers[0].status === 'issued' ? 'first' : 'second'
    })
  })

  test('DF-26 KEY-11 SES-04 a person who is disabled while their login is collected has nothing that works, then or later', async (context) => {
    demanded(context)
    await play(context, rounds, async (round) => {
      const [one, other] = inTurn(round)
      const identity = { issuer: 'urn:pairgate:dev', subject: `leaver ${round}` }
      const leaver = await signIn(twins.send, BASE, identity.subject)
      const login = await startLogin(twins.send, FLOWS[round % 2] ?? 'device')
      await allow(leaver, login)
      const gate = twins.gates[one === twins.at[0] ? 0 : 1]
      const [collected] = await both(
        round,
        ping,
        () => poll(other, login),
        () => gate.users.disable(identity),
      )
      expect(['issued', 'access_denied']).toContain(collected.status)
      const token = String(collected.body.access_token)
      const live = `SELECT c.id FROM credentials c JOIN users u ON u.id = c.user_id
        WHERE u.subject = '${identity.subject}' AND c.revoked_at IS NULL`
      expect([await useAtBoth(token), await rows(live)]).toEqual([[401, 401], []])
      // what is over stays over, and the grant brings nothing more
      await gate.users.enable(identity)
      expect([await useAtBoth(token), await rows(live)]).toEqual([[401, 401], []])
      return collected.status === 'issued' ? 'collected first' : 'disabled first'
    })
  })

  test('KEY-11 six keys asked for at once with room for one: one is made, never more than may be', async (context) => {
    demanded(context)
    const people = await times(AT_ONCE, (i) => signIn(twins.send, BASE, `maker ${i}`))
    for (const maker of people)
      for (let i = 1; i < CAP; i++)
        expect((await asPage(capped.send, maker, 'keys.create', { name: 'x' })).status).toBe('created')
    await play(context, rounds, async (round) => {
      const maker = people[round % AT_ONCE] ?? alice
      const answers = await times(6, (i) =>
        asPage(capped.at[i % 2 ? 1 : 0], maker, 'keys.create', { name: `key ${i}` }),
      )
      const made = answers.filter(({ status }) => status === 'created')
      expect(answers.map(({ status }) => status).toSorted()).toEqual([
        ...Array(5).fill('FORBIDDEN'),
        'created',
      ])
      const live = `SELECT c.id FROM credentials c JOIN users u ON u.id = c.user_id WHERE c.kind = 'api_key'
        AND u.subject = 'maker ${round % AT_ONCE}' AND c.revoked_at IS NULL`
      expect(await rows(live)).toHaveLength(CAP)
      expect(await use(String(made[0]?.body.secret))).toBe(200)
      const { status } = await asPage(capped.send, maker, 'keys.revoke', { id: String(made[0]?.body.id) })
      expect(status).toBe('revoked')
      return `${made.length} made`
    })
  })
})

/** How many keys the capped gates let a person have. */
const CAP = 5

/** The hidden fields of the form that rotates a key. */
function rotateForm(html: string, id: string): Readonly<Record<string, string>> {
  const form = html
    .split('<form')
    .find((part) => part.includes(`value="${id}"`) && part.includes('name="hint"'))
  return readForm(`<form${form}`).fields
}
