/** What the operator can do about one person. @module */

import type { User, UserIdentity } from '../store.ts'
import { type CredentialSummary, KINDS, listCredentials, revokeAll } from './account.ts'
import { endCredential } from './credentials.ts'
import type { Deps } from './deps.ts'
import { recordEvent } from './events.ts'
import { userId } from './user_id.ts'

function toUser({ issuer, subject }: UserIdentity): User {
  return { id: userId({ issuer, subject }), issuer, subject, name: null, email: null, disabled_at: null }
}

/**
 * Disables or enables a person. Disabling ends everything of theirs at once: each credential is checked against it
 * when it is used, and none is issued. What was ended stays ended when they are enabled again.
 *
 * @param identity A person that is not known yet is remembered as disabled.
 */
export async function setUserDisabled(deps: Deps, identity: UserIdentity, disabled: boolean): Promise<void> {
  const user = toUser(identity)
  const { id, issuer, subject } = user
  const now = deps.now()
  await deps.store.setUserDisabled({ id, issuer, subject }, disabled ? now : null, now)
  await recordEvent(deps, null, disabled ? 'user_disabled' : 'user_enabled', { user })
  if (disabled) await revokeAll(deps, null, user, { kinds: KINDS.all, except: null })
}

/** Lists a person's credentials, for the operator. */
export async function listUserCredentials(deps: Deps, identity: UserIdentity): Promise<CredentialSummary[]> {
  return await listCredentials(deps, { user: toUser(identity), credentialId: null })
}

/**
 * Ends a person's credentials, for the operator: one of them, or all.
 *
 * @returns How many were ended.
 */
export async function revokeUserCredentials(
  deps: Deps,
  identity: UserIdentity,
  id?: string,
): Promise<number> {
  const user = toUser(identity)
  if (id === undefined) return (await revokeAll(deps, null, user, { kinds: KINDS.all, except: null })).count
  const credential = await deps.store.findOwnCredential({ id, user_id: user.id })
  return credential && (await endCredential(deps, null, { credential, user })) ? 1 : 0
}
