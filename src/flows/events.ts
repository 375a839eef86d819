/** The audit trail: one row and one log line for each thing that happened, and how it is read. @module */

import { PairgateError } from '../errors.ts'
import { fromBase64url, toBase64url } from '../hash.ts'
import type { PairgateEvent } from '../options.ts'
import { type AuditEvent, EVENT_TYPES, type EventType, type User, type UserIdentity } from '../store.ts'
import { type Caller, createId, type Deps } from './deps.ts'
import { purgeSometimes } from './purge.ts'
import { userId } from './user_id.ts'
import { announce, toPairgateEvent } from './webhooks.ts'

/** What an event is about; every part is optional. */
export interface EventSubject {
  readonly user?: Omit<User, 'disabled_at'> | undefined
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
 * Records an event, and tells the hook and the webhooks of it after the answer. What happened has happened: when the
 * row cannot be written the log line still is, they are told, and the caller goes on.
 */
export async function recordEvent(
  deps: Deps,
  caller: Pick<Caller, 'remoteAddress' | 'requestId'> | null,
  type: EventType,
  about: EventSubject,
): Promise<void> {
  const at = deps.now()
  const event: AuditEvent = {
    id: createId(deps, at, 5),
    at,
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
  announce(deps, event, user)
  purgeSometimes(deps)
}

/** Which events to read. */
export interface EventFilter {
  /** Those that concern this person. Default: all. */
  readonly user?: UserIdentity | undefined
  /** Those of this type. Default: all. */
  readonly type?: EventType | undefined
  /** Those at this time or later, in epoch seconds. Default: all that are kept. */
  readonly since?: number | undefined
  /** The most in one page: 1 to 1000. Default 100. */
  readonly limit?: number | undefined
  /** The `cursor` of the page before. Default: the first page. */
  readonly cursor?: string | undefined
}

/** Some events, newest first. */
export interface EventPage {
  readonly events: PairgateEvent[]
  /** Leads to the next page, of older events; null when there is none. */
  readonly cursor: string | null
}

const FIRST_PAGE = { before: Number.MAX_SAFE_INTEGER, id: '' }

function refuse(message: string): never {
  throw new PairgateError('ERR_PAIRGATE_OPTION', message)
}

function writeCursor({ at, id }: AuditEvent): string {
  return toBase64url(`${at} ${id}`)
}

function readCursor(cursor: string): typeof FIRST_PAGE {
  try {
    const [, at = '', id = ''] = /^(\d{1,15}) ([\w-]{1,64})$/.exec(fromBase64url(cursor)) ?? []
    if (at) return { before: Number(at), id }
  } catch {
    // not even base64url
  }
  return refuse('The cursor of gate.events must be one that it has answered')
}

/**
 * Reads the audit trail, newest first.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when a part of the filter is wrong.
 */
export async function listEvents(deps: Deps, filter: EventFilter = {}): Promise<EventPage> {
  const { user, type = null, since = 0, limit = 100, cursor } = filter
  if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
    refuse(`The limit of gate.events must be 1 to 1000, got ${limit}`)
  const sinceMs = Math.round(since * 1000)
  if (!Number.isSafeInteger(sinceMs)) refuse(`"since" of gate.events must be epoch seconds, got ${since}`)
  if (type !== null && !EVENT_TYPES.includes(type)) refuse('The type of gate.events must be an event type')
  const rows = await deps.store.listEvents({
    ...(cursor === undefined ? FIRST_PAGE : readCursor(cursor)),
    since: sinceMs,
    user_id: user ? userId(user) : null,
    type,
    // one more than asked for tells whether there is another page
    limit: limit + 1,
  })
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  return {
    events: page.map((row) => toPairgateEvent(row.event, row.user)),
    cursor: last && rows.length > limit ? writeCursor(last.event) : null,
  }
}
