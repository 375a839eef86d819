/** Ten programs at once over one file of logins: every expiry is met by one refresh, and nobody is signed out by it. @module */

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient, credentialStore, type LoginPrompt } from '../clients/mod.ts'
import { type LiveGate, listenGate } from './support/listen.ts'
import { BUN, DENO, plainEnvironment, ROOT } from './support/runtimes.ts'

const PROGRAMS = [
  ...Array.from({ length: 6 }, () => [process.execPath, '--import', 'tsx']),
  ...Array.from({ length: 2 }, () => [DENO, 'run', '--no-prompt', '--no-lock', '-A']),
  ...Array.from({ length: 2 }, () => [BUN]),
]

let gate: LiveGate
const folder = mkdtempSync(join(tmpdir(), 'pairgate-kit-'))
const children: ChildProcess[] = []
beforeAll(async () => {
  gate = await listenGate(() => ({ clients: { mytool: { refresh: true } }, accessSeconds: 600 }), '/auth')
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  await gate.close()
  await gate.gate.close()
  rmSync(folder, { recursive: true, force: true })
})

async function start(program: readonly string[]) {
  const [file = '', ...args] = program
  const child = spawn(file, [...args, 'test/support/kit_fetch.ts', gate.base, folder], {
    cwd: ROOT,
    env: plainEnvironment(),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  children.push(child)
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  expect((await lines.next()).value).toBe('ready')
  return async (ahead: number): Promise<string> => {
    child.stdin.write(`${ahead}\n`)
    return String((await lines.next()).value)
  }
}

test('ten programs share a login over five expiries: one refresh each, all calls answered', async () => {
  const store = credentialStore({ name: 'mytool', mode: 'file', directory: folder })
  const client = createClient({ server: gate.base, clientId: 'mytool', store, token: null })
  const alice = gate.browser()
  await alice.post('/auth/sign-in/dev', { username: 'alice' })
  let decided: Promise<Response> | undefined
  await client.login({
    via: 'link',
    browser: false,
    onPrompt: ({ url }: LoginPrompt) => {
      decided = alice.decide(new URL(url).pathname, 'allow')
    },
    async wait() {
      await decided
    },
  })
  const programs = await Promise.all(PROGRAMS.map(start))
  const count = () => gate.rows("select id from events where type = 'refreshed'").length
  for (let expiry = 1; expiry <= 5; expiry++) {
    gate.advance(601)
    const answers = await Promise.all(programs.map((call) => call(601 * expiry)))
    expect(answers).toEqual(programs.map(() => '200 You are authenticated as: alice'))
    expect(count()).toBe(expiry)
  }
  expect(gate.rows("select id from events where type = 'replayed'")).toEqual([])
  expect(await client.logout()).toMatchObject({ error: null })
  const after = await Promise.all(programs.map((call) => call(601 * 5)))
  expect(after.every((line) => line.startsWith('failed: not_signed_in'))).toBe(true)
})
