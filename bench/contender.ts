/** What is measured: a server, and how it is asked for each thing that a login takes. @module */

import type { Answer, Send, Wire } from './driver.ts'
import type { Server } from './servers.ts'

/** A login that waits for a person. */
export interface Grant {
  readonly deviceCode: string
  readonly userCode: string
}

/**
 * How a server is asked. Each checks the answer, and rejects when it is not what it must be. What a server has no words
 * for is missing.
 */
export type Moves = Partial<AllMoves>

interface AllMoves {
  /** Signs a person in, in a browser of theirs; resolves to its cookies. */
  signIn(send: Send, name: string): Promise<string>
  /** Device authorization. */
  authorize(send: Send): Promise<Grant>
  /** A poll that is answered `authorization_pending`. */
  pollPending(send: Send, grant: Grant): Promise<void>
  /** The same through tRPC. */
  pollPendingTrpc(send: Send, grant: Grant): Promise<void>
  /** A poll that is answered `slow_down`. */
  pollSlowDown(send: Send, grant: Grant): Promise<void>
  /** The person allows the login, with as few requests as the server takes. */
  approve(send: Send, cookies: string, grant: Grant): Promise<void>
  /** The poll that brings the credential. Null: not yet. `wait`: seconds that the server may hold it, if it can. */
  collect(send: Send, grant: Grant, wait?: number): Promise<string | null>
  /** Asks as a reverse proxy does whether a request with a credential may go on, and who it is. */
  forward(send: Send, token: string | null): Promise<void>
  /** Token introspection (RFC 7662). Null asks about a token that nobody has. */
  introspect(send: Send, token: string | null): Promise<void>
}

/** A contender whose server runs. */
export interface Running {
  readonly name: string
  readonly server: Server
  readonly moves: Moves
  /** Cookies of people who are signed in, and do nothing at the moment. */
  readonly people: string[]
  /** Logins that wait, none of which has been polled yet. Those of the last round. */
  grants: Grant[]
  /** Credentials that were collected. */
  readonly tokens: string[]
}

/** One of those that are measured. */
export interface Contender {
  readonly name: string
  /** Starts its server. */
  start(): Promise<Server>
  /** The package that it takes, as it is installed: a development dependency, which not everybody has. */
  readonly needs?: string
  /** Its SQLite file, in the server's folder, and the table that logins are in. */
  readonly stored?: { readonly file: string; readonly table: string }
  moves(wire: Wire): Moves
}

/** Fails when an answer is not what it must be. */
export function check(isRight: boolean, what: string, { status, head, body }: Answer): asserts isRight {
  if (!isRight) throw new Error(`${what}: unexpected answer ${status}\n${head}\n\n${body.slice(0, 2000)}`)
}

/** Reads a JSON answer that has this status. */
export function readJson(what: string, answer: Answer, status = 200): Record<string, unknown> {
  check(answer.status === status, what, answer)
  return JSON.parse(answer.body) as Record<string, unknown>
}

/** Reads the error of an answer by a token endpoint (RFC 6749 section 5.2). */
export function readError(what: string, answer: Answer): unknown {
  return readJson(what, answer, 400).error
}

/** What a server sets as cookies, as a browser sends them back. */
export function readCookies({ head }: Answer): string {
  return [...head.matchAll(/\r\nset-cookie: *([^;\r]+)/gi)].map(([, cookie]) => cookie).join('; ')
}
