/** Several people, several ways to keep a login, and tokens from elsewhere: the command as a process. @module */

import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { decide, login, run, start } from './support/command_login.ts'
import { type CommandWorld, createCommandWorld } from './support/command_world.ts'

let world: CommandWorld

beforeAll(async () => {
  const clients = { 'pairgate-cli': { scopes: ['read'] }, renewing: { refresh: true } }
  const scopes = { read: 'Read your projects' }
  world = await createCommandWorld(
    { clients, scopes, pollSeconds: 1, limits: { startPerMinute: 10_000 } },
    '',
  )
})
afterAll(async () => await world.close())
beforeEach(() => rmSync(world.directory, { recursive: true, force: true }))

const file = () => join(world.directory, 'credentials.json')
const stored = () => JSON.parse(readFileSync(file(), 'utf8'))
const place = () => new URL(world.server).host
const who = async (...args: string[]): Promise<string> => {
  const { stdout } = await run(world, ['status', '--json', ...args])
  return JSON.parse(stdout).subject
}
const whoami = async (token: string) => {
  const headers = { authorization: `Bearer ${token}` }
  return (await fetch(`${world.server}/trpc/session.whoami`, { headers })).status
}

describe('several accounts', () => {
  test('a second person is signed in beside the first, and switch goes back and forth', async () => {
    await world.login('alice')
    const { stderr } = await login(world, ['--device'], 'bob')
    expect(stderr).toContain('alice stays signed in; to switch back, run: pairgate switch alice\n')
    expect(await who()).toBe('bob')
    const status = await run(world, ['status'])
    expect(status.stdout).toContain('\n  Others   alice\n')
    expect(await run(world, ['switch'])).toEqual({
      code: 0,
      stdout: '',
      stderr: `✓ Now alice at ${place()}\n`,
    })
    expect(await who()).toBe('alice')
    await run(world, ['switch', 'bob'])
    expect(await who()).toBe('bob')
    expect([await who('--account', 'alice'), await who()]).toEqual(['alice', 'bob'])
  })

  test('of three, switch wants to know which', async () => {
    for (const name of ['alice', 'bob', 'carol']) await world.login(name)
    const { code, stdout, stderr } = await run(world, ['switch'])
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toBe(
      [
        `Error: 3 people are signed in at ${place()}: say whom to switch to`,
        `To use the login as alice, run: pairgate switch alice --server ${world.server}`,
        `To use the login as bob, run: pairgate switch bob --server ${world.server}\n`,
      ].join('\n'),
    )
    expect(await who()).toBe('carol')
  })

  test('who is not there is named, with those who are', async () => {
    await world.login('alice')
    for (const args of [
      ['switch', 'eve'],
      ['status', '--account', 'eve'],
      ['token', '--account', 'eve'],
    ]) {
      const { code, stdout, stderr } = await run(world, args)
      expect([code, stdout]).toEqual([4, ''])
      expect(stderr).toContain(`Not signed in as eve at ${place()}\nSigned in there: alice\n`)
    }
    const alone = await run(world, ['switch'])
    expect([alone.code, alone.stderr]).toEqual([0, expect.stringContaining('Nobody else is signed in there')])
  })

  test('two issuers with one subject: the full name decides', async () => {
    await world.login('alice')
    const { logins, ...rest } = stored()
    const twin = { ...logins[0], issuer: 'https://idp.example' }
    writeFileSync(file(), JSON.stringify({ ...rest, logins: [...logins, twin] }))
    const refused = await run(world, ['token', '--account', 'alice'])
    expect([refused.code, refused.stdout]).toEqual([2, ''])
    expect(refused.stderr).toContain('Several people')
    expect(refused.stderr).toContain("--account 'https://idp.example#alice'")
    expect((await run(world, ['token', '--account', 'urn:pairgate:dev#alice'])).code).toBe(0)
    expect((await run(world, ['switch', 'https://idp.example#alice'])).code).toBe(0)
    const switched = await run(world, ['switch', 'alice'])
    expect(switched.stderr).toContain("pairgate switch 'https://idp.example#alice'")
  })

  test('switch --here binds a directory, and those below', async () => {
    await world.login('alice')
    await world.login('bob')
    const project = join(world.directory, '../project')
    mkdirSync(join(project, 'below'), { recursive: true })
    const bound = await run(world, ['switch', 'alice', '--here'], { cwd: project })
    expect([bound.code, bound.stderr]).toEqual([0, expect.stringContaining(`in ${project} and below`)])
    const at = async (cwd: string) =>
      JSON.parse((await run(world, ['status', '--json'], { cwd })).stdout).subject
    expect([await at(join(project, 'below')), await at(join(project, '..'))]).toEqual(['alice', 'bob'])
  })

  test('status --all asks about every login, logout --all ends them all', async () => {
    const { access_token: alices } = await world.login('alice')
    const { access_token: bobs } = await world.login('bob')
    const all = await run(world, ['status', '--all'])
    expect([all.code, all.stdout]).toEqual([
      0,
      expect.stringMatching(/^ {2}alice at .*: signed in, expires in 1 day\n\* bob at .*: signed in/),
    ])
    world.gate.database.exec(
      "UPDATE credentials SET revoked_at = 1 WHERE user_id = (SELECT id FROM users WHERE subject = 'alice')",
    )
    const one = await run(world, ['status', '--all'])
    expect([one.code, one.stdout]).toEqual([4, expect.stringContaining('was revoked')])
    const ended = await run(world, ['logout', '--all'])
    expect(ended.stderr).toBe(`✓ Signed out alice at ${place()}\n✓ Signed out bob at ${place()}\n`)
    expect([await whoami(alices), await whoami(bobs), stored().logins]).toEqual([401, 401, []])
    expect((await run(world, ['status', '--all'])).code).toBe(4)
    expect((await run(world, ['logout', '--all'])).stderr).toBe('Not signed in anywhere, nothing to do\n')
  })

  test('after logout the other account is used, and named', async () => {
    await world.login('alice')
    await world.login('bob')
    const { stderr } = await run(world, ['logout'])
    expect(stderr).toContain('alice is signed in there still, and active now')
    expect(await who()).toBe('alice')
  })
})

test('login --account takes that person’s place, and nobody else’s', async () => {
  await world.login('alice')
  const { code, stderr } = await login(world, ['--device', '--account', 'alice'], 'alice')
  expect([code, stderr]).toEqual([0, expect.stringContaining('Replaces the login as alice')])
  const other = await login(world, ['--device', '--account', 'alice'], 'eve')
  expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('eve, but alice was wanted')])
})

describe('refresh', () => {
  test('by refresh token there is a new access token', async () => {
    const { access_token } = await world.login('alice', { clientId: 'renewing' })
    expect((await run(world, ['status'])).stdout).toContain('renews itself')
    const { code, stdout, stderr } = await run(world, ['refresh'])
    expect([code, stdout]).toEqual([0, ''])
    expect(stderr).toBe(
      `✓ Refreshed the login as alice at ${place()}\n  The access token is good for 1 hour\n`,
    )
    const renewed = (await run(world, ['token'])).stdout.trim()
    expect(renewed).not.toBe(access_token)
    expect(await whoami(renewed)).toBe(200)
  })

  test('a login that is over is forgotten, and says so', async () => {
    await world.login('alice', { clientId: 'renewing' })
    world.gate.database.exec('UPDATE credentials SET revoked_at = 1')
    const { code, stderr } = await run(world, ['refresh'])
    expect([code, stderr]).toEqual([4, expect.stringContaining('To sign in, run: pairgate login')])
    expect(stored().logins).toEqual([])
  })

  test('without one the same person signs in again, with the same scope', async () => {
    const { access_token } = await world.login('alice', { scope: 'read' })
    await world.login('bob')
    const command = start(world, ['refresh', '--account', 'alice'])
    expect(await decide(world, await command.link, 'allow', 'alice')).toContain('Read your projects')
    const { code, stderr } = await command.ended
    expect([code, stderr]).toEqual([0, expect.stringContaining('please sign in as alice once more')])
    expect(stderr).toContain('Replaces the login as alice, which was revoked')
    expect(await whoami(access_token)).toBe(401)
  })

  test('somebody else does not take its place', async () => {
    const { access_token } = await world.login('alice')
    const command = start(world, ['refresh'])
    await decide(world, await command.link, 'allow', 'eve')
    const { code, stderr } = await command.ended
    expect(code).toBe(1)
    expect(stderr).toContain(
      'Error: Signed in as eve, but alice was wanted\nThe new login was ended at once.\n',
    )
    expect([await who(), await whoami(access_token)]).toEqual(['alice', 200])
    const live = world.gate.rows(
      "SELECT id FROM credentials WHERE user_id = (SELECT id FROM users WHERE subject = 'eve') AND kind <> 'browser' AND revoked_at IS NULL",
    )
    expect(live).toEqual([])
  })
})

describe('tokens from elsewhere', () => {
  test('PAIRGATE_TOKEN stands above all logins, and what is about those refuses and names it', async () => {
    const { access_token } = await world.login('alice')
    await world.login('bob')
    const env = { PAIRGATE_TOKEN: access_token }
    expect((await run(world, ['token'], { env })).stdout).toBe(`${access_token}\n`)
    const status = await run(world, ['status'], { env })
    expect(status.stdout).toMatch(
      /^Signed in as alice .*\n[\s\S]* {2}From {5}PAIRGATE_TOKEN, which stands above/,
    )
    for (const args of [
      ['login'],
      ['login', '--with-token'],
      ['login', '--complete'],
      ['logout'],
      ['logout', '--all'],
      ['refresh'],
      ['switch'],
    ]) {
      const { code, stdout, stderr } = await run(world, args, { env, input: 'pgk_x' })
      expect([args, code, stderr + stdout]).toEqual([
        args,
        1,
        expect.stringContaining('PAIRGATE_TOKEN is set'),
      ])
      expect(stderr + stdout).toContain('unset PAIRGATE_TOKEN')
    }
    expect(await who()).toBe('bob')
    const wrong = await run(world, ['status'], { env: { PAIRGATE_TOKEN: 'pgk_wrong' } })
    expect([wrong.code, wrong.stderr]).toEqual([4, expect.stringContaining('run: unset PAIRGATE_TOKEN')])
  })

  test('login --with-token keeps a key that the server knows, from stdin', async () => {
    const { access_token } = await world.login('alice')
    rmSync(world.directory, { recursive: true })
    const { code, stdout, stderr } = await run(world, ['login', '--with-token'], {
      input: `${access_token}\n`,
    })
    expect([code, stdout, stderr]).toEqual([0, '', expect.stringContaining('Signed in as alice')])
    expect(await who()).toBe('alice')
    const wrong: [string, number, string][] = [
      ['', 2, 'found nothing on stdin'],
      [`${access_token} more`, 2, 'wants one key on stdin'],
      ['pgk_wrong', 1, 'does not know this key'],
    ]
    for (const [input, exit, message] of wrong) {
      const refused = await run(world, ['login', '--with-token'], { input })
      expect([input, refused.code, refused.stderr]).toEqual([input, exit, expect.stringContaining(message)])
    }
    expect(await who()).toBe('alice')
  })

  test('ephemeral prints the token alone, and keeps nothing', async () => {
    for (const [args, env] of [
      [['--device', '--storage', 'ephemeral'], {}],
      [['--device'], { PAIRGATE_CREDENTIAL_STORE: 'ephemeral' }],
    ] as const) {
      const command = start(world, ['login', ...args], { env })
      await decide(world, await command.link, 'allow')
      const { code, stdout, stderr } = await command.ended
      expect([code, stderr]).toEqual([0, expect.stringContaining('Kept nowhere')])
      expect(await whoami(stdout.trim())).toBe(200)
    }
    expect((await run(world, ['status'])).code).toBe(4)
  })

  test('a mode that there is not is named', async () => {
    const { code, stderr } = await run(world, ['status'], { env: { PAIRGATE_CREDENTIAL_STORE: 'cloud' } })
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('PAIRGATE_CREDENTIAL_STORE must be one of auto'),
    ])
  })

  test('PAIRGATE_CLIENT_ID and --client-id name the client', async () => {
    await login(world, ['--device', '--client-id', 'renewing'])
    expect((await run(world, ['status'])).stdout).toContain('renews itself')
    const unknown = await run(world, ['login', '--device'], { env: { PAIRGATE_CLIENT_ID: 'nobody' } })
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('invalid_client')])
  })
})
