/** The command for programs: `--json`, and logins in two steps, as coding agents need them. @module */

import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { SHAPES } from '../tools/command_schema.ts'
import { decide, login, run, type StartOptions, start } from './support/command_login.ts'
import { type CommandWorld, createCommandWorld, type Ran } from './support/command_world.ts'
import { findFreePort } from './support/standalone.ts'

let world: CommandWorld

beforeAll(async () => {
  const clients = {
    'pairgate-cli': { scopes: ['pairgate:manage', 'read'] },
    renewing: { refresh: true },
  }
  const scopes = { read: 'Read your projects' }
  world = await createCommandWorld(
    { clients, scopes, pollSeconds: 1, limits: { startPerMinute: 10_000 } },
    '',
  )
})
afterAll(async () => await world.close())
beforeEach(() => rmSync(world.directory, { recursive: true, force: true }))

/** The one object on stdout, which has the shape that is documented. */
function read<Name extends keyof typeof SHAPES>(
  name: Name,
  { stdout }: Ran,
): v.InferOutput<(typeof SHAPES)[Name]> {
  expect(stdout.match(/\n/g)).toHaveLength(1)
  return v.parse(SHAPES[name], JSON.parse(stdout)) as v.InferOutput<(typeof SHAPES)[Name]>
}

async function fails(args: readonly string[], options: StartOptions = {}) {
  const ran = await run(world, args, options)
  // all that there is to say is in the object
  expect(ran.stderr).toBe('')
  return { exit: ran.code, ...read('failure', ran).error }
}

const pendingFiles = () => readdirSync(world.directory).filter((name) => name.startsWith('pending-'))
const pending = () => {
  const [name = ''] = pendingFiles()
  return JSON.parse(readFileSync(join(world.directory, name), 'utf8'))
}

describe('--json', () => {
  test('every command prints one object of its documented shape', async () => {
    const signedIn = await login(world, ['--device', '--json'])
    expect(signedIn.code).toBe(0)
    expect(read('login', signedIn)).toMatchObject({
      status: 'signed_in',
      subject: 'alice',
      kind: 'api_key',
      refreshable: false,
      replaced: null,
    })
    expect(read('login', await login(world, ['--link', '--json'])).replaced).toBe('revoked')
    await world.login('bob', { clientId: 'renewing' })
    expect(read('status', await run(world, ['status', '--json']))).toMatchObject({
      subject: 'bob',
      refreshable: true,
      source: 'login',
    })
    const { logins } = read('status_all', await run(world, ['status', '--all', '--json']))
    expect(logins.map(({ subject, active, status }) => [subject, active, status])).toEqual([
      ['alice', false, 'signed_in'],
      ['bob', true, 'signed_in'],
    ])
    const token = read('token', await run(world, ['token', '--json']))
    expect(token.access_token).toMatch(/^pgk_/)
    expect(read('refresh', await run(world, ['refresh', '--json'])).subject).toBe('bob')
    expect(read('switch', await run(world, ['switch', '--json'])).subject).toBe('alice')
    read('kubectl_credential', await run(world, ['kubectl-credential', '--json']))
    const ended = read('logout', await run(world, ['logout', '--all', '--json']))
    expect(ended.logins.map(({ subject, revoked }) => [subject, revoked])).toEqual([
      ['alice', true],
      ['bob', true],
    ])
    expect(read('logout', await run(world, ['logout', '--json'])).logins).toEqual([])
  })

  test('keys and sessions too', async () => {
    await world.login('carol', { scope: 'pairgate:manage' })
    const { id } = read('keys_create', await run(world, ['keys', 'create', 'ci', '--json']))
    const { keys } = read('keys_list', await run(world, ['keys', 'list', '--json']))
    expect(keys.map((key) => key.id)).toContain(id)
    expect(read('keys_rotate', await run(world, ['keys', 'rotate', 'ci', '--json'])).id).toBe(id)
    expect(read('keys_revoke', await run(world, ['keys', 'revoke', 'ci', '--json']))).toEqual({
      revoked: [id],
    })
    read('sessions_list', await run(world, ['sessions', 'list', '--json']))
    const all = await run(world, ['sessions', 'revoke', '--all', '--yes', '--json'])
    expect(read('sessions_revoke', all)).toMatchObject({ count: expect.any(Number) })
  })

  test('an ephemeral login has its token in the object', async () => {
    const ran = await login(world, ['--device', '--storage', 'ephemeral', '--json'])
    expect(read('login', ran)).toMatchObject({
      place: null,
      token_type: 'Bearer',
      access_token: expect.any(String),
    })
  })

  test('a login that is over, beside one that is not', async () => {
    await world.login('alice')
    world.gate.database.exec('UPDATE credentials SET revoked_at = 1')
    await world.login('bob')
    const ran = await run(world, ['status', '--all', '--json'])
    expect(ran.code).toBe(4)
    expect(read('status_all', ran).logins.map(({ status }) => status)).toEqual(['ended', 'signed_in'])
  })

  test('failures are objects with a code, and what to run next; the exit code stays', async () => {
    const signIn = { command: `pairgate login --server ${world.server}`, when: 'to sign in' }
    for (const args of [
      ['status'],
      ['token'],
      ['refresh'],
      ['switch'],
      ['keys', 'list'],
      ['kubectl-credential'],
    ]) {
      expect(await fails([...args, '--json'])).toMatchObject({ exit: 4, next: [signIn] })
    }
    const away = `http://127.0.0.1:${await findFreePort()}`
    const cases: [string[], number, string][] = [
      [['nonsense', '--json'], 2, 'usage'],
      [['login', '--server', 'ftp://x', '--json'], 2, 'bad_server'],
      [['login', '--server', away, '--json'], 1, 'unreachable'],
      [['login', '--server', `${world.server}/nowhere`, '--json'], 1, 'not_pairgate'],
      [['login', '--scope', 'nonsense', '--json'], 1, 'refused'],
      [['login', '--with-token', '--json'], 2, 'usage'],
    ]
    for (const [args, exit] of cases) {
      const { stdout, code } = await run(world, args)
      expect([args, code]).toEqual([args, exit])
      const { error } = v.parse(SHAPES.failure, JSON.parse(stdout))
      expect([args, error.code]).toEqual([args, cases.find(([one]) => one === args)?.[2]])
    }
    const env = { PAIRGATE_TOKEN: 'pgk_x' }
    const { next } = await fails(['logout', '--json'], { env })
    expect(next).toEqual([{ command: 'unset PAIRGATE_TOKEN', when: 'to use logins that are kept here' }])
  })

  test('denied and cancelled logins', async () => {
    const denied = start(world, ['login', '--device', '--json'])
    await decide(world, await denied.link, 'deny')
    const ran = await denied.ended
    expect([ran.code, read('failure', ran).error]).toMatchObject([
      2,
      { code: 'access_denied', next: [{ command: 'pairgate login --device --json', when: 'to try again' }] },
    ])
    const cancelled = start(world, ['login', '--device', '--json'])
    await cancelled.link
    cancelled.kill('SIGINT')
    const ended = await cancelled.ended
    expect([ended.code, read('failure', ended).error.code]).toEqual([130, 'cancelled'])
  })
})

describe('a login in two steps', () => {
  test('--non-interactive says what the person has to do, --complete collects', async () => {
    const first = await run(world, ['login', '--non-interactive', '--name', 'an agent', '--scope', 'read'])
    expect([first.code, first.stderr]).toEqual([0, ''])
    const started = read('login_started', first)
    expect(started.message).toContain(started.verification_uri_complete)
    expect(started.message).toContain(started.user_code)
    const command = `pairgate login --complete --server ${world.server}`
    expect(started.next).toMatchObject([{ command }])

    const { device_code } = pending()
    expect(device_code).toEqual(expect.any(String))
    expect(first.stdout).not.toContain(device_code)
    expect(statSync(join(world.directory, String(pendingFiles()[0]))).mode & 0o777).toBe(0o600)

    const page = await decide(world, started.verification_uri_complete, 'allow')
    expect([page.includes('an agent'), page.includes('Read your projects')]).toEqual([true, true])
    const second = await run(world, ['login', '--complete'])
    expect([second.code, read('login', second)]).toMatchObject([0, { status: 'signed_in', subject: 'alice' }])
    expect([second.stdout.includes(device_code), pendingFiles()]).toEqual([false, []])

    expect(await fails(['login', '--complete'])).toEqual({
      exit: 2,
      code: 'usage',
      message: expect.stringContaining('No login was started at'),
      next: [
        {
          command: `pairgate login --non-interactive --server ${world.server}`,
          when: 'to start a new login',
        },
      ],
    })
  })

  test.each(['CLAUDECODE', 'CODEX_SANDBOX', 'GEMINI_CLI'])(
    '%s: an agent gets it without asking',
    async (name) => {
      const env = { [name]: '1' }
      read('login_started', await run(world, ['login'], { env }))
      expect(await fails(['login', '--server', 'ftp://x'], { env })).toMatchObject({ exit: 2 })
    },
  )

  test('an agent that names a way waits like everybody else', async () => {
    const env = { CLAUDECODE: '1' }
    const command = start(world, ['login', '--device'], { env })
    await decide(world, await command.link, 'allow')
    expect(await command.ended).toMatchObject({ code: 0, stdout: '' })
    const { access_token } = await world.login('alice')
    const adopted = await run(world, ['login', '--with-token'], { env, input: access_token })
    expect([adopted.code, adopted.stderr]).toEqual([0, expect.stringContaining('Signed in as alice')])
  })

  test('a refresh without a refresh token starts one, which only the same person completes', async () => {
    await world.login('alice')
    const env = { CLAUDECODE: '1' }
    const first = await run(world, ['refresh'], { env })
    expect(first.code).toBe(0)
    const { verification_uri_complete } = read('login_started', first)
    await decide(world, verification_uri_complete, 'allow', 'eve')
    const second = await run(world, ['login', '--complete'], { env })
    expect([second.code, read('failure', second).error.code]).toEqual([1, 'wrong_account'])
    expect(JSON.parse((await run(world, ['status', '--json'])).stdout).subject).toBe('alice')
  })

  test('denied: the file is gone, and a new login can be started', async () => {
    const started = read('login_started', await run(world, ['login', '--non-interactive']))
    await decide(world, started.verification_uri_complete, 'deny')
    const ran = await run(world, ['login', '--complete'])
    expect([ran.code, read('failure', ran).error]).toMatchObject([
      2,
      { code: 'access_denied', next: [{ command: 'pairgate login --non-interactive' }] },
    ])
    expect(pendingFiles()).toEqual([])
  })

  test('expired: the same', async () => {
    await run(world, ['login', '--non-interactive'])
    const [name = ''] = pendingFiles()
    writeFileSync(join(world.directory, name), JSON.stringify({ ...pending(), expires_at: 1_700_000_000 }))
    const ran = await run(world, ['login', '--complete'])
    expect([ran.code, read('failure', ran).error.code, pendingFiles()]).toEqual([1, 'expired_token', []])
  })

  test('interrupted: it can be completed later', async () => {
    const started = read('login_started', await run(world, ['login', '--non-interactive']))
    const waiting = start(world, ['login', '--complete'])
    await waiting.shows('Waiting for the browser')
    waiting.kill('SIGTERM')
    expect([(await waiting.ended).code, pendingFiles().length]).toEqual([143, 1])
    await decide(world, started.verification_uri_complete, 'allow')
    expect((await run(world, ['login', '--complete'])).code).toBe(0)
  })

  test('a file that cannot be read counts as none, and each server has its own', async () => {
    await run(world, ['login', '--non-interactive'])
    const [name = ''] = pendingFiles()
    writeFileSync(join(world.directory, name), '{"server":')
    expect((await fails(['login', '--complete'])).exit).toBe(2)
    const other = world.server.replace('127.0.0.1', 'localhost')
    expect(await fails(['login', '--complete', '--server', other])).toMatchObject({ exit: 2 })
  })
})
