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
export function authorize(session: Session, inner: Fetch): Fetch {
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
    if (answer.status !== 401 || !canRetry) return answer
    const renewed = await session.access(access.access_token)
    if (!renewed || renewed.access_token === access.access_token) return answer
    await answer.body?.cancel()
    return await send(input, renewed.access_token)
  }
}
