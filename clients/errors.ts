/** The one error of the kit, and how everything else that can go wrong becomes it. @module */

/**
 * Why something failed.
 *
 * - `access_denied`: the person said no. `expired_token`: nobody decided in time. `invalid_grant`: collected before.
 * - `not_signed_in`: there is no login here, or it is over. `wrong_account`: somebody else signed in than was wanted.
 * - `environment_token`: a token in the environment stands above all logins, so there is nothing to do here.
 * - `refused`: the server does not want this request; the message says why. Or a token is none.
 * - `busy`: over a limit or in trouble, worth another try. `unreachable`: no answer at all, likewise.
 * - `not_pairgate`: something else answers at this address, or not as it should. `untrusted_url`: a page or a call goes elsewhere than to the server.
 * - `bad_server`: not a usable base URL. `bad_credential_file`: the place for logins cannot be read or written.
 */
export type LoginErrorCode =
  | 'access_denied'
  | 'expired_token'
  | 'invalid_grant'
  | 'not_signed_in'
  | 'wrong_account'
  | 'environment_token'
  | 'refused'
  | 'busy'
  | 'unreachable'
  | 'not_pairgate'
  | 'untrusted_url'
  | 'bad_server'
  | 'bad_credential_file'

/** The one error of this kit. `code` is the contract, `message` is for people. */
export class LoginError extends Error {
  override readonly name = 'LoginError'
  readonly code: LoginErrorCode
  /** When to try again, in seconds, if the server said so. */
  readonly retryAfter: number | undefined

  constructor(
    code: LoginErrorCode,
    message: string,
    options?: ErrorOptions & { retryAfter?: number | undefined },
  ) {
    // it may quote the server, and programs print it: nothing in it may steer a terminal
    super(message.replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]+/gu, ' '), options)
    this.code = code
    this.retryAfter = options?.retryAfter
  }
}

/**
 * Reads a server's base URL.
 *
 * @returns The URL without a trailing slash, query or fragment.
 * @throws {LoginError} `bad_server`
 */
export function parseServer(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : null
  const wrong = (why: string) => new LoginError('bad_server', `The server "${server}" ${why}`)
  if (!url) throw wrong('is no URL, wanted something like https://gateway.example/auth')
  if (url.username || url.password)
    throw new LoginError('bad_server', 'The server URL must not carry a password')
  const local = url.hostname === 'localhost' || url.hostname === '[::1]' || /^127\.[\d.]+$/.test(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && local)) {
    throw wrong('must be an https URL; http is for this very machine only')
  }
  return url.origin + url.pathname.replace(/\/+$/, '')
}

/** Seconds of a Retry-After header (RFC 9110 section 10.2.3); the date form is not read. */
export function retryAfter(response: Response | undefined): number | undefined {
  const seconds = Number(response?.headers.get('retry-after') ?? Number.NaN)
  return Number.isInteger(seconds) && seconds >= 0 ? seconds : undefined
}

function statusError(
  status: number,
  message: string,
  options: { retryAfter?: number | undefined },
): LoginError {
  if (status === 401) return new LoginError('not_signed_in', message)
  return status === 429 || status >= 500
    ? new LoginError('busy', message, options)
    : new LoginError('refused', message)
}

/** What tRPC's codes of errors stand for. The status of a batch is that of no call in it. */
const STATUS_OF: Readonly<Record<number, number>> = { [-32001]: 401, [-32029]: 429, [-32603]: 500 }

/** An `ApiError`, or a TRPCClientError of a host's own client, whatever its router and formatter are. */
interface Failed {
  readonly message?: string
  readonly cause?: unknown
  readonly response?: Response
  readonly body?: unknown
  readonly meta?: { readonly response?: Response; readonly responseJSON?: unknown }
  readonly shape?: { readonly code?: number }
}

/**
 * Explains what an `api` call rejected with.
 *
 * @param error What was caught, of a client of this kit's or a host's own. A `LoginError` comes back as it is.
 */
export function toLoginError(error: unknown): LoginError {
  if (error instanceof LoginError) return error
  const { cause, message = '', meta, ...failed } = Object(error) as Failed
  if (cause instanceof LoginError) return cause
  const { response = meta?.response, body = meta?.responseJSON } = failed
  const { error_description, error: inside } = Object(body) as {
    error_description?: unknown
    error?: unknown
  }
  const shape = failed.shape ?? (typeof inside === 'object' ? (inside as Failed['shape']) : undefined)
  if (!shape && !response) {
    return error instanceof TypeError || cause instanceof TypeError
      ? new LoginError('unreachable', `The server does not answer (${message})`, { cause: error })
      : new LoginError('busy', `The answer cannot be read (${message})`, { cause: error })
  }
  if (!shape && response && response.status < 500) return notPairgate(response)
  const status = STATUS_OF[shape?.code ?? 0] ?? response?.status ?? 400
  // pairgate's own JSON, as where it is mounted too late, or a proxy's page
  const outside = typeof error_description === 'string' ? error_description : 'The server is in trouble'
  const words = shape ? message : `${outside} (HTTP ${status})`
  return statusError(status, words, { retryAfter: retryAfter(response) })
}

/** Tells whether another try may succeed: the server is away, in trouble, or behind somebody who answers for it. */
export function isPassing(error: unknown): error is LoginError {
  return error instanceof LoginError && ['unreachable', 'busy', 'not_pairgate'].includes(error.code)
}

/** Says that an answer is not pairgate's. */
export function notPairgate({ status }: Response): LoginError {
  const why =
    status === 421
      ? 'The server goes by another host name, that of its base URL (127.0.0.1 and localhost are two)'
      : 'No pairgate answers at this address, whose path counts too'
  return new LoginError('not_pairgate', `${why} (HTTP ${status})`)
}
