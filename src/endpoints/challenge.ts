/** What somebody is told who may not go on (RFC 6750 section 3): status, words and challenge, the same at every door. @module */

import { bearerChallenge, bearerToken } from '../flows/credentials.ts'
import { json, type Reply } from './reply.ts'

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
export function deny(request: Request, denial: Denial, needed: readonly string[] = []): Reply {
  const { status, text } = WORDS[denial]
  const error = errorCode(request, denial)
  const scope = needed.join(' ')
  // people see the body, and rarely the header
  const error_description = denial === 'insufficient_scope' ? `${text}: ${scope}` : text
  return json({ error, error_description }, status, {
    'Cache-Control': 'no-store',
    'X-Pairgate-Error': error,
    ...(status === 401 && { 'WWW-Authenticate': bearerChallenge(request) }),
    ...(status === 503 && { 'Retry-After': '5' }),
    ...(denial === 'insufficient_scope' && {
      'WWW-Authenticate': `Bearer realm="pairgate", error="${error}", scope="${scope}"`,
    }),
  })
}
