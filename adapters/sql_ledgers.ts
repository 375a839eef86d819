/** The statements of people, counters and the audit trail, and of tidying up. @module */

import type { Kysely } from 'kysely'
import type { Store } from '../src/mod.ts'
import type { Tables } from './migrations.ts'
import { held, type Runner } from './sql_run.ts'

/** People. */
export function users(
  db: Kysely<Tables>,
  { run, insert }: Runner,
): Pick<Store, 'upsertUser' | 'findUser' | 'setUserDisabled'> {
  return {
    async upsertUser(user, now) {
      const { id, issuer, subject, name, email } = user
      const times = { created_at: now, updated_at: now }
      if (
        await insert(
          db.insertInto('users').values({ id, issuer, subject, name, email, disabled_at: null, ...times }),
        )
      )
        return
      await run(() =>
        db
          .updateTable('users')
          .set({ name, email, updated_at: now })
          .where('id', '=', id)
          .executeTakeFirstOrThrow(),
      )
    },
    async findUser(id) {
      const row = await run(() =>
        db
          .selectFrom('users')
          .select(['id', 'issuer', 'subject', 'name', 'email', 'disabled_at'])
          .where('id', '=', id)
          .executeTakeFirst(),
      )
      return row ?? null
    },
    async setUserDisabled({ id, issuer, subject }, disabled_at, now) {
      const times = { created_at: now, updated_at: now }
      if (
        await insert(
          db
            .insertInto('users')
            .values({ id, issuer, subject, name: null, email: null, disabled_at, ...times }),
        )
      )
        return
      await run(() =>
        db
          .updateTable('users')
          .set({ disabled_at, updated_at: now })
          .where('id', '=', id)
          .executeTakeFirstOrThrow(),
      )
    },
  }
}

type LedgerMethods = 'readLimits' | 'takeLimit' | 'releaseLimit' | 'insertEvent' | 'purge'

/** Counters, events, and the end of old rows. */
export function ledgers(db: Kysely<Tables>, { run, insert }: Runner): Pick<Store, LedgerMethods> {
  const raise = (key: string, bucket: number, max: number) =>
    run(() =>
      db
        .updateTable('limits')
        .set((eb) => ({ n: eb('n', '+', 1) }))
        .where('key', '=', key)
        .where('bucket', '=', bucket)
        .where('n', '<', max)
        .executeTakeFirstOrThrow(),
    )
  return {
    async readLimits(queries) {
      const rows = await run(() =>
        db
          .selectFrom('limits')
          .select((eb) => ['key', eb.fn.sum<number | string | null>('n').as('n')])
          .where((eb) =>
            eb.or(
              queries.map(({ key, since, until }) =>
                eb.and([eb('key', '=', key), eb('bucket', '>=', since), eb('bucket', '<', until)]),
              ),
            ),
          )
          .groupBy('key')
          .execute(),
      )
      const sums = new Map(rows.map(({ key, n }) => [key, Number(n)]))
      return queries.map(({ key }) => sums.get(key) ?? 0)
    },
    async takeLimit(key, bucket, max) {
      if (held(await raise(key, bucket, max))) return true
      if (await insert(db.insertInto('limits').values({ key, bucket, n: 1 }))) return true
      return held(await raise(key, bucket, max))
    },
    async releaseLimit(key, bucket) {
      // counting one less twice would let more through than the limit; one more twice, as above, only fewer
      await run(
        () =>
          db
            .updateTable('limits')
            .set((eb) => ({ n: eb('n', '-', 1) }))
            .where('key', '=', key)
            .where('bucket', '=', bucket)
            .where('n', '>', 0)
            .executeTakeFirstOrThrow(),
        { afterUnknown: 'stop' },
      )
    },
    async insertEvent(event) {
      await insert(db.insertInto('events').values(event))
    },
    async purge(before, batch) {
      const gone = [
        await purgeTable(db, run, 'grants', 'expires_at', before.grants, batch),
        await purgeTable(db, run, 'credentials', 'expires_at', before.credentials, batch),
        await purgeTable(db, run, 'limits', 'bucket', before.limits, batch),
      ]
      return gone.reduce((sum, n) => sum + n, 0)
    },
  }
}

/** Deletes about `batch` of the oldest rows: up to the time that the last of them has. */
async function purgeTable<T extends 'grants' | 'credentials' | 'limits'>(
  db: Kysely<Tables>,
  run: Runner['run'],
  table: T,
  column: T extends 'limits' ? 'bucket' : 'expires_at',
  before: number,
  batch: number,
): Promise<number> {
  const { table: tableRef, ref } = db.dynamic
  const time = ref<string>(column)
  const old = db.selectFrom(tableRef(table).as('t')).where(time, '<', before)
  const rows = await run(() => old.select(time).orderBy(time).limit(batch).execute())
  const last = (rows.at(-1) as Record<string, number> | undefined)?.[column]
  if (last === undefined) return 0
  const { numDeletedRows } = await run(() =>
    db
      .deleteFrom(table as 'limits')
      .where(column as 'bucket', '<=', last)
      .executeTakeFirstOrThrow(),
  )
  return Number(numDeletedRows)
}
