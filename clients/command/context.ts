/** What every part of the command works with, and how its results and failures reach people and programs. @module */

import type { Client } from '../client.ts'
import type { LoginErrorCode } from '../errors.ts'
import type { Account, CredentialStore } from '../store.ts'
import type { Surroundings } from '../transport.ts'

/** Exit codes, as gh has them; 130 and 143 are those of the signals. */
export const EXIT = { ok: 0, failure: 1, usage: 2, denied: 2, signInRequired: 4 } as const

/** What a run of the command works with. */
export interface Context {
  /** Base URL that was named, or is the default. */
  readonly server: string
  /** Whose login it is about, as `--account` has it. Default: the active one. */
  readonly account: Account | undefined
  /** For `server` and `account`. */
  readonly client: Client
  /** Makes a client for another server or account, with the same store and settings; `clientId` is that of a login. */
  readonly connect: (server: string, account?: Account, clientId?: string) => Client
  readonly store: CredentialStore
  readonly where: Surroundings
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
  /** Whether results and failures are one line of JSON on stdout. */
  readonly json: boolean
}

/** What to run next, and when that is the thing to do. */
export interface Next {
  readonly command: string
  readonly when: string
}

/** A failure, as `--json` says it: `{ "error": { code, message, hint, next } }`. */
export interface Problem {
  /** Beside those of the kit: wrong usage, Ctrl-C, anything else. */
  readonly code: LoginErrorCode | 'usage' | 'cancelled' | 'failure'
  readonly message: string
  readonly hint?: string
  readonly next?: readonly Next[]
}

/** A failure with an exit code. A `LoginError` may be thrown as well: `problem.ts` knows what to advise on each code. */
export class CommandError extends Error {
  override readonly name = 'CommandError'
  readonly problem: Problem
  readonly exit: number

  constructor(problem: Problem, exit: number, options?: ErrorOptions) {
    super(problem.message, options)
    this.problem = problem
    this.exit = exit
  }
}

/** What a command came to: its exit code, and what it says as text (lines, on stdout) or as JSON. */
export interface Result {
  readonly exit: number
  /** With `--json`: one object, on stdout. */
  readonly json: object
  /** Else: lines for stdout. What is only for people goes to stderr, by `say`. */
  readonly lines: readonly string[]
}
