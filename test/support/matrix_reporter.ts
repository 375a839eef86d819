/** Ends a run of the tests with the matrix as tables; says nothing when none of it was run. @module */

import type { Reporter, TestModule, Vitest } from 'vitest/node'
import { CELLS, type Cell, type DatabaseKind } from './matrix.ts'
import { RUNTIMES } from './runtimes.ts'

/** Where the matrix' tests are: with all of them, every cell is expected. */
const FILES = [
  'test/store.test.ts',
  'test/matrix/store.test.ts',
  'test/matrix/end_to_end.test.ts',
  'test/matrix/mounts.test.ts',
]

const NAMES: Record<DatabaseKind, string> = { sqlite: 'SQLite', mysql: 'MariaDB', d1: 'D1' }

interface Count {
  passed: number
  total: number
  /** Why it was not run. */
  reason: string | undefined
}

/** What the row of a cell begins with. */
const rowOf = (cell: Cell): string[] =>
  cell.suite === 'mounts' ? [cell.host, 'SQLite'] : [cell.runtime, NAMES[cell.database]]

/** What tells a cell from the others in its row. */
function columnOf(cell: Cell): string {
  if (cell.suite === 'mounts') return `at ${cell.mount || '/'}`
  return cell.suite === 'end to end' ? `from ${cell.client}` : ''
}

const keyOf = (cell: Cell) => [cell.suite, ...rowOf(cell), columnOf(cell)].join()

function count(modules: readonly TestModule[]): Map<string, Count> {
  const counts = new Map<string, Count>()
  for (const module of modules) {
    for (const test of module.children.allTests()) {
      const { cell } = test.meta()
      const result = test.result()
      // one that was skipped without a word was not selected
      if (!cell || (result.state === 'skipped' && !result.note)) continue
      const found = counts.get(keyOf(cell)) ?? { passed: 0, total: 0, reason: undefined }
      counts.set(keyOf(cell), found)
      if (result.state === 'skipped') found.reason = result.note
      else found.total++
      if (result.state === 'passed') found.passed++
    }
  }
  return counts
}

const whyNot = (found: Count | undefined) => found?.reason ?? 'no test of it was there'

function say(found: Count | undefined): string {
  if (!found || found.total === 0) return `NOT RUN: ${whyNot(found)}`
  const { passed, total } = found
  return passed === total ? `${passed}/${total}` : `${passed}/${total} FAILED`
}

/** Rows in columns; what is last in its row may be as long as it likes. */
function align(rows: readonly (readonly string[])[]): string[] {
  const widths: number[] = []
  for (const row of rows)
    for (const [i, text] of row.slice(0, -1).entries()) widths[i] = Math.max(widths[i] ?? 0, text.length)
  return rows.map((row) => `   ${row.map((text, i) => text.padEnd(widths[i] ?? 0)).join('   ')}`.trimEnd())
}

/** Cells by row. */
function group(cells: readonly Cell[]): (readonly [Cell, ...Cell[]])[] {
  const groups = new Map<string, [Cell, ...Cell[]]>()
  for (const cell of cells) {
    const key = [cell.suite, ...rowOf(cell)].join()
    const found = groups.get(key)
    if (found) found.push(cell)
    else groups.set(key, [cell])
  }
  return [...groups.values()]
}

const HEADINGS: Record<Cell['suite'], readonly string[]> = {
  'store contract': ['runtime', 'database', 'passed'],
  'end to end': ['server', 'database', ...RUNTIMES.map((client) => `from ${client}`)],
  mounts: ['host', 'database', 'at /', 'at /auth'],
}

/** One table. */
function table(suite: Cell['suite'], cells: readonly Cell[], counts: ReadonlyMap<string, Count>): string[] {
  const rows = group(cells.filter((cell) => cell.suite === suite)).map((row) => {
    const said = row.map((cell) => say(counts.get(keyOf(cell))))
    const [first = ''] = said
    const isGone = first.startsWith('NOT RUN') && said.every((text) => text === first)
    return [...rowOf(row[0]), ...(isGone ? [first] : said)]
  })
  if (rows.length === 0) return []
  return ['', ` Matrix, ${suite}:`, ...align([HEADINGS[suite], ...rows])]
}

/** Names what was not run, in one line. */
function complain(cells: readonly Cell[], counts: ReadonlyMap<string, Count>): string[] {
  const missing = cells.filter((cell) => !counts.get(keyOf(cell))?.total)
  if (missing.length === 0) return []
  const named = group(missing).map((row) => {
    const columns = row.map(columnOf).filter(Boolean).join(', ')
    const name = `${rowOf(row[0]).join(' with ')} ${columns}`.trimEnd()
    return `${row[0].suite}, ${name} (${whyNot(counts.get(keyOf(row[0])))})`
  })
  return [`!!! ${missing.length} CELLS OF THE MATRIX DID NOT RUN: ${named.join('; ')} !!!`, '']
}

/** The tables and the loud line, or nothing. */
function describeMatrix(modules: readonly TestModule[], isWhole: boolean): string[] {
  const counts = count(modules)
  if (counts.size === 0) return []
  const cells = isWhole ? CELLS : CELLS.filter((cell) => counts.has(keyOf(cell)))
  return [
    ...table('store contract', cells, counts),
    ...table('end to end', cells, counts),
    ...table('mounts', cells, counts),
    '',
    ...complain(cells, counts),
  ]
}

/** The reporter. */
export default class MatrixReporter implements Reporter {
  #vitest: Vitest | undefined

  onInit(vitest: Vitest): void {
    this.#vitest = vitest
  }

  onTestRunEnd(modules: readonly TestModule[]): void {
    const hasAllFiles = FILES.every((file) => modules.some(({ moduleId }) => moduleId.endsWith(`/${file}`)))
    const isWhole = hasAllFiles && this.#vitest?.config.testNamePattern === undefined
    for (const line of describeMatrix(modules, isWhole)) console.log(line)
  }
}
