/** What the operator can do about one person. @module */

import { PairgateError } from '../errors.ts'
import type { User, UserIdentity } from '../store.ts'
import { type CredentialSummary, expireAllowed, KINDS, listCredentials, revokeAll } from './account.ts'
import { endCredential } from './credentials.ts'
import type { Deps } from './deps.ts'
import { recordEvent } from './events.ts'
import { userId } from './user_id.ts'

function toUser({ issuer, subject }: UserIdentity): User {
  for (const part of [issuer, subject]) {
    if (typeof part !== 'string' || part === '')
      throw new PairgateError(
        'ERR_PAIRGATE_OPTION',
        'A person is named by "issuer" and "subject", both of them',
      )
  }
  return { id: userId({ issuer, subject }), issuer, subject, name: null, email: null, disabled_at: null }
}

async function setDisabled(deps: Deps, user: User, disabledAt: number | null, now: number): Promise<void> {
  const { id, issuer, subject } = user
  await deps.store.setUserDisabled({ id, issuer, subject }, disabledAt, now)
  await recordEvent(deps, null, disabledAt === null ? 'user_enabled' : 'user_disabled', { user })
}

/**
 * Disables a person: everything of theirs ends at once, nothing is issued, and they cannot sign in.
 *
 * @param identity A person that is not known yet is remembered as disabled.
 * @returns How many credentials were ended.
 */
export async function disableUser(deps: Deps, identity: UserIdentity): Promise<number> {
  const user = toUser(identity)
  const now = deps.now()
  // first the switch, which each use is checked against: nothing new comes after it
  await setDisabled(deps, user, now, now)
  const disabled = { ...user, disabled_at: now }
  return (await revokeAll(deps, null, disabled, { kinds: KINDS.all, except: null })).count
}

/** Enables a person again. What was ended stays ended, and what they had allowed before is over, too. */
export async function enableUser(deps: Deps, identity: UserIdentity): Promise<void> {
  const user = toUser(identity)
  await expireAllowed(deps, user, KINDS.all)
  await setDisabled(deps, user, null, deps.now())
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
