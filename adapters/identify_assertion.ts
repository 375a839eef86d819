/** Who is signed in, by a JWT that an identity-aware proxy adds to each request. @module */

import type { JWTVerifyGetKey } from 'jose'
import { isProtected } from '../src/internal.ts'
import { type Identify, type Identity, PairgateError } from '../src/mod.ts'
import {
  checkFunction,
  checkHeaderName,
  checkKeys,
  checkText,
  refuseOption,
  refuseWith,
  type ToIdentity,
  text,
} from './identify_options.ts'

/** What an assertion says, once it is believed. */
export interface AssertionClaims {
  readonly iss: string
  readonly sub: string
  readonly [claim: string]: unknown
}

/** What may be said of every assertion. */
export interface AssertionOptions {
  /** How far clocks may differ, in seconds: 0 to 300. Default 5. */
  readonly clockTolerance?: number | undefined
  /** Changes the identity, for example adds `tenants`; null for nobody. */
  readonly toIdentity?: ToIdentity<AssertionClaims> | undefined
}

/** Which assertions are believed. */
export interface SignedAssertionOptions extends AssertionOptions {
  /** The header that holds the JWT, and nothing else. */
  readonly header: string
  /** Where the keys are (RFC 7517). https, or http on loopback. */
  readonly jwksUrl: string
  /** `iss`, exactly. With several, any of them. */
  readonly issuer: string | readonly string[]
  /** `aud` must be or hold it: what this very service is called there. With several, any of them. */
  readonly audience: string | readonly string[]
  /** Those that the issuer signs with, for example `['ES256']`. Shared-secret ones are refused. */
  readonly algorithms: readonly string[]
  /** `typ` of the token's header. Default: any. */
  readonly typ?: string | undefined
}

/** Whoever may check a signature of these cannot make one. */
const ASYMMETRIC = /^((RS|PS|ES)(256|384|512)|EdDSA|Ed25519)$/
const OPTIONS = 'header jwksUrl issuer audience algorithms typ clockTolerance toIdentity'.split(' ')

function checkTexts(option: string, value: unknown): string[] {
  const texts = Array.isArray(value) ? value : [value]
  if (texts.length === 0) refuseOption(option, 'is not set')
  return texts.map((one) => checkText(option, one))
}

/** Checks a URL: https, or http on loopback. */
function checkUrl(option: string, value: unknown): URL {
  const given = checkText(option, value)
  const url = URL.canParse(given) ? new URL(given) : refuseOption(option, 'must be an absolute URL')
  if (!isProtected(url)) refuseOption(option, 'must be https, http is for loopback only')
  if (url.username || url.password) refuseOption(option, 'must not carry a password')
  return url
}

function checkOptions(options: SignedAssertionOptions) {
  checkKeys(options, OPTIONS)
  const { clockTolerance = 5, toIdentity, typ } = options
  if (!(typeof clockTolerance === 'number' && clockTolerance >= 0 && clockTolerance <= 300))
    refuseOption('clockTolerance', 'must be 0 to 300 seconds')
  checkFunction('toIdentity', toIdentity)
  const algorithms = checkTexts('algorithms', options.algorithms)
  const symmetric = algorithms.find((one) => !ASYMMETRIC.test(one))
  if (symmetric !== undefined) refuseOption('algorithms', `must be asymmetric, not "${symmetric}"`)
  return {
    header: checkHeaderName('header', options.header),
    jwksUrl: checkUrl('jwksUrl', options.jwksUrl),
    toIdentity,
    checks: {
      algorithms,
      issuer: checkTexts('issuer', options.issuer),
      audience: checkTexts('audience', options.audience),
      requiredClaims: ['exp'],
      clockTolerance,
      ...(typ !== undefined && { typ: checkText('typ', typ) }),
    },
  }
}

/** Finds keys; when there are none to be had, it says so in a way that is not taken for a bad token. */
function findKeys(jose: typeof import('jose'), url: URL): JWTVerifyGetKey {
  const keys = jose.createRemoteJWKSet(url)
  const { JWKSNoMatchingKey, JWKSMultipleMatchingKeys } = jose.errors
  return async (header, token) => {
    try {
      return await keys(header, token)
    } catch (error) {
      if (error instanceof JWKSNoMatchingKey || error instanceof JWKSMultipleMatchingKeys) throw error
      throw new PairgateError('ERR_PAIRGATE_SIGN_IN', `The keys at ${url.href} are out of reach`, error)
    }
  }
}

function toIdentityOf({ iss, sub, name, email, email_verified, auth_time }: AssertionClaims): Identity {
  return {
    issuer: iss,
    subject: sub,
    name: text(name),
    email: email_verified === false ? undefined : text(email),
    auth_time: typeof auth_time === 'number' ? auth_time : undefined,
  }
}

/**
 * Believes a JWT in a header, when it is signed by a key of that set, and issuer, audience, expiry and subject are right.
 * Without such a one nobody is signed in; why is logged as `debug`. pairgate's own assertions are nobody's: they stand for
 * a program.
 *
 * When the keys are out of reach it rejects, and the answer is an error: "nobody" would send people round in circles
 * between here and a sign-in that has long been done, and nothing would tell the operator.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when an option is wrong.
 * @example
 * ```ts
 * identify: signedAssertion({
 *   header: 'X-Assertion',
 *   jwksUrl: 'https://proxy.example/jwks.json',
 *   issuer: 'https://proxy.example',
 *   audience: 'pairgate',
 *   algorithms: ['ES256'],
 * })
 * ```
 */
export function signedAssertion(options: SignedAssertionOptions): Identify {
  const { header, jwksUrl, toIdentity, checks } = checkOptions(options)
  let getKey: JWTVerifyGetKey | undefined
  const identify: Identify = async (request, { log }) => {
    const refuse = refuseWith(log, header)
    const token = request.headers.get(header)
    if (!token) return refuse('no assertion')
    if (token.includes(',')) return refuse('the header came more than once')
    const jose = await import('jose')
    getKey ??= findKeys(jose, jwksUrl)
    try {
      const { payload, protectedHeader } = await jose.jwtVerify(token, getKey, checks)
      // it stands for a CLI's credential, which must never allow a login, of this pairgate or of another one
      if (protectedHeader.typ === 'pairgate+jwt') return refuse('it is of pairgate itself')
      // what stands for a machine often has an empty one
      if (!text(payload.sub)) return refuse('the subject is no text, or empty')
      const claims = payload as AssertionClaims
      const identity = toIdentityOf(claims)
      return toIdentity ? await toIdentity(claims, identity) : identity
    } catch (error) {
      // its message quotes the token
      if (error instanceof jose.errors.JOSENotSupported)
        return refuse('it asks for an extension that there is none of')
      if (error instanceof jose.errors.JOSEError) return refuse(error.message)
      throw error
    }
  }
  const [one, ...others] = checks.issuer
  return others.length === 0 ? Object.assign(identify, { issuer: one }) : identify
}

/** An application behind Cloudflare Access. */
export interface CloudflareAccessOptions extends AssertionOptions {
  /** Name of the team, as in `TEAM.cloudflareaccess.com`. */
  readonly team: string
  /** AUD tag of the application. With several, any of them. */
  readonly audience: string | readonly string[]
}

/**
 * Believes Cloudflare Access (`Cf-Access-Jwt-Assertion`). Service tokens have no subject: they are nobody.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when an option is wrong.
 */
export function cloudflareAccess(options: CloudflareAccessOptions): Identify {
  checkKeys(options, ['team', 'audience', 'clockTolerance', 'toIdentity'])
  const { team, ...rest } = options
  if (!/^[a-z0-9-]{1,63}$/i.test(checkText('team', team)))
    refuseOption('team', 'must be the name alone, without ".cloudflareaccess.com"')
  const issuer = `https://${team.toLowerCase()}.cloudflareaccess.com`
  return signedAssertion({
    ...rest,
    header: 'Cf-Access-Jwt-Assertion',
    jwksUrl: `${issuer}/cdn-cgi/access/certs`,
    issuer,
    algorithms: ['RS256'],
  })
}

/** A service behind Google's Identity-Aware Proxy. */
export interface GoogleIapOptions extends AssertionOptions {
  /** `/projects/NUMBER/global/backendServices/ID`, `/projects/NUMBER/apps/ID`, … With several, any of them. */
  readonly audience: string | readonly string[]
}

/**
 * Believes Google's Identity-Aware Proxy (`X-Goog-IAP-JWT-Assertion`).
 *
 * @param options.clockTolerance Default 30, as Google says.
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when an option is wrong.
 */
export function googleIap(options: GoogleIapOptions): Identify {
  checkKeys(options, ['audience', 'clockTolerance', 'toIdentity'])
  return signedAssertion({
    ...options,
    clockTolerance: options.clockTolerance ?? 30,
    header: 'X-Goog-IAP-JWT-Assertion',
    jwksUrl: 'https://www.gstatic.com/iap/verify/public_key-jwk',
    issuer: 'https://cloud.google.com/iap',
    algorithms: ['ES256'],
  })
}

/** A route of Pomerium. */
export interface PomeriumOptions extends AssertionOptions {
  /** The route's `from`, for example `https://gateway.example`. */
  readonly url: string
}

/**
 * Believes Pomerium (`X-Pomerium-Jwt-Assertion`), whose issuer and audience are the route's host. That host is the issuer
 * of people here too, under either `jwt_issuer_format`: changing that makes nobody a stranger.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when an option is wrong.
 */
export function pomerium(options: PomeriumOptions): Identify {
  checkKeys(options, ['url', 'clockTolerance', 'toIdentity'])
  const { url, toIdentity, ...rest } = options
  const { origin, hostname, pathname } = checkUrl('url', url)
  if (pathname !== '/') refuseOption('url', 'must be an origin, without a path')
  checkFunction('toIdentity', toIdentity)
  const names = [hostname, `https://${hostname}/`]
  const identify = signedAssertion({
    ...rest,
    header: 'X-Pomerium-Jwt-Assertion',
    jwksUrl: `${origin}/.well-known/pomerium/jwks.json`,
    issuer: names,
    audience: names,
    algorithms: ['ES256'],
    toIdentity: (claims, { issuer: _, ...identity }) => {
      const known = { ...identity, issuer: hostname }
      return toIdentity ? toIdentity(claims, known) : known
    },
  })
  return Object.assign(identify, { issuer: hostname })
}
