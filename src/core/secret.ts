/**
 * The shape of the secrets that pairgate hands out: a prefix such as `pgk_`, 43 base62 characters (256 bits), 6 base62
 * characters of CRC32. The check characters let a typo or a made-up value be refused before the database is asked. A
 * refresh token has 22 characters more, in front: all refresh tokens of one login have these in common.
 *
 * @module
 */

import { BASE62, type Random, randomString } from './text.ts'

/** What a credential may be used for; checked wherever one is read. */
export type CredentialKind = 'browser' | 'session' | 'api_key'

/** What a secret may be: that of a credential, or a refresh token. */
export type SecretKind = CredentialKind | 'refresh_token'

const LETTERS: Readonly<Record<SecretKind, string>> = {
  browser: 'b',
  session: 's',
  api_key: 'k',
  refresh_token: 'r',
}
const KINDS: Readonly<Record<string, SecretKind>> = {
  b: 'browser',
  s: 'session',
  k: 'api_key',
  r: 'refresh_token',
}
const SECRET = /^([a-z][a-z0-9]{1,7})(?:([bks])_[0-9A-Za-z]{49}|(r)_[0-9A-Za-z]{71})$/
/** Length of what the refresh tokens of a login have in common: 131 bits. */
const FAMILY = 22

/** The pattern of API keys, sessions and refresh tokens, for secret scanners; `prefix` is the option `secretPrefix`. */
export function secretPattern(prefix: string): string {
  return `\\b${prefix}(?:[ks]_[0-9A-Za-z]{49}|r_[0-9A-Za-z]{71})\\b`
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

function checksum(text: string): string {
  let crc = 0xffffffff
  for (let i = 0; i < text.length; i++)
    crc = (crc >>> 8) ^ (CRC_TABLE[(crc ^ text.charCodeAt(i)) & 0xff] ?? 0)
  let value = (crc ^ 0xffffffff) >>> 0
  let digits = ''
  for (let i = 0; i < 6; i++) {
    digits = BASE62[value % 62] + digits
    value = Math.floor(value / 62)
  }
  return digits
}

const seal = (body: string) => body + checksum(body)

/** Makes the secret of a new credential of `kind`. */
export function createSecret(random: Random, prefix: string, kind: CredentialKind): string {
  return seal(`${prefix}${LETTERS[kind]}_${randomString(random, BASE62, 43)}`)
}

/** What the refresh tokens of a new login will have in common. */
export function createFamily(random: Random): string {
  return randomString(random, BASE62, FAMILY)
}

/** Makes a refresh token. */
export function createRefreshToken(random: Random, prefix: string, family: string): string {
  return seal(`${prefix}${LETTERS.refresh_token}_${family}${randomString(random, BASE62, 43)}`)
}

/** What a refresh token has in common with the others of its login. */
export function familyOf(refreshToken: string): string {
  const start = refreshToken.indexOf('_') + 1
  return refreshToken.slice(start, start + FAMILY)
}

/** Tells what `text` has the form of, or null when it cannot be one of ours. */
export function secretKind(prefix: string, text: string): SecretKind | null {
  const match = SECRET.exec(text)
  if (match?.[1] !== prefix || checksum(text.slice(0, -6)) !== text.slice(-6)) return null
  return KINDS[match[2] ?? match[3] ?? ''] ?? null
}

/** What a list or a log may show of a secret: its prefix and its last four characters. */
export function secretHint(secret: string): string {
  return `${secret.slice(0, secret.indexOf('_') + 1)}…${secret.slice(-4)}`
}
