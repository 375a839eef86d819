/** What the SQL store does with the audit trail, with what is to be told of it, and with what is old. @module */

import type { EventWithUser, PurgedKind, Store } from '../src/mod.ts'
import { splitUser } from './sql_credentials.ts'
import type { Runner } from './sql_run.ts'
import type { Row, StatementName } from './statements.ts'

function eventWithUser(row: Row<'listEvents'>): EventWithUser {
  const { rest: event, user } = splitUser(row, row.user_id)
  return { event, user }
}

/** The store's methods for the audit trail. */
export function events({ read, insert }: Runner): Pick<Store, 'insertEvent' | 'listEvents'> {
  return {
    async insertEvent(event) {
      await insert('insertEvent', event)
    },
    async listEvents({ user_id, ...query }) {
      const rows =
        user_id === null ? await read('listEvents', query) : await read('listEventsOf', { ...query, user_id })
      return rows.map(eventWithUser)
    },
  }
}

type DeliveryMethods = 'insertDelivery' | 'dueDeliveries' | 'claimDelivery' | 'dropDelivery'

/** The store's methods for deliveries. */
export function deliveries({ read, change, insert, update }: Runner): Pick<Store, DeliveryMethods> {
  return {
    async insertDelivery(delivery) {
      await insert('insertDelivery', delivery)
    },
    async dueDeliveries(now, limit) {
      const rows = await read('dueDeliveries', { now, limit })
      return rows.map(({ delivery_id: id, event_id, endpoint, attempts, next_at, created_at, ...row }) => ({
        ...eventWithUser(row),
        delivery: { id, event_id, endpoint, attempts, next_at, created_at },
      }))
    },
    claimDelivery: ({ id, attempts, next_at }, until) =>
      update('claimDelivery', { id, attempts, next_at, until }, async () => {
        const [row] = await read('findDelivery', { id })
        return row?.attempts === attempts + 1 && row.next_at === until
      }),
    async dropDelivery(id) {
      await change('dropDelivery', { id })
    },
  }
}

/** Which statement deletes what is old of a kind. */
const DROP = {
  grants: 'dropGrants',
  credentials: 'dropCredentials',
  limits: 'dropLimits',
  events: 'dropEvents',
  deliveries: 'dropDeliveries',
} as const satisfies Record<PurgedKind, StatementName>

/** The store's method for what is old. */
export function purge({ change }: Runner): Pick<Store, 'purge'> {
  return { purge: (kind, before, batch) => change(DROP[kind], { before, batch }) }
}
