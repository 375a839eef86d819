/** Picks random letters, cuts labels: the small pure string work that everything else shares. @module */

/** Source of cryptographically secure random bytes; `length` is in bytes. */
export type Random = (length: number) => Uint8Array

/** The 62 letters and digits of base62, in ASCII order. */
export const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/**
 * Draws `length` characters of `alphabet`, each equally likely: bytes that would favour the first letters are
 * thrown away (rejection sampling).
 *
 * @param alphabet 2 to 256 distinct characters.
 */
export function randomString(random: Random, alphabet: string, length: number): string {
  const limit = 256 - (256 % alphabet.length)
  let text = ''
  while (text.length < length) {
    for (const byte of random(length - text.length + 8)) {
      if (byte < limit && text.length < length) text += alphabet[byte % alphabet.length]
    }
  }
  return text
}

/** The longest label kept, in characters. */
const LABEL_LENGTH = 64

// controls, direction marks and overrides, line separators, zero-width and other characters that show nothing
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu

/**
 * Makes a stranger's text fit to be shown and logged: controls, invisible and direction marks are removed, white
 * space is collapsed, the rest is cut to 64 characters.
 *
 * @returns The label, or null when nothing visible is left.
 */
export function cleanLabel(text: string | null | undefined): string | null {
  if (!text) return null
  const visible = text.toWellFormed().replace(/\s/gu, ' ').replace(INVISIBLE, '').replace(/ +/g, ' ').trim()
  return [...visible].slice(0, LABEL_LENGTH).join('').trim() || null
}
