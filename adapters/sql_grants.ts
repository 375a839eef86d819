/** The statements of grants and credentials: every transition is one of these. @module */

import type { Kysely } from 'kysely'
import type { Issue, Store } from '../src/mod.ts'
import type { Tables } from './migrations.ts'
import { held, type Insert, type Run } from './sql_run.ts'

/** Grants: made, read, slowed down, decided. */
export function grants(
  db: Kysely<Tables>,
  run: Run,
  insert: Insert,
): Pick<Store, 'insertGrant' | 'findGrant' | 'slowDown' | 'decideGrant'> {
  return {
    async insertGrant(grant) {
      const row = { ...grant, status: 'pending', user_id: null, decided_at: null } as const
      return (await insert(db.insertInto('grants').values(row))) === true
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
      let tries = 0
      const decided = await run(() => {
        tries++
        return db
          .updateTable('grants')
          .set({ status, user_id, decided_at: now })
          .where('id', '=', grant_id)
          .where('status', '=', 'pending')
          .where('expires_at', '>', now)
          .executeTakeFirstOrThrow()
      })
      if (held(decided) || tries === 1) return held(decided)
      // our own values there mean that an earlier try of this very statement had gone through
      const find = db.selectFrom('grants').selectAll().where('id', '=', grant_id)
      const row = await run(() => find.executeTakeFirst())
      return row?.status === status && row.user_id === user_id && row.decided_at === now
    },
  }
}

type CredentialMethods =
  | 'issueCredential'
  | 'insertCredential'
  | 'findCredential'
  | 'touchCredential'
  | 'revokeCredential'

/** Credentials: issued, read, used, revoked. */
export function credentials(db: Kysely<Tables>, run: Run, insert: Insert): Pick<Store, CredentialMethods> {
  return {
    async issueCredential(issue) {
      const added = await insert(redeem(db, issue))
      if (added !== null) return added ? 'issued' : 'refused'
      // taken by whom? if the row carries our own secret, an earlier try of this very statement had gone through
      const own = await run(() =>
        db
          .selectFrom('credentials')
          .select('id')
          .where('secret_hash', '=', issue.credential.secret_hash)
          .executeTakeFirst(),
      )
      return own ? 'issued' : 'already_issued'
    },
    async insertCredential(credential) {
      await insert(
        db
          .insertInto('credentials')
          .values({ ...credential, last_used_at: credential.created_at, revoked_at: null }),
      )
    },
    async findCredential(secretHash) {
      const row = await run(() =>
        db
          .selectFrom('credentials')
          .innerJoin('users', 'users.id', 'credentials.user_id')
          .selectAll('credentials')
          .select([
            'users.issuer',
            'users.subject',
            'users.name as user_name',
            'users.email',
            'users.disabled_at',
          ])
          .where('credentials.secret_hash', '=', secretHash)
          .executeTakeFirst(),
      )
      if (!row) return null
      const { issuer, subject, user_name, email, disabled_at, ...credential } = row
      return {
        credential,
        user: { id: credential.user_id, issuer, subject, name: user_name, email, disabled_at },
      }
    },
    async touchCredential(id, now, before) {
      await run(() =>
        db
          .updateTable('credentials')
          .set({ last_used_at: now })
          .where('id', '=', id)
          .where('last_used_at', '<=', before)
          .executeTakeFirstOrThrow(),
      )
    },
    async revokeCredential(key, now) {
      const revoked = await run(() => {
        const query = db
          .updateTable('credentials')
          .set({ revoked_at: now })
          .where('secret_hash', '=', key.secret_hash)
          .where('revoked_at', 'is', null)
        return (
          key.client_id === undefined ? query : query.where('client_id', '=', key.client_id)
        ).executeTakeFirstOrThrow()
      })
      return held(revoked)
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
