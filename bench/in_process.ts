/**
 * Job D without HTTP: what a gateway pays that asks in its own process who makes a request. Run as a process of its own
 * for each contender: `in_process.ts CONTENDER FOLDER`. It says what it can do, then answers each message
 * `{ name, seconds }` with the CPU time and the time that it took.
 *
 * @module
 */

import process from 'node:process'
import type { JOB } from './figures.ts'

/** Finds out who made a request; true when it was somebody. */
export type Verify = (request: Request) => Promise<boolean> | boolean

/** One thing to do over and over. */
export interface InProcessJob {
  /** What requests carry, in turns. */
  readonly tokens: readonly string[]
  /** Whether it must be somebody. */
  readonly isKnown: boolean
  readonly verify: Verify
}

/** The jobs that are done in process. */
export type InProcessName = (typeof JOB)['key' | 'session' | 'malformed' | 'unknown']

/** What there is to do, by name. */
export type InProcessJobs = Readonly<Partial<Record<InProcessName, InProcessJob>>>

/** What is said to the parent. */
export interface InProcessFigure {
  readonly done: number
  /** CPU time of this process, in microseconds: user and system. */
  readonly cpu: number
  readonly seconds: number
}

/** Requests that are made at once, before each is verified: a gateway has them already, so making is not measured. */
const BATCH = 500

/** Does a job for so many seconds. */
async function work({ tokens, isKnown, verify }: InProcessJob, seconds: number): Promise<InProcessFigure> {
  const figure = { done: 0, cpu: 0, seconds: 0 }
  while (figure.seconds < seconds) {
    const requests = Array.from({ length: BATCH }, (_, i) => {
      const token = tokens[(figure.done + i) % tokens.length]
      return new Request('http://127.0.0.1/', { headers: { authorization: `Bearer ${token}` } })
    })
    const before = process.cpuUsage()
    const began = performance.now()
    for (const request of requests)
      if ((await verify(request)) !== isKnown) throw new Error('A request was taken for somebody else')
    figure.seconds += (performance.now() - began) / 1000
    const { user, system } = process.cpuUsage(before)
    figure.cpu += user + system
    figure.done += BATCH
  }
  return figure
}

/** Opens each contender in a folder. */
const OPEN: Readonly<Record<string, (folder: string) => Promise<InProcessJobs>>> = {
  pairgate: async (folder) => (await import('./in_process/pairgate.ts')).open(folder),
  floor: async (folder) => (await import('./in_process/floor.ts')).open(folder),
  'better-auth': async (folder) => (await import('./in_process/better_auth.ts')).open(folder),
  'oidc-provider': async (folder) => (await import('./in_process/oidc_provider.ts')).open(folder),
}

if (import.meta.main) {
  const [name = '', folder = ''] = process.argv.slice(2)
  const jobs = await OPEN[name]?.(folder)
  if (!jobs) throw new Error(`There is no contender ${name}`)
  process.on('message', ({ job, seconds }: { job: InProcessName; seconds: number }) => {
    const found = jobs[job]
    if (found) work(found, seconds).then((figure) => process.send?.(figure))
  })
  process.send?.(Object.keys(jobs))
}
