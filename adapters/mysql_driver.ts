/** Kysely's driver for MySQL: a bounded pool for each host, prepared statements, the next host when one is away. @module */

import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from 'kysely'
import { createPool, type Pool, type PoolConnection, type ResultSetHeader } from 'mysql2/promise'

/** How to reach one server. */
export interface MysqlHost {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  /** TLS with certificate and host name verified. */
  readonly ssl: boolean
}

/** No server gave a connection, so nothing ran. */
export class NoServerError extends Error {
  override readonly name = 'NoServerError'
}

/** Milliseconds to connect, to answer a statement, and to say goodbye; a cluster that loses a node stalls for up to seven seconds. */
const TIMEOUTS = { connect: 3_000, statement: 10_000, end: 1_000 }
/** Requests that wait for a connection at once, for each connection; more would only time out. */
const QUEUE = 100

// A server that says one of these is of no use for now: too many connections, blocked, shutting down, killed this
// connection, lost its cluster's majority, or may only be read.
const USELESS = [1040, 1203, 1226, 1129, 1053, 1927, 1047, 1290, 1792, 1836]

/** The server's number of an error: from 1000 on. What has none, or that of a system call, is about the way to the server. */
const numberOf = (error: unknown) => (error as { errno?: number }).errno ?? 0

/** Tells whether an error is about the server or the way to it, not about the statement. */
const isHostFailure = (error: unknown) => numberOf(error) < 1000 || USELESS.includes(numberOf(error))

function open(host: MysqlHost, connections: number): Pool {
  const { ssl, ...address } = host
  return createPool({
    ...address,
    ...(ssl && { ssl: { minVersion: 'TLSv1.2', verifyIdentity: true } }),
    charset: 'utf8mb4_bin',
    connectionLimit: connections,
    queueLimit: connections * QUEUE,
    connectTimeout: TIMEOUTS.connect,
    enableKeepAlive: true,
    keepAliveInitialDelay: 30_000,
  })
}

/** Binary columns hold text of ours. */
function toText(rows: Record<string, unknown>[]): void {
  for (const row of rows) {
    for (const name in row) {
      const value = row[name]
      if (value instanceof Uint8Array) row[name] = value.toString()
    }
  }
}

/** A statement as it was compiled. */
type Text = Pick<CompiledQuery, 'sql' | 'parameters'>

class Connection implements DatabaseConnection {
  readonly #raw: PoolConnection
  readonly #onHostFailure: () => void
  #isBroken = false

  constructor(raw: PoolConnection, onHostFailure: () => void) {
    this.#raw = raw
    this.#onHostFailure = onHostFailure
  }

  async executeQuery<R>({ sql, parameters }: Text): Promise<QueryResult<R>> {
    const statement = { sql, values: parameters as string[], timeout: TIMEOUTS.statement }
    try {
      // values travel apart from the SQL; a few statements without any, such as BEGIN, cannot be prepared everywhere
      const [result] =
        parameters.length > 0 ? await this.#raw.execute(statement) : await this.#raw.query(statement)
      if (!Array.isArray(result))
        return { rows: [], numAffectedRows: BigInt((result as ResultSetHeader).affectedRows) }
      toText(result as Record<string, unknown>[])
      return { rows: result as R[] }
    } catch (error) {
      if (isHostFailure(error)) {
        this.#isBroken = true
        this.#onHostFailure()
      }
      throw error
    }
  }

  streamQuery(): never {
    throw new Error('Streaming is not supported')
  }

  release(): void {
    if (this.#isBroken) this.#raw.destroy()
    else this.#raw.release()
  }
}

/**
 * Makes the driver. All statements go to one host, so that they do not conflict in a cluster; to the next one when that is away.
 *
 * @param connections Most connections to one host.
 */
export function createMysqlDriver(hosts: readonly MysqlHost[], connections: number): Driver {
  const pools = hosts.map((host) => open(host, connections))
  const known = new WeakSet<object>()
  let current = 0
  const leave = (index: number) => {
    if (current === index) current = (index + 1) % pools.length
  }

  /** In a Galera cluster every statement first waits for what other nodes have acknowledged; elsewhere this does nothing. */
  async function prepare(raw: PoolConnection): Promise<void> {
    if (known.has(raw.connection)) return
    const setting = { sql: 'SET SESSION wsrep_sync_wait = 7', timeout: TIMEOUTS.statement }
    await raw.query(setting).catch((error) => {
      const unknownVariable = 1193
      if (numberOf(error) !== unknownVariable) throw error
    })
    known.add(raw.connection)
  }

  async function connect(index: number): Promise<Connection> {
    const raw = await (pools[index] as Pool).getConnection()
    try {
      await prepare(raw)
    } catch (error) {
      raw.destroy()
      throw error
    }
    return new Connection(raw, () => leave(index))
  }

  const transaction = (sql: string) => async (connection: DatabaseConnection) => {
    await (connection as Connection).executeQuery({ sql, parameters: [] })
  }

  return {
    init: async () => {},
    async acquireConnection() {
      const reasons: string[] = []
      for (const _ of pools) {
        const index = current
        try {
          return await connect(index)
        } catch (error) {
          if (!isHostFailure(error)) throw error
          const { host, port } = hosts[index] as MysqlHost
          const { message, code } = error as Error & { code?: string }
          reasons.push(`${host}:${port} (${message || code})`)
          leave(index)
        }
      }
      throw new NoServerError(`No database server answers at ${reasons.join(', ')}`)
    },
    releaseConnection: async (connection) => (connection as Connection).release(),
    beginTransaction: transaction('BEGIN'),
    commitTransaction: transaction('COMMIT'),
    rollbackTransaction: transaction('ROLLBACK'),
    async destroy() {
      // one that says nothing would never say goodbye
      const patience = new Promise((resolve) => setTimeout(resolve, TIMEOUTS.end))
      await Promise.race([patience, Promise.all(pools.map((pool) => pool.end()))])
    },
  }
}
