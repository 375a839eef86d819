/** Measures contenders in turns, so that what else the machine does hits all alike. @module */

import type { Contender, Running } from './contender.ts'
import { createWire, drive } from './driver.ts'
import { createCollector, type Effort, type Figure, type Figures } from './figures.ts'
import { REQUEST_JOBS, type RequestJob, signPeopleIn } from './jobs/requests.ts'

/** Says who failed, and what the server has to say about it. */
async function blame<T>(
  { name, server }: Pick<Running, 'name' | 'server'>,
  what: string,
  work: () => Promise<T>,
) {
  try {
    return await work()
  } catch (error) {
    throw new Error(`${name}, ${what}: ${server.output() || 'its server says nothing'}`, { cause: error })
  }
}

/** Starts contenders, with people signed in. Ends those that it has started when one does not. */
export async function startAll(contenders: readonly Contender[]): Promise<Running[]> {
  const all: Running[] = []
  try {
    for (const { name, start, moves } of contenders) {
      const server = await start()
      const people: string[] = []
      const running = { name, server, moves: moves(createWire(server.port)), people, grants: [], tokens: [] }
      all.push(running)
      await blame(running, 'sign-in', () => signPeopleIn(running))
    }
    return all
  } catch (error) {
    await stopAll(all)
    throw error
  }
}

/** Ends them. */
export async function stopAll(all: readonly Running[]): Promise<void> {
  for (const { server } of all) await server.stop()
}

/** Does a job for so many seconds; what makes ready for it is not counted. */
async function measure(job: RequestJob, running: Running, seconds: number): Promise<Figure | null> {
  const { server } = running
  const sum = { cpu: 0, done: 0, seconds: 0 }
  while (sum.seconds < 0.9 * seconds) {
    const work = await job.prepare(running)
    if (!work) return null
    const before = server.cpu()
    const driven = await drive(server.port, work.unit, {
      ...work,
      seconds: Math.min(seconds - sum.seconds, work.seconds ?? Number.POSITIVE_INFINITY),
    })
    sum.cpu += server.cpu() - before
    sum.done += driven.done
    sum.seconds += driven.seconds
  }
  return { cpu: sum.cpu / sum.done, rate: sum.done / sum.seconds }
}

/**
 * Measures the jobs over HTTP.
 *
 * @param plan.only Letters of the jobs to do.
 * @param tell Says how far it is.
 * @returns The medians of all rounds.
 */
export async function measureRequests(
  all: readonly Running[],
  { only, rounds, seconds, warmUp }: Effort & { readonly only: ReadonlySet<string> },
  tell: (text: string) => void,
): Promise<Figures> {
  const jobs = REQUEST_JOBS.filter(({ name }) => only.has(name.charAt(0)))
  const { add, medians } = createCollector()
  for (let round = 0; round <= rounds; round++) {
    // not always the same one first
    const turns = all.map((_, i) => all[(i + round) % all.length] as Running)
    for (const job of jobs) {
      const what = job.name
      tell(`${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${what}`)
      for (const running of turns) {
        const figure = await blame(running, what, () => measure(job, running, round === 0 ? warmUp : seconds))
        if (figure && round > 0) add(what, running.name, figure)
      }
    }
  }
  return medians()
}
