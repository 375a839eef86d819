/** Refreshing a login (RFC 6749 section 6), with rotation and the detection of reuse (RFC 9700 section 4.14.2). @module */

import { credentialStatus } from '../core/credential.ts'
import type { Refusal, TokenOutcome } from '../core/outcome.ts'
import { createRefreshToken, createSecret, familyOf, secretHint, secretKind } from '../core/secret.ts'
import { sha256Hex } from '../hash.ts'
import type { CredentialWithUser } from '../store.ts'
import { isAllowed } from './access.ts'
import { tokenResponse } from './collect.ts'
import { endCredential, idleTime, scopeList } from './credentials.ts'
import type { Caller, Deps } from './deps.ts'
import { recordEvent } from './events.ts'
import { recordSometimes } from './limits.ts'

const OVER = { status: 'invalid_grant' } as const

/** What a CLI shows to go on. */
export interface RefreshRequest {
  readonly client_id: string
  readonly refresh_token: string
  /** Part of the scope that was granted, or all of it (the default). The answer says what the new token has: all of it. */
  readonly scope?: string | undefined
}

/** A refresh token that was genuine once came back: two parties have it, and nobody can tell which one is the thief. */
async function endFamily(deps: Deps, caller: Caller, found: CredentialWithUser): Promise<TokenOutcome> {
  const { id: credential_id, client_id } = found.credential
  const about = { user: found.user, client_id, credential_id, detail: 'refresh_token' }
  if (await endCredential(deps, caller, found)) await recordEvent(deps, caller, 'replayed', about)
  return OVER
}

/** Tells whether the login may go on, apart from the token itself. */
async function mayGoOn(deps: Deps, caller: Caller, { credential, user }: CredentialWithUser, now: number) {
  if (user.disabled_at !== null) return false
  if (credentialStatus(credential, now, idleTime(deps, credential)) !== 'active') return false
  if (await isAllowed(deps, user, credential)) return true
  const { id: credential_id, client_id } = credential
  const about = { user, client_id, credential_id, detail: 'not_allowed' }
  await recordSometimes(deps, caller, 'refused', about, `refused not_allowed ${credential_id}`)
  return false
}

/** Gives new tokens for a refresh token, which is over then. Whatever speaks against it: `invalid_grant`. */
export async function refreshLogin(
  deps: Deps,
  caller: Caller,
  request: RefreshRequest,
): Promise<TokenOutcome | Refusal> {
  const { config, random, store } = deps
  const client = config.clients.get(request.client_id)
  if (!client) return { status: 'invalid_client' }
  const { refresh_token: token } = request
  if (secretKind(config.secretPrefix, token) !== 'refresh_token') return OVER
  const found = await store.findFamily(sha256Hex(familyOf(token)))
  if (found?.credential.client_id !== client.id) return OVER
  const { credential, user } = found
  const now = deps.now()
  const refresh_hash = sha256Hex(token)
  if (credential.refresh_hash !== refresh_hash) return await endFamily(deps, caller, found)
  const granted = scopeList(credential.scope)
  if (!scopeList(request.scope ?? '').every((scope) => granted.includes(scope)))
    return { status: 'invalid_scope' }
  if (!(await mayGoOn(deps, caller, found, now))) return OVER
  const access = createSecret(random, config.secretPrefix, credential.kind)
  const refresh = createRefreshToken(random, config.secretPrefix, familyOf(token))
  const accessEnd = Math.min(credential.expires_at, now + config.accessSeconds * 1000)
  const isFirst = await store.refreshCredential({
    id: credential.id,
    client_id: client.id,
    refresh_hash,
    new_refresh_hash: sha256Hex(refresh),
    new_hash: sha256Hex(access),
    hint: secretHint(access),
    access_expires_at: accessEnd,
    idle_since: now - idleTime(deps, credential),
    now,
  })
  if (!isFirst) return await explainLoss(deps, caller, found)
  await recordEvent(deps, caller, 'refreshed', { user, client_id: client.id, credential_id: credential.id })
  const seconds = Math.floor((accessEnd - now) / 1000)
  return tokenResponse({ access, refresh, scope: credential.scope, seconds })
}

/** Somebody was faster: with the same token, which is a reuse, or by ending the login. */
async function explainLoss(deps: Deps, caller: Caller, lost: CredentialWithUser): Promise<TokenOutcome> {
  const found = await deps.store.findFamily(lost.credential.family_hash ?? '')
  const isReuse = found !== null && found.credential.refresh_hash !== lost.credential.refresh_hash
  return isReuse ? await endFamily(deps, caller, found) : OVER
}
