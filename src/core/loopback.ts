/**
 * The delivery `loopback` (RFC 8252 section 7.3): after the decision the browser goes to a program on the person's own
 * machine. Where that is, is made here of a number; no URL is ever taken from anybody (section 8.3, RFC 9700 section 4.1).
 *
 * @module
 */

import type { Grant } from './grant.ts'

/** What a CLI listens on, and what it wants to see again; both null when it only polls. */
export type Loopback = Pick<Grant, 'loopback_port' | 'loopback_state'>

/** How the result of a login reaches the CLI. */
export type Delivery = 'poll' | 'loopback'

/** What a CLI says of the delivery that it wants. */
export interface DeliveryRequest {
  /** Default: `poll`. */
  readonly delivery?: string | undefined
  /** A port of 127.0.0.1: 1024 to 65535. */
  readonly port?: number | undefined
  /** 1 to 128 unreserved characters (RFC 3986 section 2.3). */
  readonly state?: string | undefined
}

/** How long a login can be collected after it was allowed by `loopback`; seconds. */
export const LOOPBACK_SECONDS = 60

const STATE = /^[A-Za-z0-9._~-]{1,128}$/

/**
 * Checks what was said of the delivery.
 *
 * @returns Where to go, or a sentence that says what is wrong.
 */
export function readDelivery({ delivery = 'poll', port, state }: DeliveryRequest): Loopback | string {
  if (delivery === 'poll') {
    if (port === undefined && state === undefined) return { loopback_port: null, loopback_state: null }
    return `The parameter ${port === undefined ? 'state' : 'port'} needs delivery=loopback`
  }
  if (delivery !== 'loopback') return 'The parameter delivery must be poll or loopback'
  if (port === undefined || !Number.isInteger(port) || port < 1024 || port > 65_535)
    return 'The parameter port must be 1024 to 65535'
  if (state === undefined || !STATE.test(state)) return `The parameter state must match ${STATE.source}`
  return { loopback_port: port, loopback_state: state }
}

/** Reads a port as a form has it: decimal digits; anything else is no number. */
export function parsePort(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  return /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
}

/** The origin of what listens on a port of the person's machine. */
export function loopbackOrigin(port: number): string {
  // the number of the address, never a name that could be resolved to something else (RFC 8252 section 8.3)
  return `http://127.0.0.1:${port}`
}

/**
 * Where the browser goes after the decision: with a code, or without one when it was denied. Null: nowhere.
 *
 * @param iss This server's base URL, so that a CLI hands the code to no other server (RFC 9207).
 */
export function callbackUrl(
  { loopback_port: port, loopback_state: state }: Loopback,
  { code, iss }: { readonly code: string | null; readonly iss: string },
): string | null {
  if (port === null || state === null) return null
  const answer = code === null ? { error: 'access_denied' } : { code }
  return `${loopbackOrigin(port)}/callback?${new URLSearchParams({ ...answer, state, iss })}`
}
