/**
 * What a server answers is checked before it is waited for, shown or kept: something else may answer there, or somebody
 * who means harm. One wrong number could make a program spin, one wrong text all kept logins unreadable.
 *
 * @module
 */

import { LoginError } from './errors.ts'
import type { TokenOutcome, Whoami } from './generated/contract.ts'

/** Longest time to decide in, and between two polls, that is believed; seconds. A timer takes no more than 24 days. */
const LONGEST = { expires_in: 86_400, interval: 3_600 } as const

/** What a poll or a refresh may come to. */
const STATUSES: readonly string[] = [
  ...(['issued', 'authorization_pending', 'slow_down'] satisfies TokenOutcome['status'][]),
  ...(['access_denied', 'expired_token', 'invalid_grant'] satisfies TokenOutcome['status'][]),
]

const wrong = (what: string) =>
  new LoginError('not_pairgate', `The answer of the server is not that of a pairgate: ${what}`)

/** Reads an object; anything else has no members. */
const toObject = (value: unknown) => Object(value) as Readonly<Record<string, unknown>>

function readSeconds(value: unknown, name: string): number {
  if (typeof value === 'number' && Number.isFinite(value)) return value
  throw wrong(`"${name}" is no number`)
}

/** Tells whether a text can be a credential in a header (RFC 6750 section 2.1, and what is beyond it but harmless). */
export function isToken(value: unknown): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]+$/.test(value)
}

/**
 * Checks how a login was started: the times, and the code, which goes to a terminal as it is.
 *
 * @throws {LoginError} `not_pairgate`
 */
export function checkStart<T extends { readonly expires_in: number; readonly interval: number }>(
  start: T,
  codeName: keyof T & string,
): T {
  const { expires_in, interval, [codeName]: code } = toObject(start)
  if (typeof code !== 'string' || !/^[\x20-\x7e]{1,64}$/.test(code)) throw wrong(`"${codeName}" is no code`)
  return {
    ...start,
    expires_in: Math.min(readSeconds(expires_in, 'expires_in'), LONGEST.expires_in),
    interval: checkInterval(interval),
  }
}

/**
 * Reads the least time between two polls, in seconds: 1 to 3600.
 *
 * @throws {LoginError} `not_pairgate`
 */
export function checkInterval(interval: unknown): number {
  return Math.min(Math.max(readSeconds(interval, 'interval'), 1), LONGEST.interval)
}

/**
 * Checks what a poll or a refresh is answered.
 *
 * @throws {LoginError} `not_pairgate`
 */
export function checkOutcome(outcome: TokenOutcome): TokenOutcome {
  const { status, access_token, refresh_token, expires_in, scope } = toObject(outcome)
  if (!STATUSES.includes(String(status))) throw wrong('"status" is none that is known')
  if (status !== 'issued') return outcome
  readSeconds(expires_in, 'expires_in')
  if (!isToken(access_token)) throw wrong('"access_token" is no token')
  if (refresh_token !== undefined && !isToken(refresh_token)) throw wrong('"refresh_token" is no token')
  if (scope !== undefined && typeof scope !== 'string') throw wrong('"scope" is no text')
  return outcome
}

/** Tells whether this is text that a terminal shows and does nothing else with. */
const isPlain = (value: unknown) => typeof value === 'string' && !/\p{Cc}/u.test(value)

/**
 * Checks whose credential it is said to be.
 *
 * @throws {LoginError} `not_pairgate`
 */
export function checkWhoami(who: Whoami): Whoami {
  const { issuer, subject, scope, name, client_id, kind, expires_in } = toObject(who)
  for (const [key, value] of Object.entries({ issuer, subject, scope }))
    if (!isPlain(value)) throw wrong(`"${key}" is no text`)
  for (const [key, value] of Object.entries({ name, client_id }))
    if (value !== null && !isPlain(value)) throw wrong(`"${key}" is no text`)
  if (!['session', 'api_key', 'browser'].includes(String(kind))) throw wrong('"kind" is none that is known')
  readSeconds(expires_in, 'expires_in')
  return who
}
