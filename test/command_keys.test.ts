/** `pairgate keys` and `pairgate sessions` as people run them: processes of their own, against a real server. @module */

import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createApi } from '../clients/api.ts'
import { textWidth } from '../clients/command/table.ts'
import {
  type CommandWorld,
  createCommandWorld,
  LAUNCHER,
  type LoginHow,
  runProgram,
} from './support/command_world.ts'
import { loginAs } from './support/credentials.ts'

const MANAGE = 'pairgate:manage read'
const OPTIONS = {
  clients: {
    'pairgate-cli': { scopes: ['pairgate:manage', 'read'] },
    renewing: { scopes: ['pairgate:manage', 'read', 'offline_access'] },
  },
  scopes: { read: 'Read everything', write: 'Change things' },
  limits: { startPerMinute: 10_000 },
  maxKeySeconds: 90 * 86_400,
}

let world: CommandWorld
beforeEach(async () => {
  world = await createCommandWorld(OPTIONS, '')
})
afterEach(async () => await world.close())

const whoami = async (token: string) =>
  await createApi({ server: world.server, token })
    .session.whoami.query()
    .catch(() => null)

/** The server, asked without the command: as whoever has signed in last. */
let api: ReturnType<typeof createApi>
async function signIn(how: LoginHow = { scope: MANAGE }): Promise<string> {
  const { access_token } = await world.login('alice', how)
  api = createApi({ server: world.server, token: access_token })
  return access_token
}
const list = async (kind: 'keys' | 'sessions' = 'keys') =>
  await (kind === 'keys' ? api.keys : api.session).list.query()
const make = async (name: string, scope = '') => await api.keys.create.mutate({ name, scope })
const end = async ({ id }: { id: string }) => await api.keys.revoke.mutate({ id })

describe('keys create', () => {
  test('prints the secret alone to stdout, and the rest to stderr', async () => {
    await signIn()
    const { code, stdout, stderr } = await world.run([
      'keys',
      'create',
      'ci',
      '--scope',
      'read',
      '--expires',
      '30d',
    ])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^pgk_\w+\n$/)])
    expect(stderr).toMatch(/Made the key ci \(\S{22}\)\n {2}Scope read\n {2}It expires in 30 days \(.*\)\n/)
    expect(stderr).not.toContain(stdout.trim())
    expect(await whoami(stdout.trim())).toMatchObject({
      credential_name: 'ci',
      scope: 'read',
      kind: 'api_key',
    })
  })

  test('with --json the secret is a field', async () => {
    await signIn()
    const key = JSON.parse((await world.run(['keys', 'create', 'ci', '--json'])).stdout)
    expect(key).toEqual({
      id: expect.any(String),
      secret: expect.any(String),
      expires_at: expect.any(Number),
    })
    expect(await whoami(key.secret)).toMatchObject({ credential_name: 'ci', scope: '' })
  })

  test.each([
    [['--expires', 'soon'], '--expires takes something like 12h, 30d or 2026-12-31, not "soon"'],
    [['--expires', '2001-01-01'], '--expires: a key lives for a minute at least'],
    [['--expires', '59s'], '--expires: a key lives for a minute at least'],
  ])('%j is wrong usage', async (options, message) => {
    const { code, stdout, stderr } = await world.run(['keys', 'create', 'ci', ...options])
    expect([code, stdout, stderr]).toEqual([2, '', expect.stringContaining(message)])
  })

  test('nobody signed in ends with 4, a lifetime that the server does not allow with 2', async () => {
    const out = await world.run(['keys', 'create', 'ci'])
    expect([out.code, out.stderr]).toEqual([4, expect.stringContaining('pairgate login --server')])
    await signIn()
    const long = await world.run(['keys', 'create', 'ci', '--expires', '100d', '--json'])
    expect([long.code, long.stdout]).toEqual([2, expect.stringContaining('live for 90 days at most')])
  })
})

describe('what a login may not', () => {
  test('without the scope, every command says which login can', async () => {
    await signIn({ scope: 'read' })
    for (const args of [
      ['keys', 'list'],
      ['keys', 'create', 'x'],
      ['sessions', 'revoke', 'abcd'],
      ['keys', 'revoke', '--all', '--yes'],
    ]) {
      const { code, stdout, stderr } = await world.run(args)
      expect([args, code, stdout]).toEqual([args, 1, ''])
      expect(stderr).toContain(
        'Error: This takes a login with the scope pairgate:manage\nThe login has read.\n',
      )
      expect(stderr).toContain(
        `run: pairgate login --server ${world.server} --scope 'read pairgate:manage'\n`,
      )
    }
  })

  test('a key gets no scope that the login has not', async () => {
    await signIn()
    const { code, stdout } = await world.run(['keys', 'create', 'x', '--scope', 'write', '--json'])
    const { error } = JSON.parse(stdout)
    expect([code, error.code, error.hint]).toEqual([1, 'refused', 'The login has pairgate:manage read.'])
    expect(error.next[0].command).toContain("'pairgate:manage read write'")
    const manage = await world.run(['keys', 'create', 'x', '--scope', 'pairgate:manage'])
    expect(manage.stderr).toContain(`A person may at ${world.server}/account.`)
  })

  test('the token of the environment is told apart', async () => {
    const access_token = await signIn({ scope: 'read' })
    const { stderr } = await world.run(['keys', 'list'], { env: { PAIRGATE_TOKEN: access_token } })
    expect(stderr).toContain('The token in PAIRGATE_TOKEN')
    expect(stderr).not.toContain('pairgate login')
  })
})

describe('keys list', () => {
  test('shows what there is, without a secret, and marks the one in use', async () => {
    const access_token = await signIn()
    const { id } = await make('nightly build', 'read')
    await end(await make('ended'))
    const { code, stdout, stderr } = await world.run(['keys', 'list'])
    expect(code).toBe(0)
    const [heading, ...rows] = stdout.trimEnd().split('\n')
    expect(heading).toMatch(/^ {2}ID +NAME +KEY +SCOPE +CREATED +USED +EXPIRES$/)
    expect(rows).toHaveLength(3)
    const row = rows.find((line) => line.includes('nightly build')) ?? ''
    expect(row).toMatch(/^ {2}\w\S+ +nightly build +pgk_…\w{4} +read +\d+s ago +never +in \d+[hd]$/)
    expect(id).toContain(row.trim().split(' ')[0])
    expect(rows.filter((line) => line.startsWith('* '))).toHaveLength(1)
    expect(rows.find((line) => line.includes(' ended '))).toMatch(/ revoked$/)
    expect(stdout + stderr).not.toContain(access_token)
    expect(await list()).toContainEqual(
      expect.objectContaining({ id, name: 'nightly build', current: false }),
    )
  })

  test('a name can neither steer the terminal nor break the table', async () => {
    await signIn()
    // the server makes names visible too: this one says nothing of that
    world.gate.database.prepare('UPDATE credentials SET name = ?').run('a\u001b[2Jb\nc\u202ed')
    const { stdout } = await world.run(['keys', 'list'])
    expect(stdout).toContain(' a[2Jbcd ')
    for (const sign of ['\u001b', '\u202e']) expect(stdout).not.toContain(sign)
  })

  test.each([80, 64, 40])('fits %i columns of a terminal', async (columns) => {
    await signIn()
    await make('a name of more characters than there is room for in any table 漢字漢字', 'read')
    const command = `stty cols ${columns}; '${process.execPath}' '${LAUNCHER}' keys list`
    const { stdout } = await runProgram('script', ['-qec', command, '/dev/null'], { env: world.env })
    const lines = stdout.split('\n').map((line) => line.replace('\r', ''))
    expect(lines.join('\n')).toContain('…')
    expect(Math.max(...lines.map(textWidth))).toBeLessThanOrEqual(columns)
    for (const part of ['a name', 'read', 'never']) expect(stdout).toContain(part)
  })
})

describe('what a key is called by', () => {
  test('its id, the start of that, or its name', async () => {
    await signIn()
    const [one, two, three] = [await make('one'), await make('two'), await make('three')]
    const shown = (await world.run(['keys', 'list'])).stdout
      .split('\n')
      .find((line) => line.includes(' two '))
    for (const name of [one.id, shown?.trim().split(' ')[0] ?? '', 'three'])
      expect(await world.run(['keys', 'revoke', '--', name])).toMatchObject({ code: 0, stdout: '' })
    for (const { secret } of [one, two, three]) expect(await whoami(secret)).toBeNull()
  })

  test('what stands for none or several is refused, and nothing is done', async () => {
    await signIn()
    const [one, two] = [await make('twin'), await make('twin')]
    const several = await world.run(['keys', 'revoke', 'twin'])
    expect(several).toMatchObject({ code: 1, stdout: '' })
    for (const { id } of [one, two])
      expect(several.stderr).toContain(`${id.replace(/^-+/, '').slice(0, 6)} (twin)`)
    const { id } = await make('three')
    const short = id.replace(/^-+/, '').slice(0, 3)
    for (const name of ['nobody', short, '']) {
      const { code, stderr } = await world.run(['keys', 'revoke', 'three', name])
      expect([name, code, stderr]).toEqual([name, 1, expect.stringContaining(`You have no key "${name}"`)])
    }
    expect((await list()).filter(({ status }) => status === 'active')).toHaveLength(4)
  })

  test('a live one hides those of the same name that have ended', async () => {
    await signIn()
    const old = await make('ci')
    await world.run(['keys', 'revoke', 'ci'])
    const again = await world.run(['keys', 'revoke', 'ci'])
    expect([again.code, again.stderr]).toEqual([0, expect.stringContaining('Ended already: ci')])
    const fresh = await make('ci')
    await world.run(['keys', 'revoke', 'ci'])
    expect([await whoami(old.secret), await whoami(fresh.secret)]).toEqual([null, null])
  })
})

describe('keys rotate', () => {
  test('prints the new secret alone, and the old one is no good any more', async () => {
    await signIn()
    const { id, secret } = await make('ci', 'read')
    const { code, stdout, stderr } = await world.run(['keys', 'rotate', 'ci'])
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^pgk_\w+\n$/)])
    expect(stderr).toContain(`The key ci (${id}) has a new secret\n  The old one is no good any more\n`)
    expect([await whoami(secret), (await whoami(stdout.trim()))?.credential_name]).toEqual([null, 'ci'])
  })

  test('with --overlap both are good for so long', async () => {
    await signIn()
    const { id, secret } = await make('ci')
    const { stdout } = await world.run(['keys', 'rotate', 'ci', '--overlap', '1h', '--json'])
    const rotated = JSON.parse(stdout)
    expect(rotated).toMatchObject({ id, expires_at: expect.any(Number) })
    expect([await whoami(secret), await whoami(rotated.secret)]).not.toContain(null)
    world.gate.advance(3601)
    expect([await whoami(secret), (await whoami(rotated.secret)) !== null]).toEqual([null, true])
    const long = await world.run(['keys', 'rotate', 'ci', '--overlap', '8d'])
    expect([long.code, long.stderr]).toEqual([2, expect.stringContaining('at most 7d')])
  })

  test('the login that is kept here goes on with the new secret', async () => {
    // a login that may manage cannot renew itself, so another one does it
    await signIn({ scope: 'read' })
    const person = world.gate.browser()
    await person.signIn('alice')
    const { access_token } = await loginAs(world.gate, person, 'pair', { scope: MANAGE })
    api = createApi({ server: world.server, token: access_token })
    const [{ id } = { id: '' }] = await list()
    const env = { PAIRGATE_TOKEN: access_token }
    const { code, stdout, stderr } = await world.run(['keys', 'rotate', '--', id], { env })
    expect([code, stderr]).toEqual([0, expect.stringContaining('the login here as alice, which goes on')])
    expect((await world.run(['token'])).stdout).toBe(stdout)
    expect(await whoami(stdout.trim())).toMatchObject({ scope: 'read' })
  })

  test('what cannot be renewed by hand is refused, in words', async () => {
    await signIn({ scope: `${MANAGE} offline_access`, clientId: 'renewing' })
    const [{ id } = { id: '' }] = await list()
    const own = await world.run(['keys', 'rotate', '--', id])
    expect([own.code, own.stderr]).toEqual([1, expect.stringContaining('is a login that renews itself')])
    await end(await make('ci'))
    const ended = await world.run(['keys', 'rotate', 'ci'])
    expect([ended.code, ended.stderr]).toEqual([1, expect.stringContaining('has ended')])
  })

  test('a login that may manage renews neither itself nor its like', async () => {
    await signIn()
    const [{ id } = { id: '' }] = await list()
    const { code, stderr } = await world.run(['keys', 'rotate', '--', id])
    expect([code, stderr]).toEqual([
      1,
      expect.stringContaining('No login may make or renew a key with the scope'),
    ])
    expect(stderr).toContain(`${world.server}/account`)
  })
})

describe.each(['keys', 'sessions'] as const)('%s revoke', (kind) => {
  const via = kind === 'keys' ? 'device' : 'link'

  test('the one in use: it is forgotten here, after all others', async () => {
    const access_token = await signIn({ scope: MANAGE, via })
    const [{ id } = { id: '' }] = (await list(kind)).filter(({ current }) => current)
    const other = (await list(kind)).find(({ current }) => !current)
    const ids = [id, ...(other ? [other.id] : [])]
    const { code, stderr } = await world.run([kind, 'revoke', '--', ...ids])
    expect([code, stderr]).toEqual([
      0,
      expect.stringContaining('the login here as alice: you are signed out'),
    ])
    expect(await whoami(access_token)).toBeNull()
    expect((await world.run(['token'])).code).toBe(4)
    const live = 'SELECT id FROM credentials WHERE revoked_at IS NULL AND id IN (?, ?)'
    expect(world.gate.rows(live, id, other?.id ?? '')).toEqual([])
  })

  test('--others leaves the one in use, --all none', async () => {
    const access_token = await signIn({ scope: MANAGE, via })
    const left = async () => (await list(kind)).filter(({ status }) => status === 'active').length
    if (kind === 'keys') await make('more')
    expect(await left()).toBe(2)
    const others = await world.run([kind, 'revoke', '--others', '--yes', '--json'])
    expect([others.code, JSON.parse(others.stdout)]).toEqual([0, { count: 1 }])
    expect([await left(), (await whoami(access_token))?.subject]).toEqual([1, 'alice'])
    const all = await world.run([kind, 'revoke', '--all', '--yes'])
    expect([all.code, all.stderr]).toEqual([0, expect.stringContaining(`Ended 1 ${kind.slice(0, -1)}\n`)])
    expect(all.stderr).toContain('you are signed out')
    expect([await whoami(access_token), (await world.run(['token'])).code]).toEqual([null, 4])
  })

  test('the other kind of login stays', async () => {
    const access_token = await signIn({
      scope: MANAGE,
      via: via === 'link' ? 'device' : 'link',
    })
    expect((await world.run([kind, 'revoke', '--all', '--yes'])).code).toBe(0)
    expect((await world.run(['token'])).stdout).toBe(`${access_token}\n`)
    expect((await whoami(access_token))?.subject).toBe('alice')
  })

  test('--all and --others want a yes: of the person, else on the command line', async () => {
    const access_token = await signIn({ scope: MANAGE, via })
    const unasked = await world.run([kind, 'revoke', '--all'])
    expect([unasked.code, unasked.stderr]).toEqual([2, expect.stringContaining('--yes')])
    for (const args of [[], ['--all', '--others'], ['--all', 'some']])
      expect([args, (await world.run([kind, 'revoke', '--yes', ...args])).code]).toEqual([args, 2])
    const asked = async (answer: string) => {
      const command = `'${process.execPath}' '${LAUNCHER}' ${kind} revoke --all`
      return await runProgram('script', ['-qec', command, '/dev/null'], { env: world.env, input: answer })
    }
    for (const no of ['\n', 'n\n', '\u0004']) {
      const { code, stdout } = await asked(no)
      expect([no, code, stdout]).toEqual([
        no,
        2,
        expect.stringMatching(/End \d \w+ at .*, all of them\? \[y\/N\]/),
      ])
    }
    expect((await whoami(access_token))?.subject).toBe('alice')
    expect((await asked('y\n')).code).toBe(0)
    expect(await whoami(access_token)).toBeNull()
  })
})

test('sessions list shows browsers and command-line apps, and where they came from', async () => {
  await signIn({ scope: MANAGE, via: 'link' })
  const { code, stdout } = await world.run(['sessions', 'list'])
  const [heading, ...rows] = stdout.trimEnd().split('\n')
  expect([code, heading]).toEqual([0, expect.stringMatching(/^ {2}ID +NAME +FROM +SCOPE/)])
  expect(rows).toHaveLength(2)
  for (const row of rows) expect(row).toContain(' 127.0.0.1 ')
  expect((await list('sessions')).map(({ kind }) => kind).sort()).toEqual(['browser', 'session'])
})
