/** Job F: memory at the start, with logins that wait, with polls that are held; and bytes in the database. @module */

import { existsSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as pause } from 'node:timers/promises'
import type { Contender, Grant } from '../contender.ts'
import { createConnection, createWire, drive } from '../driver.ts'
import type { Server } from '../servers.ts'

/** Connections of one address at most: servers limit how many polls of one they hold. */
const PER_ADDRESS = 90
/** CPU time in half a second of a server that does nothing; microseconds. */
const IDLE = 10_000
/** Further files that each side of a connection needs. */
const OTHER_FILES = 200

/** What logins that wait take. In bytes. */
export interface Pending {
  readonly atStart: number
  /** Resident memory with all of them. */
  readonly memory: number
  /** Growth of the database's file, for each. */
  readonly perGrant: number | null
  /** The table that they are in, with its indexes, for each. */
  readonly inTable: number | null
}

/** What polls that are held take. */
export interface HeldMemory {
  /** How many were held; those beyond were answered at once. */
  readonly held: number
  /** Growth of the resident memory for each, in bytes. */
  readonly perPoll: number
}

/** Resolves once a server does nothing any more. */
async function settle(server: Server): Promise<void> {
  for (let before = -1; ; ) {
    const now = server.cpu()
    if (before >= 0 && now - before <= IDLE) return
    before = now
    await pause(500)
  }
}

/** Moves all into the file, and counts its bytes. */
function sizes(file: string, table: string): { file: number; table: number } {
  const database = new DatabaseSync(file)
  try {
    database.exec('PRAGMA busy_timeout = 5000; PRAGMA wal_checkpoint(TRUNCATE)')
    const sum = database.prepare(
      'SELECT sum(pgsize) AS bytes FROM dbstat WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)',
    )
    return { file: statSync(file).size, table: Number(sum.get(table)?.bytes ?? Number.NaN) }
  } finally {
    database.close()
  }
}

/** Makes logins that wait. */
async function makeGrants({ moves }: Contender, { port }: Server, count: number): Promise<Grant[]> {
  const { authorize } = moves(createWire(port))
  const grants: Grant[] = []
  if (authorize) await drive(port, async (send) => void grants.push(await authorize(send)), { count })
  return grants
}

/** Measures a server with this many logins that wait. */
export async function measurePending(contender: Contender, count: number): Promise<Pending> {
  const server = await contender.start()
  try {
    const { stored } = contender
    const measure = () => (stored ? sizes(join(server.folder, stored.file), stored.table) : null)
    await makeGrants(contender, server, 1)
    await settle(server)
    const [atStart, empty] = [server.memory(), measure()]
    await makeGrants(contender, server, count)
    await settle(server)
    const memory = server.memory()
    const full = measure()
    return {
      atStart,
      memory,
      perGrant: full && empty ? (full.file - empty.file) / count : null,
      inTable: full && empty ? (full.table - empty.table) / count : null,
    }
  } finally {
    await server.stop()
  }
}

/** How many connections a process may have on this machine. */
export function mostConnections(): number {
  const limits = existsSync('/proc/self/limits') ? readFileSync('/proc/self/limits', 'utf8') : ''
  const [, soft = '1024'] = /Max open files\s+(\d+)/.exec(limits) ?? []
  return Number(soft) - OTHER_FILES
}

/** Measures a server that holds this many polls, each on a connection of its own. */
export async function measureHeld(contender: Contender, count: number): Promise<HeldMemory> {
  const server = await contender.start()
  const connections: { close(): void }[] = []
  try {
    const { collect } = contender.moves(createWire(server.port))
    if (!collect) throw new Error(`${contender.name} has no polls`)
    const grants = await makeGrants(contender, server, count)
    await settle(server)
    const before = server.memory()
    let held = count
    grants.forEach((grant, i) => {
      const connection = createConnection(server.port, `127.0.0.${2 + Math.floor(i / PER_ADDRESS)}`)
      connections.push(connection)
      const answered = () => void held--
      collect(connection.send, grant, 30).then(answered, answered)
    })
    await settle(server)
    return { held, perPoll: (server.memory() - before) / held }
  } finally {
    for (const { close } of connections) close()
    await server.stop()
  }
}
