/** The statements of credentials: added, read, used, revoked. Redeeming a grant for one is in sql_grants.ts. @module */

import type { Kysely } from 'kysely'
import type { Store } from '../src/mod.ts'
import type { Tables } from './migrations.ts'
import type { Runner } from './sql_run.ts'

type CredentialMethods = 'insertCredential' | 'findCredential' | 'touchCredential' | 'revokeCredential'

/** Credentials: added, read, used, revoked. */
export function credentials(
  db: Kysely<Tables>,
  { run, insert, update }: Runner,
): Pick<Store, CredentialMethods> {
  return {
    async insertCredential(credential) {
      const times = { last_used_at: credential.created_at, revoked_at: null }
      await insert(db.insertInto('credentials').values({ ...credential, ...times }))
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
    async revokeCredential({ secret_hash, client_id }, now) {
      const named = db
        .updateTable('credentials')
        .set({ revoked_at: now })
        .where('secret_hash', '=', secret_hash)
      const ofClient = client_id === undefined ? named : named.where('client_id', '=', client_id)
      return await update(ofClient.where('revoked_at', 'is', null), async () => {
        const find = db.selectFrom('credentials').selectAll().where('secret_hash', '=', secret_hash)
        const row = await run(() => find.executeTakeFirst())
        return row?.revoked_at === now && (client_id === undefined || row.client_id === client_id)
      })
    },
  }
}
