/** A store in memory, for unit tests: nothing outlives the process and nothing is shared between processes. @module */

import type { AuditEvent, Delivery, EventWithUser, PurgedKind, Store, User } from '../src/mod.ts'
import {
  createRows,
  credentialAdders,
  credentialChangers,
  credentialReaders,
  credentialRenewers,
  find,
  isFull,
  nothingYet,
  type Rows,
  taken,
} from './memory_credentials.ts'

type GrantMethods =
  | 'insertGrant'
  | 'findGrant'
  | 'slowDown'
  | 'decideGrant'
  | 'listDecided'
  | 'expireGrants'
  | 'issueCredential'

function grantMethods({ grants, credentials, users }: Rows): Pick<Store, GrantMethods> {
  return {
    async insertGrant(grant) {
      const isClash = find(
        grants,
        (g) =>
          g.secret_hash === grant.secret_hash ||
          (grant.user_code !== null && g.user_code === grant.user_code),
      )
      if (isClash) return false
      const undecided = { user_id: null, tenant: null, decided_at: null, decided_address: null }
      grants.set(grant.id, { ...grant, status: 'pending', ...undecided, code_hash: null })
      return true
    },
    async findGrant(key) {
      const [column, value] = Object.entries(key)[0] as ['id' | 'secret_hash' | 'user_code', string]
      const grant = find(grants, (g) => g[column] === value)
      if (!grant) return null
      return { ...grant, credential_id: find(credentials, (c) => c.grant_id === grant.id)?.id ?? null }
    },
    async slowDown(grantId, interval) {
      const grant = grants.get(grantId)
      if (!grant || grant.status === 'denied' || grant.poll_interval >= interval) return
      grants.set(grantId, { ...grant, poll_interval: interval })
    },
    async decideGrant({ grant_id, now, ...decision }) {
      const grant = grants.get(grant_id)
      if (grant?.status !== 'pending' || grant.expires_at <= now) return false
      grants.set(grant_id, { ...grant, ...decision, decided_at: now })
      return true
    },
    async listDecided(since) {
      return [...grants.values()].flatMap(({ id, decided_at }) =>
        decided_at !== null && decided_at >= since ? id : [],
      )
    },
    async expireGrants(userId, flow, now) {
      for (const [id, grant] of grants) {
        const isLive = grant.status === 'approved' && grant.expires_at > now
        if (isLive && grant.user_id === userId && grant.flow === flow)
          grants.set(id, { ...grant, expires_at: grant.created_at })
      }
    },
    async issueCredential({ credential, secret_hash, code_hash, client_id, flow, max, now }) {
      const grant = find(
        grants,
        (g) => g.secret_hash === secret_hash && g.client_id === client_id && g.flow === flow,
      )
      const user = users.get(grant?.user_id ?? '')
      if (grant?.status !== 'approved' || grant.expires_at <= now || user?.disabled_at !== null)
        return 'refused'
      if (grant.code_hash !== code_hash) return 'refused'
      const own = { user_id: user.id, grant_id: grant.id, secret_hash: credential.secret_hash }
      const other = taken(credentials, { ...credential, ...own })
      if (other) return other.secret_hash === own.secret_hash ? 'issued' : 'already_issued'
      if (isFull(credentials, user.id, credential.kind, now, max)) return 'refused'
      credentials.set(credential.id, {
        ...credential,
        ...own,
        ...nothingYet,
        client_id,
        scope: grant.scope,
        tenant: grant.tenant,
        approved_address: grant.decided_address,
        created_at: now,
        last_used_at: now,
      })
      return 'issued'
    },
  }
}

function userMethods({ users }: Rows): Pick<Store, 'upsertUser' | 'findUser' | 'setUserDisabled'> {
  return {
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
  }
}

function limitMethods({ limits }: Rows): Pick<Store, 'readLimits' | 'takeLimit' | 'releaseLimit'> {
  const limit = (key: string, bucket: number) => limits.get(`${bucket} ${key}`)
  return {
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
  }
}

const withUser = (users: Map<string, User>, event: AuditEvent): EventWithUser => ({
  event,
  user: users.get(event.user_id ?? '') ?? null,
})

function eventMethods({ users, events }: Rows): Pick<Store, 'insertEvent' | 'listEvents'> {
  return {
    async insertEvent(event) {
      if (!events.some(({ id }) => id === event.id)) events.push(event)
    },
    async listEvents({ since, before, id, user_id, type, limit }) {
      return events
        .filter((e) => e.at >= since && (e.at < before || (e.at === before && e.id < id)))
        .filter((e) => (user_id === null || e.user_id === user_id) && (type === null || e.type === type))
        .sort((a, b) => b.at - a.at || (a.id < b.id ? 1 : -1))
        .slice(0, limit)
        .map((event) => withUser(users, event))
    },
  }
}

type DeliveryMethods = 'insertDelivery' | 'dueDeliveries' | 'claimDelivery' | 'dropDelivery'

function deliveryMethods({ users, events, deliveries }: Rows): Pick<Store, DeliveryMethods> {
  const isSame = (one: Delivery | undefined, other: Delivery) =>
    one?.attempts === other.attempts && one.next_at === other.next_at
  return {
    async insertDelivery(delivery) {
      if (!deliveries.has(delivery.id)) deliveries.set(delivery.id, delivery)
    },
    async dueDeliveries(now, limit) {
      return [...deliveries.values()]
        .filter(({ next_at }) => next_at <= now)
        .sort((a, b) => a.next_at - b.next_at)
        .flatMap((delivery) => {
          const event = events.find(({ id }) => id === delivery.event_id)
          return event ? [{ ...withUser(users, event), delivery }] : []
        })
        .slice(0, limit)
    },
    async claimDelivery(delivery, nextAt) {
      const stored = deliveries.get(delivery.id)
      if (!stored || !isSame(stored, delivery)) return false
      deliveries.set(stored.id, { ...stored, attempts: stored.attempts + 1, next_at: nextAt })
      return true
    },
    async dropDelivery(id) {
      deliveries.delete(id)
    },
  }
}

function purgeMethod({ grants, credentials, limits, events, deliveries }: Rows): Pick<Store, 'purge'> {
  return {
    async purge(kind, before, batch) {
      const oldest = <T>(rows: Iterable<T>, end: (row: T) => number) =>
        [...rows]
          .filter((row) => end(row) < before)
          .sort((one, other) => end(one) - end(other))
          .slice(0, batch)
      const drop = <T>(rows: Map<string, T>, end: (row: T) => number) => {
        const gone = oldest(rows, ([, row]) => end(row))
        for (const [key] of gone) rows.delete(key)
        return gone.length
      }
      const kinds: Record<PurgedKind, () => number> = {
        grants: () => drop(grants, (grant) => grant.expires_at),
        credentials: () => drop(credentials, (credential) => credential.expires_at),
        limits: () => drop(limits, (limit) => limit.bucket),
        deliveries: () => drop(deliveries, (delivery) => delivery.next_at),
        events() {
          const gone = oldest(events, (event) => event.at)
          for (const event of gone) events.splice(events.indexOf(event), 1)
          return gone.length
        },
      }
      return kinds[kind]()
    },
  }
}

/** Makes an empty store. */
export function memory(): Store & { readonly events: readonly AuditEvent[] } {
  const rows = createRows()
  return {
    events: rows.events,
    migrate: async () => [],
    async checkSchema() {},
    async ping() {},
    async close() {},
    ...grantMethods(rows),
    ...credentialReaders(rows),
    ...credentialAdders(rows),
    ...credentialRenewers(rows),
    ...credentialChangers(rows),
    ...userMethods(rows),
    ...limitMethods(rows),
    ...eventMethods(rows),
    ...deliveryMethods(rows),
    ...purgeMethod(rows),
  }
}
