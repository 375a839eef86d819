/** The statements of grants: each step of a login, from its start to its redemption, is one of these. @module */

import type { Kysely } from 'kysely'
import type { Issue, Store } from '../src/mod.ts'
import type { Tables } from './migrations.ts'
import type { Runner } from './sql_run.ts'

type GrantMethods = 'insertGrant' | 'findGrant' | 'slowDown' | 'decideGrant' | 'issueCredential'

/** Grants: made, read, slowed down, decided, redeemed. */
export function grants(db: Kysely<Tables>, { run, insert, update }: Runner): Pick<Store, GrantMethods> {
  const find = (id: string) =>
    run(() => db.selectFrom('grants').selectAll().where('id', '=', id).executeTakeFirst())
  return {
    async insertGrant(grant) {
      const row = { ...grant, status: 'pending', user_id: null, decided_at: null } as const
      if (await insert(db.insertInto('grants').values(row))) return true
      // taken by whom? our own id there means that an earlier try of this very statement had gone through
      return (await find(grant.id)) !== undefined
    },
    async findGrant(key) {
      const [column, value] = Object.entries(key)[0] as ['id' | 'secret_hash' | 'user_code', string]
      const row = await run(() =>
        db
          .selectFrom('grants')
          .leftJoin('credentials', 'credentials.grant_id', 'grants.id')
          .selectAll('grants')
          .select('credentials.id as credential_id')
          .where(`grants.${column}`, '=', value)
          .executeTakeFirst(),
      )
      return row ?? null
    },
    async slowDown(grantId, interval) {
      await run(() =>
        db
          .updateTable('grants')
          .set({ poll_interval: interval })
          .where('id', '=', grantId)
          .where('status', '=', 'pending')
          .where('poll_interval', '<', interval)
          .executeTakeFirstOrThrow(),
      )
    },
    async decideGrant({ grant_id, status, user_id, now }) {
      const decision = db
        .updateTable('grants')
        .set({ status, user_id, decided_at: now })
        .where('id', '=', grant_id)
        .where('status', '=', 'pending')
        .where('expires_at', '>', now)
      return await update(decision, async () => {
        const row = await find(grant_id)
        return row?.status === status && row.user_id === user_id && row.decided_at === now
      })
    },
    async issueCredential(issue) {
      // its secret exists in this process alone: to give up on an unknown outcome would lose the login
      const added = await insert(redeem(db, issue), { afterUnknown: 'persist' })
      if (added !== null) return added ? 'issued' : 'refused'
      // taken by whom? if the row carries our own secret, an earlier try of this very statement had gone through
      const { secret_hash } = issue.credential
      const own = db.selectFrom('credentials').select('id').where('secret_hash', '=', secret_hash)
      const row = await run(() => own.executeTakeFirst(), { afterUnknown: 'persist' })
      return row ? 'issued' : 'already_issued'
    },
  }
}

/** The commit point of both flows: one INSERT ... SELECT whose WHERE is the whole guard. */
function redeem(db: Kysely<Tables>, { credential, secret_hash, client_id, flow, now }: Issue) {
  const columns = [
    ...['id', 'kind', 'secret_hash', 'hint', 'name', 'remote_address', 'expires_at'],
    ...['created_at', 'last_used_at', 'revoked_at', 'user_id', 'grant_id', 'client_id', 'scope'],
  ] as (keyof Tables['credentials'])[]
  return db
    .insertInto('credentials')
    .columns(columns)
    .expression((eb) =>
      eb
        .selectFrom('grants')
        .innerJoin('users', 'users.id', 'grants.user_id')
        .select([
          eb.val(credential.id).as('id'),
          eb.val(credential.kind).as('kind'),
          eb.val(credential.secret_hash).as('secret_hash'),
          eb.val(credential.hint).as('hint'),
          eb.val(credential.name).as('name'),
          eb.val(credential.remote_address).as('remote_address'),
          eb.val(credential.expires_at).as('expires_at'),
          eb.val(now).as('created_at'),
          eb.val(now).as('last_used_at'),
          eb.val(null).as('revoked_at'),
          'users.id as user_id',
          'grants.id as grant_id',
          'grants.client_id',
          'grants.scope',
        ])
        .where('grants.secret_hash', '=', secret_hash)
        .where('grants.client_id', '=', client_id)
        .where('grants.flow', '=', flow)
        .where('grants.status', '=', 'approved')
        .where('grants.expires_at', '>', now)
        .where('users.disabled_at', 'is', null),
    )
}
