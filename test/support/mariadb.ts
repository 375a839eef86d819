/** A private MariaDB for the tests: its own folder, port and passwords, ended with the tests. @module */

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createConnection } from 'mysql2/promise'
import { bring, cached, environmentOf } from './debian.ts'
import { createGuarded, findFreePorts, type Guarded } from './guarded.ts'

const run = promisify(execFile)

/** What can be done knowing the URL only, from any process. */
export interface MariaDbClient {
  /** Makes an empty database with a random name. Resolves to its `mysql://` URL, for a user without further rights. */
  createDatabase(): Promise<string>
  /** Runs a statement as the administrator, in a connection of its own. Resolves to its rows. */
  sql(text: string, ...values: (string | number | null)[]): Promise<Record<string, unknown>[]>
}

/** A private MariaDB server; every test file makes its own database in it. */
export interface MariaDb extends MariaDbClient {
  readonly port: number
  /** The administrator's URL, for {@link connectMariaDb} in other processes. */
  readonly adminUrl: string
  /** Its process, for `SIGSTOP` and `SIGCONT`. 0 when it does not run. */
  readonly pid: number
  /** What it has written since its last start. */
  output(): string
  /** Ends it by `SIGKILL`. Resolves when the process is gone. */
  kill(): Promise<void>
  /** Shuts it down in order; its data stay. */
  stop(): Promise<void>
  /** Starts it again, with the same port and data. Resolves when it answers. */
  start(): Promise<void>
  /** Ends it for good and deletes its folder. */
  remove(): Promise<void>
}

/** Where the server's programs are. */
export interface Programs {
  /** Path that `usr` is in: empty when installed. */
  readonly root: string
  readonly env: NodeJS.ProcessEnv
}

/** Finds the installed programs, or brings them. */
export async function findPrograms(): Promise<Programs> {
  const isInstalled = ['sbin/mariadbd', 'bin/mariadb-install-db', 'bin/my_print_defaults'].every((file) =>
    existsSync(join('/usr', file)),
  )
  const root = isInstalled ? '' : await bring(['mariadb-server-core', 'mariadb-client-core'])
  return { root, env: environmentOf(root) }
}

/** Keeps commits over a `SIGKILL` of the server, though not over a power cut, which costs no test anything. */
const SETTINGS = [
  '--innodb-flush-log-at-trx-commit=2',
  '--innodb-log-file-size=8M',
  '--innodb-buffer-pool-size=32M',
  '--character-set-server=utf8mb4',
  '--collation-server=utf8mb4_general_ci',
  '--skip-name-resolve',
]

const asRoot = () => (process.getuid?.() === 0 ? ['--user=root'] : [])

/** Puts a freshly installed data folder where `data` says. */
export async function installData({ root, env }: Programs, data: string): Promise<void> {
  const { stdout } = await run(`${root}/usr/sbin/mariadbd`, ['--no-defaults', '--version'], { env })
  const version = /Ver.*/.exec(stdout)
  const installed = await cached(`${version}\n${SETTINGS}`, async (folder) => {
    const args = [
      '--no-defaults',
      '--force',
      `--basedir=${root}/usr`,
      `--datadir=${folder}/data`,
      '--auth-root-authentication-method=normal',
      '--skip-test-db',
      ...SETTINGS,
      ...asRoot(),
    ]
    await run(`${root}/usr/bin/mariadb-install-db`, args, { env })
  })
  await cp(join(installed, 'data'), data, { recursive: true })
}

/** The command that starts a server, without its port. */
export function serverCommand({ root }: Programs, folder: string): string[] {
  return [
    `${root}/usr/sbin/mariadbd`,
    '--no-defaults',
    ...(root && [
      `--basedir=${root}/usr`,
      `--lc-messages-dir=${root}/usr/share/mysql`,
      `--character-sets-dir=${root}/usr/share/mysql/charsets`,
      `--plugin-dir=${root}/usr/lib/mysql/plugin`,
    ]),
    `--datadir=${folder}/data`,
    `--tmpdir=${folder}`,
    `--init-file=${folder}/accounts.sql`,
    '--bind-address=127.0.0.1',
    // no socket file: its path may be too long, and everybody has a password on TCP
    '--socket=',
    '--max-connections=500',
    ...SETTINGS,
  ]
}

/**
 * Writes the statements that every start runs before the first connection: one administrator, and one user for the
 * databases made here.
 *
 * @param first A statement to run before.
 */
export async function writeAccounts(folder: string, password: string, first = ''): Promise<void> {
  const statements = [
    first,
    "DELETE FROM mysql.global_priv WHERE User = 'root';",
    'FLUSH PRIVILEGES;',
    `CREATE USER root@'127.0.0.1' IDENTIFIED BY '${password}';`,
    "GRANT ALL ON *.* TO root@'127.0.0.1' WITH GRANT OPTION;",
    `CREATE OR REPLACE USER pairgate@'127.0.0.1' IDENTIFIED BY '${password}';`,
    "GRANT ALL ON `pairgate\\_%`.* TO pairgate@'127.0.0.1';",
  ]
  await writeFile(join(folder, 'accounts.sql'), statements.filter(Boolean).join('\n'), { mode: 0o600 })
}

/** A password that means nothing to a URL or to SQL. */
export const createPassword = () => randomBytes(16).toString('hex')

/** Works with a server that runs, from any process. */
export function connectMariaDb(adminUrl: string): MariaDbClient {
  const sql: MariaDbClient['sql'] = async (text, ...values) => {
    const connection = await createConnection({ uri: adminUrl, connectTimeout: 5000 })
    try {
      const [rows] = await connection.query(text, values)
      return Array.isArray(rows) ? (rows as Record<string, unknown>[]) : []
    } finally {
      connection.destroy()
    }
  }
  return {
    sql,
    async createDatabase() {
      const name = `pairgate_${randomBytes(8).toString('hex')}`
      await sql(`CREATE DATABASE ${name}`)
      const url = new URL(adminUrl)
      url.username = 'pairgate'
      url.pathname = name
      return url.href
    },
  }
}

/** Whether a server answers a statement as it should. */
export async function answers(client: MariaDbClient, text: string, expected: unknown): Promise<boolean> {
  try {
    const [row = {}] = await client.sql(text)
    return Object.values(row).join() === expected
  } catch {
    return false
  }
}

/**
 * The server in a guarded folder.
 *
 * @param start Starts it; resolves when it answers.
 */
export function mariaDbIn(
  guarded: Guarded,
  port: number,
  password: string,
  start: () => Promise<void>,
): MariaDb {
  const adminUrl = `mysql://root:${password}@127.0.0.1:${port}`
  return {
    ...connectMariaDb(adminUrl),
    port,
    adminUrl,
    get pid() {
      return guarded.pid
    },
    output: guarded.output,
    kill: () => guarded.end('SIGKILL'),
    stop: () => guarded.end('SIGTERM'),
    start,
    remove: guarded.remove,
  }
}

/**
 * Starts a private server. It ends with this process, or with {@link MariaDb.remove}.
 *
 * @param options The port, by default a free one; further arguments for the server.
 * @returns Once it answers. Rejects with its output when it ends before.
 */
export async function startMariaDb(options: { port?: number; extra?: string[] } = {}): Promise<MariaDb> {
  const programs = await findPrograms()
  const guarded = createGuarded('mariadb')
  const password = createPassword()
  const startAt = async (port: number) => {
    const { extra = [] } = options
    const command = [...serverCommand(programs, guarded.folder), `--port=${port}`, ...asRoot(), ...extra]
    guarded.start(command, programs.env)
    const client = connectMariaDb(`mysql://root:${password}@127.0.0.1:${port}`)
    await guarded.until(() => answers(client, 'SELECT 1', '1'))
  }
  try {
    await installData(programs, join(guarded.folder, 'data'))
    await writeAccounts(guarded.folder, password)
    for (let attempt = 1; ; attempt++) {
      const [free = 0] = await findFreePorts(1)
      const port = options.port ?? free
      try {
        await startAt(port)
        return mariaDbIn(guarded, port, password, () => startAt(port))
      } catch (error) {
        const isTaken = /Address already in use/.test(guarded.output())
        if (!isTaken || options.port || attempt === 5) throw error
      }
    }
  } catch (error) {
    await guarded.remove()
    throw error
  }
}
