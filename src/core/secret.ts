/**
 * The shape of the secrets that pairgate hands out: `pgk_` or `pgs_`, 43 base62 characters (256 bits), 6 base62
 * characters of CRC32. The check characters let a typo or a made-up value be refused before the database is asked.
 *
 * @module
 */

import { BASE62, type Random, randomString } from './text.ts'

/** What a credential may be used for; checked wherever one is read. */
export type CredentialKind = 'browser' | 'session' | 'api_key'

const PREFIX: Record<CredentialKind, string> = { browser: 'pgb_', session: 'pgs_', api_key: 'pgk_' }
const SECRET = /^(pgb_|pgs_|pgk_)([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/

/** The published pattern of API keys and sessions, for secret scanners. */
export const SECRET_PATTERN = 'pg[ks]_[0-9A-Za-z]{49}'

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

/** Makes the secret of a new credential of `kind`. */
export function createSecret(random: Random, kind: CredentialKind): string {
  const body = PREFIX[kind] + randomString(random, BASE62, 43)
  return body + checksum(body)
}

/** Tells which kind of credential `text` has the form of, or null when it cannot be one of ours. */
export function secretKind(text: string): CredentialKind | null {
  const match = SECRET.exec(text)
  if (!match || checksum(text.slice(0, -6)) !== match[3]) return null
  return match[1] === 'pgk_' ? 'api_key' : match[1] === 'pgs_' ? 'session' : 'browser'
}

/** What a list or a log may show of a secret: its prefix and its last four characters. */
export function secretHint(secret: string): string {
  return `${secret.slice(0, 4)}…${secret.slice(-4)}`
}
