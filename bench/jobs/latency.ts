/**
 * Job E: how long after the person's click the CLI has its credential, and how often it asked. Many logins at once, each
 * from its first request on, with addresses of their own; people click at any time within one polling interval,
 * or where polls are held fifteen of them a second.
 *
 * @module
 */

import { setTimeout as pause } from 'node:timers/promises'
import type { Grant, Moves, Running } from '../contender.ts'
import { createConnection, drive, type Send } from '../driver.ts'
import { quantile } from '../figures.ts'
import { createLogin } from './requests.ts'

/** The polling interval of all contenders, in seconds. */
const INTERVAL = 5
/** What a poll asks to be held for, in seconds. */
const WAIT = 30
/** How fast people click where polls are held: nobody is to wait for another one's. */
const CLICKS_PER_SECOND = 15
/** Addresses that logins come from: servers limit how many polls of one they hold. */
const ADDRESSES = 100

/** Logins before those that are measured. */
const WARM_UP = 300

/** What was found out about a contender. Times in milliseconds. */
export interface Latency {
  readonly p50: number
  readonly p99: number
  /** Polls per login, on average. */
  readonly polls: number
}

/** Does something over a connection of its own. */
async function over<T>(port: number, address: string, work: (send: Send) => Promise<T>): Promise<T> {
  const { send, close } = createConnection(port, address)
  try {
    return await work(send)
  } finally {
    close()
  }
}

/** The CLI: polls until it has its credential. */
async function wait(
  { server: { port } }: Running,
  collect: NonNullable<Moves['collect']>,
  { grant, address, isHeld }: { grant: Grant; address: string; isHeld: boolean },
): Promise<{ at: number; polls: number }> {
  for (let polls = 1; ; polls++) {
    if (!isHeld || polls > 1) await pause(INTERVAL * 1000)
    const token = await over(port, address, (send) => collect(send, grant, isHeld ? WAIT : undefined))
    if (token !== null) return { at: performance.now(), polls }
  }
}

/**
 * Measures logins that begin all at once.
 *
 * @param how.isHeld Whether polls ask to be held.
 * @param how.clickAt The server that the person's browser asks. Default: the same as the CLI asks.
 * @returns Null when this contender has no logins.
 */
export async function measureLatency(
  running: Running,
  how: { logins: number; isHeld: boolean; clickAt?: Running | undefined },
): Promise<Latency | null> {
  const { logins, isHeld, clickAt = running } = how
  const within = isHeld ? (logins / CLICKS_PER_SECOND) * 1000 : INTERVAL * 1000
  const { authorize, collect } = running.moves
  const { approve } = clickAt.moves
  const login = createLogin(running)
  if (!authorize || !collect || !approve || !login) return null
  // a server that has just started takes longer
  await drive(running.server.port, async (send) => void (await login(send)), { count: WARM_UP })
  const one = async (i: number) => {
    const address = `127.0.0.${2 + (i % ADDRESSES)}`
    const grant = await over(running.server.port, address, authorize)
    const collected = wait(running, collect, { grant, address, isHeld })
    await pause(200 + (i / logins) * within)
    const person = clickAt.people.shift() ?? ''
    const clicked = performance.now()
    const approved = over(clickAt.server.port, address, (send) => approve(send, person, grant))
    const [{ at, polls }] = await Promise.all([collected, approved])
    clickAt.people.push(person)
    return { ms: at - clicked, polls }
  }
  const all = await Promise.all(Array.from({ length: logins }, (_, i) => one(i)))
  const times = all.map(({ ms }) => ms)
  return {
    p50: quantile(times, 0.5),
    p99: quantile(times, 0.99),
    polls: all.reduce((sum, { polls }) => sum + polls, 0) / logins,
  }
}
