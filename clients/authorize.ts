/** `fetch` with the credential: added, refreshed in time, and once more when the server refuses it. @module */

import type { Session } from './session.ts'

type Fetch = typeof fetch

/**
 * Makes a `fetch` that adds the session's credential, if there is one. Another try follows a 401 (RFC 6750 section 3.1)
 * where the credential can be refreshed: that request was not carried out, so it may be made again. A body that streams
 * is there only once.
 *
 * @param inner Sends the requests.
 */
export function authorize(session: Pick<Session, 'access'>, inner: Fetch): Fetch {
  /** By origin: a fresh token that was refused all the same. Another one would be no better. */
  const vain = new Map<string, string>()
  return async (input, init) => {
    const send = (to: typeof input, token: string | undefined) => {
      const headers = new Headers(init?.headers ?? (to instanceof Request ? to.headers : undefined))
      if (token !== undefined) headers.set('authorization', `Bearer ${token}`)
      return inner(to, { ...init, headers })
    }
    const access = await session.access()
    const canRetry = access?.login?.refresh_token != null && !(init?.body instanceof ReadableStream)
    const first = canRetry && input instanceof Request ? input.clone() : input
    const answer = await send(first, access?.access_token)
    const { origin } = new URL(input instanceof Request ? input.url : input)
    if (answer.status !== 401 || !canRetry || vain.get(origin) === access.access_token) return answer
    const renewed = await session.access(access.access_token)
    if (!renewed || renewed.access_token === access.access_token) return answer
    await answer.body?.cancel()
    const again = await send(input, renewed.access_token)
    if (again.status === 401) vain.set(origin, renewed.access_token)
    return again
  }
}
