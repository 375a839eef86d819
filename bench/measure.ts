/** Measures contenders in turns, so that what else the machine does hits all alike. @module */

import type { Contender, Running } from './contender.ts'
import { createWire, drive } from './driver.ts'
import { attempt } from './failures.ts'
import { createCollector, type Effort, type Figure, type Figures } from './figures.ts'
import { REQUEST_JOBS, type RequestJob, signPeopleIn } from './jobs/requests.ts'

/** Starts contenders, with people signed in; those that cannot be started are left out. */
export async function startAll(contenders: readonly Contender[]): Promise<Running[]> {
  const all: Running[] = []
  for (const { name, start, moves } of contenders) {
    const server = await attempt(`${name}, start`, null, start)
    if (!server) continue
    const own = { name, server, moves: moves(createWire(server.port)) }
    const running: Running = { ...own, people: [], grants: [], tokens: [] }
    const isReady = await attempt(`${name}, sign-in`, server, () => signPeopleIn(running).then(() => true))
    if (isReady) all.push(running)
    else await server.stop()
  }
  return all
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
 * @returns The medians of all rounds. Who fails at a job does not try it again.
 */
export async function measureRequests(
  all: readonly Running[],
  { only, rounds, seconds, warmUp }: Effort & { readonly only: ReadonlySet<string> },
  tell: (text: string) => void,
): Promise<Figures> {
  const jobs = REQUEST_JOBS.filter(({ name }) => only.has(name.charAt(0)))
  const { add, medians } = createCollector()
  const failed = new Set<string>()
  for (let round = 0; round <= rounds; round++) {
    // not always the same one first
    const turns = all.map((_, i) => all[(i + round) % all.length] as Running)
    for (const job of jobs) {
      const what = job.name
      tell(`${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${what}`)
      for (const running of turns) {
        const name = `${running.name}, ${what}`
        if (failed.has(name)) continue
        const time = round === 0 ? warmUp : seconds
        const found = await attempt(name, running.server, async () => ({
          figure: await measure(job, running, time),
        }))
        if (!found) failed.add(name)
        else if (found.figure && round > 0) add(what, running.name, found.figure)
      }
    }
  }
  return medians()
}
