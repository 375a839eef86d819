/** The one SQL store: each method of it is a statement, and perhaps a second one that looks what became of the first. @module */

import type { Store } from '../src/mod.ts'
import { credentials } from './sql_credentials.ts'
import { deliveries, events, purge } from './sql_events.ts'
import { createRunner, type Execute, type Runner, type SqlDialect } from './sql_run.ts'
import { createSchema } from './sql_schema.ts'

/** What a store needs beside the running of its statements. */
export interface SqlDatabase {
  readonly execute: Execute
  /** The steps that make the tables, by name. */
  readonly steps: readonly string[]
  /** Runs the steps that were not run yet; `done` are the names of those that were. */
  migrate(done: readonly string[]): Promise<void>
  close(): Promise<void>
}

/** Makes a store. */
export function sqlStore(database: SqlDatabase, dialect: SqlDialect): Store {
  const runner = createRunner(dialect, database.execute)
  return {
    ...createSchema(database, dialect, runner),
    ping: async () => void (await runner.read('ping', {})),
    close: () => database.close(),
    ...grants(runner),
    ...credentials(runner),
    ...users(runner),
    ...limits(runner),
    ...events(runner),
    ...deliveries(runner),
    ...purge(runner),
  }
}

type GrantMethods =
  | 'insertGrant'
  | 'findGrant'
  | 'slowDown'
  | 'decideGrant'
  | 'listDecided'
  | 'expireGrants'
  | 'issueCredential'

function grants({ read, change, insert, update }: Runner): Pick<Store, GrantMethods> {
  return {
    async insertGrant(grant) {
      if (await insert('insertGrant', { ...grant, status: 'pending' })) return true
      // taken by whom? our own id there means that an earlier try of this very statement had gone through
      return (await read('findGrantById', { id: grant.id })).length > 0
    },
    async findGrant(key) {
      const [row] = await ('id' in key
        ? read('findGrantById', key)
        : 'secret_hash' in key
          ? read('findGrantBySecret', key)
          : read('findGrantByUserCode', key))
      return row ?? null
    },
    async slowDown(id, interval) {
      await change('slowDown', { id, interval })
    },
    async decideGrant(decision) {
      const { grant_id, status, user_id, code_hash, now } = decision
      return await update('decideGrant', decision, async () => {
        const [row] = await read('findGrantById', { id: grant_id })
        // the code tells two answers of one person in one moment apart
        const isOwn = row?.status === status && row.user_id === user_id && row.code_hash === code_hash
        return isOwn && row.decided_at === now
      })
    },
    listDecided: async (since) => (await read('listDecided', { since })).map(({ id }) => id),
    async expireGrants(user_id, flow, now) {
      await change('expireGrants', { user_id, flow, now })
    },
    async issueCredential({ credential, secret_hash: grant_secret_hash, ...issue }) {
      // its secret exists in this process alone: to give up on an unknown outcome would lose the login
      const patient = { afterUnknown: 'persist' } as const
      const redemption = { ...credential, ...issue, grant_secret_hash, code_hash: issue.code_hash ?? '' }
      const added = await insert('redeemGrant', redemption, patient)
      if (added !== null) return added ? 'issued' : 'refused'
      // taken by whom? if the row carries our own secret, an earlier try of this very statement had gone through
      const { secret_hash } = credential
      const own = await read('findCredential', { secret_hash }, patient)
      return own.length > 0 ? 'issued' : 'already_issued'
    },
  }
}

function users({ read, change, insert }: Runner): Pick<Store, 'upsertUser' | 'findUser' | 'setUserDisabled'> {
  return {
    async upsertUser(user, now) {
      const times = { created_at: now, updated_at: now }
      if (await insert('insertUser', { ...user, disabled_at: null, ...times })) return
      await change('renameUser', { ...user, now })
    },
    async findUser(id) {
      const [row] = await read('findUser', { id })
      return row ?? null
    },
    async setUserDisabled(user, disabled_at, now) {
      const times = { created_at: now, updated_at: now }
      if (await insert('insertUser', { ...user, name: null, email: null, disabled_at, ...times })) return
      await change('disableUser', { id: user.id, disabled_at, now })
    },
  }
}

function limits({ read, change, insert }: Runner): Pick<Store, 'readLimits' | 'takeLimit' | 'releaseLimit'> {
  const raise = async (key: string, bucket: number, max: number) =>
    (await change('raiseLimit', { key, bucket, max })) === 1
  return {
    async readLimits(queries) {
      const [one] = queries
      if (!one) return []
      // nobody asks for more than three; an unused place repeats the first, which changes no sum
      const [, two = one, three = one] = queries
      const rows = await read('sumLimits', {
        ...{ key1: one.key, since1: one.since, until1: one.until },
        ...{ key2: two.key, since2: two.since, until2: two.until },
        ...{ key3: three.key, since3: three.since, until3: three.until },
      })
      const sums = new Map(rows.map(({ key, n }) => [key, Number(n)]))
      return [
        ...queries.slice(0, 3).map(({ key }) => sums.get(key) ?? 0),
        ...(await this.readLimits(queries.slice(3))),
      ]
    },
    async takeLimit(key, bucket, max) {
      if (await raise(key, bucket, max)) return true
      if (await insert('insertLimit', { key, bucket })) return true
      return await raise(key, bucket, max)
    },
    async releaseLimit(key, bucket) {
      // counting one less twice would let more through than the limit; one more twice, as above, only fewer
      await change('lowerLimit', { key, bucket }, { afterUnknown: 'stop' })
    },
  }
}
