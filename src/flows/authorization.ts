/** Whether a request may go on: the judgement that guards and proxies ask for, and the assertion that backends get. @module */

import { isUnavailable } from '../errors.ts'
import { authenticateBearer, type Verified } from './credentials.ts'
import type { Caller, Deps } from './deps.ts'

/** The type of an assertion, in its header (RFC 8725 section 3.11): no other token of anybody's passes for one. */
export const ASSERTION_TYPE = 'pairgate+jwt'

/** How long an assertion is good for; seconds. */
const ASSERTION_SECONDS = 60

/**
 * Tells who makes a request with a Bearer credential, and whether that has the scopes it takes.
 *
 * @param needed All of these.
 */
export async function authorize(
  deps: Deps,
  caller: Caller,
  needed: readonly string[],
): Promise<Verified | { status: 'not_signed_in' | 'insufficient_scope' }> {
  const who = await authenticateBearer(deps, caller)
  if (!who) return { status: 'not_signed_in' }
  return needed.every((scope) => who.scopes.includes(scope)) ? who : { status: 'insufficient_scope' }
}

/**
 * The same at a door, of the host's or of a proxy's: that the database is away is an answer too, and logged.
 *
 * @param ready Resolves once the tables are there.
 */
export async function authorizeAtDoor(
  deps: Deps,
  ready: () => Promise<void>,
  caller: Caller,
  needed: readonly string[],
): Promise<Verified | { status: 'not_signed_in' | 'insufficient_scope' | 'temporarily_unavailable' }> {
  try {
    await ready()
    return await authorize(deps, caller, needed)
  } catch (error) {
    if (!isUnavailable(error)) throw error
    deps.log.error('A credential could not be checked', { request_id: caller.requestId, error })
    return { status: 'temporarily_unavailable' }
  }
}

/**
 * Signs who makes a request, for services behind the gateway: a JWT that they check with the JWK Set alone, good for
 * 40 to 60 seconds. Claims as introspection names them (RFC 7662), the person's name and e-mail address as OpenID
 * Connect does.
 *
 * @param audience The service that it is for.
 */
export async function createAssertion(deps: Deps, who: Verified, audience: string): Promise<string> {
  const { user, credential } = who
  const claims = {
    iss: deps.config.baseUrl,
    aud: audience,
    sub: user.id,
    sub_id: { format: 'iss_sub', iss: user.issuer, sub: user.subject },
    ...(user.name !== null && { name: user.name }),
    ...(user.email !== null && { email: user.email }),
    ...(credential.client_id !== null && { client_id: credential.client_id }),
    ...(credential.scope && { scope: credential.scope }),
    ...(credential.tenant !== null && { tenant: credential.tenant }),
    credential_id: credential.id,
  }
  const seconds = Math.min(ASSERTION_SECONDS, Math.max(1, who.expires_in))
  return await deps.signer.sign(ASSERTION_TYPE, claims, { now: deps.now(), seconds })
}
