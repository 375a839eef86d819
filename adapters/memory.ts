/** A store in memory, for unit tests: nothing outlives the process and nothing is shared between processes. @module */

import type { Grant } from '../src/core/grant.ts'
import type { AuditEvent, Credential, Store, User } from '../src/mod.ts'

type StoredGrant = Omit<Grant, 'credential_id'>

/** Makes an empty store. */
// biome-ignore lint/complexity/noExcessiveLinesPerFunction: seventeen short methods on shared maps
export function memory(): Store & { readonly events: readonly AuditEvent[] } {
  const grants = new Map<string, StoredGrant>()
  const credentials = new Map<string, Credential>()
  const users = new Map<string, User>()
  const limits = new Map<string, { key: string; bucket: number; n: number }>()
  const events: AuditEvent[] = []

  const find = <T>(rows: Map<string, T>, test: (row: T) => boolean) => [...rows.values()].find(test)
  const taken = (row: { grant_id: string | null; secret_hash: string }) =>
    find(
      credentials,
      (c) => c.secret_hash === row.secret_hash || (row.grant_id !== null && c.grant_id === row.grant_id),
    )
  const limit = (key: string, bucket: number) => limits.get(`${bucket} ${key}`)

  return {
    events,
    async migrate() {},
    async checkSchema() {},
    async ping() {},
    async close() {},

    async insertGrant(grant) {
      const clash = find(
        grants,
        (g) =>
          g.secret_hash === grant.secret_hash ||
          (grant.user_code !== null && g.user_code === grant.user_code),
      )
      if (clash) return false
      grants.set(grant.id, { ...grant, status: 'pending', user_id: null, decided_at: null })
      return true
    },
    async findGrant(key) {
      const [column, value] = Object.entries(key)[0] as [keyof StoredGrant, string]
      const grant = find(grants, (g) => g[column] === value)
      if (!grant) return null
      return { ...grant, credential_id: find(credentials, (c) => c.grant_id === grant.id)?.id ?? null }
    },
    async slowDown(grantId, interval) {
      const grant = grants.get(grantId)
      if (grant?.status !== 'pending' || grant.poll_interval >= interval) return
      grants.set(grantId, { ...grant, poll_interval: interval })
    },
    async decideGrant({ grant_id, status, user_id, now }) {
      const grant = grants.get(grant_id)
      if (grant?.status !== 'pending' || grant.expires_at <= now) return false
      grants.set(grant_id, { ...grant, status, user_id, decided_at: now })
      return true
    },
    async issueCredential({ credential, secret_hash, client_id, flow, now }) {
      const grant = find(
        grants,
        (g) => g.secret_hash === secret_hash && g.client_id === client_id && g.flow === flow,
      )
      const user = users.get(grant?.user_id ?? '')
      if (grant?.status !== 'approved' || grant.expires_at <= now || user?.disabled_at !== null)
        return 'refused'
      const other = taken({ grant_id: grant.id, secret_hash: credential.secret_hash })
      if (other) return other.secret_hash === credential.secret_hash ? 'issued' : 'already_issued'
      const times = { created_at: now, last_used_at: now, revoked_at: null }
      const { client_id: client, scope } = grant
      credentials.set(credential.id, {
        ...credential,
        ...times,
        user_id: user.id,
        grant_id: grant.id,
        client_id: client,
        scope,
      })
      return 'issued'
    },

    async insertCredential(credential) {
      if (!taken(credential)) {
        credentials.set(credential.id, {
          ...credential,
          last_used_at: credential.created_at,
          revoked_at: null,
        })
      }
    },
    async findCredential(secretHash) {
      const credential = find(credentials, (c) => c.secret_hash === secretHash)
      const user = users.get(credential?.user_id ?? '')
      return credential && user ? { credential, user } : null
    },
    async touchCredential(id, now, before) {
      const credential = credentials.get(id)
      if (credential && credential.last_used_at <= before)
        credentials.set(id, { ...credential, last_used_at: now })
    },
    async revokeCredential(key, now) {
      const credential = find(credentials, (c) => c.secret_hash === key.secret_hash)
      if (!credential || credential.revoked_at !== null) return false
      if (key.client_id !== undefined && credential.client_id !== key.client_id) return false
      credentials.set(credential.id, { ...credential, revoked_at: now })
      return true
    },

    async upsertUser(user) {
      const { id, issuer, subject, name, email } = user
      users.set(id, { id, issuer, subject, name, email, disabled_at: users.get(id)?.disabled_at ?? null })
    },
    async findUser(id) {
      return users.get(id) ?? null
    },
    async setUserDisabled({ id, issuer, subject }, disabled_at) {
      users.set(id, { name: null, email: null, ...users.get(id), id, issuer, subject, disabled_at })
    },

    async readLimits(queries) {
      return queries.map(({ key, since, until }) =>
        [...limits.values()]
          .filter((row) => row.key === key && row.bucket >= since && row.bucket < until)
          .reduce((sum, { n }) => sum + n, 0),
      )
    },
    async takeLimit(key, bucket, max) {
      const row = limit(key, bucket) ?? { key, bucket, n: 0 }
      if (row.n > 0 && row.n >= max) return false
      limits.set(`${bucket} ${key}`, { ...row, n: row.n + 1 })
      return true
    },
    async releaseLimit(key, bucket) {
      const row = limit(key, bucket)
      if (row && row.n > 0) limits.set(`${bucket} ${key}`, { ...row, n: row.n - 1 })
    },

    async insertEvent(event) {
      events.push(event)
    },
    async purge(before, batch) {
      const drop = <T>(rows: Map<string, T>, time: (row: T) => number, limitTime: number) => {
        const old = [...rows]
          .filter(([, row]) => time(row) < limitTime)
          .sort(([, a], [, b]) => time(a) - time(b))
        for (const [id] of old.slice(0, batch)) rows.delete(id)
        return Math.min(old.length, batch)
      }
      return (
        drop(grants, (g) => g.expires_at, before.grants) +
        drop(credentials, (c) => c.expires_at, before.credentials) +
        drop(limits, (l) => l.bucket, before.limits)
      )
    },
  }
}
