/** Measures contenders in turns, so that what else the machine does hits all alike. @module */

import { type Contender, type Running } from './contender.ts'
import { createWire, drive } from './driver.ts'
import { REQUEST_JOBS, type RequestJob, signPeopleIn } from './jobs/requests.ts'

/** How long is measured. */
export interface Effort {
  readonly rounds: number
  /** Length of a window, and of the one before the first round that only warms up; in seconds. */
  readonly seconds: number
  readonly warmUp: number
}

/** What a contender took for a job. */
export interface Figure {
  /** Microseconds of CPU time of the server, per request or login. */
  readonly cpu: number
  /** Requests or logins per second. */
  readonly rate: number
}

/** Figures by job, then by contender. */
export type Figures = Map<string, Map<string, Figure>>

/** The median: of an even number the upper one. */
export const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN

/** The median of each part. */
export const medianFigure = (figures: readonly Figure[]): Figure => ({
  cpu: median(figures.map(({ cpu }) => cpu)),
  rate: median(figures.map(({ rate }) => rate)),
})

/** Starts a contender, with people signed in. */
export async function run({ name, start, moves }: Contender): Promise<Running> {
  const server = await start()
  const people: string[] = []
  const running = { name, server, moves: moves(createWire(server.port)), people, grants: [], tokens: [] }
  try {
    await signPeopleIn(running)
  } catch (error) {
    throw new Error(`${name}: ${server.output()}`, { cause: error })
  }
  return running
}

/** Does a job for so many seconds. */
async function measure(job: RequestJob, running: Running, seconds: number): Promise<Figure | null> {
  const { server } = running
  try {
    const work = await job.prepare(running)
    if (!work) return null
    const { unit, count } = work
    const before = server.cpu()
    const driven = await drive(server.port, unit, { seconds, ...(count !== undefined && { count }) })
    return { cpu: (server.cpu() - before) / driven.done, rate: driven.done / driven.seconds }
  } catch (error) {
    throw new Error(`${running.name}, ${job.id} ${job.name}: ${server.output()}`, { cause: error })
  }
}

/**
 * Measures the jobs over HTTP.
 *
 * @param only Ids of the jobs to do.
 * @returns The median of all rounds.
 */
export async function measureRequests(
  all: readonly Running[],
  only: ReadonlySet<string>,
  { rounds, seconds, warmUp }: Effort,
): Promise<Figures> {
  const jobs = REQUEST_JOBS.filter(({ id }) => only.has(id))
  const found = new Map<RequestJob, Map<string, Figure[]>>(jobs.map((job) => [job, new Map()]))
  for (let round = -1; round < rounds; round++) {
    // not always the same one first
    const turns = all.map((_, i) => all[(i + Math.max(round, 0)) % all.length])
    for (const job of jobs) {
      for (const running of turns) {
        const figure = running && (await measure(job, running, round < 0 ? warmUp : seconds))
        if (!figure || round < 0) continue
        const of = found.get(job)
        of?.set(running.name, [...(of.get(running.name) ?? []), figure])
      }
    }
  }
  return new Map(
    [...found].map(([{ id, name }, of]) => [
      `${id} ${name}`,
      new Map([...of].map(([contender, figures]) => [contender, medianFigure(figures)])),
    ]),
  )
}
