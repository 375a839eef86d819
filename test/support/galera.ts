/** A MariaDB Galera cluster on this machine, for tests of what happens when its nodes fail. @module */

import { execFile } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import { bring, environmentOf } from './debian.ts'
import { createGuarded, findFreePorts, type Guarded, type RunAs } from './guarded.ts'
import {
  answers,
  connectMariaDb,
  createPassword,
  installData,
  type MariaDb,
  mariaDbIn,
  type Programs,
  serverCommand,
  writeAccounts,
} from './mariadb.ts'

const run = promisify(execFile)

const PACKAGES = [
  'mariadb-server-core',
  'mariadb-client-core',
  'mariadb-server',
  'galera-4',
  'rsync',
  'procps',
]

/** A running cluster. All nodes have the same accounts. */
export interface Galera {
  /**
   * Each can be ended and started again by itself; `start` resolves when it has caught up. When none was left, or too few
   * to go on, they wait for each other: start them all at the same time.
   */
  readonly nodes: readonly MariaDb[]
  /** Makes an empty database. Resolves to one URL a node, once every node that runs has it. */
  createDatabase(): Promise<string[]>
  /** Ends all nodes by `SIGKILL` and starts them again from what is on disk. */
  restartAll(): Promise<void>
  /** Ends all nodes for good and deletes their folders. */
  remove(): Promise<void>
}

/** The ports of a node: clients, replication, incremental and full state transfer. */
interface Ports {
  readonly sql: number
  readonly group: number
  readonly increment: number
  readonly transfer: number
}

interface Node {
  readonly guarded: Guarded
  readonly ports: Ports
}

/** What all nodes share. */
interface Cluster {
  readonly programs: Programs
  readonly password: string
  readonly addresses: readonly string[]
  readonly runAs: RunAs | undefined
}

const HOST = '127.0.0.1'

/** A node that fails is left out after 1 to 2 s; nodes that start at the same time agree in less than one. */
const PACE = [
  'evs.keepalive_period=PT0.1S',
  'evs.inactive_check_period=PT0.1S',
  'evs.suspect_timeout=PT1S',
  'evs.inactive_timeout=PT2S',
  'evs.install_timeout=PT2S',
  'evs.join_retrans_period=PT0.2S',
]

function nodeCommand({ programs, addresses }: Cluster, { guarded, ports }: Node): string[] {
  const provider = [
    `base_host=${HOST}`,
    `base_port=${ports.group}`,
    `gmcast.listen_addr=tcp://${HOST}:${ports.group}`,
    `ist.recv_addr=${HOST}:${ports.increment}`,
    `ist.recv_bind=${HOST}:${ports.increment}`,
    'gcache.size=16M',
    'gcache.recover=yes',
    ...PACE,
  ]
  return [
    ...serverCommand(programs, guarded.folder),
    `--port=${ports.sql}`,
    '--binlog-format=ROW',
    '--innodb-autoinc-lock-mode=2',
    '--wsrep-on=ON',
    `--wsrep-provider=${programs.root}/usr/lib/galera/libgalera_smm.so`,
    `--wsrep-provider-options=${provider.join(';')}`,
    `--wsrep-cluster-address=gcomm://${addresses}`,
    `--wsrep-node-address=${HOST}:${ports.group}`,
    '--wsrep-sst-method=rsync',
    `--wsrep-sst-receive-address=${HOST}:${ports.transfer}`,
  ]
}

function nodeEnvironment({ programs }: Cluster, { guarded }: Node): NodeJS.ProcessEnv {
  return { ...programs.env, PATH: `${guarded.folder}/bin${delimiter}${programs.env.PATH}` }
}

async function own({ runAs }: Cluster, path: string): Promise<void> {
  if (runAs) await run('chown', ['-R', `${runAs.uid}:${runAs.gid}`, path])
}

async function prepareNode(cluster: Cluster, { guarded: { folder } }: Node): Promise<void> {
  // each node makes the accounts for itself
  await writeAccounts(folder, cluster.password, 'SET SESSION wsrep_on = OFF;')
  // has the script of the full transfer look into /proc, for want of programs that list sockets
  await mkdir(join(folder, 'bin'))
  await writeFile(join(folder, 'bin', 'selinuxenabled'), '#!/bin/sh\n', { mode: 0o755 })
  await own(cluster, folder)
}

/**
 * Lets the first node begin the history, and gives all the same data, as if the whole cluster had been killed just then:
 * they find each other again at once, where nodes that join one by one take 3 s each.
 */
async function prepareData(cluster: Cluster, nodes: readonly Node[]): Promise<void> {
  const [first, ...others] = nodes
  if (!first) throw new Error('Expected at least one node')
  const data = join(first.guarded.folder, 'data')
  await installData(cluster.programs, data)
  await own(cluster, data)
  await startNode(cluster, first, '--wsrep-new-cluster')
  await first.guarded.end('SIGTERM')
  for (const { guarded } of others) await run('cp', ['-a', data, guarded.folder])

  const ids = nodes.map(() => randomUUID()).sort()
  const view = [
    '#vwbeg',
    `view_id: 3 ${ids[0]} 1`,
    'bootstrap: 0',
    ...ids.map((id) => `member: ${id} 0`),
    '#vwend',
  ]
  for (const [i, { guarded }] of nodes.entries()) {
    const file = join(guarded.folder, 'data', 'gvwstate.dat')
    await writeFile(file, [`my_uuid: ${ids[i]}`, ...view, ''].join('\n'))
    await own(cluster, file)
  }
}

/** Up to where a node has the cluster's history, whatever way it ended. */
async function recoverPosition(cluster: Cluster, node: Node): Promise<string> {
  const [program = '', ...args] = [...nodeCommand(cluster, node), '--wsrep-recover']
  const { stderr } = await run(program, args, { env: nodeEnvironment(cluster, node), ...cluster.runAs })
  const [, position] = /Recovered position: *(\S+)/.exec(stderr) ?? []
  if (!position) throw new Error(`Expected a recovered position: ${stderr}`)
  return position
}

const STATE = `SELECT GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME) FROM information_schema.GLOBAL_STATUS
  WHERE VARIABLE_NAME IN ('WSREP_CLUSTER_STATUS', 'WSREP_LOCAL_STATE_COMMENT', 'WSREP_READY')`

async function startNode(cluster: Cluster, node: Node, ...extra: string[]): Promise<void> {
  const command = [...nodeCommand(cluster, node), ...extra]
  node.guarded.start(command, nodeEnvironment(cluster, node))
  const client = connectMariaDb(`mysql://root:${cluster.password}@${HOST}:${node.ports.sql}`)
  await node.guarded.until(() => answers(client, STATE, 'Primary,Synced,ON'))
}

async function rejoin(cluster: Cluster, node: Node): Promise<void> {
  await startNode(cluster, node, `--wsrep-start-position=${await recoverPosition(cluster, node)}`)
}

async function createEverywhere(nodes: readonly MariaDb[]): Promise<string[]> {
  const first = nodes.find(({ pid }) => pid !== 0)
  if (!first) throw new Error('Expected a node to run')
  const url = new URL(await first.createDatabase())
  const find = `SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '${url.pathname.slice(1)}'`
  return await Promise.all(
    nodes.map(async (node) => {
      while (node.pid !== 0 && !(await answers(node, find, '1'))) await pause(5)
      return Object.assign(new URL(url), { port: node.port }).href
    }),
  )
}

async function startCluster(root: string, count: number): Promise<Galera> {
  const free = await findFreePorts(4 * count)
  const runAs = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : undefined
  const nodes = Array.from({ length: count }, (_, i): Node => {
    const [sql = 0, group = 0, increment = 0, transfer = 0] = free.slice(4 * i)
    return { guarded: createGuarded(`galera-${i + 1}`, runAs), ports: { sql, group, increment, transfer } }
  })
  const cluster: Cluster = {
    programs: { root, env: environmentOf(root) },
    password: createPassword(),
    addresses: nodes.map(({ ports }) => `${HOST}:${ports.group}`),
    runAs,
  }
  const remove = async () => {
    await Promise.all(nodes.map(({ guarded }) => guarded.remove()))
  }
  try {
    for (const node of nodes) await prepareNode(cluster, node)
    await prepareData(cluster, nodes)
    await Promise.all(nodes.map((node) => rejoin(cluster, node)))
  } catch (error) {
    await remove()
    throw error
  }
  const servers = nodes.map((node) =>
    mariaDbIn(node.guarded, node.ports.sql, cluster.password, () => rejoin(cluster, node)),
  )
  return {
    nodes: servers,
    createDatabase: () => createEverywhere(servers),
    async restartAll() {
      await Promise.all(servers.map((server) => server.kill()))
      await Promise.all(servers.map((server) => server.start()))
    },
    remove,
  }
}

/**
 * Starts a cluster. It ends with this process, or with {@link Galera.remove}. As root, the nodes run as `nobody`, whom the
 * transfer of data works for.
 *
 * @returns Once all nodes are in step. Rejects with a node's output when it ends before.
 */
export async function startGalera(count = 3): Promise<Galera> {
  const root = await bring(PACKAGES)
  for (let attempt = 1; ; attempt++) {
    try {
      return await startCluster(root, count)
    } catch (error) {
      // somebody was quicker to take one of the ports
      if (attempt === 5 || !/Address already in use/.test(String(error))) throw error
    }
  }
}
