/** Hashes and signatures, all synchronous: at these sizes crypto.subtle costs ten times as much. @module */

import { hmac } from '@oslojs/crypto/hmac'
import { SHA256, sha256 } from '@oslojs/crypto/sha2'
import { constantTimeEqual } from '@oslojs/crypto/subtle'
import {
  decodeBase64urlIgnorePadding,
  decodeHex,
  encodeBase64urlNoPadding,
  encodeHexLowerCase,
} from '@oslojs/encoding'

const utf8 = new TextEncoder()

let native: ((text: string) => string) | undefined

/** Lends the runtime's own SHA-256, in lower-case hex, where it has one that answers at once: that costs a tenth. */
export function lendSha256(hash: (text: string) => string): void {
  native = hash
}

/** Lower-case hex SHA-256 of `text`: the only form in which a secret is stored. */
export function sha256Hex(text: string): string {
  return native ? native(text) : encodeHexLowerCase(sha256(utf8.encode(text)))
}

/** BASE64URL(SHA-256(text)), 43 characters: a paircode from its verifier, a PKCE challenge (RFC 7636 section 4.2). */
export function s256(text: string): string {
  return encodeBase64urlNoPadding(sha256(utf8.encode(text)))
}

/** Standard base64 of SHA-256, as a Content-Security-Policy names a style sheet. */
export function sha256Base64(text: string): string {
  return btoa(String.fromCharCode(...sha256(utf8.encode(text))))
}

/** The hex form of the hash inside a paircode; null unless it is exactly 43 base64url characters. */
export function paircodeHash(paircode: string): string | null {
  if (!/^[A-Za-z0-9_-]{43}$/.test(paircode)) return null
  // atob drops the two bits that 43 characters have too many, so every spelling of a hash is the same request
  const bytes = atob(paircode.replaceAll('-', '+').replaceAll('_', '/'))
  return encodeHexLowerCase(Uint8Array.from(bytes, (char) => char.charCodeAt(0)))
}

/** Random bytes as base64url text, without padding. */
export function base64url(bytes: Uint8Array): string {
  return encodeBase64urlNoPadding(bytes)
}

/** Text as base64url, fit for a cookie. */
export function toBase64url(text: string): string {
  return encodeBase64urlNoPadding(utf8.encode(text))
}

/** Reads what {@link toBase64url} wrote. */
export function fromBase64url(encoded: string): string {
  return new TextDecoder().decode(decodeBase64urlIgnorePadding(encoded))
}

/**
 * Signs the parts of a message for one purpose.
 *
 * @param purpose Keeps a signature made for one thing from being good for another.
 * @returns base64url HMAC-SHA-256, 43 characters.
 */
export function sign(secret: string, purpose: string, parts: readonly string[]): string {
  return encodeBase64urlNoPadding(hmacBytes(secret, purpose, parts))
}

/** The same as {@link sign}, in lower-case hex: what a key is made of. */
export function signHex(secret: string, purpose: string, parts: readonly string[]): string {
  return encodeHexLowerCase(hmacBytes(secret, purpose, parts))
}

/** Bytes from hex. */
export function fromHex(hex: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(decodeHex(hex))
}

function hmacBytes(secret: string, purpose: string, parts: readonly string[]): Uint8Array {
  return hmac(SHA256, utf8.encode(secret), utf8.encode(JSON.stringify([purpose, ...parts])))
}

/** Tells whether `signature` was made by any of `secrets`, in constant time. */
export function verifySignature(
  secrets: readonly string[],
  purpose: string,
  parts: readonly string[],
  signature: string,
): boolean {
  const given = utf8.encode(signature)
  return secrets.some((secret) => constantTimeEqual(given, utf8.encode(sign(secret, purpose, parts))))
}

/** Tells whether two texts of one length are the same, in constant time. */
export function sameText(one: string, other: string): boolean {
  return constantTimeEqual(utf8.encode(one), utf8.encode(other))
}

/** Tells whether two secrets are the same, in constant time, whatever their lengths. */
export function sameSecret(one: string, other: string): boolean {
  return sameText(sha256Hex(one), sha256Hex(other))
}

/** Base64 HMAC-SHA-256, as webhooks are signed. */
export function hmacBase64(key: Uint8Array, text: string): string {
  return btoa(String.fromCharCode(...hmac(SHA256, key, utf8.encode(text))))
}
