/** The Galera cluster that tests start: whether its nodes fail and come back as nodes do. @module */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type Galera, startGalera } from '../support/galera.ts'
import { findFreePorts } from '../support/guarded.ts'
import { startHaproxy } from '../support/haproxy.ts'

let cluster: Galera
/** One database, seen from each node. */
let urls: string[]

beforeAll(async () => {
  cluster = await startGalera()
})

afterAll(async () => {
  await cluster?.remove()
})

beforeEach(async () => {
  urls = await cluster.createDatabase()
  await query(urls[0], 'CREATE TABLE notes (text VARCHAR(10) PRIMARY KEY)')
})

async function query(url = '', text: string): Promise<unknown> {
  const connection = await createConnection(url)
  try {
    await connection.query('SET SESSION wsrep_sync_wait = 7')
    const [rows] = await connection.query(text)
    return rows
  } finally {
    connection.destroy()
  }
}

const write = (url: string | undefined, text: string) => query(url, `INSERT INTO notes VALUES ('${text}')`)

/** What each node has. */
const readAll = () => Promise.all(urls.map((url) => query(url, 'SELECT text FROM notes ORDER BY text')))

const everywhere = (...texts: string[]) => urls.map(() => texts.map((text) => ({ text })))

test('what one node is told, all have', async () => {
  for (const [i, url] of urls.entries()) await write(url, `from ${i}`)
  expect(await readAll()).toEqual(everywhere('from 0', 'from 1', 'from 2'))
})

test('a node that is killed is missed by nobody, and catches up', async () => {
  const [, , third] = cluster.nodes
  await write(urls[0], 'before')
  await third?.kill()
  await write(urls[1], 'meanwhile')
  await third?.start()
  expect(await readAll()).toEqual(everywhere('before', 'meanwhile'))
})

test('after all were killed, all have what was committed', async () => {
  await write(urls[2], 'kept')
  await cluster.restartAll()
  expect(await readAll()).toEqual(everywhere('kept'))
})

test('a node that is left alone refuses, and goes on when others are back', async () => {
  const [, second, third] = cluster.nodes
  await Promise.all([second?.kill(), third?.kill()])
  const attempt = (text: string) =>
    write(urls[0], text).then(
      () => 'written',
      ({ errno }) => errno,
    )
  await expect.poll(() => attempt('alone'), { timeout: 10_000 }).toBe(1047)
  await Promise.all([second?.start(), third?.start()])
  await expect.poll(() => attempt('together'), { timeout: 10_000 }).toBe('written')
  expect(await readAll()).toEqual(everywhere('together'))
})

test('a database can be made while a node is down', async () => {
  await cluster.nodes[0]?.kill()
  urls = await cluster.createDatabase()
  await query(urls[1], 'CREATE TABLE notes (text VARCHAR(10) PRIMARY KEY)')
  await cluster.nodes[0]?.start()
  await write(urls[0], 'back')
  expect(await readAll()).toEqual(everywhere('back'))
})

test('HAProxy leads to a node that is up', async () => {
  const [port = 0] = await findFreePorts(1)
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-test-'))
  const config = join(folder, 'haproxy.cfg')
  const servers = cluster.nodes.map((node, i) => `  server node${i} 127.0.0.1:${node.port} check inter 100\n`)
  writeFileSync(
    config,
    `defaults
  mode tcp
  timeout connect 1s
  timeout client 10s
  timeout server 10s
  option redispatch
listen nodes
  bind "127.0.0.1:\${PORT}"
  balance first
${servers.join('')}`,
  )
  const proxy = await startHaproxy(config, { PORT: String(port) }, port)
  try {
    const url = Object.assign(new URL(urls[0] ?? ''), { port }).href
    const ask = () => query(url, 'SELECT @@port AS port').catch(() => [])
    expect(await ask()).toEqual([{ port: cluster.nodes[0]?.port }])
    await cluster.nodes[0]?.kill()
    await expect.poll(ask, { timeout: 10_000 }).toEqual([{ port: cluster.nodes[1]?.port }])
  } finally {
    await proxy.stop()
    rmSync(folder, { recursive: true })
  }
  await cluster.nodes[0]?.start()
})
