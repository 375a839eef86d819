/**
 * Jobs A to D over HTTP: 32 connections ask as fast as they are answered, for so many seconds. The time of the work
 * before, which a job needs but is not about, is not measured.
 *
 * @module
 */

import type { Running } from '../contender.ts'
import { createConnection, drive, type Unit } from '../driver.ts'

/** A job that every contender does which can. */
export interface RequestJob {
  readonly id: string
  readonly name: string
  /**
   * Makes ready for one window.
   *
   * @returns What is done over and over, at most `count` times; null when this contender cannot.
   */
  prepare(running: Running): Promise<Work | null> | Work | null
}

/** What one window does. */
export interface Work {
  readonly unit: Unit
  readonly count?: number
}

/** People who are signed in at each server: everybody has some keys, and nobody has all. */
const PEOPLE = 100
/** Credentials that are looked up in turns. */
const TOKENS = 300
/** Grants that are polled too fast, in turns; and how often each is, so that the interval is still raised each time. */
const IMPATIENT = { grants: 1_000, polls: 8 }

/** Signs people in. */
export async function signPeopleIn({
  server,
  moves,
  people,
}: Omit<Running, 'people'> & { people: string[] }) {
  await drive(
    server.port,
    async (send, i) => void people.push(await moves.signIn(send, `person ${i} of the bench`)),
    { count: PEOPLE, connections: 8 },
  )
}

const personOf = ({ people }: Running, i: number) => people[i % people.length] ?? ''

/** A whole login: the CLI asks, the person allows, the CLI collects. */
async function login(running: Running, ...[send, i]: Parameters<Unit>): Promise<string> {
  const { moves } = running
  const grant = await moves.authorize(send)
  await moves.approve(send, personOf(running, i), grant)
  const token = await moves.collect(send, grant)
  if (token === null) throw new Error('An allowed login was not collected')
  return token
}

/** Makes sure that there are grants that nobody has polled. */
async function needGrants({ server, moves, grants }: Running, count: number): Promise<void> {
  const missing = count - grants.length
  await drive(server.port, async (send) => void grants.push(await moves.authorize(send)), { count: missing })
}

async function needTokens(running: Running): Promise<void> {
  const { server, tokens } = running
  const count = TOKENS - tokens.length
  await drive(server.port, async (...args) => void tokens.push(await login(running, ...args)), { count })
}

const authorize: RequestJob = {
  id: 'A',
  name: 'device authorization',
  prepare(running) {
    const grants: Running['grants'] = []
    running.grants = grants
    return { unit: async (send) => void grants.push(await running.moves.authorize(send)) }
  },
}

/** Each grant is polled once only, so that no pace is broken. The two doors share those of the round. */
const pollPending: RequestJob = {
  id: 'B',
  name: 'poll, pending, form door',
  async prepare(running) {
    await needGrants(running, 2 * IMPATIENT.grants)
    const own = running.grants.splice(0, running.grants.length / 2)
    return {
      count: own.length,
      unit: async (send, i) => {
        const grant = own[i]
        if (grant) await running.moves.pollPending(send, grant)
      },
    }
  },
}

const pollPendingTrpc: RequestJob = {
  id: 'B',
  name: 'poll, pending, tRPC door',
  async prepare(running) {
    const { pollPendingTrpc: poll } = running.moves
    if (!poll) return null
    await needGrants(running, IMPATIENT.grants)
    const own = running.grants.splice(0)
    return {
      count: own.length,
      unit: async (send, i) => {
        const grant = own[i]
        if (grant) await poll(send, grant)
      },
    }
  },
}

const pollSlowDown: RequestJob = {
  id: 'B',
  name: 'poll, slow_down',
  async prepare(running) {
    const { pollSlowDown: poll, pollPending: first, authorize: ask } = running.moves
    if (!poll) return null
    const own: Running['grants'] = []
    await drive(
      running.server.port,
      async (send) => {
        const grant = await ask(send)
        await first(send, grant)
        own.push(grant)
      },
      { count: IMPATIENT.grants },
    )
    return {
      count: IMPATIENT.grants * IMPATIENT.polls,
      unit: async (send, i) => {
        const grant = own[i % own.length]
        if (grant) await poll(send, grant)
      },
    }
  },
}

const wholeLogin: RequestJob = {
  id: 'C',
  name: 'whole login',
  prepare: (running) => ({
    unit: async (...args) => {
      const token = await login(running, ...args)
      if (running.tokens.length < TOKENS) running.tokens.push(token)
    },
  }),
}

/** Asks about credentials in turns. */
function lookUp(name: string, move: 'forward' | 'introspect', isKnown: boolean): RequestJob {
  return {
    id: 'D',
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
  pollPending,
  pollPendingTrpc,
  pollSlowDown,
  wholeLogin,
  lookUp('verify, forward-auth', 'forward', true),
  lookUp('verify, introspection', 'introspect', true),
  lookUp('refuse an unknown one, forward-auth', 'forward', false),
]

/** Does something once over a connection of its own. */
export async function once<T>(port: number, work: (send: Parameters<Unit>[0]) => Promise<T>): Promise<T> {
  const { send, close } = createConnection(port)
  try {
    return await work(send)
  } finally {
    close()
  }
}
