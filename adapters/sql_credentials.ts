/** What the SQL store does with credentials. @module */

import type { Credential, CredentialWithUser, Store, User } from '../src/mod.ts'
import type { Runner, RunOptions } from './sql_run.ts'
import type { Row } from './statements.ts'

type Adding = 'insertCredential' | 'createKey'
type Reading = 'countCredentials' | 'findCredential' | 'findFamily' | 'findOwnCredential' | 'listCredentials'
type Using = 'touchCredential' | 'noteFirstUse' | 'rotateCredential' | 'refreshCredential'
type Ending = 'revokeCredential' | 'revokeCredentials'

/** A person beside another row, of which it has the id; what is null when there is no such person. */
export interface UserColumns {
  readonly issuer: string | null
  readonly subject: string | null
  readonly user_name: string | null
  readonly email: string | null
  readonly disabled_at: number | null
}

/** Takes a row and the person beside it apart. */
export function splitUser<R extends UserColumns>(
  row: R,
  id: string | null,
): { rest: Omit<R, keyof UserColumns>; user: User | null } {
  const { issuer, subject, user_name: name, email, disabled_at, ...rest } = row
  const isKnown = id !== null && issuer !== null && subject !== null
  return { rest, user: isKnown ? { id, issuer, subject, name, email, disabled_at } : null }
}

/** Written out: at each verification, to copy what a rest pattern leaves would cost half as much as the statement. */
const toCredential = (row: Credential): Credential => ({
  id: row.id,
  kind: row.kind,
  user_id: row.user_id,
  grant_id: row.grant_id,
  client_id: row.client_id,
  secret_hash: row.secret_hash,
  hint: row.hint,
  name: row.name,
  scope: row.scope,
  tenant: row.tenant,
  remote_address: row.remote_address,
  approved_address: row.approved_address,
  created_at: row.created_at,
  expires_at: row.expires_at,
  access_expires_at: row.access_expires_at,
  previous_hash: row.previous_hash,
  previous_until: row.previous_until,
  family_hash: row.family_hash,
  refresh_hash: row.refresh_hash,
  first_used_at: row.first_used_at,
  last_used_at: row.last_used_at,
  last_used_address: row.last_used_address,
  revoked_at: row.revoked_at,
})

function credentialWithUser(row: Row<'findCredential'> | undefined): CredentialWithUser | null {
  if (!row) return null
  const { user_id: id, issuer, subject, user_name: name, email, disabled_at } = row
  return { credential: toCredential(row), user: { id, issuer, subject, name, email, disabled_at } }
}

// a new secret exists in this process alone: to give up on an unknown outcome would lose the login
const PATIENT = { afterUnknown: 'persist' } as const

function adding({ read, insert }: Runner): Pick<Store, Adding> {
  return {
    async insertCredential(credential) {
      await insert('insertCredential', { ...credential, last_used_at: credential.created_at })
    },
    async createKey(credential, max) {
      const added = await insert('createKey', { ...credential, max }, PATIENT)
      if (added !== null) return added ? 'created' : 'refused'
      // taken by whom? if the row carries our own secret, an earlier try of this very statement had gone through
      const { id, secret_hash } = credential
      const [row] = await read('findCredentialById', { id }, PATIENT)
      return row?.secret_hash === secret_hash ? 'created' : 'taken'
    },
  }
}

function reading({ read }: Runner): Pick<Store, Reading> {
  return {
    async countCredentials(user_id, kind, now) {
      const [row] = await read('countCredentials', { user_id, kind, now })
      return Number(row?.n)
    },
    async findCredential(secret_hash) {
      return credentialWithUser((await read('findCredential', { secret_hash }))[0])
    },
    async findFamily(family_hash) {
      return credentialWithUser((await read('findFamily', { family_hash }))[0])
    },
    async findOwnCredential(key) {
      const [row] = await read('findOwnCredential', key)
      return row ?? null
    },
    listCredentials: (user_id, limit, now) => read('listCredentials', { user_id, limit, now }),
  }
}

function using({ read, change, update }: Runner): Pick<Store, Using> {
  const findById = async (id: string, options?: RunOptions) =>
    (await read('findCredentialById', { id }, options))[0]
  return {
    async touchCredential(id, use) {
      await change('touchCredential', { id, ...use })
    },
    noteFirstUse: (id, use) =>
      update('noteFirstUse', { id, ...use }, async () => (await findById(id))?.first_used_at === use.now),
    rotateCredential: (rotation) =>
      update(
        'rotateCredential',
        rotation,
        async () => (await findById(rotation.id, PATIENT))?.secret_hash === rotation.new_hash,
        PATIENT,
      ),
    refreshCredential: (refresh) =>
      update(
        'refreshCredential',
        refresh,
        async () => (await findById(refresh.id, PATIENT))?.refresh_hash === refresh.new_refresh_hash,
        PATIENT,
      ),
  }
}

function ending({ read, change, update }: Runner): Pick<Store, Ending> {
  return {
    revokeCredential: (key, now, keep_until) =>
      update('revokeCredential', { ...key, now, keep_until }, async () => {
        const [row] = await read('findOwnCredential', key)
        return row?.revoked_at === now
      }),
    async revokeCredentials({ user_id, kinds, except }, now, keep_until) {
      const [kind1] = kinds
      if (!kind1) return 0
      // there are three kinds; an unused place repeats the first
      const [, kind2 = kind1, kind3 = kind1] = kinds
      // no id is empty
      const key = { user_id, kind1, kind2, kind3, except: except ?? '' }
      return await change('revokeCredentials', { ...key, now, keep_until })
    },
  }
}

/** The store's methods for credentials. */
export const credentials = (runner: Runner): Pick<Store, Adding | Reading | Using | Ending> => ({
  ...adding(runner),
  ...reading(runner),
  ...using(runner),
  ...ending(runner),
})
