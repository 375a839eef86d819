/** What property tests draw from, and how they are run: always the same draws, so that a failure can be had again. @module */

import fc from 'fast-check'
import type { Random } from '../../src/core/text.ts'
import { USER_CODE_ALPHABET } from '../../src/core/user_code.ts'

/** All properties start here; a failure says it, with the path to the counterexample. */
export const SEED = 8628

/** Checks a property. */
export function holds<T>(arbitrary: fc.Arbitrary<T>, property: (value: T) => void, numRuns = 500): void {
  const judged = fc.property(arbitrary, (value) => {
    property(value)
  })
  fc.assert(judged, { seed: SEED, numRuns })
}

/** Checks a property that takes its time. */
export async function holdsAsync<T>(
  arbitrary: fc.Arbitrary<T>,
  property: (value: T) => Promise<void>,
  numRuns = 50,
): Promise<void> {
  await fc.assert(fc.asyncProperty(arbitrary, property), { seed: SEED, numRuns })
}

/** Any text at all: lone surrogates, controls and NUL too. */
export const anyText = fc.oneof(
  fc.string({ unit: 'binary-ascii' }),
  fc.string({ unit: 'grapheme' }),
  fc.string({ unit: 'binary' }),
  fc.array(fc.nat(0xffff), { maxLength: 20 }).map((units) => String.fromCharCode(...units)),
)

/** Text that can be sent: no lone surrogates, no NUL. */
export const plainText = anyText.map((text) => text.toWellFormed().replaceAll('\0', ''))

/** A source of random bytes that fast-check can repeat: xorshift, not fit for secrets. */
export const randomSource: fc.Arbitrary<Random> = fc.integer({ min: 1, max: 0x7fffffff }).map((seed) => {
  let state = seed
  const next = () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 8) & 255
  }
  return (length: number) => Uint8Array.from({ length }, next)
})

const pieces = (list: readonly string[], maxLength: number) =>
  fc.array(fc.oneof({ arbitrary: fc.constantFrom(...list), weight: 4 }, { arbitrary: anyText, weight: 1 }), {
    maxLength,
  })

/** Paths as attackers write them: other hosts, backslashes, dots, escapes, controls. */
export const hostilePath = pieces(
  [
    ...[
      '/',
      '//',
      '/..//',
      '/.//',
      '\\',
      '/\\',
      '@',
      ':',
      '?',
      '#',
      '.',
      '..',
      '/..',
      '%2f',
      '%5c',
      '%2e%2e',
      '%00',
      '%0d%0a',
    ],
    ...['\t', '\n', '\r', '\0', ' ', '\u00a0', '\u3000', 'evil.example', 'http:', 'https://', 'javascript:'],
    ...['/auth', '/auth/', 'auth', 'device', 'user_code=', 'gateway.example', '127.0.0.1:8787', '／', '。'],
  ],
  10,
).map((list) => list.join(''))

/** A user code as it is stored. */
export const userCode = fc
  .array(fc.constantFrom(...USER_CODE_ALPHABET), { minLength: 8, maxLength: 10 })
  .map((letters) => letters.join(''))

/** Writes letters as people do: in any case, with separators before, between and after them. */
export function disguised(text: string, separators: readonly string[]): fc.Arbitrary<string> {
  const parts = [...text].map((letter) =>
    fc
      .tuple(fc.boolean(), fc.array(fc.constantFrom(...separators), { maxLength: 2 }))
      .map(([lower, before]) => before.join('') + (lower ? letter.toLowerCase() : letter)),
  )
  const end = fc.array(fc.constantFrom(...separators), { maxLength: 2 }).map((after) => after.join(''))
  return fc.tuple(...parts, end).map((written) => written.join(''))
}

/** An address as a number, and how many bits it has. */
export interface NumericAddress {
  readonly bits: 32 | 128
  readonly value: bigint
}

const words = fc.array(fc.oneof(fc.constant(0), fc.nat(0xffff)), { minLength: 8, maxLength: 8 })
const toNumber = (parts: readonly number[], size: bigint) =>
  parts.reduce((sum, part) => (sum << size) | BigInt(part), 0n)

/** IPv4 addresses. */
export const ipv4 = fc
  .array(fc.nat(255), { minLength: 4, maxLength: 4 })
  .map((bytes): NumericAddress => ({ bits: 32, value: toNumber(bytes, 8n) }))

const MAPPED = 0xffffn

/** IPv6 addresses that are not IPv4 ones in disguise. */
export const ipv6 = words
  .map((parts): NumericAddress => ({ bits: 128, value: toNumber(parts, 16n) }))
  .filter(({ value }) => value >> 32n !== MAPPED)

/** Either. */
export const address = fc.oneof(ipv4, ipv6)

const dotted = (value: bigint) => [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.')
const wordsOf = (value: bigint) =>
  Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16))

/** Leaves out one run of zeros, wherever there is one. */
function shorten(parts: readonly string[], choice: number): string {
  const starts = parts.flatMap((part, i) => (/^0+$/.test(part) ? [i] : []))
  const start = starts[choice % (starts.length || 1)]
  if (start === undefined) return parts.join(':')
  let end = start
  while (end < parts.length && /^0+$/.test(parts[end] ?? '')) end++
  return `${parts.slice(0, start).join(':')}::${parts.slice(end).join(':')}`
}

/** The ways to write an address down: zeros left out or not, capitals, the last 32 bits dotted, IPv4 as IPv6. */
export function spellings({ bits, value }: NumericAddress): fc.Arbitrary<string> {
  if (bits === 32) {
    const mapped = wordsOf((MAPPED << 32n) | value)
    const forms = [`::ffff:${dotted(value)}`, `::FFFF:${dotted(value)}`, mapped.join(':'), shorten(mapped, 0)]
    return fc.constantFrom(dotted(value), ...forms, `0:0:0:0:0:ffff:${dotted(value)}`)
  }
  const parts = wordsOf(value)
  const padded = parts.map((part) => part.padStart(4, '0'))
  const withDots = [...parts.slice(0, 6), dotted(value & 0xffffffffn)].join(':')
  return fc
    .nat(7)
    .chain((choice) =>
      fc.constantFrom(
        parts.join(':'),
        padded.join(':'),
        padded.join(':').toUpperCase(),
        shorten(parts, choice),
        shorten(padded, choice),
        withDots,
      ),
    )
}

/** A range and an address that may well be in it: both have many leading bits in common. */
export const rangeAndAddress = fc
  .tuple(address, address, fc.nat(128), fc.nat(128))
  .map(([base, other, length, common]) => {
    const bits = Math.min(length, base.bits)
    const kept = BigInt(base.bits - Math.min(common, base.bits))
    const near = ((base.value >> kept) << kept) | (other.value & ((1n << kept) - 1n))
    return { base, bits, inside: other.bits === base.bits ? { bits: base.bits, value: near } : other }
  })
