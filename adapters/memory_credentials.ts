/** The store in memory: its rows, and what is done with credentials. @module */

import type { Grant } from '../src/core/grant.ts'
import type { CredentialKind } from '../src/core/secret.ts'
import type { AuditEvent, Credential, CredentialWithUser, Delivery, Store, User } from '../src/mod.ts'

/** All that is in memory. */
export interface Rows {
  readonly grants: Map<string, Omit<Grant, 'credential_id'>>
  readonly credentials: Map<string, Credential>
  readonly users: Map<string, User>
  readonly limits: Map<string, { readonly key: string; readonly bucket: number; readonly n: number }>
  readonly events: AuditEvent[]
  readonly deliveries: Map<string, Delivery>
}

/** Nothing yet. */
export const createRows = (): Rows => ({
  grants: new Map(),
  credentials: new Map(),
  users: new Map(),
  limits: new Map(),
  events: [],
  deliveries: new Map(),
})

/** What a new credential has not. */
export const nothingYet = {
  previous_hash: null,
  previous_until: null,
  first_used_at: null,
  last_used_address: null,
  revoked_at: null,
} as const

/** The first row that a test holds for. */
export const find = <T>(rows: Map<string, T>, test: (row: T) => boolean) => [...rows.values()].find(test)

type Unique = Pick<Credential, 'id' | 'grant_id' | 'secret_hash' | 'family_hash'>

/** The credential that a unique value of this one belongs to. */
export const taken = (credentials: Rows['credentials'], row: Unique) =>
  find(
    credentials,
    (c) =>
      c.id === row.id ||
      c.secret_hash === row.secret_hash ||
      (row.grant_id !== null && c.grant_id === row.grant_id) ||
      (row.family_hash !== null && c.family_hash === row.family_hash),
  )

const countLive = (credentials: Rows['credentials'], userId: string, kind: CredentialKind, now: number) =>
  [...credentials.values()].filter(
    (c) => c.user_id === userId && c.kind === kind && c.revoked_at === null && c.expires_at > now,
  ).length

/** Whether a person has as many live credentials of a kind as may be. */
export const isFull = (
  credentials: Rows['credentials'],
  userId: string,
  kind: CredentialKind,
  now: number,
  max: number,
) => countLive(credentials, userId, kind, now) >= max

type Readers = 'countCredentials' | 'findCredential' | 'findFamily' | 'findOwnCredential' | 'listCredentials'

/** The methods that read credentials. */
export function credentialReaders({ credentials, users }: Rows): Pick<Store, Readers> {
  const withUser = (credential: Credential | undefined): CredentialWithUser | null => {
    const user = users.get(credential?.user_id ?? '')
    return credential && user ? { credential, user } : null
  }
  return {
    async countCredentials(userId, kind, now) {
      return countLive(credentials, userId, kind, now)
    },
    async findCredential(hash) {
      return withUser(find(credentials, (c) => c.secret_hash === hash || c.previous_hash === hash))
    },
    async findFamily(familyHash) {
      return withUser(find(credentials, (c) => c.family_hash === familyHash))
    },
    async findOwnCredential({ id, user_id }) {
      const credential = credentials.get(id)
      return credential?.user_id === user_id ? credential : null
    },
    async listCredentials(userId, limit, now) {
      const isOver = (c: Credential) => Number(!isLive(c, now))
      return [...credentials.values()]
        .filter((c) => c.user_id === userId)
        .sort((a, b) => isOver(a) - isOver(b) || b.created_at - a.created_at || (a.id < b.id ? 1 : -1))
        .slice(0, limit)
    },
  }
}

/** The methods that add credentials. */
export function credentialAdders({
  credentials,
  users,
}: Rows): Pick<Store, 'insertCredential' | 'createKey'> {
  return {
    async insertCredential(credential) {
      if (taken(credentials, credential)) return
      const last_used_at = credential.created_at
      credentials.set(credential.id, { ...credential, ...nothingYet, last_used_at })
    },
    async createKey(credential, max) {
      const { user_id, kind, created_at } = credential
      if (users.get(user_id)?.disabled_at !== null) return 'refused'
      const other = taken(credentials, credential)
      if (other) return other.secret_hash === credential.secret_hash ? 'created' : 'taken'
      if (isFull(credentials, user_id, kind, created_at, max)) return 'refused'
      credentials.set(credential.id, { ...credential, ...nothingYet, last_used_at: created_at })
      return 'created'
    },
  }
}

/** Changes a credential if a test holds for it. */
function change(
  credentials: Rows['credentials'],
  id: string,
  test: (credential: Credential) => boolean,
  values: (credential: Credential) => Partial<Credential>,
): boolean {
  const credential = credentials.get(id)
  if (!credential || !test(credential)) return false
  credentials.set(id, { ...credential, ...values(credential) })
  return true
}

const isLive = (c: Credential, now: number) => c.revoked_at === null && c.expires_at > now

/** The methods that give a credential other secrets. */
export function credentialRenewers({
  credentials,
  users,
}: Rows): Pick<Store, 'rotateCredential' | 'refreshCredential'> {
  return {
    async rotateCredential({ id, user_id, secret_hash, new_hash, hint, previous_until, now }) {
      const isPresent = (c: Credential) => c.user_id === user_id && c.secret_hash === secret_hash
      return change(
        credentials,
        id,
        (c) => isPresent(c) && c.kind === 'api_key' && c.refresh_hash === null && isLive(c, now),
        () => ({ previous_hash: secret_hash, previous_until, secret_hash: new_hash, hint }),
      )
    },
    async refreshCredential({ id, client_id, refresh_hash, idle_since, now, ...next }) {
      const isPresent = (c: Credential) => c.client_id === client_id && c.refresh_hash === refresh_hash
      return change(
        credentials,
        id,
        (c) =>
          isPresent(c) &&
          isLive(c, now) &&
          c.last_used_at > idle_since &&
          users.get(c.user_id)?.disabled_at === null,
        (c) => ({
          previous_hash: c.secret_hash,
          previous_until: c.access_expires_at,
          secret_hash: next.new_hash,
          hint: next.hint,
          refresh_hash: next.new_refresh_hash,
          access_expires_at: next.access_expires_at,
          last_used_at: now,
        }),
      )
    },
  }
}

type Changers = 'touchCredential' | 'noteFirstUse' | 'revokeCredential' | 'revokeCredentials'

/** The methods that note a use, or end a credential. */
export function credentialChangers({ credentials }: Rows): Pick<Store, Changers> {
  return {
    async touchCredential(id, { now, before, address }) {
      const use = { last_used_at: now, last_used_address: address }
      change(
        credentials,
        id,
        (c) => c.last_used_at <= before,
        () => use,
      )
    },
    async noteFirstUse(id, { now, address }) {
      const use = { first_used_at: now, last_used_at: now, last_used_address: address }
      return change(
        credentials,
        id,
        (c) => c.first_used_at === null,
        () => use,
      )
    },
    async revokeCredential({ id, user_id }, now, keepUntil) {
      return change(
        credentials,
        id,
        (c) => c.user_id === user_id && c.revoked_at === null,
        (c) => ({ revoked_at: now, expires_at: Math.min(c.expires_at, keepUntil) }),
      )
    },
    async revokeCredentials({ user_id, kinds, except }, now, keepUntil) {
      const ended = [...credentials.values()].filter(
        (c) => c.user_id === user_id && kinds.includes(c.kind) && c.id !== except && c.revoked_at === null,
      )
      for (const c of ended)
        credentials.set(c.id, { ...c, revoked_at: now, expires_at: Math.min(c.expires_at, keepUntil) })
      return ended.length
    },
  }
}
