/** The audit trail: one row and one log line for each thing that happened. @module */

import { base64url } from '../hash.ts'
import type { AuditEvent, EventType, User, UserIdentity } from '../store.ts'
import type { Caller, Deps } from './deps.ts'

/** What an event is about; every part is optional. */
export interface EventSubject {
  readonly user?: (UserIdentity & { readonly id: string }) | undefined
  readonly user_id?: string | null | undefined
  readonly client_id?: string | null | undefined
  readonly grant_id?: string | null | undefined
  readonly credential_id?: string | null | undefined
  readonly detail?: string | undefined
}

/** The person behind an id, for the log line; null when that cannot be found out now. */
async function findOwner(deps: Deps, userId: string | null | undefined): Promise<User | null> {
  return userId ? await deps.store.findUser(userId).catch(() => null) : null
}

/**
 * Records an event. What happened has happened: when the row cannot be written the log line still is, and the caller
 * goes on.
 */
export async function recordEvent(
  deps: Deps,
  caller: Pick<Caller, 'remoteAddress' | 'requestId'> | null,
  type: EventType,
  about: EventSubject,
): Promise<void> {
  const event: AuditEvent = {
    id: base64url(deps.random(12)),
    at: deps.now(),
    type,
    user_id: about.user?.id ?? about.user_id ?? null,
    client_id: about.client_id ?? null,
    grant_id: about.grant_id ?? null,
    credential_id: about.credential_id ?? null,
    remote_address: caller?.remoteAddress ?? null,
    request_id: caller?.requestId ?? null,
    detail: about.detail ?? null,
  }
  const user = about.user ?? (await findOwner(deps, about.user_id))
  const { id: _id, at: _at, type: _type, ...columns } = event
  const known = Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== null))
  deps.log.info(`audit: ${type}`, {
    event: type,
    ...known,
    ...(user && { user: { issuer: user.issuer, subject: user.subject } }),
  })
  try {
    await deps.store.insertEvent(event)
  } catch (error) {
    deps.log.error('The audit trail could not be written', { event: type, error })
  }
}
