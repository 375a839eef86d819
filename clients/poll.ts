/** Waiting for a decision, at the pace that the server wants (RFC 8628 section 3.5). @module */

import { checkInterval, checkOutcome } from './answers.ts'
import { isPassing, LoginError, toLoginError } from './errors.ts'
import type { TokenOutcome } from './generated/contract.ts'

/** A credential, fresh from the server. */
export interface LoginToken {
  readonly access_token: string
  readonly token_type: 'Bearer'
  /** Lifetime in seconds. */
  readonly expires_in: number
  /** Good once, for a refresh; there when the client has `refresh`, or asked for `offline_access`. */
  readonly refresh_token?: string
  /** Space-separated; absent when there is none. */
  readonly scope?: string
}

const ENDINGS = {
  access_denied: 'The login was denied in the browser',
  expired_token: 'The login was not confirmed in time',
  invalid_grant: 'The login is not valid, or was collected before',
} as const

const ending = (code: keyof typeof ENDINGS, options?: ErrorOptions) =>
  new LoginError(code, ENDINGS[code], options)

/** Waits `ms` milliseconds, or rejects with the signal's reason. */
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

/** What every call takes. */
export type CallOptions = { signal?: AbortSignal }

/** Makes one call; what goes wrong comes out as a `LoginError`, or as the signal's reason. */
export async function call<T>(
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

/** How to wait for a decision. */
export interface WaitOptions {
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

/** How long a poll asks to be held, in seconds: proxies cut a connection that is silent for 30, or for 60. */
export const HOLD = 25

/** What a poll asks for beside its answer: to be held for some seconds, until somebody decides. */
export type Hold = { readonly wait?: number }

/** A poll, and what can cut it or the pause before the next one short. */
export interface Polled {
  readonly ask: (hold: Hold, options: CallOptions) => Promise<TokenOutcome>
  readonly start: { readonly expires_in: number; readonly interval: number }
  readonly woken?: AbortSignal | undefined
}

/** The first of two signals. */
const either = (one: AbortSignal | undefined, other: AbortSignal | undefined) =>
  one && other ? AbortSignal.any([one, other]) : (one ?? other)

/** Waits `ms` milliseconds. An alarm ends the wait early, without being an error. */
export async function pauseFor(
  ms: number,
  woken: AbortSignal | undefined,
  options: WaitOptions,
): Promise<void> {
  const { signal, wait = sleep } = options
  if (woken?.aborted) return
  try {
    await wait(ms, either(woken, signal))
  } catch (error) {
    signal?.throwIfAborted()
    if (!woken?.aborted) throw error
  }
}

/**
 * What is left of the interval when the answer is there. A poll that was held for its time counted when it came; one
 * that was not may have been long on its way.
 */
function restOf(interval: number, seconds: number): number {
  return seconds < HOLD - 1 ? interval : Math.max(interval - seconds, 0)
}

/**
 * Polls until there is a decision. Each poll asks to be held until then; once that is refused or cut, as by an older
 * server or a proxy, they come every `interval` seconds (RFC 8628 section 3.5).
 */
export async function poll({ ask, start, woken }: Polled, options: WaitOptions): Promise<LoginToken> {
  const { onSlowDown, onRetry, signal, now = Date.now } = options
  const deadline = now() + start.expires_in * 1000
  let alarm = woken
  let interval = start.interval
  let hold: Hold = { wait: HOLD }
  for (;;) {
    const begun = now()
    let pause = interval
    let failure: LoginError | undefined
    // an alarm that went off is heard once: after it the pace is the usual one
    if (alarm?.aborted) alarm = undefined
    try {
      const answer = checkOutcome(await call((request) => ask(hold, request), either(alarm, signal)))
      if (answer.status === 'issued') {
        const { status: _, ...token } = answer
        return token
      }
      if (answer.status !== 'authorization_pending' && answer.status !== 'slow_down')
        throw ending(answer.status)
      pause = interval = checkInterval(answer.interval)
      if (answer.status === 'slow_down') onSlowDown?.(interval)
      else pause = restOf(interval, (now() - begun) / 1000)
    } catch (error) {
      if (alarm?.aborted) continue
      const isRefused = hold.wait !== undefined && error instanceof LoginError && error.code === 'refused'
      hold = {}
      // it may be the wait that is refused, by a server that knows none
      if (isRefused) continue
      // once started, the server is known: an HTML page is then some proxy's apology
      if (!isPassing(error)) throw error
      failure = error
      pause = Math.max(interval, failure.retryAfter ?? 0)
      onRetry?.(failure)
    }
    if (now() >= deadline) throw ending('expired_token', { cause: failure })
    await pauseFor(Math.min(pause * 1000, Math.max(deadline - now(), 1000)), alarm, options)
  }
}
