/** Tables of figures, in Markdown. @module */

import type { Figures } from './figures.ts'

/** Writes a table: the first column is of words, all others are of numbers. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [
    line(head),
    `|---|${head
      .slice(1)
      .map(() => '--:|')
      .join('')}`,
    ...rows.map(line),
  ].join('\n')
}

/** A number as a table has it: three digits or more, never an exponent. */
export function plain(number: number | undefined): string {
  if (number === undefined || !Number.isFinite(number)) return '-'
  if (number >= 100) return Math.round(number).toLocaleString('en')
  return number.toFixed(number >= 10 ? 1 : 2)
}

/** CPU time per request of each contender, and pairgate's in floors. */
export function cpuTable(figures: Figures, names: readonly string[], first: string, floor: string): string {
  const rows = [...figures].map(([job, of]) => {
    const ratio = (of.get(first)?.cpu ?? Number.NaN) / (of.get(floor)?.cpu ?? Number.NaN)
    return [job, ...names.map((name) => plain(of.get(name)?.cpu)), plain(ratio)]
  })
  return markdownTable(['CPU µs', ...names, `${first} / ${floor}`], rows)
}

/** Requests or logins per second of each contender. */
export function rateTable(figures: Figures, names: readonly string[]): string {
  const rows = [...figures].map(([job, of]) => [job, ...names.map((name) => plain(of.get(name)?.rate))])
  return markdownTable(['per second', ...names], rows)
}
