/** The two examples of a command-line app, as processes against a real server. @module */

import { spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type LiveGate, listenGate } from './support/listen.ts'
import { plainEnvironment, ROOT } from './support/runtimes.ts'

let gate: LiveGate
const home = mkdtempSync(join(tmpdir(), 'pairgate-cli-'))
beforeAll(async () => {
  gate = await listenGate(() => ({ pollSeconds: 1 }), '/auth')
})
afterAll(async () => {
  await gate.close()
  await gate.gate.close()
  rmSync(home, { recursive: true, force: true })
})

/** Runs an example; alice allows the login that it asks for. */
async function run(file: string, ...args: string[]) {
  const alice = gate.browser()
  await alice.post('/auth/sign-in/dev', { username: 'alice' })
  const child = spawn(process.execPath, ['--import', 'tsx', `examples/${file}`, ...args], {
    cwd: ROOT,
    env: {
      ...plainEnvironment(),
      MYTOOL_SERVER: gate.base,
      MYTOOL_CONFIG_DIR: home,
      MYTOOL_CREDENTIAL_STORE: 'file',
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  let decided: Promise<Response> | undefined
  child.stdout.on('data', (text) => {
    output.stdout += text
  })
  child.stderr.on('data', (text) => {
    output.stderr += text
    const [link] = /http\S+/.exec(output.stderr) ?? []
    if (!link || !/shows?: /.test(output.stderr) || decided) return
    const { pathname, search } = new URL(link)
    decided = alice.decide(pathname + search, 'allow')
  })
  const code = await new Promise((resolve) => child.on('close', resolve))
  return { code, ...output }
}

test('examples/cli.ts signs in, knows the login the next time, and signs out', async () => {
  const login = await run('cli.ts', 'login')
  expect([login.code, login.stdout]).toEqual([0, 'Signed in as alice\n'])
  expect(await run('cli.ts', 'whoami')).toEqual({ code: 0, stdout: 'alice\n', stderr: '' })
  expect((await run('cli.ts', 'logout')).stdout).toBe('Signed out\n')
  expect((await run('cli.ts', 'logout')).stdout).toBe('Nobody was signed in\n')
  expect(await run('cli.ts', 'whoami')).toEqual({ code: 1, stdout: '', stderr: 'Nobody is signed in\n' })
  expect((await run('cli.ts')).stdout).toBe('Try login, whoami or logout\n')
})

test('examples/cli_api.ts signs in with the generated client alone', async () => {
  expect(await run('cli_api.ts')).toMatchObject({ code: 0, stdout: 'Signed in as alice\n' })
})

test('they are as short as they say', () => {
  const lines = (file: string) =>
    readFileSync(join(ROOT, 'examples', file), 'utf8')
      .split('\n')
      .filter((line) => line.trim() && !/^\s*\/?\*/.test(line)).length
  expect(lines('cli.ts')).toBe(15)
})
