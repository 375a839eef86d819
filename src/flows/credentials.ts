/** Credentials in use: who is it, and the end of one. @module */

import type { Refusal } from '../core/outcome.ts'
import { type CredentialKind, secretKind } from '../core/secret.ts'
import { sha256Hex } from '../hash.ts'
import type { Credential, User } from '../store.ts'
import type { Caller, Deps } from './deps.ts'
import { recordEvent } from './events.ts'

/** A request that was made by somebody: the person, and the credential it carried. */
export interface Authenticated {
  readonly user: User
  readonly credential: Credential
  readonly scopes: readonly string[]
}

/** Uses closer together than this are not written down; milliseconds. */
const TOUCH_EVERY = 60_000

/**
 * Verifies a credential: one SELECT, and none at all for what has not even the form of one.
 *
 * @param kinds The kinds that are good for this use. A CLI's credential in a cookie, say, is nobody.
 */
export async function verifySecret(
  deps: Deps,
  secret: string,
  kinds: readonly CredentialKind[],
): Promise<Authenticated | null> {
  const kind = secretKind(secret)
  if (!kind || !kinds.includes(kind)) return null
  const found = await deps.store.findCredential(sha256Hex(secret))
  if (!found || found.credential.kind !== kind) return null
  const { credential, user } = found
  const now = deps.now()
  if (credential.revoked_at !== null || credential.expires_at <= now || user.disabled_at !== null) return null
  const idle = kind === 'browser' ? deps.config.browserIdleSeconds * 1000 : Number.POSITIVE_INFINITY
  if (now - credential.last_used_at >= idle) return null
  if (now - credential.last_used_at >= TOUCH_EVERY) {
    deps.defer(deps.store.touchCredential(credential.id, now, now - TOUCH_EVERY))
  }
  return { user, credential, scopes: credential.scope ? credential.scope.split(' ') : [] }
}

/** What a credential tells its holder about itself; plain JSON, `expires_in` in seconds. */
export function describe(deps: Deps, { user, credential }: Authenticated) {
  return {
    issuer: user.issuer,
    subject: user.subject,
    name: user.name,
    email: user.email,
    kind: credential.kind,
    client_id: credential.client_id,
    credential_name: credential.name,
    scope: credential.scope,
    expires_in: Math.max(0, Math.floor((credential.expires_at - deps.now()) / 1000)),
  }
}

/** The token of an `Authorization: Bearer` header (RFC 6750 section 2.1); null when there is none. */
export function bearerToken(request: Request): string | null {
  return /^bearer +([^\s]+)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? null
}

/** Tells who a request's Bearer credential belongs to: a CLI's session or an API key. */
export async function authenticateBearer(deps: Deps, request: Request): Promise<Authenticated | null> {
  const token = bearerToken(request)
  return token === null ? null : await verifySecret(deps, token, ['session', 'api_key'])
}

/**
 * Ends the credential that `token` is (RFC 7009). An unknown one, or another client's, is no error and nothing happens.
 */
export async function revokeToken(
  deps: Deps,
  caller: Caller,
  revocation: { token: string; client_id: string },
): Promise<{ status: 'revoked' } | Refusal> {
  if (!deps.config.clients.has(revocation.client_id)) return { status: 'invalid_client' }
  const kind = secretKind(revocation.token)
  if (kind === null || kind === 'browser') return { status: 'revoked' }
  await endCredential(deps, caller, revocation.token, revocation.client_id)
  return { status: 'revoked' }
}

/** Ends one credential by its secret; of one client only, when that is given. */
export async function endCredential(
  deps: Deps,
  caller: Caller,
  secret: string,
  clientId?: string,
): Promise<void> {
  const hash = sha256Hex(secret)
  const found = await deps.store.findCredential(hash)
  const ofClient = clientId === undefined ? {} : { client_id: clientId }
  if (!found || !(await deps.store.revokeCredential({ secret_hash: hash, ...ofClient }, deps.now()))) return
  const { credential, user } = found
  const type = credential.kind === 'browser' ? 'signed_out' : 'revoked'
  await recordEvent(deps, caller, type, {
    user,
    client_id: credential.client_id,
    credential_id: credential.id,
  })
}
