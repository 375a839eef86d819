/** People and CLIs that sign in all the time, whatever happens to the service, and note what it did to them. @module */

import { setTimeout as pause } from 'node:timers/promises'
import type { TestBrowser } from '../support/gate.ts'
import {
  type Answer,
  call,
  FLOWS,
  type Flow,
  type Login,
  poll,
  requestLogin,
  type Send,
  said,
  signIn,
} from '../support/logins.ts'

/** What came of all the logins. */
export interface Tally {
  /** Logins that were begun. */
  tried: number
  /** Logins that ended as their person decided: with a credential that works, or with `access_denied`. */
  finished: number
  /** Requests that were made again, after 502, 503 or no answer. */
  retried: number
  /** Logins begun anew, as the answer that held the credential never came: nobody can have it. */
  restarted: number
  /** Logins that were allowed, as the page said, and whose CLI was told something else. */
  lost: number
  /** Logins that gave two credentials. */
  doubled: number
  /** Decisions or revocations that the page or the CLI was told of, and that a later request did not see. */
  stale: number
  /** Answers 503 without Retry-After that came from pairgate. */
  silent: number
  /** Other things that should not be. */
  readonly wrong: string[]
  /** Longest time in which not a single request was answered, in milliseconds. */
  longestStall: number
  /** Longest login, in milliseconds. */
  longestLogin: number
}

/** Logins under way. */
export interface Load {
  readonly tally: Tally
  /** The credentials that were collected and not revoked. */
  readonly tokens: readonly string[]
  /** Resolves once so many more logins have finished. */
  finish(more: number): Promise<void>
  /** Lets those under way come to their end. */
  stop(): Promise<void>
}

/** Neither yes nor no: a server or the balancer in trouble, or nobody there. */
class TryAgain extends Error {}

function newTally(): Tally {
  const counts = { tried: 0, finished: 0, retried: 0, restarted: 0, lost: 0, doubled: 0, stale: 0, silent: 0 }
  return { ...counts, wrong: [], longestStall: 0, longestLogin: 0 }
}

/** Fetches from the service; trouble is {@link TryAgain}. */
function createSend(base: string, tally: Tally, onAnswer: () => void): Send {
  return async (path, init) => {
    // everybody is at one office: this machine's own address is the balancer's
    const headers = new Headers(init?.headers)
    headers.set('x-forwarded-for', '203.0.113.7')
    const signal = AbortSignal.timeout(30_000)
    const request = { redirect: 'manual', signal, ...init, headers } as const
    const response = await fetch(new URL(path, base), request).catch((error: Error) => {
      throw new TryAgain(String(error.cause ?? error))
    })
    if (response.status < 500) {
      onAnswer()
      return response
    }
    const text = await response.text()
    const isOurs =
      text.includes('temporarily_unavailable') ||
      text.includes('SERVICE_UNAVAILABLE') ||
      text.includes('Back in')
    if (response.status === 503 && isOurs && !response.headers.has('retry-after')) tally.silent++
    if (response.status === 500) tally.wrong.push(`500 at ${path}: ${text.slice(0, 200)}`)
    throw new TryAgain(`${response.status}`)
  }
}

/** Repeats what meets trouble. `tries` tells how often it was tried. */
async function again<T>(tally: Tally, work: (tries: number) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work(tries)
    } catch (error) {
      if (!(error instanceof TryAgain)) throw error
      tally.retried++
      await pause(100 + 100 * Math.random())
    }
  }
}

/** Starts `workers` people's logins, one after the other each. */
export async function startLoad(base: string, workers: number): Promise<Load> {
  const tally = newTally()
  const tokens: string[] = []
  let last = performance.now()
  const send = createSend(base, tally, () => {
    const now = performance.now()
    tally.longestStall = Math.max(tally.longestStall, now - last)
    last = now
  })
  let isStopping = false
  const work = async (worker: number) => {
    const person = await again(tally, () => signIn(send, base, `person ${worker}`))
    for (let n = worker; !isStopping; n++) {
      const start = performance.now()
      await signInOnce({ send, tally, tokens, person }, FLOWS[n % 2] as Flow, n)
      tally.longestLogin = Math.max(tally.longestLogin, performance.now() - start)
    }
  }
  const running = Promise.all(Array.from({ length: workers }, (_, i) => work(i)))
  running.catch((error) => tally.wrong.push(String(error)))
  return {
    tally,
    tokens,
    async finish(more) {
      const goal = tally.finished + more
      while (tally.finished < goal && tally.wrong.length === 0) await pause(10)
    },
    async stop() {
      isStopping = true
      await running
    },
  }
}

function noteStale(tally: Tally, what: string): void {
  tally.stale++
  tally.wrong.push(`stale: ${what}`)
}

interface Scene {
  readonly send: Send
  readonly tally: Tally
  readonly tokens: string[]
  readonly person: TestBrowser
}

/** One login, from its start to its end; begun anew when the credential was lost on its way. */
async function signInOnce(scene: Scene, flow: Flow, n: number): Promise<void> {
  const { send, tally } = scene
  tally.tried++
  const door = n % 3 ? 'form' : 'trpc'
  for (;;) {
    const { answer, login } = await again(tally, () => requestLogin(send, flow, door))
    if (answer.status !== 'started') {
      tally.wrong.push(`start: ${answer.http} ${answer.text}`)
      return
    }
    const decision = n % 5 ? 'allow' : 'deny'
    if (!(await decide(scene, login, decision))) return
    const end = decision === 'allow' ? await collect(scene, login) : await seeDenied(scene, login)
    if (end !== 'restart') return
    tally.restarted++
  }
}

/** Decides on the page, as often as it takes until it says so. */
async function decide({ tally, person }: Scene, login: Login, decision: 'allow' | 'deny'): Promise<boolean> {
  const done = decision === 'allow' ? 'approved' : 'denied'
  const told = await again(tally, async (tries) => {
    const html = await (await person.get(login.page)).text()
    const isOpen = html.includes('name="decision"')
    const page = isOpen ? await person.submit(html, { decision }) : new Response(html)
    const word = await said(page)
    // a page that was asked before may have decided, though its answer was lost
    return tries > 1 && word === `already_${done}` ? done : word
  })
  if (told !== done) tally.wrong.push(`${login.flow} ${decision}: the page said ${told}`)
  return told === done
}

async function seeDenied({ send, tally }: Scene, login: Login): Promise<'done'> {
  const answer = await again(tally, () => poll(send, login))
  if (answer.status === 'access_denied') tally.finished++
  else if (answer.status === 'authorization_pending') noteStale(tally, 'denied, then pending')
  else tally.wrong.push(`denied: ${answer.http} ${answer.text}`)
  return 'done'
}

/** Polls by both doors at once; one of them gets the credential. */
async function collect(scene: Scene, login: Login): Promise<'done' | 'restart'> {
  const { send, tally } = scene
  let isLost = false
  const ask = (door: 'form' | 'trpc') =>
    again(tally, async (tries) => {
      if (tries > 1) isLost = true
      return await poll(send, login, door)
    })
  const answers = await Promise.all([ask('form'), ask('trpc')])
  const issued = answers.filter(({ status }) => status === 'issued')
  if (issued.length > 1) tally.doubled++
  const [answer] = issued
  if (answer) {
    await use(scene, answer)
    return 'done'
  }
  if (answers.some(({ status }) => status === 'authorization_pending'))
    noteStale(tally, 'allowed, then pending')
  else if (isLost && answers.every(({ status }) => status === 'invalid_grant')) return 'restart'
  else tally.lost++
  return 'done'
}

/** Uses a credential at once, perhaps at another instance; ends some. */
async function use({ send, tally, tokens }: Scene, { body }: Answer): Promise<void> {
  const token = String(body.access_token)
  const headers = { authorization: `Bearer ${token}` }
  const status = async () => (await again(tally, () => send('/secured', { headers }))).status
  if ((await status()) !== 200) {
    tally.lost++
    return
  }
  tally.finished++
  if (tally.finished % 7) {
    tokens.push(token)
    return
  }
  await again(tally, () => call(send, 'session.signOut', {}, headers))
  if ((await status()) !== 401) noteStale(tally, 'revoked, then accepted')
}
