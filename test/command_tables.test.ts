/** Times as people write them, and lists that fit a terminal: the pure parts of the command. @module */

import { describe, expect, test } from 'vitest'
import { match } from '../clients/command/own.ts'
import { layOut } from '../clients/command/table.ts'
import { parseDuration, parseExpiry, shortDuration } from '../clients/command/times.ts'
import type { CredentialSummary } from '../clients/generated/contract.ts'

describe('times and tables', () => {
  test.each([
    ['30s', 30],
    ['15m', 900],
    ['12h', 43_200],
    ['30d', 2_592_000],
    ['2w', 1_209_600],
    ['1y', 31_536_000],
    ['30', null],
    ['-1d', null],
    ['1.5h', null],
    ['', null],
  ])('the duration "%s" is %s seconds', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds)
    expect(parseExpiry(text, 0)).toBe(seconds)
  })

  test('a day counts to its end, here; a time as it is', () => {
    const noon = new Date(2026, 11, 30, 12).getTime()
    expect(parseExpiry('2026-12-31', noon)).toBe(36 * 3600)
    expect(parseExpiry('2026-12-30', noon)).toBe(12 * 3600)
    expect(parseExpiry('2026-12-29', noon)).toBe(-12 * 3600)
    expect(parseExpiry('2026-12-31T00:00:30Z', Date.UTC(2026, 11, 31))).toBe(30)
    for (const no of [
      '2026-02-30',
      '2026-13-01',
      '2026-12-31T25:00',
      '26-12-31',
      '2026-12-31 10:00',
      'x2026-12-31',
    ])
      expect([no, parseExpiry(no, noon)]).toEqual([no, null])
  })

  test('short durations round down', () => {
    expect([0, 59, 60, 3599, 86_399, 86_400, 31_536_000, -5].map(shortDuration)).toEqual([
      '0s',
      '59s',
      '1m',
      '59m',
      '23h',
      '1d',
      '1y',
      '0s',
    ])
  })

  test('a table takes from what may be cut, widest first, and else becomes paragraphs', () => {
    const rows = [{ mark: '*', cells: ['abc', 'a long text to be cut', 'fixed'] }]
    const of = (width: number) => layOut(['A', 'BB', 'C'], rows, { flexible: [1], width })
    expect(of(Number.POSITIVE_INFINITY)[1]).toBe('* abc  a long text to be cut  fixed')
    expect(of(26)).toEqual(['  A    BB            C', '* abc  a long text…  fixed'])
    expect(of(16)).toEqual(['* A   abc', '  BB  a long te…', '  C   fixed', ''])
    expect(layOut(['A'], [], { flexible: [], width: 80 })).toEqual([])
  })
})

describe('what a reference stands for', () => {
  const list = (
    [
      ['-abcdEFGH', 'one', 'active'],
      ['abcdWXYZ1', 'two', 'active'],
      ['ijklmnopq', 'abcd', 'active'],
      ['rstuvwxyz', 'one', 'revoked'],
    ] as const
  ).map(([id, name, status]) => ({ id, name, status }) as CredentialSummary)
  const named = (reference: string) => match(list, reference).map(({ id }) => id)

  test.each([
    ['abcdWXYZ1', ['abcdWXYZ1']],
    ['abcdW', ['abcdWXYZ1']],
    // an id that starts like an option is shown without that
    ['abcdE', ['-abcdEFGH']],
    ['-abcd', ['-abcdEFGH']],
    // as a name, and as the start of two ids
    ['abcd', ['-abcdEFGH', 'abcdWXYZ1', 'ijklmnopq']],
    ['abc', []],
    ['one', ['-abcdEFGH']],
    ['rstu', ['rstuvwxyz']],
    ['', []],
  ])('"%s"', (reference, ids) => {
    expect(named(reference)).toEqual(ids)
  })
})
