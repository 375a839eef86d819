/** What was measured, as it is collected. @module */

/** What a contender took for a job. */
export interface Figure {
  /** Microseconds of CPU time of the server, per request or login. */
  readonly cpu: number
  /** Requests or logins per second. */
  readonly rate: number
}

/** Figures by job, then by contender. */
export type Figures = ReadonlyMap<string, ReadonlyMap<string, Figure>>

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
  const found = new Map<string, Map<string, Figure[]>>()
  return {
    add(job: string, contender: string, figure: Figure): void {
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
