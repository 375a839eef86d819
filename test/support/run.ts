/** One login, step by step, that may break anywhere, and how its people get over that. @module */

import { DatabaseSync } from 'node:sqlite'
import { expect } from 'vitest'
import { type FaultPoint, startCrashServer, type Watch, watchGate, watchSqlite } from './faults.ts'
import { createBrowser, createTestGate, type TestBrowser } from './gate.ts'
import {
  type Answer,
  type Door,
  FLOWS,
  type Flow,
  type Login,
  openDecision,
  poll,
  preparePair,
  requestLogin,
  type Send,
  said,
  signIn,
  startLogin,
} from './logins.ts'

/** Which button the person presses. */
export type Decision = 'allow' | 'deny'

const ORIGIN = 'http://origin.invalid'
/** What happens in a login, in order. */
export const STEPS = ['start', 'wait', 'sign in', 'review', 'decide', 'collect'] as const
/** One of them. */
export type Step = (typeof STEPS)[number]

/** A service as its users see it. */
export interface Service {
  readonly send: Send
  /** Every answer's status so far. */
  readonly statuses: number[]
  close(): Promise<unknown>
}

/** What the CLI and the person remember of one login. */
export interface Run {
  readonly flow: Flow
  readonly decision: Decision
  /** Where the CLI asks. */
  readonly door: Door
  /** Whether the CLI was told that its login has started. */
  isStarted: boolean
  login: Login | null
  person: TestBrowser
  html: string
  outcome: Answer | null
}

function service(base: string, fetch: Send, close: Service['close']): Service {
  const statuses: number[] = []
  const send: Send = async (path, init) => {
    const headers = new Headers(init?.headers)
    if (headers.has('origin')) headers.set('origin', base)
    const response = await fetch(new URL(path, base).href, { redirect: 'manual', ...init, headers })
    statuses.push(response.status)
    return response
  }
  return { send, statuses, close }
}

/** A service in this process; `watch` is told of every place it passes. */
export function openService(file: string, watch: Watch = () => {}, watchStoreOnly = false): Service {
  const t = createTestGate({ database: watchSqlite(file, watch), now: Date.now })
  const gate = watchStoreOnly ? t.gate : watchGate(t.gate, watch)
  return service(
    'http://127.0.0.1:8787',
    (url, init) => gate.fetch(new Request(url, init), { remoteAddress: '127.0.0.1' }),
    () => t.gate.close(),
  )
}

/** A service in a process of its own, that kills itself at its fault. */
export async function spawnService(file: string, fault?: FaultPoint) {
  const server = await startCrashServer({ file, fault })
  return { ...service(server.base, fetch, server.stop), ended: server.ended }
}

/** A login that is about to begin. */
export function newRun(flow: Flow, decision: Decision, door: Door = 'form'): Run {
  // a CLI makes its paircode up before it asks anybody
  const login = flow === 'pair' ? preparePair() : null
  return {
    flow,
    decision,
    door,
    isStarted: false,
    login,
    person: createBrowser(fetch, ORIGIN),
    html: '',
    outcome: null,
  }
}

/** A step did not get the answer it should have. */
export class Unanswered extends Error {
  readonly step: Step
  readonly response: { status: number; text: string; retryAfter: string | null } | null
  constructor(step: Step, response: Unanswered['response'], cause?: unknown) {
    super(`${step}: ${response ? `${response.status} ${response.text}` : cause}`)
    this.step = step
    this.response = response
  }
}

const done = (decision: Decision) => (decision === 'allow' ? 'approved' : 'denied')

async function perform(run: Run, step: Step, send: Send): Promise<void> {
  const check = (ok: boolean, status: number, text: string, retryAfter: string | null) => {
    if (!ok) throw new Unanswered(step, { status, text, retryAfter })
  }
  const checkAnswer = (answer: Answer, ...expected: string[]) =>
    check(expected.includes(answer.status), answer.http, answer.text, answer.retryAfter)
  const checkPage = async (response: Response, ok: boolean) =>
    check(ok, response.status, await response.clone().text(), response.headers.get('retry-after'))
  const { login } = run
  if (step === 'start') {
    const { answer, login: started } = await requestLogin(send, run.flow, run.door, {
      ...(login && { prepared: login }),
    })
    checkAnswer(answer, 'started')
    run.login = started
    run.isStarted = true
  } else if (step === 'sign in') {
    run.person = createBrowser(send, ORIGIN)
    const response = await run.person.signIn('alice')
    await checkPage(response, response.status === 303)
  } else if (!login) {
    throw new Error('Not started')
  } else if (step === 'wait') {
    checkAnswer(await poll(send, login, run.door), 'authorization_pending')
  } else if (step === 'review') {
    const response = await run.person.get(login.page)
    await checkPage(response, response.status === 200)
    run.html = await response.text()
  } else if (step === 'decide') {
    const response = await run.person.submit(run.html, { decision: run.decision })
    await checkPage(response, (await said(response.clone())) === done(run.decision))
  } else {
    run.outcome = await poll(send, login, run.door)
    checkAnswer(run.outcome, run.decision === 'allow' ? 'issued' : 'access_denied')
  }
}

/** Goes through the steps until one is not answered as it should be. */
export async function drive(
  run: Run,
  send: Send,
  at: (step: Step) => void = () => {},
): Promise<Unanswered | null> {
  for (const step of STEPS) {
    at(step)
    try {
      await perform(run, step, send)
    } catch (error) {
      return error instanceof Unanswered ? error : new Unanswered(step, null, error)
    }
  }
  return null
}

function inspect<T>(
  file: string,
  look: (rows: (sql: string, value: string) => Record<string, unknown>[]) => T,
): T {
  const database = new DatabaseSync(file)
  try {
    return look((sql, value) => database.prepare(sql).all(value) as Record<string, unknown>[])
  } finally {
    database.close()
  }
}

/** How a login stands in the file: its status and owner, and the owner of each credential that came of it. */
function standing(file: string, { flow, code }: Login) {
  const column = flow === 'device' ? 'user_code' : 'secret_hash'
  const key = flow === 'device' ? code.replace('-', '') : Buffer.from(code, 'base64url').toString('hex')
  return inspect(file, (rows) => {
    if (rows('SELECT name FROM sqlite_master WHERE name = ?', 'grants').length === 0) return null
    const [grant] = rows(
      `SELECT g.id, g.status, u.subject FROM grants g LEFT JOIN users u ON u.id = g.user_id WHERE ${column} = ?`,
      key,
    )
    if (!grant) return null
    const credentials = rows(
      'SELECT u.subject, c.revoked_at FROM credentials c JOIN users u ON u.id = c.user_id WHERE grant_id = ?',
      String(grant.id),
    )
    return { status: grant.status, owner: grant.subject, credentials }
  })
}

/** A CLI that got no answer asks again; a paircode that had arrived is in use then, and good all the same. */
async function startAgain(run: Run, file: string, send: Send): Promise<Login> {
  const hadArrived = run.login !== null && standing(file, run.login) !== null
  const { answer, login } = await requestLogin(
    send,
    run.flow,
    'form',
    run.login ? { prepared: run.login } : {},
  )
  expect(answer.status).toBe(hadArrived ? 'conflict' : 'started')
  return login
}

/** The same browser, with the cookies it was given, at the new server. */
async function returnPerson({ person }: Run, send: Send): Promise<TestBrowser> {
  const browser = createBrowser(send, ORIGIN)
  for (const [name, value] of person.cookies) browser.cookies.set(name, value)
  if (!browser.cookies.has('pairgate-session')) expect((await browser.signIn('alice')).status).toBe(303)
  return browser
}

/** After the fault the same CLI and the same person go on as they would, and must come to an end that is in order. */
export async function recover(run: Run, file: string, { send, statuses }: Service): Promise<void> {
  const login = run.isStarted && run.login ? run.login : await startAgain(run, file, send)
  const decided = done(run.decision)
  const left = standing(file, login)
  const person = await returnPerson(run, send)
  if (left?.status === 'pending') {
    expect(left).toMatchObject({ owner: null, credentials: [] })
    expect(['authorization_pending', 'slow_down']).toContain((await poll(send, login, run.door)).status)
    const decide = await openDecision(send, ORIGIN, person, login)
    expect(await decide(run.decision)).toBe(decided)
  } else {
    expect(left).toMatchObject({ status: decided, owner: 'alice' })
    const bob = await signIn(send, ORIGIN, 'bob')
    expect(await said(await bob.get(login.page))).toBe('already_decided')
    expect(await said(await person.get(login.page))).toBe(`already_${decided}`)
    if (run.html)
      expect(await said(await person.submit(run.html, { decision: 'deny' }))).toBe(`already_${decided}`)
  }

  const isCollected = left?.credentials.length === 1
  const answer = await poll(send, login, run.door)
  const collected = isCollected ? 'invalid_grant' : 'issued'
  expect(answer.status).toBe(run.decision === 'deny' ? 'access_denied' : collected)
  const token = answer.body.access_token ?? run.outcome?.body.access_token
  if (token) {
    const who = await send('/secured', { headers: { authorization: `Bearer ${token}` } })
    expect([who.status, await who.text()]).toEqual([200, 'You are authenticated as: alice'])
  }
  expect((await poll(send, login, run.door)).status).toBe(
    run.decision === 'deny' ? 'access_denied' : 'invalid_grant',
  )
  const credentials = run.decision === 'deny' ? [] : [{ subject: 'alice', revoked_at: null }]
  expect(standing(file, login)).toEqual({ status: decided, owner: 'alice', credentials })

  for (const flow of FLOWS) {
    const fresh = await startLogin(send, flow)
    expect(await (await openDecision(send, ORIGIN, person, fresh))('allow')).toBe('approved')
    expect((await poll(send, fresh)).status).toBe('issued')
  }
  expect(statuses.filter((status) => status >= 500)).toEqual([])
}
