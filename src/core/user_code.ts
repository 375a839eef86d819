/** User codes (RFC 8628 section 6.1): what a person reads on one screen and types on another. @module */

import { type Random, randomString } from './text.ts'

/** Consonants only, so that no word and no look-alike digit appears; 20^8 is 34.6 bits. */
export const USER_CODE_ALPHABET = 'BCDFGHJKLMNPQRSTVWXZ'

/** Letters in an ordinary code, and in one made while somebody is guessing. */
export const USER_CODE_LENGTH = { ordinary: 8, underAttack: 10 } as const

/** Makes a user code as it is stored: letters only. */
export function createUserCode(random: Random, length: number): string {
  return randomString(random, USER_CODE_ALPHABET, length)
}

/** Shows a stored code the way people copy it: `BCDF-GHJK`. */
export function formatUserCode(code: string): string {
  const half = Math.ceil(code.length / 2)
  return `${code.slice(0, half)}-${code.slice(half)}`
}

/**
 * Reads a typed code with any case, spaces and dashes.
 *
 * @returns The stored form, or null when this cannot be a code.
 */
export function normalizeUserCode(typed: string): string | null {
  if (typed.length > 64) return null
  const letters = typed.toUpperCase().replace(/[\s\-‐-―_.]/gu, '')
  if (letters.length < USER_CODE_LENGTH.ordinary || letters.length > USER_CODE_LENGTH.underAttack) return null
  for (const letter of letters) if (!USER_CODE_ALPHABET.includes(letter)) return null
  return letters
}
