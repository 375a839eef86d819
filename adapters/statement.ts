/** What statements are written with. @module */

import type { Compilable, Kysely } from 'kysely'
import type { Tables } from './migrations.ts'

/** A statement: takes the values `V`, and answers rows `R` when it reads. */
export interface Statement<V, R> {
  /** Writes it. */
  build(db: Kysely<Tables>, values: V): Compilable<R>
}

/** Names the values of a statement, and lets the rows follow from it. */
export const define = <V extends object, R>(
  build: (db: Kysely<Tables>, values: V) => Compilable<R>,
): Statement<V, R> => ({
  build,
})

/** Takes these columns from the values. */
export const pick = <T, K extends keyof T>(values: T, names: readonly K[]) =>
  Object.fromEntries(names.map((name) => [name, values[name]])) as Pick<T, K>

/** Tells a database server, such as MySQL, to which several write at once, from SQLite and D1 with one writer at a time. */
export const isServer = (db: Kysely<Tables>): boolean =>
  db.getExecutor().adapter.supportsMultipleConnections === true

/** Names a row. */
export type Id = { readonly id: string }
/** The present time. */
export type At = { readonly now: number }

/** A person beside another row: all but the id, which that row has. */
export const userColumns = [
  ...(['users.issuer', 'users.subject', 'users.name as user_name', 'users.email'] as const),
  'users.disabled_at' as const,
]
