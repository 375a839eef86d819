/** The `pairgate` command as people run it: a process of its own, against a real server over real sockets. @module */

import { readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { decide, login, run, start } from './support/command_login.ts'
import { type CommandWorld, createCommandWorld } from './support/command_world.ts'
import { findFreePort } from './support/standalone.ts'

let world: CommandWorld

beforeAll(async () => {
  const clients = { 'pairgate-cli': { scopes: ['read'] } }
  const scopes = { read: 'Read your projects' }
  const limits = { startPerMinute: 10_000 }
  world = await createCommandWorld({ pollSeconds: 1, deviceCodeSeconds: 300, clients, scopes, limits }, '')
})
afterAll(async () => await world.close())
beforeEach(() => rmSync(world.directory, { recursive: true, force: true }))

const file = () => join(world.directory, 'credentials.json')
const stored = () => JSON.parse(readFileSync(file(), 'utf8'))
const storedToken = (): string => stored().logins[0].access_token
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)
const whoami = async (token: string) => {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(`${world.server}/trpc/session.whoami`, { headers })).status
}
const place = () => new URL(world.server).host

describe.each(['device', 'link'] as const)('login --%s', (via) => {
  test('PC-14 the command prints who it is signed in as, stores 0600 in 0700, and logout revokes', async () => {
    const { code, stdout, stderr, page } = await login(world, [`--${via}`])
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toContain(`Signed in as alice at ${place()}\n`)
    const shown = /page shows: (.+)\n/.exec(stderr)?.[1]
    expect(page).toContain(shown)
    expect(stderr).toContain(
      'Only allow it if you started this login yourself. Never share the link or the code.',
    )
    expect([mode(world.directory), mode(file())]).toEqual(['700', '600'])
    const token = storedToken()
    expect(await whoami(token)).toBe(200)

    expect(await run(world, ['token'])).toEqual({ code: 0, stdout: `${token}\n`, stderr: '' })
    const status = await run(world, ['status'])
    expect(status).toMatchObject({ code: 0, stderr: '' })
    expect(status.stdout).toMatch(
      /^Signed in as alice at .*\n {2}Kind {5}(API key|session)\n {2}Token {4}pg._\.\.\.\w{4}\n {2}Expires {2}in \d+ day/,
    )

    expect(await run(world, ['logout'])).toMatchObject({ code: 0, stdout: '' })
    expect(await whoami(token)).toBe(401)
    expect(stored().logins).toEqual([])
    const again = await run(world, ['logout'])
    expect(again).toMatchObject({ code: 0, stderr: `Not signed in at ${place()}, nothing to do\n` })
  })

  test('asks for scopes, and says what it got', async () => {
    const { code, stderr, page } = await login(world, [`--${via}`, '--scope', 'read'])
    expect([code, page.includes('Read your projects')]).toEqual([0, true])
    expect(stderr).toContain('\n  Scope read\n')
    expect((await run(world, ['status'])).stdout).toContain('\n  Scope    read\n')
    const unknown = await run(world, ['login', `--${via}`, '--scope', 'write'])
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('invalid_scope')])
    const bare = await login(world, [`--${via}`])
    expect(bare.stderr).not.toContain('Scope')
  })

  test('ends with 2 when the person says no', async () => {
    const command = start(world, ['login', `--${via}`])
    await decide(world, await command.link, 'deny')
    const { code, stderr } = await command.ended
    expect(code).toBe(2)
    expect(stderr).toMatch(
      `Error: The login was denied in the browser\nNothing was changed.\nTo try again, run: pairgate login --${via}\n`,
    )
    expect(readdirSync(world.directory)).toEqual([])
  })

  test('ends with 1 when nobody decides in time', async () => {
    const command = start(world, ['login', `--${via}`])
    await command.link
    world.gate.advance(700)
    const { code, stderr } = await command.ended
    expect(code).toBe(1)
    expect(stderr).toContain(`not confirmed in time\nTo try again, run: pairgate login --${via}\n`)
  })

  test.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGHUP', 129],
  ] as const)('%s ends with %i, in one clean line', async (signal, exit) => {
    const command = start(world, ['login', `--${via}`])
    await command.link
    command.kill(signal)
    const { code, stdout, stderr } = await command.ended
    expect([code, stdout]).toEqual([exit, ''])
    expect(stderr).toMatch(/Waiting for the browser.*\nCancelled, nothing was changed\n$/)
    expect(readdirSync(world.directory)).toEqual([])
  })
})

test('the page shows user@host, or what --name says', async () => {
  const { page } = await login(world, ['--device', '--name', 'the build server'])
  expect(page).toContain('the build server')
  const usual = await login(world, ['--device'])
  expect(usual.page).toMatch(/\w+@[\w.-]+/)
})

test('signing in again replaces the credential and revokes the one before', async () => {
  await login(world, ['--device'])
  const before = storedToken()
  const { stderr } = await login(world, ['--link'])
  expect(stderr).toContain('Replaces the login as alice, which was revoked')
  expect(await whoami(before)).toBe(401)
  expect(await whoami(storedToken())).toBe(200)
  expect(mode(file())).toBe('600')
  expect(readdirSync(world.directory)).toEqual(['credentials.json'])
})

test('without --server and $PAIRGATE_SERVER, the server of the last login counts', async () => {
  await login(world, ['--device'])
  const { code, stdout } = await run(world, ['status'], { env: { PAIRGATE_SERVER: '' } })
  expect([code, stdout]).toEqual([0, expect.stringContaining(place())])
  rmSync(world.directory, { recursive: true })
  const first = await run(world, ['status'], { env: { PAIRGATE_SERVER: '' } })
  expect(first.stderr).toContain('Not signed in at 127.0.0.1:8787\n')
})

test('who is not signed in any more ends with 4, and reads what to run next', async () => {
  const next = `To sign in, run: pairgate login --server ${world.server}\n`
  for (const command of ['status', 'token', 'refresh', 'switch']) {
    const { code, stdout, stderr } = await run(world, [command])
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
    expect(stderr).toBe(`Not signed in at ${place()}\n${next}`)
  }
  await login(world, ['--device'])
  world.gate.database.exec('UPDATE credentials SET revoked_at = 1')
  const revoked = await run(world, ['status'])
  expect([revoked.code, revoked.stderr]).toEqual([4, `The login as alice at ${place()} was revoked\n${next}`])
  const { logins, ...rest } = stored()
  writeFileSync(file(), JSON.stringify({ ...rest, logins: [{ ...logins[0], expires_at: 1_700_000_000 }] }))
  for (const command of ['status', 'token']) {
    const { code, stdout, stderr } = await run(world, [command])
    expect([code, stdout, stderr]).toEqual([4, '', `The login as alice at ${place()} has expired\n${next}`])
  }
})

test('a server that is away ends with 1 and costs nothing', async () => {
  await login(world, ['--device'])
  const kept = stored()
  const away = `http://127.0.0.1:${await findFreePort()}`
  const moved = { ...kept.logins[0], server: away }
  writeFileSync(
    file(),
    JSON.stringify({
      ...kept,
      logins: [...kept.logins, moved],
      active: [...kept.active, { ...kept.active[0], server: away }],
    }),
  )
  for (const command of ['status', 'login']) {
    const { code, stderr } = await run(world, [command, '--server', away])
    expect(code).toBe(1)
    expect(stderr).toContain(
      `Error: ${away} does not answer (ECONNREFUSED)\nCheck the address (--server). Nothing was changed.\n`,
    )
    expect(stderr).not.toContain('    at ')
  }
  const { code, stderr } = await run(world, ['logout', '--server', away])
  expect(code).toBe(0)
  expect(stderr).toContain('Only on this machine: the server could not be told')
  expect(stored().logins).toEqual(kept.logins)
})

test('another service, and another host name, are named as such', async () => {
  const elsewhere = await run(world, ['login', '--server', `${world.server}/nowhere`])
  expect(elsewhere.code).toBe(1)
  expect(elsewhere.stderr).toContain('No pairgate answers at this address')
})

test('wrong usage ends with 2, and names what was meant', async () => {
  const wrong: [string[], string][] = [
    [
      ['nonsense'],
      'Unexpected option or subcommand: `nonsense`.\nTo see what can be typed, run: pairgate --help\n',
    ],
    [['statsu'], 'Did you mean `status`?\n'],
    [['login', '--devce'], 'Did you mean --device?\nTo see what can be typed, run: pairgate login --help\n'],
    [['keys'], 'Say what to do with keys: list, create, rotate or revoke.\n'],
    [['keys', 'lst'], 'Did you mean list?\nTo see what can be typed, run: pairgate keys --help\n'],
    [['login', '--device', '--link'], 'cannot be used together'],
    [['login', '--with-token', '--loopback'], '--loopback and --with-token cannot be used together'],
    [['login', '--qr', '--loopback'], '--qr and --loopback cannot be used together'],
    [['login', '--server', 'ftp://x'], 'must be an https URL'],
    [['login', '--server', 'http://gateway.example'], 'must be an https URL'],
    [['login', '--server'], '`--server` requires `URL`'],
    [['login', '--storage', 'cloud'], 'Expected one of "auto", "keyring", "file", and "ephemeral"'],
  ]
  for (const [args, message] of wrong) {
    const { code, stdout, stderr } = await run(world, args)
    expect({ args, code, stdout }).toEqual({ args, code: 2, stdout: '' })
    expect(stderr).toMatch(/^Error: /)
    expect(stderr).toContain(message)
  }
})

test('--help tells the exit codes, every command has one, --version tells the version', async () => {
  const help = await run(world, ['--help'])
  expect([help.code, help.stderr]).toEqual([0, ''])
  expect(help.stdout).toContain(
    'Exit codes: 0 done, 1 failed, 2 wrong usage or denied, 4 sign-in required, 130',
  )
  expect(await run(world, [])).toEqual(help)
  const commands = [
    'login',
    'logout',
    'status',
    'token',
    'refresh',
    'switch',
    'keys',
    'keys create',
    'keys rotate',
  ]
  for (const command of [
    ...commands,
    'keys revoke',
    'sessions',
    'git-credential',
    'kubectl-credential',
    'completion',
  ]) {
    const { code, stdout } = await run(world, [...command.split(' '), '--help'])
    expect([command, code, stdout]).toEqual([command, 0, expect.stringContaining(`pairgate ${command}`)])
  }
  expect((await run(world, ['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test('a damaged credential file is named and left alone', async () => {
  await login(world, ['--device'])
  const damaged = readFileSync(file(), 'utf8').slice(0, -10)
  writeFileSync(file(), damaged)
  for (const command of ['login', 'status', 'token', 'logout', 'refresh', 'switch']) {
    const { code, stdout, stderr } = await run(world, [command])
    expect({ command, code, stdout }).toEqual({ command, code: 1, stdout: '' })
    expect(stderr).toMatch(`Error: ${file()} is damaged: it was left as it is`)
  }
  expect(readFileSync(file(), 'utf8')).toBe(damaged)
})

test('a credential that cannot be kept is revoked', async () => {
  const command = start(world, ['login', '--device'])
  const link = await command.link
  rmSync(world.directory, { recursive: true })
  writeFileSync(world.directory, 'a file where the directory should be')
  await decide(world, link, 'allow')
  const { code, stderr } = await command.ended
  expect(code).toBe(1)
  expect(stderr).toContain('Error: Cannot')
  const [newest] = world.gate.rows('SELECT revoked_at FROM credentials ORDER BY created_at DESC, rowid DESC')
  expect(newest?.revoked_at).not.toBeNull()
})
