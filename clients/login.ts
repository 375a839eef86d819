/**
 * The two logins, from start to credential. They print nothing and open nothing: `onPrompt` is told what the person has
 * to see, the promise brings the credential.
 *
 * @module
 */

import type { TokenOutcome } from '../src/core/outcome.ts'
import { type Client, LoginError, parseServer, toLoginError } from './client.ts'

/** A mutation, whatever the client's links, transformer and error shape are. */
interface Call<Of extends { mutate: (...args: never[]) => Promise<unknown> }> {
  mutate(
    input: Parameters<Of['mutate']>[0],
    options?: { signal?: AbortSignal },
  ): Promise<Awaited<ReturnType<Of['mutate']>>>
}

type Calls<
  Of extends Record<Name, { mutate: (...args: never[]) => Promise<unknown> }>,
  Name extends string,
> = {
  readonly [Key in Name]: Call<Of[Key]>
}

/**
 * What the logins need: a `Client`, or the part of a host's own tRPC client that pairgate's router is nested under, with
 * the base URL of its pages: `{ server, clientId, api: host.cli }`.
 */
export interface LoginClient extends Pick<Client, 'server' | 'clientId'> {
  readonly api: {
    readonly device: Calls<Client['api']['device'], 'authorize' | 'token'>
    readonly pair: Calls<Client['api']['pair'], 'start' | 'token'>
  }
}

/** The two ways to sign in: `device` ends in an API key, `pair` in a session. */
export type LoginFlow = 'device' | 'pair'

/** What a person has to be shown. */
export interface LoginPrompt {
  readonly flow: LoginFlow
  /** The link to open; on the server's own origin. */
  readonly url: string
  /** Device flow: the page without the code, for typing it there. */
  readonly entry_url?: string
  /** The code that the page shows too (device flow: the user code; paircode flow: a word and a number). */
  readonly code: string
  /** Seconds to decide in. */
  readonly expires_in: number
}

/** A credential, fresh from the server. */
export interface LoginToken {
  readonly access_token: string
  readonly token_type: 'Bearer'
  /** Lifetime in seconds. */
  readonly expires_in: number
  /** Good once, for `session.refresh`; there when the client has `refresh`, or asked for `offline_access`. */
  readonly refresh_token?: string
  /** Space-separated; absent when there is none. */
  readonly scope?: string
}

/** What both logins take. */
export interface LoginOptions {
  /** Called once, before the first poll. */
  readonly onPrompt: (prompt: LoginPrompt) => void
  /** What the person knows this machine by. Shown on the page. */
  readonly deviceName?: string | undefined
  /** Space-separated scopes to ask for. Default: none. */
  readonly scope?: string | undefined
  /** Told that the server wants polls further apart: `interval` in seconds. */
  readonly onSlowDown?: ((interval: number) => void) | undefined
  /** Told that a poll failed and will be repeated. */
  readonly onRetry?: ((error: LoginError) => void) | undefined
  /** Gives up; the login rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
  /** Replaces the timer between polls. */
  readonly wait?: ((ms: number, signal?: AbortSignal) => Promise<void>) | undefined
  /** Tells the time in milliseconds. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

/** Poll failures that may pass. Once started, the server is known: an HTML page is then some proxy's apology. */
const PASSING: readonly string[] = ['unreachable', 'busy', 'not_pairgate']

const ENDINGS = {
  access_denied: 'The login was denied in the browser',
  expired_token: 'The login was not confirmed in time',
  invalid_grant: 'The login is not valid, or was collected before',
} as const

const ending = (code: keyof typeof ENDINGS, options?: ErrorOptions) =>
  new LoginError(code, ENDINGS[code], options)

async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted()
  await new Promise<void>((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop)
      resolve()
    }, ms)
    signal?.addEventListener('abort', stop, { once: true })
  })
}

type CallOptions = { signal?: AbortSignal }

/** Makes one call; what goes wrong comes out as a `LoginError`, or as the signal's reason. */
async function call<T>(
  make: (options: CallOptions) => Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  signal?.throwIfAborted()
  try {
    return await make(signal ? { signal } : {})
  } catch (error) {
    signal?.throwIfAborted()
    throw toLoginError(error)
  }
}

/** Lets nothing through but pages of the server itself: what is printed here, people open and trust. */
function checkUrl(url: string, { server }: LoginClient): string {
  const page = URL.canParse(url) ? new URL(url) : null
  if (page?.origin === new URL(parseServer(server)).origin && !page.username && !page.password)
    return page.href
  throw new LoginError(
    'untrusted_url',
    'The server names a page that is not its own; refusing to show or open it',
  )
}

/** Polls until there is a decision: at once, then every `interval` seconds (RFC 8628 section 3.5). */
async function poll(
  ask: (options: CallOptions) => Promise<TokenOutcome>,
  start: { readonly expires_in: number; readonly interval: number },
  { onSlowDown, onRetry, signal, wait = sleep, now = Date.now }: LoginOptions,
): Promise<LoginToken> {
  const deadline = now() + start.expires_in * 1000
  let interval = start.interval
  for (;;) {
    let pause = interval
    let failure: LoginError | undefined
    try {
      const answer = await call(ask, signal)
      if (answer.status === 'issued') {
        const { status: _, ...token } = answer
        return token
      }
      if (answer.status !== 'authorization_pending' && answer.status !== 'slow_down')
        throw ending(answer.status)
      pause = interval = Math.max(answer.interval, 1)
      if (answer.status === 'slow_down') onSlowDown?.(interval)
    } catch (error) {
      if (!(error instanceof LoginError) || !PASSING.includes(error.code)) throw error
      failure = error
      pause = Math.max(interval, failure.retryAfter ?? 0)
      onRetry?.(failure)
    }
    if (now() >= deadline) throw ending('expired_token', { cause: failure })
    await wait(Math.min(pause * 1000, Math.max(deadline - now(), 1000)), signal)
  }
}

/**
 * Signs in by the device flow (RFC 8628): the person opens a link or types a short code, this program gets an API key.
 *
 * @throws {LoginError} With the `code` that tells why.
 */
export async function loginWithDevice(client: LoginClient, options: LoginOptions): Promise<LoginToken> {
  const { api, clientId } = client
  const { deviceName: device_name, scope, signal } = options
  const input = { client_id: clientId, device_name, scope }
  const start = await call((request) => api.device.authorize.mutate(input, request), signal)
  options.onPrompt({
    flow: 'device',
    url: checkUrl(start.verification_uri_complete, client),
    entry_url: checkUrl(start.verification_uri, client),
    code: start.user_code,
    expires_in: start.expires_in,
  })
  const { device_code } = start
  return await poll(
    (request) => api.device.token.mutate({ client_id: clientId, device_code }, request),
    start,
    options,
  )
}

const base64url = (bytes: Uint8Array) =>
  btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (sign) => ({ '+': '-', '/': '_' })[sign] ?? '')

/**
 * Signs in by a paircode: the person opens a link that holds only the hash of a verifier kept here, this program gets a
 * session.
 *
 * @throws {LoginError} With the `code` that tells why.
 */
export async function loginWithPaircode(client: LoginClient, options: LoginOptions): Promise<LoginToken> {
  const { api, clientId } = client
  const { deviceName: device_name, scope, signal } = options
  const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)))
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
  const input = { client_id: clientId, paircode: base64url(new Uint8Array(digest)), device_name, scope }
  const start = await call((request) => api.pair.start.mutate(input, request), signal)
  options.onPrompt({
    flow: 'pair',
    url: checkUrl(start.login_url, client),
    code: start.match_code,
    expires_in: start.expires_in,
  })
  return await poll(
    (request) => api.pair.token.mutate({ client_id: clientId, verifier }, request),
    start,
    options,
  )
}
