/** For tests of who is signed in: a gate with its log, a browser behind a proxy, keys and assertions. @module */

import { exportJWK, generateKeyPair, type JWK, type JWTPayload, SignJWT } from 'jose'
import type { Identify, PairgateOptions } from '../../src/mod.ts'
import { BASE, createBrowser, createTestGate, type TestBrowser, type TestGate } from './gate.ts'

/** A line of the log. */
export interface Logged {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly message: string
  readonly properties: Record<string, unknown>
}

/** A log that keeps its lines, and the reasons why nobody was signed in. */
export function keepLog() {
  const logged: Logged[] = []
  const level = (name: Logged['level']) => (message: string, properties: Record<string, unknown>) =>
    void logged.push({ level: name, message, properties })
  return {
    log: { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') },
    logged,
    /** Why nobody was signed in, each time. */
    reasons: () => logged.flatMap(({ properties }) => ('way' in properties ? [properties.reason] : [])),
    /** The errors, as texts. */
    errors: () =>
      logged.filter((one) => one.level === 'error').map(({ properties }) => String(properties.error)),
  }
}

/** A gate that is told by `identify` who is signed in, and its log. */
export function gateWith(identify: Identify, options: Partial<PairgateOptions> = {}) {
  const kept = keepLog()
  const t = createTestGate({ identify, log: kept.log, ...options })
  return {
    ...t,
    ...kept,
    /** Asks who is there, with these headers. */
    as: async (headers: Record<string, string>, address?: string) =>
      await t.fetch('/secured', { headers }, address),
  }
}

/** A browser behind a proxy that adds headers to each request. */
export function browserBehind(
  t: TestGate,
  makeHeaders: () => Record<string, string> | Promise<Record<string, string>>,
  address?: string,
): TestBrowser {
  return createBrowser(async (path, init) => {
    const headers = new Headers(init?.headers)
    for (const [name, value] of Object.entries(await makeHeaders())) headers.set(name, value)
    return await t.fetch(path, { ...init, headers }, address)
  }, BASE)
}

/** A key of somebody who signs assertions. */
export interface Key {
  readonly kid: string
  readonly alg: string
  readonly privateKey: CryptoKey
  readonly publicKey: CryptoKey
  /** The public one, as it is published. */
  readonly jwk: JWK
}

/** Makes a key. */
export async function makeKey(kid: string, alg = 'ES256'): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, alg, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

/** Signs claims with a key; `header` is added to the token's. */
export async function signWith(key: Key, claims: JWTPayload, header: object = {}): Promise<string> {
  const protectedHeader = { alg: key.alg, kid: key.kid, ...header }
  return await new SignJWT(claims).setProtectedHeader(protectedHeader).sign(key.privateKey)
}

/** The time in seconds, as tokens have it. */
export const seconds = () => Math.floor(Date.now() / 1000)
