/** What somebody is told who may not go on (RFC 6750 section 3): status, words and challenge, the same at every door. @module */

import { bearerChallenge, bearerToken } from '../flows/credentials.ts'

/** Why a request may not go on. */
export type Denial =
  | 'not_signed_in'
  | 'insufficient_scope'
  | 'unknown_policy'
  | 'temporarily_unavailable'
  | 'server_error'

const WORDS: Readonly<Record<Denial, { status: 401 | 403 | 500 | 503; text: string }>> = {
  not_signed_in: { status: 401, text: 'This takes a Bearer credential that is neither expired nor revoked' },
  insufficient_scope: { status: 403, text: 'The credential lacks a scope, this takes' },
  unknown_policy: { status: 403, text: 'The proxy asks for a policy that there is none of' },
  temporarily_unavailable: { status: 503, text: 'Credentials cannot be checked now, try again' },
  server_error: { status: 500, text: 'Something went wrong, the log says what' },
}

/** The word for programs: RFC 6750 section 3.1 has one for a credential that is no good, and none for no credential. */
function errorCode(request: Request, denial: Denial): string {
  if (denial !== 'not_signed_in') return denial
  return bearerToken(request) === null ? 'missing_token' : 'invalid_token'
}

/**
 * Answers somebody who may not go on.
 *
 * @param needed The scopes that it takes.
 */
export function deny(request: Request, denial: Denial, needed: readonly string[] = []): Response {
  const { status, text } = WORDS[denial]
  const error = errorCode(request, denial)
  const headers = new Headers({ 'Cache-Control': 'no-store', 'X-Pairgate-Error': error })
  if (status === 401) headers.set('WWW-Authenticate', bearerChallenge(request))
  if (status === 503) headers.set('Retry-After', '5')
  const scope = needed.join(' ')
  if (denial === 'insufficient_scope')
    headers.set('WWW-Authenticate', `Bearer realm="pairgate", error="${error}", scope="${scope}"`)
  // people see the body, and rarely the header
  const error_description = denial === 'insufficient_scope' ? `${text}: ${scope}` : text
  return Response.json({ error, error_description }, { status, headers })
}
