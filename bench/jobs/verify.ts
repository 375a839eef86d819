/** Job D in process: one process for each contender, which says itself what it took. @module */

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { createCollector, type Effort, type Figures } from '../figures.ts'
import type { InProcessFigure, InProcessName } from '../in_process.ts'
import { NODE, pathOf } from '../servers.ts'

/** A contender that has been opened in a process of its own. */
interface Opened {
  readonly name: string
  readonly jobs: readonly InProcessName[]
  measure(job: InProcessName, seconds: number): Promise<InProcessFigure>
  close(): Promise<void>
}

async function open(name: string): Promise<Opened> {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-bench-'))
  // ends with this process: that closes the channel
  const child = fork(pathOf('in_process.ts'), [name, folder], { execArgv: NODE.slice(1) })
  const remove = () => rmSync(folder, { recursive: true, force: true })
  process.once('exit', remove)
  const ended = once(child, 'exit')
  const failed = ended.then(([code]) => Promise.reject(new Error(`${name} ended with ${code}`)))
  failed.catch(() => {})
  const hear = async () => (await Promise.race([once(child, 'message'), failed]))[0] as unknown
  const close = async () => {
    child.kill()
    await ended
    remove()
    process.off('exit', remove)
  }
  try {
    const jobs = (await hear()) as InProcessName[]
    return {
      name,
      jobs,
      close,
      async measure(job, seconds) {
        child.send({ job, seconds })
        return (await hear()) as InProcessFigure
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/**
 * Measures verification in process.
 *
 * @param names The contenders.
 * @param tell Says how far it is.
 * @returns The medians of all rounds.
 */
export async function measureVerification(
  names: readonly string[],
  { rounds, seconds, warmUp }: Effort,
  tell: (text: string) => void,
): Promise<Figures> {
  const { add, medians } = createCollector()
  const all: Opened[] = []
  try {
    for (const name of names) all.push(await open(name))
    for (let round = 0; round <= rounds; round++) {
      for (const job of new Set(all.flatMap(({ jobs }) => jobs))) {
        tell(`${round === 0 ? 'warm-up' : `round ${round} of ${rounds}`}: ${job}`)
        for (const one of all.filter(({ jobs }) => jobs.includes(job))) {
          const { done, cpu, seconds: took } = await one.measure(job, round === 0 ? warmUp : seconds)
          if (round > 0) add(job, one.name, { cpu: cpu / done, rate: done / took })
        }
      }
    }
    return medians()
  } finally {
    for (const { close } of all) await close()
  }
}
