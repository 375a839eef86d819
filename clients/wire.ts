/** How the client speaks to pairgate's own endpoints: no redirects, bounded time, one error for all that goes wrong. @module */

import { LoginError, notPairgate, retryAfter } from './errors.ts'
import type { StoredLogin } from './store.ts'

/** Where to, and how. */
export interface WireOptions {
  readonly server: string
  /** Longest wait for an answer, in milliseconds. */
  readonly timeout: number
  readonly fetch: typeof fetch
}

/** A request to pairgate itself. Rejects with `unreachable` when there is no answer, or with the signal's reason. */
export async function send(
  { server, timeout, fetch }: WireOptions,
  url: Parameters<typeof fetch>[0],
  init: RequestInit = {},
): Promise<Response> {
  const limit = AbortSignal.timeout(timeout)
  const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit
  try {
    // following a redirect would hand the secret in the body to whoever it names
    return await fetch(url, { ...init, signal, redirect: 'manual' })
  } catch (error) {
    if (init.signal?.aborted || error instanceof LoginError) throw error
    const { code, message } = ((error as Error).cause ?? error) as Error & { code?: unknown }
    const detail = typeof code === 'string' ? code : message
    throw new LoginError('unreachable', `${server} does not answer (${detail})`, { cause: error })
  }
}

/** Longest answer that is read, in bytes. A list of 200 credentials has a tenth of it. */
const MAX_ANSWER = 1_048_576

/** Reads an answer to its end, or to the end of patience. */
async function readAnswer(response: Response): Promise<Response> {
  const chunks: Uint8Array<ArrayBuffer>[] = []
  let length = 0
  const reader = response.body?.getReader()
  for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
    length += part.value.length
    if (length > MAX_ANSWER) {
      await reader?.cancel()
      throw new LoginError('not_pairgate', 'The answer of the server is too long')
    }
    chunks.push(part.value)
  }
  const { status, headers } = response
  return new Response(chunks.length > 0 ? await new Blob(chunks).arrayBuffer() : null, { status, headers })
}

/** Lets an answer through that is pairgate's: JSON, or nothing at all. */
export async function checkAnswer(response: Response): Promise<Response> {
  const type = response.headers.get('content-type')
  if (type?.includes('json') || (type === null && response.ok)) return await readAnswer(response)
  await response.body?.cancel()
  if (response.status < 500 && response.status !== 429) throw notPairgate(response)
  throw new LoginError('busy', `The server is in trouble (HTTP ${response.status})`, {
    retryAfter: retryAfter(response),
  })
}

/**
 * Ends a login, with all of its tokens (RFC 7009). One that has ended already is as good as revoked.
 *
 * @returns Why the server could not be told; null when it is done.
 */
export async function revoke(
  wire: WireOptions,
  login: Pick<StoredLogin, 'client_id' | 'access_token' | 'refresh_token'>,
): Promise<LoginError | null> {
  const token = login.refresh_token ?? login.access_token
  const body = new URLSearchParams({ token, client_id: login.client_id })
  try {
    const response = await checkAnswer(
      await send(wire, `${wire.server}/oauth/revoke`, { method: 'POST', body }),
    )
    await response.body?.cancel()
    return response.ok
      ? null
      : new LoginError('refused', `The server does not revoke it (HTTP ${response.status})`)
  } catch (error) {
    if (error instanceof LoginError) return error
    throw error
  }
}
