/** The rules of proof: each requirement is shown by tests, each can fail, and the page about them is up to date. @module */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { MUTANTS, PENDING } from './mutants/list.ts'
import {
  findTests,
  idsOf,
  LATER,
  REQUIREMENTS,
  renderRequirements,
  scan,
  UNTESTED,
} from './support/requirements.ts'

const read = (file: string) => readFileSync(join(import.meta.dirname, '..', file), 'utf8')
const tests = findTests()
const shown = new Set(tests.flatMap(({ ids }) => ids))
const broken = new Set(MUTANTS.map(({ id }) => id))
const known = new Map(REQUIREMENTS.map((row) => [row.id, row]))
/** What must be shown: the rows of P0 and P1, apart from those that come later. */
const due = REQUIREMENTS.filter(({ id, priority }) => priority !== 'P2' && !(id in LATER)).map(({ id }) => id)

describe('requirements', () => {
  test('no id is listed twice', () => {
    expect(known.size).toBe(REQUIREMENTS.length)
  })

  test('titles are found, however a test is written', () => {
    const source = [
      "  test('KEY-02/03 DF-01 it’s so', () => {",
      '  test("UP-02 nor with another\'s", () => {',
      "  'STO-01 as a key': async () => {",
      "  ['OPS-01 RPC-07 a row', typed],",
      '  test(`PC-03 $flow: so`, () => {',
      "  forFlows({ device: 'DF-21', pair: 'PC-01' },\n    'both',",
      "  const nothing = 'DF-99' + 'see DF-98 there' // DF-97",
    ].join('\n')
    const found = scan('a.ts', source)
    expect(found.map(({ title }) => title)).toEqual([
      'KEY-02/03 DF-01 it’s so',
      "UP-02 nor with another's",
      'STO-01 as a key',
      'OPS-01 RPC-07 a row',
      'PC-03 $flow: so',
      'DF-21 device: both',
      'PC-01 pair: both',
    ])
    expect(found[0]?.ids).toEqual(['KEY-02', 'KEY-03', 'DF-01'])
    expect(idsOf('a code of DF-01')).toEqual([])
  })

  test('each of P0 and P1 is shown by a test', () => {
    expect(due.filter((id) => !shown.has(id) && !PENDING.includes(id))).toEqual([])
  })

  test('each of P2 is shown by a test, or says why not', () => {
    const rows = REQUIREMENTS.filter(({ priority }) => priority === 'P2')
    expect(rows.filter(({ id }) => shown.has(id) === id in UNTESTED).map(({ id }) => id)).toEqual([])
  })

  test('each id that a test names is in the list', () => {
    expect(tests.filter(({ ids }) => ids.some((id) => !known.has(id)))).toEqual([])
  })

  test('docs/requirements.md is up to date', () => {
    const isUpToDate = read('docs/requirements.md') === renderRequirements(tests)
    expect(isUpToDate, 'docs/requirements.md is not what the tests say: run npm run generate').toBe(true)
  })
})

describe('mutants', () => {
  test('each of P0 and P1 has one', () => {
    expect(due.filter((id) => !broken.has(id) && !PENDING.includes(id))).toEqual([])
  })

  test('each is of a requirement, and the text that it breaks is there exactly once', () => {
    const wrong = MUTANTS.filter(
      ({ id, file, from, to }) => !known.has(id) || from === to || read(file).split(from).length !== 2,
    )
    expect(wrong.map(({ id, file, from }) => `${id} ${file}: ${from}`)).toEqual([])
  })

  test('each is looked for by tests that name what it breaks', () => {
    const silent = MUTANTS.filter(
      ({ id, test: file, title }) =>
        title === undefined && !tests.some((one) => one.ids.includes(id) && one.file === file),
    )
    expect(silent.map(({ id, test: file }) => `${id} ${file}`)).toEqual([])
  })

  test('nothing is pending that is done', () => {
    expect(PENDING.filter((id) => !known.has(id) || (shown.has(id) && broken.has(id)))).toEqual([])
  })
})
