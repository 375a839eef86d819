/**
 * A program that shares its logins with others, on Node, Deno or Bun: `credential_child.ts TASK FOLDER ...`.
 *
 * - `write FOLDER START`: saves one login over and over, with a higher number each time, and says it once it is kept.
 * - `race FOLDER LOG ROUNDS`: says `ready`; for each line on stdin saves a login of its own, then adds one to a number
 *   that all share, under the lock, which it enters and leaves in LOG, `ROUNDS` times. Says `done`.
 * - `stay FOLDER LOG`: enters the lock and says `inside`; leaves when stdin says so.
 * - `tour FOLDER MODE`: does everything once, and says what came of it.
 *
 * @module
 */

import { appendFile } from 'node:fs/promises'
import process from 'node:process'
import { createInterface } from 'node:readline'
import { credentialStore } from '../../clients/credential_store.ts'
import type { StoredLogin } from '../../clients/store.ts'

const [task, directory = '', where = '', rounds = '0'] = process.argv.slice(2)
const A = 'https://a.example/auth'
const lines = () => createInterface({ input: process.stdin })[Symbol.asyncIterator]()

const loginOf = (subject: string, changes: Partial<StoredLogin> = {}): StoredLogin => ({
  server: A,
  issuer: 'https://id.example',
  subject,
  client_id: 'mytool',
  name: null,
  kind: 'session',
  scope: '',
  expires_at: 0,
  access_token: `pgs_Secret-${subject}`,
  refresh_token: null,
  ...changes,
})

const fileStore = () => credentialStore({ name: 'mytool', mode: 'file', directory, env: {} })

async function write(): Promise<void> {
  const store = fileStore()
  for (let number = Number(where) + 1; ; number++) {
    const access_token = String(number).padStart(10_000, 'x')
    await store.save(loginOf('alice', { expires_at: number, access_token }))
    console.log(number)
  }
}

async function race(): Promise<void> {
  const store = fileStore()
  const me = `${process.pid}`
  const input = lines()
  console.log('ready')
  for (let begun = 0; !(await input.next()).done; begun++) {
    await store.save(loginOf(`own ${me} ${begun}`))
    for (let round = 0; round < Number(rounds); round++) {
      await store.lock(async () => {
        await appendFile(where, `enter ${me}\n`)
        const login = (await store.find(A, loginOf('shared'))) ?? loginOf('shared')
        await store.save({ ...login, expires_at: login.expires_at + 1 })
        await appendFile(where, `leave ${me}\n`)
      })
    }
    console.log('done')
  }
}

async function stay(): Promise<void> {
  const input = lines()
  await fileStore().lock(async () => {
    await appendFile(where, `enter ${process.pid}\n`)
    console.log('inside')
    await input.next()
    await appendFile(where, `leave ${process.pid}\n`)
  })
  console.log('outside')
}

async function tour(): Promise<void> {
  const mode = where as 'file' | 'keyring' | 'auto' | 'ephemeral'
  const store = credentialStore({ name: 'mytool', mode, directory, cwd: directory, env: {} })
  const say = (what: unknown) => console.log(JSON.stringify(what))
  const alice = loginOf('alice')
  const bob = loginOf('bob', { refresh_token: 'r', name: 'Bob ü' })
  say(await store.save(alice, { activate: true }))
  await store.lock(async () => {
    await Promise.all([store.save(bob), store.save(loginOf('carol', { server: 'https://b.example' }))])
    await store.lock(async () => await store.remove('https://b.example', loginOf('carol')))
  })
  await store.activate(A, bob, { directory })
  say(await store.find(A))
  say((await store.list()).map(({ subject, active, place }) => [subject, active, place]))
  await Promise.all(Array.from({ length: 5 }, (_, i) => store.save(loginOf(`many ${i}`))))
  say([(await store.list()).length, await store.defaultServer()])
  for (const login of await store.list()) await store.remove(A, login)
  say(await store.list())
  const late = AbortSignal.timeout(20)
  await store.lock(async () => {
    const other = credentialStore({ name: 'mytool', mode, directory, env: {} })
    if (mode === 'ephemeral') return say('TimeoutError')
    say(await other.lock(async () => 'in', late).catch((error) => error.name))
  })
}

const tasks: Readonly<Record<string, () => Promise<void>>> = { write, race, stay, tour }
await tasks[task ?? '']?.()
// the last of the input may still be awaited
process.exit(0)
