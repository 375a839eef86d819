/** `fetch` with the credential: added, refreshed in time, and once more when the server refuses it. @module */

import type { Session } from './session.ts'

type Fetch = typeof fetch

function withToken(request: Request, token: string | undefined): Request {
  if (token !== undefined) request.headers.set('authorization', `Bearer ${token}`)
  return request
}

/**
 * Makes a `fetch` that adds the session's credential, if there is one. Another try follows a 401 (RFC 6750 section 3.1)
 * only where the credential can be refreshed: that request was not carried out, so it may be made again.
 *
 * @param inner Sends the requests.
 */
export function authorize(session: Session, inner: Fetch): Fetch {
  return async (input, init) => {
    const request = new Request(input, init)
    const access = await session.access()
    const canRetry = access?.login?.refresh_token != null
    const answer = await inner(withToken(canRetry ? request.clone() : request, access?.access_token))
    if (answer.status !== 401 || !canRetry) return answer
    const renewed = await session.access(access.access_token)
    if (!renewed || renewed.access_token === access.access_token) return answer
    await answer.body?.cancel()
    return await inner(withToken(request, renewed.access_token))
  }
}
