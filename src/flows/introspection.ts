/** Introspection (RFC 7662): what a token is good for, told to the resource servers of the options. @module */

import { sameText, sha256Hex } from '../hash.ts'
import { verifySecret } from './credentials.ts'
import { type Caller, type Deps, toCaller } from './deps.ts'

/** RFC 7662 section 2.2. Times in epoch seconds. */
export interface ActiveToken {
  readonly active: true
  readonly scope?: string
  readonly client_id?: string
  /** Human-readable. */
  readonly username: string
  readonly token_type: 'Bearer'
  readonly exp: number
  readonly iat: number
  /** Tells people apart for ever: lower-case hex SHA-256 over issuer and subject. */
  readonly sub: string
  /** Who that is (RFC 9493 section 3.2.3): who vouches for the person, and their id there. */
  readonly sub_id: { readonly format: 'iss_sub'; readonly iss: string; readonly sub: string }
  /** Who issued the token: this service. */
  readonly iss: string
  /** Names the credential, not its secret. */
  readonly jti: string
  /** The organisation that the credential is for. */
  readonly tenant?: string
}

/** What is told of any other token, whatever is the matter with it. */
export interface InactiveToken {
  readonly active: false
}

/** Tells whether a resource server is who it says. */
export function isResourceServer(deps: Deps, id: string, secret: string): boolean {
  const known = deps.config.resourceServers.get(id)
  return known !== undefined && sameText(known, sha256Hex(secret))
}

/** Looks a token up. Only the access tokens of CLIs are active; a refresh token never is: it opens nothing. */
export async function introspect(
  deps: Deps,
  caller: Caller,
  token: string,
): Promise<ActiveToken | InactiveToken> {
  // the address of the resource server is not where the credential is used
  const nowhere = toCaller(deps, caller.request, undefined)
  const who = await verifySecret(deps, nowhere, token, ['session', 'api_key'])
  if (!who) return { active: false }
  const { user, credential, expires_in } = who
  return {
    active: true,
    ...(credential.scope && { scope: credential.scope }),
    ...(credential.client_id !== null && { client_id: credential.client_id }),
    username: user.name ?? user.subject,
    token_type: 'Bearer',
    exp: Math.floor(deps.now() / 1000) + expires_in,
    iat: Math.floor(credential.created_at / 1000),
    sub: user.id,
    sub_id: { format: 'iss_sub', iss: user.issuer, sub: user.subject },
    iss: deps.config.baseUrl,
    jti: credential.id,
    ...(credential.tenant !== null && { tenant: credential.tenant }),
  }
}
