/** Errors of pairgate itself: a wrong configuration or a broken promise of a part; never a protocol outcome. @module */

/** What went wrong, for programs; messages may change, codes do not. */
export type PairgateErrorCode =
  | 'ERR_PAIRGATE_OPTION'
  | 'ERR_PAIRGATE_ENVIRONMENT'
  | 'ERR_PAIRGATE_SIGN_IN'
  | 'ERR_PAIRGATE_SIGN_IN_CANCELLED'
  | 'ERR_PAIRGATE_STORE_UNAVAILABLE'
  | 'ERR_PAIRGATE_SCHEMA'

/** The one error class of pairgate. */
export class PairgateError extends Error {
  override readonly name = 'PairgateError'
  /** Stable code of the kind of failure. */
  readonly code: PairgateErrorCode

  /** @param cause The error underneath, if there is one. */
  constructor(code: PairgateErrorCode, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
  }

  /** One of another copy of pairgate is one too: a configuration file may bring it to the built server. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof Error && value.name === 'PairgateError'
  }
}

/** Tells whether an error will pass without a change to the program: the database is away, or not migrated yet. */
export function isUnavailable(error: unknown): boolean {
  return (
    error instanceof PairgateError &&
    (error.code === 'ERR_PAIRGATE_STORE_UNAVAILABLE' || error.code === 'ERR_PAIRGATE_SCHEMA')
  )
}
