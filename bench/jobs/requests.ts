/**
 * Jobs A to D over HTTP: 32 connections ask as fast as they are answered, for so many seconds. The time of the work
 * before, which a job needs but is not about, is not measured.
 *
 * @module
 */

import type { Grant, Running } from '../contender.ts'
import { drive, type Send, type Unit } from '../driver.ts'
import { JOB, type JobName } from '../figures.ts'

/** A job that every contender does which can. */
export interface RequestJob {
  readonly name: JobName
  /**
   * Makes ready for a window, or for what is left of it when all was done before its end.
   *
   * @returns What is done over and over, at most `count` times and so many seconds; null when this contender cannot.
   */
  prepare(running: Running): Promise<Work | null> | Work | null
}

/** What one window does. */
export interface Work {
  readonly unit: Unit
  readonly count?: number
  /** For so long at most. */
  readonly seconds?: number
}

/** People who are signed in at each server: in the end everybody has some dozens of keys. */
const PEOPLE = 400
/** Credentials that are looked up in turns. */
const TOKENS = 300
/** Least number of grants that a window polls. */
const GRANTS = 1_000
/**
 * Grants that are polled too fast, in turns; how often each is, so that the interval is still raised each time; and for
 * how many seconds at most: who polls again after the interval is not too fast, however often that was said meanwhile.
 */
const IMPATIENT = { grants: 60, polls: 9, seconds: 2 }

/** A login that nobody has started. */
const NOBODY: Grant = { deviceCode: 'x'.repeat(43), userCode: '' }

/** Signs people in, where there are any. */
export async function signPeopleIn({ server, moves, people }: Running): Promise<void> {
  const { signIn } = moves
  const unit: Unit = async (send, i) =>
    void people.push((await signIn?.(send, `person ${i} of the bench`)) ?? '')
  if (signIn) await drive(server.port, unit, { count: PEOPLE, connections: 8 })
}

/** Makes a whole login: the CLI asks, a person who does nothing else allows, the CLI collects. Null where it cannot. */
export function createLogin({ moves, people }: Running): ((send: Send) => Promise<string>) | null {
  const { authorize, approve, collect } = moves
  if (!authorize || !approve || !collect) return null
  return async (send) => {
    const grant = await authorize(send)
    const person = people.shift()
    if (person === undefined) throw new Error('There are fewer people than connections')
    await approve(send, person, grant).finally(() => people.push(person))
    const token = await collect(send, grant)
    if (token === null) throw new Error('An allowed login was not collected')
    return token
  }
}

/** Takes logins that wait and that nobody has polled: those of the round that job A has made, or new ones. */
async function takeGrants({ server, moves, grants }: Running, count: number): Promise<Grant[]> {
  const { authorize } = moves
  const unit: Unit = async (send) => {
    if (authorize) grants.push(await authorize(send))
  }
  if (authorize) await drive(server.port, unit, { count: count - grants.length })
  return grants.splice(0, Math.max(count, grants.length >> 1))
}

async function needTokens(running: Running): Promise<void> {
  const { server, tokens } = running
  const login = createLogin(running)
  const unit: Unit = async (send) => {
    if (login) tokens.push(await login(send))
  }
  if (login) await drive(server.port, unit, { count: TOKENS - tokens.length })
}

const authorize: RequestJob = {
  name: JOB.authorize,
  prepare({ moves: { authorize }, grants }) {
    if (!authorize) return null
    grants.length = 0
    return { unit: async (send) => void grants.push(await authorize(send)) }
  },
}

/** Each grant is polled once only, so that no pace is broken. The two doors share those of the round. */
function pollPending(name: JobName, move: 'pollPending' | 'pollPendingTrpc'): RequestJob {
  return {
    name,
    async prepare(running) {
      const poll = running.moves[move]
      if (!poll) return null
      const own = await takeGrants(running, GRANTS)
      // who knows no logins takes any poll
      if (own.length === 0) return { unit: (send) => poll(send, NOBODY) }
      return { count: own.length, unit: (send, i) => poll(send, own[i] ?? NOBODY) }
    },
  }
}

const pollSlowDown: RequestJob = {
  name: JOB.slowDown,
  async prepare({ server: { port }, moves: { authorize, pollPending: first, pollSlowDown: poll } }) {
    if (!authorize || !first || !poll) return null
    const own: Grant[] = []
    const each = (work: typeof poll): Unit => {
      return (send, i) => work(send, own[i % own.length] ?? NOBODY)
    }
    const { grants: count, polls, seconds } = IMPATIENT
    await drive(port, async (send) => void own.push(await authorize(send)), { count })
    await drive(port, each(first), { count })
    // the interval is ten seconds afterwards: nobody comes that late
    await drive(port, each(poll), { count })
    return { count: count * polls, seconds, unit: each(poll) }
  },
}

const wholeLogin: RequestJob = {
  name: JOB.login,
  prepare(running) {
    const { tokens } = running
    const login = createLogin(running)
    if (!login) return null
    return {
      unit: async (send) => {
        const token = await login(send)
        if (tokens.length < TOKENS) tokens.push(token)
      },
    }
  },
}

/** Asks about credentials in turns. */
function lookUp(name: JobName, move: 'forward' | 'introspect', isKnown: boolean): RequestJob {
  return {
    name,
    async prepare(running) {
      const ask = running.moves[move]
      if (!ask) return null
      await needTokens(running)
      const { tokens } = running
      return { unit: (send, i) => ask(send, isKnown ? (tokens[i % TOKENS] ?? '') : null) }
    },
  }
}

/** The jobs, in the order in which they are done. */
export const REQUEST_JOBS: readonly RequestJob[] = [
  authorize,
  pollPending(JOB.pollForm, 'pollPending'),
  pollPending(JOB.pollTrpc, 'pollPendingTrpc'),
  pollSlowDown,
  wholeLogin,
  lookUp(JOB.forward, 'forward', true),
  lookUp(JOB.introspect, 'introspect', true),
  lookUp(JOB.refuseForward, 'forward', false),
]
