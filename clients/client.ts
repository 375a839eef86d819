/**
 * The typed client: one function for the connection, one error for everything that can go wrong with it. Runs wherever
 * there is `fetch`.
 *
 * @module
 */

import { createTRPCClient, httpLink, type TRPCClient, type TRPCClientError } from '@trpc/client'
import type { PairgateRouter } from '../src/router_type.ts'

/** What `createClient` takes. */
export interface ClientOptions {
  /** Base URL of the pairgate, path included. https, or http on this very machine. */
  readonly server: string
  /** The client_id that the server knows this program by. Default `pairgate-cli`. */
  readonly clientId?: string | undefined
  /** A credential, sent as `Authorization: Bearer`. Needed by `session.*`, not for signing in. */
  readonly token?: string | undefined
  /** Longest wait for an answer, in milliseconds. Default 30000. */
  readonly timeout?: number | undefined
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof fetch | undefined
}

/** A connection to one pairgate. */
export interface Client {
  /** Base URL without a trailing slash. */
  readonly server: string
  readonly clientId: string
  /** Every procedure of the router, typed. Calls reject with tRPC's error; `toLoginError` explains it. */
  readonly api: TRPCClient<PairgateRouter>
}

/**
 * Why something failed.
 *
 * - `access_denied`: the person said no. `expired_token`: nobody decided in time. `invalid_grant`: collected before.
 * - `not_signed_in`: the credential is unknown, expired or revoked.
 * - `refused`: the server does not want this request; the message says why.
 * - `busy`: over a limit or in trouble, worth another try. `unreachable`: no answer at all, likewise.
 * - `not_pairgate`: something else answers at this address. `untrusted_url`: the server named a page elsewhere.
 * - `bad_server`: not a usable base URL. `bad_credential_file`: not readable as one.
 */
export type LoginErrorCode =
  | 'access_denied'
  | 'expired_token'
  | 'invalid_grant'
  | 'not_signed_in'
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
    super(message, options)
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
function retryAfter(response: Response | undefined): number | undefined {
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

/**
 * Explains what an `api` call rejected with.
 *
 * @param error What was caught, of a client of this kit's or a host's own. A `LoginError` comes back as it is.
 */
export function toLoginError(error: unknown): LoginError {
  if (error instanceof LoginError) return error
  const { cause, meta, message, shape } = error as Partial<TRPCClientError<PairgateRouter>>
  if (cause instanceof LoginError) return cause
  const response = meta?.response as Response | undefined
  if (!shape && !response) {
    return cause instanceof TypeError
      ? new LoginError('unreachable', `The server does not answer (${message})`, { cause: error })
      : new LoginError('busy', `The answer cannot be read (${message})`, { cause: error })
  }
  if (!shape && response && response.status < 500) return notPairgate(response)
  const status = STATUS_OF[shape?.code ?? 0] ?? response?.status ?? 400
  const words = shape ? (message ?? '') : `${saidOutside(meta)} (HTTP ${status})`
  return statusError(status, words, { retryAfter: retryAfter(response) })
}

/** What an answer says that tRPC cannot read: pairgate's own JSON, as where it is mounted too late, or a proxy's page. */
function saidOutside(meta: Record<string, unknown> | undefined): string {
  const { error_description: words } = Object(meta?.responseJSON) as { error_description?: unknown }
  return typeof words === 'string' ? words : 'The server is in trouble'
}

function notPairgate({ status }: Response): LoginError {
  const why =
    status === 421
      ? 'The server goes by another host name, that of its base URL (127.0.0.1 and localhost are two)'
      : 'No pairgate answers at this address, whose path counts too'
  return new LoginError('not_pairgate', `${why} (HTTP ${status})`)
}

/**
 * Connects to a pairgate. Makes no request yet.
 *
 * @throws {LoginError} `bad_server`
 * @example
 * ```ts
 * const client = createClient({ server: 'https://gateway.example/auth', clientId: 'mytool' })
 * const token = await loginWithDevice(client, { onPrompt: ({ url, code }) => console.error(url, code) })
 * ```
 */
export function createClient(options: ClientOptions): Client {
  const server = parseServer(options.server)
  const { clientId = 'pairgate-cli', token, timeout = 30_000, fetch = globalThis.fetch } = options
  const send = async (url: string, init: RequestInit) => {
    const limit = AbortSignal.timeout(timeout)
    const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit
    // following a redirect would hand the secret in the body to whoever it names
    const response = await fetch(url, { ...init, signal, redirect: 'manual' }).catch((error: Error) => {
      if (init.signal?.aborted) throw error
      const { code, message } = (error.cause ?? error) as Error & { code?: unknown }
      const detail = typeof code === 'string' ? code : message
      throw new LoginError('unreachable', `${server} does not answer (${detail})`, { cause: error })
    })
    if (response.headers.get('content-type')?.includes('json')) return response
    await response.body?.cancel()
    if (response.status < 500 && response.status !== 429) throw notPairgate(response)
    throw new LoginError('busy', `The server is in trouble (HTTP ${response.status})`, {
      retryAfter: retryAfter(response),
    })
  }
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  const link = httpLink({
    url: `${server}/trpc`,
    headers,
    fetch: (url, init) => send(`${url}`, init as RequestInit),
  })
  return { server, clientId, api: createTRPCClient<PairgateRouter>({ links: [link] }) }
}
