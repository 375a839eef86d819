/** The operator's switch for one person. @module */

import type { UserIdentity } from '../store.ts'
import { userId } from './browser.ts'
import type { Deps } from './deps.ts'
import { recordEvent } from './events.ts'

/**
 * Disables or enables a person. Disabling ends everything of theirs at once: each credential is checked against it
 * when it is used, and none is issued.
 *
 * @param identity A person that is not known yet is remembered as disabled.
 */
export async function setUserDisabled(deps: Deps, identity: UserIdentity, disabled: boolean): Promise<void> {
  const user = { id: userId(identity), issuer: identity.issuer, subject: identity.subject }
  const now = deps.now()
  await deps.store.setUserDisabled(user, disabled ? now : null, now)
  await recordEvent(deps, null, disabled ? 'user_disabled' : 'user_enabled', { user })
}
