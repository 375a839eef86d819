/** Verifications answered from memory for some seconds: the option `verifyCacheSeconds`. @module */

import { MANAGE_SCOPE } from './config.ts'
import { createChanges } from './flows/changes.ts'
import { scopeList, TOUCH_EVERY } from './flows/credentials.ts'
import { createRecent } from './flows/recent.ts'
import type { CredentialWithUser, Store } from './store.ts'

/** How many rows are kept, at least; at most twice as many. */
const MANY = 5_000

/** A row that was read. */
interface Kept {
  readonly found: CredentialWithUser
  /** Which reading it was. */
  readonly nth: number
  /** When the reading began; epoch milliseconds. */
  readonly at: number
  /** How many changes this instance had noted by then. */
  readonly changes: number
}

/** What is changed: a credential, or a person and all that is theirs. */
interface Changed {
  readonly id?: string
  readonly user_id?: string
}

/**
 * Tells whether a verification is all that a credential is for. A browser may allow a login and a manager makes keys, which
 * would outlive any staleness; the first use is yet to be noted.
 */
function mayBeKept({ credential: { kind, scope, first_used_at } }: CredentialWithUser): boolean {
  return kind !== 'browser' && first_used_at !== null && !scopeList(scope).includes(MANAGE_SCOPE)
}

/**
 * A store that answers `findCredential` from memory for some seconds. What this instance changes it reads anew; what another
 * one or anybody else changes shows when the seconds have passed since the row was read.
 *
 * Rows are kept under the hash of a secret that was found, so guesses take no room: 10 000 at most, of about
 * 1.5 kB, the older half goes first. Requests share plain data and no promise: two that miss at once both ask the database.
 *
 * @param options.now Epoch milliseconds. When it goes backwards, all is read anew.
 * @param options.seconds More than 0.
 */
export function cacheVerifications(
  store: Store,
  { now, seconds }: { readonly now: () => number; readonly seconds: number },
): Store {
  const rows = createRecent<Kept>(MANY)
  const changes = createChanges()
  let reads = 0
  let latest = 0

  const isFresh = ({ found: { credential, user }, at, changes: before }: Kept, time: number) =>
    time - at < seconds * 1000 &&
    // else its use is to be noted again
    time - credential.last_used_at < TOUCH_EVERY &&
    changes.isSame(before, [credential.id, user.id])

  /** Notes a change before and after it, also when nobody knows whether it came to be: a reading meanwhile may have been too early. */
  const noting =
    <Args extends [Changed, ...unknown[]], Result>(write: (...args: Args) => Promise<Result>) =>
    async (...args: Args): Promise<Result> => {
      const id = args[0].id ?? args[0].user_id
      changes.note(id)
      try {
        return await write.apply(store, args)
      } finally {
        changes.note(id)
      }
    }

  const read = async (hash: string) => {
    const at = now()
    if (at < latest) changes.note()
    latest = at
    const kept = rows.last(hash)
    if (kept && isFresh(kept, at)) return kept.found
    const begun = { at, changes: changes.count, nth: ++reads }
    const found = await store.findCredential(hash)
    // a reading that began later may have ended sooner
    if (found && mayBeKept(found) && begun.nth > (rows.last(hash)?.nth ?? 0))
      rows.note(hash, { found, ...begun })
    return found
  }

  return {
    ...store,
    async findCredential(hash) {
      const found = await read(hash)
      // the host gets the person, and may write on them
      return found && { ...found, user: { ...found.user } }
    },
    revokeCredential: noting(store.revokeCredential),
    revokeCredentials: noting(store.revokeCredentials),
    rotateCredential: noting(store.rotateCredential),
    refreshCredential: noting(store.refreshCredential),
    setUserDisabled: noting(store.setUserDisabled),
    upsertUser: noting(store.upsertUser),
  }
}
