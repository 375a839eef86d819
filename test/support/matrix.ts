/** The matrix: every runtime with every database that it is made for, and every host that pairgate is mounted in. @module */

import type { TestContext } from 'vitest'
import { RUNTIMES, type Runtime } from './runtimes.ts'
import type { ServerRuntime } from './standalone.ts'

/** The kinds of databases; `mysql` is tested with MariaDB. */
export type DatabaseKind = 'sqlite' | 'mysql' | 'd1'

/** The store contract on one runtime, over one database. */
export interface StoreCell {
  readonly suite: 'store contract'
  readonly runtime: Runtime
  readonly database: DatabaseKind
}

/** A server on one runtime, over one database, and clients on another one. */
export interface EndToEndCell {
  readonly suite: 'end to end'
  readonly runtime: ServerRuntime
  readonly database: DatabaseKind
  readonly client: Runtime
}

/** The frameworks that the tests run. */
export const HOST_NAMES = ['hono', 'express', 'fastify', 'node:http'] as const

/** A host with pairgate at a path, on Node over SQLite. */
export interface MountCell {
  readonly suite: 'mounts'
  readonly host: (typeof HOST_NAMES)[number]
  /** Empty for the root. */
  readonly mount: '' | '/auth'
}

/** A cell of the matrix. */
export type Cell = StoreCell | EndToEndCell | MountCell

declare module 'vitest' {
  interface TaskMeta {
    /** The cell that a test belongs to. */
    cell?: Cell
  }
  interface ProvidedContext {
    /** The administrator's URL of the MariaDB that all tests share, for `connectMariaDb`; null: there is none. */
    mariadb: string | null
  }
}

const on = (database: DatabaseKind) => (runtime: Runtime) => ({ runtime, database })

/** Where the store contract runs. D1 has no other way in than workerd's, which is reached from Node. */
export const STORE_CELLS: readonly StoreCell[] = [
  ...RUNTIMES.map(on('sqlite')),
  ...RUNTIMES.map(on('mysql')),
  on('d1')('node'),
].map((cell) => ({ suite: 'store contract', ...cell }))

/** The servers that clients on every runtime are tried against. */
export const SERVER_CELLS: readonly Pick<EndToEndCell, 'runtime' | 'database'>[] = [
  ...RUNTIMES.map(on('sqlite')),
  ...RUNTIMES.map(on('mysql')),
  { runtime: 'workers', database: 'd1' },
]

/** Where pairgate is mounted. */
export const MOUNT_CELLS: readonly MountCell[] = HOST_NAMES.flatMap((host) =>
  (['', '/auth'] as const).map((mount) => ({ suite: 'mounts' as const, host, mount })),
)

/** All cells. */
export const CELLS: readonly Cell[] = [
  ...STORE_CELLS,
  ...SERVER_CELLS.flatMap((server) =>
    RUNTIMES.map((client) => ({ suite: 'end to end' as const, ...server, client })),
  ),
  ...MOUNT_CELLS,
]

/** Why there is no MariaDB, and what helps. */
export const NO_MARIADB = 'there is no MariaDB: apt-get install mariadb-server'

/** Skips a test that this machine cannot run; where everything must be run, it fails. */
export function demand(context: TestContext, reason: string | null): void {
  if (reason === null) return
  if (process.env.CI) throw new Error(`This cell of the matrix cannot run: ${reason}`)
  context.skip(reason)
}
