/** MySQL, MariaDB, and clusters of them, through mysql2. @module */

import { hash } from 'node:crypto'
import { Kysely, MysqlAdapter, MysqlIntrospector, MysqlQueryCompiler } from 'kysely'
import { lendSha256 } from '../src/internal.ts'
import { PairgateError, type Store } from '../src/mod.ts'
import { kyselyStore } from './kysely_store.ts'
import type { Tables } from './migrations.ts'
import { createMysqlDriver, type MysqlHost, NoServerError } from './mysql_driver.ts'
import type { SqlDialect } from './sql_run.ts'

// Deadlock or a conflict on another node, lock wait timeout, a row that changed since, a prepared statement that has to
// be made anew, not in the cluster's majority, for reading only, too many connections: nothing was changed.
const NOT_RUN = [1213, 1205, 1020, 1243, 1615, 1047, 1290, 1792, 1836, 1040, 1203, 1226, 1129]
// Failed while it committed, shutting down, interrupted, killed, too long, the network: it may have been changed.
const UNKNOWN = [1180, 1053, 1317, 1927, 1969, 3024, 1158, 1159, 1160, 1161]

const dialect: SqlDialect = {
  migrateHint: 'start once with PAIRGATE_MIGRATE=1, or call gate.migrate()',
  classify(error) {
    if (error instanceof NoServerError) return 'not_run'
    const { errno, code } = error as { errno?: number; code?: string }
    if (errno === 1062) return 'taken'
    if (errno === 1146) return 'no_table'
    if (errno !== undefined && NOT_RUN.includes(errno)) return 'not_run'
    if (errno !== undefined && UNKNOWN.includes(errno)) return 'unknown'
    // a failure of the connection has no number of the server's; a fault in this program has neither code nor `fatal`
    const isConnection =
      (errno ?? 0) < 1000 && (code !== undefined || (error as { fatal?: boolean }).fatal === true)
    return isConnection ? 'unknown' : undefined
  },
  explain(error) {
    if (error instanceof NoServerError)
      return `${error.message}: check DATABASE_URL, and that the server runs`
    const { errno, message } = error as { errno?: number; message: string }
    if (errno === 1045 || errno === 1698)
      return `The database refuses user or password (${message}): check DATABASE_URL`
    if (errno === 1044) return `The database user may not use this database (${message}): grant it the rights`
    if (errno === 1142) return `The database user lacks a right (${message}): grant it`
    if (errno === 1049) return `There is no such database (${message}): create it`
    return undefined
  },
}

/** The steps bear to run at the same time, and a lock by name would hold on one node only. */
class LocklessAdapter extends MysqlAdapter {
  override async acquireMigrationLock(): Promise<void> {}
  override async releaseMigrationLock(): Promise<void> {}
}

function refuse(message: string): never {
  throw new PairgateError('ERR_PAIRGATE_OPTION', `The database URL ${message}`)
}

function parseHost(text: string): { host: string; port: number } {
  const [, bracketed, plain, port = '3306'] =
    /^(?:\[([\da-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?$/i.exec(text) ?? []
  const host = bracketed ?? plain ?? refuse('must name its hosts as HOST or HOST:PORT, separated by commas')
  return { host, port: Number(port) }
}

function decode(text = ''): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return refuse('has a % that does not encode a character: write %25')
  }
}

/** Reads a URL; messages never quote it, since it holds the password. */
function parseUrl(url: string): { hosts: MysqlHost[]; connections: number } {
  const parts = /^mysql:\/\/([^:@/]+)(?::([^@/]*))?@([^@/?]+)\/([^/?#]+)(?:\?([^#]*))?$/.exec(url)
  if (!parts) refuse('must be mysql://USER:PASSWORD@HOST:PORT/DATABASE, with / and @ in it percent-encoded')
  const [user = '', password = '', database = ''] = [parts[1], parts[2], parts[4]].map(decode)
  const { ssl = 'false', connections = '10', ...others } = Object.fromEntries(new URLSearchParams(parts[5]))
  const [other] = Object.keys(others)
  if (other !== undefined) refuse(`has an unknown parameter "${other}": known are "connections" and "ssl"`)
  if (ssl !== 'true' && ssl !== 'false') refuse('has a parameter "ssl" that is neither "true" nor "false"')
  if (!/^[1-9]\d{0,2}$/.test(connections))
    refuse('has a parameter "connections" that is not a number from 1 to 999')
  const common = { user, password, database, ssl: ssl === 'true' }
  const hosts = (parts[3] ?? '').split(',').map((host) => ({ ...parseHost(host), ...common }))
  return { hosts, connections: Number(connections) }
}

/**
 * Keeps everything in MySQL 8, MariaDB 10.6 or later, or a cluster of them.
 *
 * @param url `mysql://USER:PASSWORD@HOST:PORT/DATABASE`. Several hosts, separated by commas, are nodes of one cluster:
 * the first is used as long as it answers, then the next. `?connections=20` is the most connections to one host
 * (default 10); `?ssl=true` asks for TLS and verifies certificate and host name.
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when the URL is wrong.
 * @example
 * ```ts
 * createPairgate({ database: mysql('mysql://pairgate:secret@db.internal/pairgate'), ... })
 * ```
 */
export function mysql(url: string): Store {
  const { hosts, connections } = parseUrl(url)
  lendSha256((text) => hash('sha256', text))
  const db = new Kysely<Tables>({
    dialect: {
      createAdapter: () => new LocklessAdapter(),
      createDriver: () => createMysqlDriver(hosts, connections),
      createIntrospector: (kysely) => new MysqlIntrospector(kysely),
      createQueryCompiler: () => new MysqlQueryCompiler(),
    },
  })
  return kyselyStore(db, 'mysql', dialect)
}
