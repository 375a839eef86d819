/** The MariaDB that tests start: whether it can be relied on, and whether it leaves anything behind. @module */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { createConnection } from 'mysql2/promise'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { accepts } from './support/guarded.ts'
import { connectMariaDb, type MariaDb, startMariaDb } from './support/mariadb.ts'

let server: MariaDb

beforeAll(async () => {
  server = await startMariaDb()
})

afterAll(async () => {
  await server?.remove()
})

async function query(url: string, text: string): Promise<unknown> {
  const connection = await createConnection(url)
  try {
    const [rows] = await connection.query(text)
    return rows
  } finally {
    await connection.end()
  }
}

/** Another process that starts a server, and says where it is. */
async function startElsewhere(then: string) {
  const support = new URL('support/mariadb.ts', import.meta.url)
  const program = `
    const { startMariaDb } = await import('${support}')
    const server = await startMariaDb()
    const [{ folder }] = await server.sql('SELECT @@datadir AS folder')
    console.log(JSON.stringify({ port: server.port, folder }))
    ${then}`
  const args = ['--input-type=module', '-e', program]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  const ended = once(child, 'exit')
  const [line] = await once(child.stdout.setEncoding('utf8'), 'data')
  return { child, ended, ...(JSON.parse(line) as { port: number; folder: string }) }
}

test('two databases are separate, and their user has no rights beyond them', async () => {
  const one = await server.createDatabase()
  const two = await connectMariaDb(server.adminUrl).createDatabase()
  await query(one, 'CREATE TABLE notes (text VARCHAR(10))')
  expect(await query(one, 'SHOW TABLES')).toHaveLength(1)
  expect(await query(two, 'SHOW TABLES')).toEqual([])
  await expect(query(one, 'SELECT * FROM mysql.user')).rejects.toThrow(/denied/)
  await expect(query(one.replace(/:\w+@/, ':@'), 'SELECT 1')).rejects.toThrow(/denied/)
})

test('sql binds values and resolves to rows', async () => {
  expect(await server.sql('SELECT ? AS text, ? AS number', "O'Hara", 7)).toEqual([
    { text: "O'Hara", number: 7 },
  ])
  expect(await server.sql('SET @a = 1')).toEqual([])
})

test.each(['kill', 'stop'] as const)(
  '%s and start keep port, accounts and what was committed',
  async (end) => {
    const url = await server.createDatabase()
    const { pid } = server
    await query(url, 'CREATE TABLE notes (text VARCHAR(10))')
    await query(url, "INSERT INTO notes VALUES ('kept')")
    await server[end]()
    expect([server.pid, await accepts(server.port)]).toEqual([0, false])
    await expect(server.sql('SELECT 1')).rejects.toThrow(/ECONNREFUSED/)
    await server.start()
    expect(await query(url, 'SELECT text FROM notes')).toEqual([{ text: 'kept' }])
    expect(server.pid).not.toBe(pid)
  },
)

test('one that a test has stopped can be killed', async () => {
  process.kill(server.pid, 'SIGSTOP')
  await server.kill()
  await server.start()
  expect(await server.sql('SELECT 1 AS one')).toEqual([{ one: 1 }])
})

test('a port that is taken is said to be', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const address = other.address()
  const port = typeof address === 'object' && address ? address.port : 0
  await expect(startMariaDb({ port })).rejects.toThrow(/Address already in use/)
  other.close()
})

test('it does not outlive a killed test process, and neither does its folder', async () => {
  const { child, ended, port, folder } = await startElsewhere('process.stdin.resume()')
  expect([await accepts(port), existsSync(folder)]).toEqual([true, true])
  child.kill('SIGKILL')
  await ended
  await expect.poll(() => accepts(port), { timeout: 10_000 }).toBe(false)
  await expect.poll(() => existsSync(folder), { timeout: 10_000 }).toBe(false)
})

test('a test process that forgets it ends all the same, and so does it', async () => {
  const { ended, port, folder } = await startElsewhere('')
  expect(await ended).toEqual([0, null])
  await expect.poll(() => accepts(port), { timeout: 10_000 }).toBe(false)
  await expect.poll(() => existsSync(folder), { timeout: 10_000 }).toBe(false)
})

test('a folder whose server was ended goes with the test process too', async () => {
  const { child, ended, folder } = await startElsewhere('await server.kill(); process.stdin.resume()')
  child.kill('SIGKILL')
  await ended
  await expect.poll(() => existsSync(folder), { timeout: 10_000 }).toBe(false)
})
