/** Properties of the pure parts: codes, forms, cookies, secrets, labels, credentials; for whatever comes. @module */

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { readCookie, writeCookie } from '../src/core/cookie.ts'
import { type CredentialLife, credentialStatus, isSecretGood, secondsLeft } from '../src/core/credential.ts'
import { parseParams } from '../src/core/form.ts'
import { createMatchCode, sameMatchCode } from '../src/core/match_code.ts'
import {
  createFamily,
  createRefreshToken,
  createSecret,
  familyOf,
  secretHint,
  secretKind,
  secretPattern,
} from '../src/core/secret.ts'
import { BASE62, cleanLabel } from '../src/core/text.ts'
import {
  createUserCode,
  formatUserCode,
  normalizeUserCode,
  USER_CODE_ALPHABET,
} from '../src/core/user_code.ts'
import { paircodeHash, s256 } from '../src/hash.ts'
import { anyText, disguised, holds, plainText, randomSource, userCode } from './support/arbitraries.ts'

const SEPARATORS = [' ', '-', '_', '.', '\t', '\u00a0', '\u2010', '\u2013', '\u2014', '\u2015']
const IS_CODE = new RegExp(`^[${USER_CODE_ALPHABET}]{8,10}$`)

describe('user codes', () => {
  test('DF-08 DF-11 a code of the alphabet comes out as it was, however it is shown', () => {
    holds(fc.tuple(randomSource, fc.constantFrom(8, 10)), ([random, length]) => {
      const code = createUserCode(random, length)
      expect(code).toMatch(IS_CODE)
      expect(code).toHaveLength(length)
      expect(normalizeUserCode(formatUserCode(code))).toBe(code)
    })
  })

  test('DF-11 any case, spaces and dashes, at any place', () => {
    const typed = userCode.chain((code) => disguised(code, SEPARATORS).map((text) => ({ code, text })))
    holds(typed, ({ code, text }) => expect(normalizeUserCode(text)).toBe(text.length > 64 ? null : code))
  })

  test('DF-11 a letter of no code, one too few or one too many is no code', () => {
    const stranger = anyText.filter((text) => !new RegExp(`[${USER_CODE_ALPHABET}\\s_.-]`, 'iu').test(text))
    const spoiled = fc.tuple(userCode, fc.nat(10), fc.oneof(fc.constantFrom(...'AEIOUY0123456789'), stranger))
    holds(spoiled, ([code, at, letter]) => {
      if (/^[\s\u2010-\u2015ﬀ-ﬆſßŉǰẖẗẘ]*$/u.test(letter)) return
      expect(normalizeUserCode(code.slice(0, at) + letter + code.slice(at + 1))).toBeNull()
    })
    holds(userCode, (code) => {
      expect(normalizeUserCode(code.slice(0, 7))).toBeNull()
      expect(normalizeUserCode(code.padEnd(11, 'B'))).toBeNull()
    })
  })

  test('DF-11 whatever is typed is a code of the alphabet, or none', () => {
    holds(fc.oneof(anyText, disguised('BCDFGHJK', [...SEPARATORS, 'A', '\u200b', '0'])), (text) => {
      const code = normalizeUserCode(text)
      if (code !== null) expect(code).toMatch(IS_CODE)
    })
  })
})

describe('match codes', () => {
  const two = fc.tuple(randomSource, randomSource)
  test('PC-04 a word and a number; the same one in any spelling, no other one', () => {
    const typed = two.chain(([one, other]) => {
      const code = createMatchCode(one)
      return disguised(code, [' ', '-', '.', ',']).map((text) => ({
        code,
        text,
        other: createMatchCode(other),
      }))
    })
    holds(typed, ({ code, text, other }) => {
      expect(code).toMatch(/^[a-z]+ [1-9]\d$/)
      expect(sameMatchCode(text, code)).toBe(true)
      expect(sameMatchCode(other, code)).toBe(other === code)
    })
    holds(two, ([one]) => expect(sameMatchCode('', createMatchCode(one))).toBe(false), 20)
  })
})

describe('forms', () => {
  const entries = fc.array(fc.tuple(plainText, plainText), { maxLength: 6 })
  const isDouble = (list: readonly (readonly [string, string])[]) =>
    new Set(list.map(([name]) => name)).size < list.length
  const encode = (list: readonly (readonly [string, string])[]) =>
    new URLSearchParams(list.map(([name, value]) => [name, value])).toString()

  test('DF-05 what a browser encodes is read as it was; an empty value is absent; a name twice is refused', () => {
    holds(entries, (list) => {
      const params = parseParams(encode(list))
      if (isDouble(list)) expect(params).toBe('A parameter is given more than once')
      else expect(params).toEqual(new Map(list.filter(([, value]) => value !== '')))
    })
    holds(
      fc.tuple(entries, plainText, plainText, plainText).filter(([list]) => !isDouble(list)),
      ([list, name, one, other]) => {
        const text = encode([[name, one], ...list.filter(([known]) => known !== name), [name, other]])
        expect(parseParams(text)).toBe('A parameter is given more than once')
      },
    )
  })

  test('DF-05 any bytes at all: a reason, or what URLSearchParams reads', () => {
    const raw = fc
      .array(fc.oneof(fc.constantFrom('&', '=', '%', '+', '%2', '%41', '%ff', '%c3%a4', '%00', 'a'), anyText))
      .map((list) => list.join(''))
    holds(raw, (text) => {
      const params = parseParams(text)
      if (typeof params === 'string' || !text.isWellFormed()) return
      const known = [...new URLSearchParams(text)]
      expect(isDouble(known)).toBe(false)
      expect(params).toEqual(new Map(known.filter(([, value]) => value !== '')))
      for (const one of [...params].flat()) expect(one).not.toContain('\0')
    })
  })
})

describe('cookies', () => {
  const NAME = '__Host-pairgate-session'
  const value = fc.stringMatching(/^[\w.~-]{1,60}$/)
  const others = fc.array(
    fc.tuple(fc.stringMatching(/^[a-z]{1,8}$/), fc.stringMatching(/^[!#-+--:<-~]{0,20}$/)),
    { maxLength: 4 },
  )
  const header = (list: readonly (readonly [string, string])[]) =>
    list.map((pair) => pair.join('=')).join('; ')

  test('SES-05 what was written is read, wherever it stands among others', () => {
    holds(fc.tuple(value, others, fc.nat(4)), ([mine, more, at]) => {
      const [pair = ''] = writeCookie(NAME, mine, { maxAge: 60, secure: true }).split('; ')
      const all = more.map((one) => one.join('='))
      all.splice(at, 0, pair)
      expect(readCookie(all.join('; '), NAME)).toBe(mine)
    })
  })

  test('SES-05 a second one of the name makes both count as none', () => {
    holds(fc.tuple(value, value, others, others), ([mine, evil, before, between]) => {
      expect(readCookie(header([...before, [NAME, mine], ...between, [NAME, evil]]), NAME)).toBeNull()
    })
  })

  test('SES-05 odd spaces, separators and characters never make a value of theirs win', () => {
    const odd = fc
      .tuple(
        fc.constantFrom('', ' ', '\t', ';', ';;', '\u00a0', '"', ',', 'x='),
        fc.constantFrom('', ' ', '\t', '\0', '"'),
        fc.constantFrom('', ' ', '"', ' "', '\t', ';', ','),
        fc.constantFrom('; ', ';', ' ; ', ',', ';\t', ' ;'),
      )
      .filter(([before, after, quote]) =>
        Boolean(before.replace(/^;+$/, '') || after || quote.replace(/;$/, '')),
      )
    holds(fc.tuple(value, odd), ([evil, [before, after, quote, separator]]) => {
      const pair = `${before}${NAME}${after}=${quote}${evil}`
      expect(readCookie(pair, NAME)).not.toBe(evil)
      const read = [`${NAME}=mine${separator}${pair}`, `${pair}${separator}${NAME}=mine`].map((text) =>
        readCookie(text, NAME),
      )
      for (const one of read) expect(['mine', null]).toContain(one)
    })
    holds(anyText, (text) => expect(readCookie(text, NAME) ?? 'x').toMatch(/^[\w.~-]+$/))
  })

  test('WEB-08 no value leaves as more than one cookie, when it is one that can be read', () => {
    holds(fc.oneof(value, anyText), (text) => {
      const pair = `${NAME}=${text}`
      if (readCookie(pair, NAME) === text) expect(pair).not.toMatch(/[\s;,"\\]|[^!-~]/)
    })
  })
})

describe('secrets', () => {
  const prefix = fc.stringMatching(/^[a-z][a-z0-9]{1,7}$/)
  const kind = fc.constantFrom('browser', 'session', 'api_key', 'refresh_token')
  type Made = { prefix: string; kind: string; secret: string; random: (length: number) => Uint8Array }
  const made: fc.Arbitrary<Made> = fc.tuple(prefix, kind, randomSource).map(([start, one, random]) => ({
    ...{ prefix: start, kind: one, random },
    secret:
      one === 'refresh_token'
        ? createRefreshToken(random, start, createFamily(random))
        : createSecret(random, start, one),
  }))

  test('KEY-01 each is known by its own prefix, and by no other', () => {
    holds(fc.tuple(made, prefix), ([one, other]) => {
      expect(secretKind(one.prefix, one.secret)).toBe(one.kind)
      if (other !== one.prefix) expect(secretKind(other, one.secret)).toBeNull()
    })
  })

  test('KEY-01 any one character changed, swapped with its neighbour, left out or put in: refused', () => {
    const letter = fc.oneof(fc.constantFrom(...BASE62, '_', '-', ' ', '\n'), anyText)
    holds(fc.tuple(made, fc.nat(90), letter), ([{ prefix: start, secret }, place, put]) => {
      const at = place % secret.length
      const [head, one, rest] = [secret.slice(0, at), secret[at] ?? '', secret.slice(at + 1)]
      const spoiled = [
        head + put + rest,
        head + rest,
        head + put + one + rest,
        head + rest.slice(0, 1) + one + rest.slice(1),
      ]
      for (const text of [...spoiled, `${secret}${put}`, `${put}${secret}`])
        if (text !== secret) expect([text, secretKind(start, text)]).toEqual([text, null])
    })
  })

  test('KEY-01 whatever comes is refused without a throw', () => {
    holds(fc.tuple(prefix, anyText), ([start, text]) => {
      expect(secretKind(start, text)).toBeNull()
      expect(typeof familyOf(text)).toBe('string')
    })
  })

  test('KEY-01 the published pattern finds exactly the secrets of command-line apps', () => {
    const around = fc.constantFrom('', ' ', '"', "'", '\n', '=', ':', ',', '(', '/')
    const before = fc.oneof(around, fc.constant('Bearer '))
    holds(fc.tuple(made, before, around), ([{ prefix: start, kind: one, secret }, front, after]) => {
      const found = [...`${front}${secret}${after}`.matchAll(new RegExp(secretPattern(start), 'g'))]
      expect(found.map(([text]) => text)).toEqual(one === 'browser' ? [] : [secret])
      for (const text of [`${secret}A`, `x${secret}`, secret.slice(0, -1)])
        expect(new RegExp(secretPattern(start)).test(text)).toBe(false)
    })
  })

  test('DF-09 refresh tokens of one login have their family in common, and nothing else', () => {
    holds(fc.tuple(prefix, randomSource), ([start, random]) => {
      const family = createFamily(random)
      const [one, other] = [
        createRefreshToken(random, start, family),
        createRefreshToken(random, start, family),
      ]
      expect([familyOf(one), familyOf(other)]).toEqual([family, family])
      expect(one).not.toBe(other)
    })
  })

  test('KEY-08 a hint is the prefix and four characters', () => {
    holds(made, ({ prefix: start, secret }) => {
      expect(secretHint(secret)).toMatch(new RegExp(`^${start}[bskr]_…[0-9A-Za-z]{4}$`))
      expect(secret.endsWith(secretHint(secret).slice(-4))).toBe(true)
    })
  })
})

describe('paircodes', () => {
  const sha256 = (text: string) => createHash('sha256').update(text)
  const URL_SAFE = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

  test('PC-06 the paircode of a verifier names its hash; every spelling of it is the same request', () => {
    holds(fc.tuple(plainText, fc.nat(3)), ([verifier, spare]) => {
      const paircode = s256(verifier)
      expect(paircode).toBe(sha256(verifier).digest('base64url'))
      const last = URL_SAFE.indexOf(paircode.at(-1) ?? '')
      const spelled = paircode.slice(0, -1) + URL_SAFE[(last & ~3) | spare]
      expect(paircodeHash(spelled)).toBe(sha256(verifier).digest('hex'))
    })
  })

  test('PC-06 anything else is none, and two that differ are two requests', () => {
    holds(
      fc.oneof(anyText, fc.stringMatching(/^[\w+/=-]{40,46}$/), fc.stringMatching(/^[\w-]{42,45}$/)),
      (text) => {
        const isPaircode = /^[A-Za-z0-9_-]{43}$/.test(text) && !text.includes('\n')
        expect(paircodeHash(text) !== null).toBe(isPaircode)
      },
    )
    holds(fc.tuple(plainText, fc.nat(41), fc.nat(62)), ([verifier, at, step]) => {
      const paircode = s256(verifier)
      const changed = URL_SAFE[(URL_SAFE.indexOf(paircode[at] ?? '') + 1 + step) % 64] ?? ''
      const other = paircode.slice(0, at) + changed + paircode.slice(at + 1)
      expect(paircodeHash(other)).not.toBe(paircodeHash(paircode))
    })
  })
})

describe('labels', () => {
  const odd = fc
    .array(
      fc.oneof(
        fc.constantFrom(' ', '\n', '\t', '\u200b', '\u202e', '\u2066', '\ufeff', '\u00ad', 'a'),
        anyText,
      ),
    )
    .map((list) => list.join(''))

  test('WEB-07 no controls, no direction marks, nothing invisible, at most 64 characters', () => {
    holds(odd, (text) => {
      const label = cleanLabel(text)
      if (label === null) return
      expect(label).not.toMatch(
        /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0]|\u034f|\u17b4|\u17b5|\ufe0f/u,
      )
      expect(label.isWellFormed()).toBe(true)
      expect([...label].length).toBeLessThanOrEqual(64)
      expect(label).toBe(label.trim())
    })
  })

  test('WEB-07 white space is collapsed, so that a cleaned label is clean', () => {
    holds(odd, (text) => {
      const label = cleanLabel(text)
      expect(label ?? '').not.toMatch(/\s\s/)
      expect(cleanLabel(label)).toBe(label)
    })
  })
})

describe('credentials', () => {
  const NOW = 1_000_000
  // close together, so that they meet
  const around = fc.integer({ min: NOW - 4, max: NOW + 4 })
  const maybe = fc.oneof(around, fc.constant(null))
  const credential: fc.Arbitrary<CredentialLife> = fc.record({
    secret_hash: fc.constant('present'),
    previous_hash: fc.constantFrom(null, 'previous'),
    previous_until: maybe,
    access_expires_at: maybe,
    expires_at: around,
    last_used_at: around,
    revoked_at: fc.oneof(fc.constant(null), around),
  })
  const asked = fc.tuple(
    credential,
    fc.constantFrom('present', 'previous', 'other'),
    fc.integer({ min: 1, max: 6 }),
  )

  /** Every moment at which one of its secrets ends, all of them together. */
  const ends = (one: CredentialLife, hash: string, idle: number): number[] => {
    const all = [one.expires_at, one.last_used_at + idle, ...(one.revoked_at === null ? [] : [-1])]
    if (hash === 'present') return [...all, one.access_expires_at ?? one.expires_at]
    return [...all, hash === 'previous' && one.previous_hash !== null ? (one.previous_until ?? -1) : -1]
  }

  test('KEY-11 SES-04 a secret is good until the first of its ends, and never after', () => {
    holds(fc.tuple(asked, fc.nat(100)), ([[one, hash, idle], later]) => {
      const end = Math.min(...ends(one, hash, idle))
      expect(isSecretGood(one, hash, NOW, idle)).toBe(NOW < end)
      // without another write it does not come back
      if (NOW >= end) expect(isSecretGood(one, hash, NOW + later, idle)).toBe(false)
    })
  })

  test('KEY-11 the status says whether anything can still be good', () => {
    holds(asked, ([one, hash, idle]) => {
      const status = credentialStatus(one, NOW, idle)
      expect(status === 'revoked').toBe(one.revoked_at !== null)
      if (isSecretGood(one, hash, NOW, idle)) expect(status).toBe('active')
      if (NOW >= one.expires_at) expect(status).not.toBe('active')
    })
  })

  test('DF-21 the seconds left end with the access token and the login, not after', () => {
    holds(asked, ([one]) => {
      const seconds = secondsLeft(one, NOW - 20_000)
      expect(Number.isInteger(seconds) && seconds >= 0).toBe(true)
      const end = NOW - 20_000 + seconds * 1000
      expect(end <= one.expires_at && end <= (one.access_expires_at ?? one.expires_at)).toBe(true)
    })
  })
})
