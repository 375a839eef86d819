/** What reaches the database: how many statements, of which shape, with which values, and what stays there. @module */

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { PairgateOptions, Provider } from '../src/mod.ts'
import { BASE, createPaircode, pollPair, readForm, SECRET } from './support/gate.ts'
import { FLOWS, openDecision, poll, requestLogin, signIn, startLogin } from './support/logins.ts'
import { personNamed, readCallback, startLoopback } from './support/loopback.ts'
import {
  collectToken,
  createListened,
  doEverything,
  dump,
  EACH,
  type Statement,
} from './support/statements.ts'

const verbs = (statements: readonly Statement[]) => statements.map(({ verb }) => verb)
describe('reading', () => {
  test.each(EACH)('STO-04 a pending poll is one SELECT and no write: %s, %s', async (flow, door) => {
    const t = await createListened()
    const login = await startLogin(t.send, flow)
    for (let i = 0; i < 3; i++) {
      const statements = await t.during(async () =>
        expect((await poll(t.send, login, door)).status).toBe('authorization_pending'),
      )
      expect(verbs(statements)).toEqual(['SELECT'])
      t.advance(5)
    }
    t.advance(-3)
    const tooFast = await t.during(async () =>
      expect((await poll(t.send, login, door)).status).toBe('slow_down'),
    )
    expect(verbs(tooFast)).toEqual(['SELECT', 'UPDATE'])
  })

  test.each(EACH)('a poll that is over is one SELECT: %s, %s', async (flow, door) => {
    const t = await createListened()
    const alice = await signIn(t.send, BASE, 'alice')
    const denied = await startLogin(t.send, flow)
    await (await openDecision(t.send, BASE, alice, denied))('deny')
    const expired = await startLogin(t.send, flow)
    for (const [login, status] of [
      [denied, 'access_denied'],
      [expired, 'expired_token'],
      [{ ...expired, secret: createPaircode().verifier }, 'invalid_grant'],
    ] as const) {
      if (status === 'expired_token') t.advance(601)
      const statements = await t.during(async () =>
        expect((await poll(t.send, login, door)).status).toBe(status),
      )
      expect(verbs(statements)).toEqual(['SELECT'])
    }
  })

  test.each(FLOWS)(
    'a credential is verified by one SELECT; its use is noted once a minute: %s',
    async (flow) => {
      const t = await createListened()
      const token = await collectToken(t, flow)
      const headers = { authorization: `Bearer ${token}` }
      const first = await t.during(() => t.gate.authenticate(new Request(BASE, { headers })))
      expect(verbs(first)).toEqual(['SELECT', 'UPDATE', 'INSERT'])
      const uses = [
        async () => expect(await t.gate.authenticate(new Request(BASE, { headers }))).not.toBeNull(),
        async () => expect((await t.fetch('/secured', { headers })).status).toBe(200),
        async () => expect((await t.fetch('/trpc/session.whoami', { headers })).status).toBe(200),
      ]
      for (const use of uses) {
        t.advance(61)
        expect(verbs(await t.during(use))).toEqual(['SELECT', 'UPDATE'])
        for (const again of uses) {
          t.advance(19)
          expect(verbs(await t.during(again))).toEqual(['SELECT'])
        }
      }
    },
  )

  test('what cannot be a credential or a code never reaches the database', async () => {
    const t = await createListened()
    const token = await collectToken(t, 'device')
    const flipped = token.slice(0, 10) + (token[10] === 'a' ? 'b' : 'a') + token.slice(11)
    const statements = await t.during(async () => {
      for (const wrong of [flipped, token.slice(0, -1), `${token}a`, token.replace('pgk_', 'pgx_'), "x'--"]) {
        const headers = { authorization: `Bearer ${wrong}` }
        expect(await t.gate.authenticate(new Request(BASE, { headers }))).toBeNull()
        expect((await t.fetch('/secured', { headers })).status).toBe(401)
        expect((await t.fetch('/trpc/session.whoami', { headers })).status).toBe(401)
        const cookie = { cookie: `pairgate-session=${wrong.replace("'", '')}`, accept: 'text/html' }
        expect((await t.fetch('/device', { headers: cookie })).status).toBe(303)
        await t.post('/oauth/revoke', { client_id: 'pairgate-cli', token: wrong })
      }
      // a CLI's credential is nobody's cookie
      const cookie = { cookie: `pairgate-session=${token}`, accept: 'text/html' }
      expect((await t.fetch('/device', { headers: cookie })).status).toBe(303)
      for (const secret of ['short', "' OR 1=1 --".padEnd(43, 'a'), 'a'.repeat(129)]) {
        for (const [flow, door] of EACH) {
          const answer = await poll(t.send, { flow, secret, code: '', page: '' }, door)
          expect(['invalid_grant', 'BAD_REQUEST']).toContain(answer.status)
        }
      }
    })
    expect(statements).toEqual([])
  })
})

describe('STO-04 each transition is one guarded statement', () => {
  const ofTable = (statements: readonly Statement[], table: string) =>
    statements.filter(({ verb, text }) => verb !== 'SELECT' && text.includes(`"${table}"`))
  const only = (statements: readonly Statement[], table: string) => {
    const [statement, ...others] = ofTable(statements, table)
    expect(others).toEqual([])
    return statement?.text ?? ''
  }

  test.each(EACH)('start, decide and collect: %s, %s', async (flow, door) => {
    const t = await createListened()
    const alice = await signIn(t.send, BASE, 'alice')
    for (const decision of ['allow', 'deny'] as const) {
      const started = await requestLogin(t.send, flow, door)
      const { login } = started
      const decide = await openDecision(t.send, BASE, alice, login)
      const deciding = await t.during(() => decide(decision, door))
      expect(only(deciding, 'grants')).toBe(
        'update "grants" set "status" = ?, "user_id" = ?, "scope" = ?, "tenant" = ?, "decided_address" = ?, "code_hash" = ?, "expires_at" = ?, ' +
          '"decided_at" = ? where "id" = ? and "status" = ? and "expires_at" > ?',
      )
      expect(ofTable(deciding, 'credentials')).toEqual([])
      if (decision === 'deny') continue
      const collecting = await t.during(() => poll(t.send, login, door))
      expect(verbs(collecting)).toEqual(['SELECT', 'INSERT', 'SELECT', 'INSERT'])
      expect(ofTable(collecting, 'grants')).toHaveLength(1)
      const issue = only(collecting, 'credentials')
      expect(issue).toMatch(/^insert into "credentials" \([^()]*\) select [^()]* from "grants" /)
      const guards = ['secret_hash" = ?', 'client_id" = ?', 'flow" = ?', 'status" = ?', 'expires_at" > ?']
      for (const guard of guards) expect(issue.split(' where ')[1]).toContain(`"grants"."${guard}`)
      expect(issue.split(' where ')[1]).toContain('"users"."disabled_at" is null')
      expect(issue.split(' where ')[1]).toContain('coalesce("grants"."code_hash", ?) = ?')
      const replay = await t.during(() => poll(t.send, login, door))
      expect(ofTable(replay, 'credentials')).toEqual([])
    }
    const starting = await t.during(() => requestLogin(t.send, flow, door))
    expect(only(starting, 'grants')).toMatch(/^insert into "grants" \([^()]*\) values \([?, ]*\)$/)
  })

  test('PC-11 by loopback it is the same statements: the code is in the decision, and in the guard', async () => {
    const t = await createListened()
    const alice = await personNamed(t, 'alice')
    const { login_url, verifier } = await startLoopback(t)
    const html = await (await alice.get(login_url)).text()
    let callback = ''
    const deciding = await t.during(async () => {
      const response = await alice.submit(html, { decision: 'allow' })
      callback = response.headers.get('location') ?? ''
    })
    const { code = '' } = readCallback(callback)
    expect(only(deciding, 'grants')).toContain('"code_hash" = ?, "expires_at" = ?')
    for (const [form, error] of [
      [{}, 'authorization_pending'],
      [{ code: `${code}x` }, 'invalid_grant'],
    ] as const) {
      const statements = await t.during(async () =>
        expect((await pollPair(t, verifier, form)).body.error).toBe(error),
      )
      expect(verbs(statements)).toEqual(['SELECT'])
    }
    const collecting = await t.during(() => pollPair(t, verifier, { code }))
    expect(verbs(collecting)).toEqual(['SELECT', 'INSERT', 'SELECT', 'INSERT'])
    expect(JSON.stringify([deciding, collecting])).not.toContain(code)
  })

  test('no transaction, no RETURNING, one statement at a time, no value in the text', async () => {
    const t = await createListened()
    const statements = await t.during(() => doEverything(t, ''))
    expect(statements.length).toBeGreaterThan(100)
    const verbsSeen = new Set(verbs(statements))
    expect(verbsSeen).toEqual(new Set(['SELECT', 'INSERT', 'UPDATE']))
    for (const { text } of statements) {
      expect(text).not.toMatch(/\breturning\b|\bbegin\b|\bcommit\b|;|--|'/i)
      // the app's clock decides, never the database's
      expect(text).not.toMatch(/current_|now\(|date\(|time\(|julianday|unixepoch/i)
      expect(text.match(/\b\d+\b/g)).toBeNull()
    }
    // tidying up, a day and a minute later
    t.advance(86_400 + 661)
    const tidying = await t.tidying(() => startLogin(t.send, 'pair'))
    expect(tidying).toHaveLength(5)
    for (const { text } of tidying)
      expect(text).toMatch(
        /^delete from "(\w+)" where rowid in \(select rowid as "rowid" from "\1" where "\w+" < \? order by "\w+" limit \?\)$/,
      )
  })
})

describe('STO-01 only bound parameters', () => {
  const MARKER = "zzmarker'--"
  const options: Partial<PairgateOptions> = {
    trustedProxies: ['127.0.0.1'],
    limits: { startPerMinute: 1000, wrongCodesPerAccount: 1000, wrongCodesPerAddress: 1000 },
  }

  test('STO-01 no text of a stranger’s is ever part of a statement', async () => {
    const plain = await createListened(options)
    const shapes = new Set((await plain.during(() => doEverything(plain, ''))).map(({ text }) => text))
    const t = await createListened(options)
    const statements = await t.during(() => doEverything(t, MARKER))
    const values = new Set(statements.flatMap((one) => one.values).map(String))
    // it did arrive
    for (const text of ['laptop', 'alice', 'issuer', 'subject']) expect(values).toContain(text + MARKER)
    for (const { text } of statements) {
      expect(text).not.toContain('zzmarker')
      expect(shapes).toContain(text)
    }
    expect(t.rows('SELECT name FROM users ORDER BY name')).toContainEqual({ name: `alice${MARKER}` })
  })

  test('STO-01 nor what the gateway says of a person', async () => {
    const identify = () => ({
      issuer: `https://issuer.example/${MARKER}`,
      subject: `subject${MARKER}`,
      name: `name${MARKER}`,
      email: `email${MARKER}`,
    })
    const t = await createListened({ identify })
    const login = await startLogin(t.send, 'pair')
    const statements = await t.during(async () => {
      const decide = await openDecision(t.send, BASE, t.browser(), login)
      expect(await decide('allow')).toBe('approved')
      expect((await poll(t.send, login)).status).toBe('issued')
    })
    for (const { text } of statements) expect(text).not.toContain('zzmarker')
    expect(t.rows('SELECT issuer, subject, name, email FROM users')).toEqual([identify()])
  })
})

const folder = mkdtempSync(join(tmpdir(), 'pairgate-statements-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** An identity provider that vouches for everybody, and remembers what it was shown. */
function createProvider(seen: string[]): Provider {
  return {
    id: 'upstream',
    name: 'Upstream',
    issuer: 'https://upstream.example',
    async authorize({ state, nonce, codeVerifier }) {
      seen.push(state, nonce, codeVerifier)
      return new URL(`https://upstream.example/?${new URLSearchParams({ state })}`)
    },
    callback: async () => ({ issuer: 'https://upstream.example', subject: 'carol' }),
  }
}

describe('STO-03 what is kept', () => {
  test('STO-03 no secret is in the tables, nor anywhere in the database’s files', async () => {
    const secrets: string[] = [SECRET]
    const file = join(folder, 'secrets.db')
    const t = await createListened({ signIn: [createProvider(secrets)], devSignIn: true }, file)
    const people = [await signIn(t.send, BASE, 'alice'), t.browser()]
    const away = (await people[1]!.get('/sign-in/upstream')).headers.get('location') ?? ''
    const transaction = people[1]!.cookies.get('pairgate-sign-in')?.split('.') ?? []
    secrets.push(transaction[0] ?? '', transaction.at(-1) ?? '')
    const back = await people[1]!.get(`/sign-in/callback/upstream${new URL(away).search}&code=zzcode1234`)
    expect(back.status).toBe(303)
    const names: string[] = []
    for (const person of people) {
      for (const [flow, door] of EACH) {
        const { login } = await requestLogin(t.send, flow, door, { device_name: `kept ${names.length}` })
        await poll(t.send, login, door)
        const html = await (await person.get(login.page)).text()
        expect((await person.submit(html, { decision: 'allow' })).status).toBe(200)
        const { body } = await poll(t.send, login, door)
        await poll(t.send, login, door)
        names.push(`kept ${names.length}`)
        secrets.push(login.secret, String(body.access_token), readForm(html).fields.form_token ?? '')
      }
      secrets.push(person.cookies.get('pairgate-session') ?? '', person.cookies.get('pairgate-form') ?? '')
    }
    expect(secrets).toHaveLength(1 + 3 + 2 + 8 * 3 + 4)
    for (const secret of secrets) expect(secret.length).toBeGreaterThan(20)

    const tables = JSON.stringify(dump(t))
    const files = readdirSync(folder).filter((name) => name.startsWith('secrets.db'))
    expect(files).toContain('secrets.db-wal')
    const bytes = () => files.map((name) => readFileSync(join(folder, name), 'latin1')).join()
    for (const kept of names) expect([tables.includes(kept), bytes().includes(kept)]).toEqual([true, true])
    for (const secret of [...secrets, 'zzcode1234']) {
      // not even without the prefix that tells its kind
      const core = secret.replace(/^pg._/, '')
      expect([secret, tables.includes(core), bytes().includes(core)]).toEqual([secret, false, false])
    }
    await t.gate.close()
    files.splice(1)
    for (const kept of names) expect(bytes()).toContain(kept)
    for (const secret of secrets) expect([secret, bytes().includes(secret)]).toEqual([secret, false])
  })
})

describe('STO-05 times', () => {
  test('STO-05 all times are whole milliseconds of the app’s clock', async () => {
    const start = Date.UTC(2345, 6, 7, 8, 9, 10, 123)
    let now = start
    const t = await createListened({ now: () => now, deviceCodeSeconds: 300, paircodeSeconds: 400 })
    t.rows('DELETE FROM grants')
    await doEverything(t, '')
    now += 61_001
    await signIn(t.send, BASE, 'alice')
    const times = dump(t).flatMap(({ table, row }) =>
      Object.entries(row)
        .filter(([column, value]) => (/(^|_)at$/.test(column) || column === 'bucket') && value !== null)
        .map(([column, value]) => ({
          where: `${table}.${column}`,
          value: Number(value),
          type: typeof value,
        })),
    )
    const whereSeen = new Set(times.map(({ where }) => where))
    for (const where of ['grants.decided_at', 'credentials.revoked_at', 'users.updated_at', 'events.at'])
      expect(whereSeen).toContain(where)
    for (const { where, value, type } of times) {
      expect([where, type, Number.isInteger(value)]).toEqual([where, 'number', true])
      if (where.endsWith('expires_at')) expect(value).toBeGreaterThan(now)
      else if (where === 'limits.bucket') expect(start - value).toBeLessThan(60_000)
      else expect([where, [start, now].includes(value)]).toEqual([where, true])
    }
    const lifetimes = t.rows('SELECT flow, expires_at - created_at AS life FROM grants GROUP BY 1, 2')
    expect(lifetimes).toEqual([
      { flow: 'device', life: 300_000 },
      { flow: 'pair', life: 400_000 },
    ])
  })

  test('STO-05 one statement knows one time', async () => {
    let now = Date.UTC(2345, 0)
    // never the same time twice
    const t = await createListened({ now: () => ++now })
    const from = now
    const statements = await t.during(() => collectToken(t, 'device'))
    for (const { text, values } of statements) {
      const times = new Set(values.filter((value) => Number(value) > from && Number(value) <= now))
      expect([text, times.size <= 1]).toEqual([text, true])
    }
  })
})
