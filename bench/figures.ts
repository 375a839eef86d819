/** What was measured, as it is collected. @module */

/** What is measured by CPU time: the job of the table of goals, and what of it. */
export const JOB = {
  authorize: 'A device authorization',
  pollForm: 'B poll, pending, form door',
  pollTrpc: 'B poll, pending, tRPC door',
  slowDown: 'B poll, slow_down',
  login: 'C whole login',
  forward: 'D verify, forward-auth',
  introspect: 'D verify, introspection',
  refuseForward: 'D refuse an unknown one, forward-auth',
  key: 'D verify a key, in process',
  session: 'D verify a session, in process',
  malformed: 'D refuse a malformed one, in process',
  unknown: 'D refuse an unknown one, in process',
} as const

/** One of these. */
export type JobName = (typeof JOB)[keyof typeof JOB]

/** What a contender took for a job. */
export interface Figure {
  /** Microseconds of CPU time of the server, per request or login. */
  readonly cpu: number
  /** Requests or logins per second. */
  readonly rate: number
}

/** Figures by job, then by contender. */
export type Figures = ReadonlyMap<JobName, ReadonlyMap<string, Figure>>

/** CPU time per request of a contender; not a number when it was not measured. */
export const cpuOf = (figures: Figures, job: JobName, contender: string) =>
  figures.get(job)?.get(contender)?.cpu ?? Number.NaN

/** How long is measured. */
export interface Effort {
  readonly rounds: number
  /** Length of a window, and of the one before the first round that only warms up; in seconds. */
  readonly seconds: number
  readonly warmUp: number
}

/** The median: of an even number the upper one. */
export const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1] ?? Number.NaN

/** The number that this part of all is at most: 0.99 for the 99th percentile. */
export const quantile = (numbers: readonly number[], part: number) =>
  numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(numbers.length * part))] ??
  Number.NaN

/** Collects the figures of all rounds. */
export function createCollector() {
  const found = new Map<JobName, Map<string, Figure[]>>()
  return {
    add(job: JobName, contender: string, figure: Figure): void {
      const of = found.get(job) ?? new Map<string, Figure[]>()
      found.set(job, of.set(contender, [...(of.get(contender) ?? []), figure]))
    },
    /** The median of each. */
    medians: (): Figures =>
      new Map(
        [...found].map(([job, of]) => [
          job,
          new Map(
            [...of].map(([contender, all]) => [
              contender,
              { cpu: median(all.map(({ cpu }) => cpu)), rate: median(all.map(({ rate }) => rate)) },
            ]),
          ),
        ]),
      ),
  }
}
