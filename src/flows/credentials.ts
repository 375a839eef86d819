/** Credentials in use: who is it, and the end of one. @module */

import { isSecretGood, secondsLeft } from '../core/credential.ts'
import type { Refusal } from '../core/outcome.ts'
import { type CredentialKind, familyOf, secretKind } from '../core/secret.ts'
import { sha256Hex } from '../hash.ts'
import type { Credential, CredentialWithUser, User } from '../store.ts'
import type { Caller, Deps } from './deps.ts'
import { recordEvent } from './events.ts'
import { purgeSometimes } from './purge.ts'

/** A secret that is good: whose it is, and which credential it opens. */
export interface Verified {
  readonly user: User
  readonly credential: Credential
  readonly scopes: readonly string[]
  /** For how many seconds the secret that was shown is good: less than the credential's life once it was replaced. */
  readonly expires_in: number
}

/** How long an ended credential stays in its owner's list, at most; milliseconds. */
export const KEPT = 30 * 86_400_000

/** Uses closer together than this are not written down; milliseconds. */
export const TOUCH_EVERY = 60_000

/** How long a credential may be unused; milliseconds. */
export function idleTime({ config }: Deps, credential: Pick<Credential, 'kind' | 'family_hash'>): number {
  if (credential.kind === 'browser') return config.browserIdleSeconds * 1000
  const mayIdle = credential.kind === 'api_key' && credential.family_hash === null
  return mayIdle ? Number.POSITIVE_INFINITY : config.sessionIdleSeconds * 1000
}

/** A scope as a list. */
export function scopeList(scope: string): string[] {
  return scope ? scope.split(' ') : []
}

async function noteFirstUse(deps: Deps, caller: Caller, { credential, user }: CredentialWithUser) {
  const use = { now: deps.now(), address: caller.remoteAddress }
  if (!(await deps.store.noteFirstUse(credential.id, use))) return
  const { client_id, id: credential_id } = credential
  await recordEvent(deps, caller, 'first_used', { user, client_id, credential_id })
}

/** Notes a use, after the answer: the first one, and then at most one a minute. */
function noteUse(deps: Deps, caller: Caller, found: CredentialWithUser, now: number): void {
  const { id, kind, first_used_at, last_used_at } = found.credential
  const isFirst = first_used_at === null && kind !== 'browser'
  // of many requests at once, before the first one's note is in the row, one writes
  const noted = Math.max(isFirst ? 0 : last_used_at, deps.uses.last(id) ?? 0)
  if (now - noted < TOUCH_EVERY) return
  deps.uses.note(id, now)
  const use = { now, before: now - TOUCH_EVERY, address: caller.remoteAddress }
  deps.defer(isFirst ? noteFirstUse(deps, caller, found) : deps.store.touchCredential(id, use))
  purgeSometimes(deps)
}

/**
 * Verifies a credential: one SELECT at most, and none at all for what has not even the form of one.
 *
 * @param kinds The kinds that are good for this use. A CLI's credential in a cookie, say, is nobody.
 */
export async function verifySecret(
  deps: Deps,
  caller: Caller,
  secret: string,
  kinds: readonly CredentialKind[],
): Promise<Verified | null> {
  const kind = secretKind(deps.config.secretPrefix, secret)
  if (!kind || kind === 'refresh_token' || !kinds.includes(kind)) return null
  const hash = sha256Hex(secret)
  const found = await deps.store.findCredential(hash)
  if (!found || found.credential.kind !== kind) return null
  const { credential, user } = found
  const now = deps.now()
  if (user.disabled_at !== null || !isSecretGood(credential, hash, now, idleTime(deps, credential)))
    return null
  noteUse(deps, caller, found, now)
  const expires_in = secondsLeft(credential, now, hash)
  return { user, credential, scopes: scopeList(credential.scope), expires_in }
}

/** What a credential tells its holder about itself; plain JSON, `expires_in` in seconds. */
export function describe({ user, credential, expires_in }: Verified) {
  return {
    issuer: user.issuer,
    subject: user.subject,
    name: user.name,
    email: user.email,
    kind: credential.kind,
    client_id: credential.client_id,
    credential_name: credential.name,
    scope: credential.scope,
    tenant: credential.tenant,
    expires_in,
  }
}

/** The token of an `Authorization: Bearer` header (RFC 6750 section 2.1); null when there is none. */
export function bearerToken(request: Request): string | null {
  return /^bearer +([^\s]+)$/i.exec(request.headers.get('authorization') ?? '')?.[1] ?? null
}

/** What an answer 401 says in `WWW-Authenticate` (RFC 6750 section 3). */
export function bearerChallenge(request: Request): string {
  return `Bearer realm="pairgate"${bearerToken(request) === null ? '' : ', error="invalid_token"'}`
}

/** Tells who a request's Bearer credential belongs to: a CLI's session or an API key. */
export async function authenticateBearer(deps: Deps, caller: Caller): Promise<Verified | null> {
  const token = bearerToken(caller.request)
  return token === null ? null : await verifySecret(deps, caller, token, ['session', 'api_key'])
}

/** Finds the credential that a token, of whichever sort, belongs to. */
async function findByToken(deps: Deps, token: string): Promise<CredentialWithUser | null> {
  const kind = secretKind(deps.config.secretPrefix, token)
  if (kind === null) return null
  return kind === 'refresh_token'
    ? await deps.store.findFamily(sha256Hex(familyOf(token)))
    : await deps.store.findCredential(sha256Hex(token))
}

/**
 * Ends the login that `token` belongs to, with all of its tokens (RFC 7009). An unknown token, or another client's, is
 * no error and nothing happens. A key that a person made by hand belongs to no client: any may end it that has it.
 */
export async function revokeToken(
  deps: Deps,
  caller: Caller,
  revocation: { token: string; client_id: string },
): Promise<{ status: 'revoked' } | Refusal> {
  if (!deps.config.clients.has(revocation.client_id)) return { status: 'invalid_client' }
  const found = await findByToken(deps, revocation.token)
  const isOwn = found?.credential.client_id === revocation.client_id || found?.credential.client_id === null
  if (found && isOwn && found.credential.kind !== 'browser') await endCredential(deps, caller, found)
  return { status: 'revoked' }
}

/** Ends one credential. False when it was over before. */
export async function endCredential(
  deps: Deps,
  caller: Caller | null,
  { credential, user }: CredentialWithUser,
): Promise<boolean> {
  const { id, client_id, kind } = credential
  const now = deps.now()
  if (!(await deps.store.revokeCredential({ id, user_id: user.id }, now, now + KEPT))) return false
  const type = kind === 'browser' ? 'signed_out' : 'revoked'
  await recordEvent(deps, caller, type, { user, client_id, credential_id: id })
  return true
}
