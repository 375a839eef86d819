/** The `pairgate` command as people run it: a process of its own, against a real server over real sockets. @module */

import { execFileSync, spawn } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { serve } from '../adapters/node.ts'
import { configDirectory, credentialFile } from '../clients/credential_file.ts'
import { canOpenBrowser, chooseFlow, duration, printable } from '../clients/terminal.ts'
import { createBrowser, createTestGate, type TestGate } from './support/gate.ts'
import { findFreePort } from './support/standalone.ts'

const LAUNCHER = fileURLToPath(new URL('../clients/pairgate.js', import.meta.url))

let server: string
let gate: TestGate
let close: () => Promise<void>
let directory: string

beforeAll(async () => {
  const port = await findFreePort()
  server = `http://127.0.0.1:${port}`
  const clients = { 'pairgate-cli': { scopes: ['read'] } }
  const scopes = { read: 'Read your projects' }
  gate = createTestGate({ baseUrl: server, pollSeconds: 1, deviceCodeSeconds: 300, clients, scopes })
  ;({ close } = await serve(gate.gate, { hostname: '127.0.0.1', port }))
})
afterAll(async () => {
  await close()
  await gate.gate.close()
})
beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'pairgate-')), 'config')
  onTestFinished(() => rmSync(join(directory, '..'), { recursive: true, force: true }))
})

interface Started {
  /** Resolves to the link once it is shown. */
  readonly link: Promise<string>
  readonly ended: Promise<{ code: number | null; stdout: string; stderr: string }>
  kill(signal: NodeJS.Signals): void
}

function pairgate(args: string[], { node = process.execPath, env = {} } = {}): Started {
  const settings = {
    PATH: process.env.PATH,
    HOME: directory,
    PAIRGATE_CONFIG_DIR: directory,
    PAIRGATE_SERVER: server,
  }
  const child = spawn(node, [LAUNCHER, ...args], {
    env: { ...settings, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (text) => {
    stdout += text
  })
  const link = new Promise<string>((resolve) => {
    child.stderr.on('data', (text) => {
      stderr += text
      const [shown] = /http:\S+(?=\s[\s\S]*Waiting)/.exec(stderr) ?? []
      if (shown) resolve(shown)
    })
  })
  return {
    link,
    ended: new Promise((resolve) => child.once('close', (code) => resolve({ code, stdout, stderr }))),
    kill: (signal) => child.kill(signal),
  }
}

async function decide(link: string, decision: 'allow' | 'deny', username = 'alice') {
  const browser = createBrowser((path, init) => fetch(new URL(path, server), init), server)
  await browser.signIn(username)
  const page = await (await browser.get(link)).text()
  expect((await browser.submit(page, { decision })).status).toBe(200)
  return page
}

async function login(...args: string[]) {
  const command = pairgate(['login', ...args])
  const page = await decide(await command.link, 'allow')
  return { page, ...(await command.ended) }
}

const stored = () => JSON.parse(readFileSync(join(directory, 'credentials.json'), 'utf8'))
const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)
const whoami = (token: string) =>
  fetch(`${server}/trpc/session.whoami`, { headers: { authorization: `Bearer ${token}` } })

describe.each(['device', 'pair'] as const)('login --%s', (flow) => {
  test('PC-14 the command prints who it is signed in as, stores 0600 in 0700, and logout revokes', async () => {
    const { code, stdout, stderr, page } = await login(`--${flow}`)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toContain(`Signed in as alice at ${server.slice('http://'.length)}\n`)
    const shown = /page shows: (.+)\n/.exec(stderr)?.[1]
    expect(page).toContain(shown)
    expect([mode(directory), mode(join(directory, 'credentials.json'))]).toEqual(['700', '600'])
    const token: string = stored().servers[server].access_token
    expect(stderr).not.toContain(token)
    expect((await whoami(token)).status).toBe(200)

    expect(await pairgate(['token']).ended).toEqual({ code: 0, stdout: `${token}\n`, stderr: '' })
    const status = await pairgate(['status']).ended
    expect(status).toMatchObject({ code: 0, stderr: '' })
    expect(status.stdout).toMatch(
      /^Signed in as alice at .*\n {2}Kind {5}(API key|session)\n {2}Expires {2}in \d+ day/,
    )
    expect(status.stdout).not.toContain(token)

    expect(await pairgate(['logout']).ended).toMatchObject({ code: 0, stdout: '' })
    expect((await whoami(token)).status).toBe(401)
    expect(stored()).toEqual({ version: 1, default: server, servers: {} })
    expect((await pairgate(['logout']).ended).code).toBe(0)
  })

  test('asks for scopes, and says what it got', async () => {
    const { code, stderr, page } = await login(`--${flow}`, '--scope', 'read')
    expect([code, page.includes('Read your projects')]).toEqual([0, true])
    expect(stderr).toContain('\n  Scope read\n')
    expect((await pairgate(['status']).ended).stdout).toContain('\n  Scope    read\n')
    const unknown = await pairgate(['login', `--${flow}`, '--scope', 'write']).ended
    expect([unknown.code, unknown.stderr]).toEqual([1, expect.stringContaining('invalid_scope')])
    const bare = await login(`--${flow}`)
    expect(bare.stderr).not.toContain('Scope')
  })

  test('ends with 2 when the person says no', async () => {
    const command = pairgate(['login', `--${flow}`])
    await decide(await command.link, 'deny')
    const { code, stderr } = await command.ended
    expect(code).toBe(2)
    expect(stderr).toContain('denied in the browser')
    expect(existsSync(directory)).toBe(false)
  })

  test('ends with 1 when nobody decides in time', async () => {
    const command = pairgate(['login', `--${flow}`])
    await command.link
    gate.advance(700)
    const { code, stderr } = await command.ended
    expect(code).toBe(1)
    expect(stderr).toContain('not confirmed in time')
  })

  test('ends with 130 on Ctrl-C, in one clean line', async () => {
    const command = pairgate(['login', `--${flow}`])
    await command.link
    command.kill('SIGINT')
    const { code, stderr } = await command.ended
    expect(code).toBe(130)
    expect(stderr).toMatch(/Waiting for the browser.*\nCancelled, nothing was changed\n$/)
  })
})

test('signing in again replaces the credential and revokes the one before', async () => {
  await login('--device')
  const before: string = stored().servers[server].access_token
  const { stderr } = await login('--pair')
  expect(stderr).toContain('Replaces the login as alice, which was revoked')
  expect((await whoami(before)).status).toBe(401)
  expect((await whoami(stored().servers[server].access_token)).status).toBe(200)
  expect(mode(join(directory, 'credentials.json'))).toBe('600')
  expect(readdirSync(directory)).toEqual(['credentials.json'])
})

test('without --server and $PAIRGATE_SERVER, the server of the last login counts', async () => {
  await login('--device')
  const { code, stdout } = await pairgate(['status'], { env: { PAIRGATE_SERVER: '' } }).ended
  expect([code, stdout]).toEqual([0, expect.stringContaining(new URL(server).host)])
})

test('who is not signed in any more ends with 4, and reads what to run next', async () => {
  const next = `To sign in, run: pairgate login --server ${server}\n`
  for (const command of ['status', 'token']) {
    const { code, stdout, stderr } = await pairgate([command]).ended
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' })
    expect(stderr).toContain(next)
  }
  await login('--device')
  gate.database.exec('UPDATE credentials SET revoked_at = 1')
  expect(await pairgate(['status']).ended).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('was revoked'),
  })
  const { version, servers } = stored()
  const expired = { ...servers[server], expires_at: 1_700_000_000 }
  const file = join(directory, 'credentials.json')
  writeFileSync(file, JSON.stringify({ version, default: server, servers: { [server]: expired } }))
  expect(await pairgate(['status']).ended).toMatchObject({
    code: 4,
    stderr: expect.stringContaining('expired'),
  })
  expect(await pairgate(['token']).ended).toMatchObject({ code: 4, stdout: '' })
})

test('a server that is away ends with 1 and costs nothing', async () => {
  await login('--device')
  const kept = stored()
  const away = `http://127.0.0.1:${await findFreePort()}`
  writeFileSync(
    join(directory, 'credentials.json'),
    JSON.stringify({ ...kept, servers: { ...kept.servers, [away]: kept.servers[server] } }),
  )
  for (const command of ['status', 'login']) {
    const { code, stderr } = await pairgate([command, '--server', away]).ended
    expect(code).toBe(1)
    expect(stderr).toContain(`Error: ${away} does not answer (ECONNREFUSED)\n`)
    expect(stderr).not.toContain('    at ')
  }
  const { code, stderr } = await pairgate(['logout', '--server', away]).ended
  expect(code).toBe(0)
  expect(stderr).toContain('Only on this machine: the server could not be told')
  expect(stored()).toEqual(kept)
})

test('wrong usage ends with 2', async () => {
  const wrong = [
    ['nonsense'],
    ['login', '--device', '--pair'],
    ['login', '--server', 'ftp://x'],
    ['login', '--server'],
  ]
  for (const args of wrong) {
    const { code, stdout, stderr } = await pairgate(args).ended
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain('Error: ')
  }
})

test('--help tells the exit codes, --version the version', async () => {
  const help = await pairgate(['--help']).ended
  expect(help.code).toBe(0)
  expect(help.stdout).toContain(
    'Exit codes: 0 done, 1 failed, 2 wrong usage or denied, 4 sign-in required, 130',
  )
  expect(await pairgate([]).ended).toEqual(help)
  expect((await pairgate(['--version']).ended).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test('a damaged credential file is named and left alone', async () => {
  await login('--device')
  const file = join(directory, 'credentials.json')
  const damaged = readFileSync(file, 'utf8').slice(0, -10)
  writeFileSync(file, damaged)
  for (const command of ['login', 'status', 'token', 'logout']) {
    const { code, stdout, stderr } = await pairgate([command]).ended
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr).toBe(`Error: ${file} is damaged: it was left as it is, repair or delete it\n`)
  }
  expect(readFileSync(file, 'utf8')).toBe(damaged)
})

test('a credential that cannot be kept is revoked', async () => {
  const command = pairgate(['login', '--device'])
  const link = await command.link
  writeFileSync(directory, 'a file where the directory should be')
  await decide(link, 'allow')
  const { code, stderr } = await command.ended
  expect(code).toBe(1)
  expect(stderr).toContain('ENOTDIR')
  expect(
    gate.rows('SELECT revoked_at FROM credentials ORDER BY created_at DESC, rowid DESC')[0]?.revoked_at,
  ).not.toBeNull()
})

const oldNode = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((entry) => !entry.includes('node_modules'))
  .map((entry) => join(entry, 'node'))
  .find(
    (node) =>
      existsSync(node) && /^v(1\d|2[0-3])\./.test(execFileSync(node, ['--version'], { encoding: 'utf8' })),
  )

test.skipIf(!oldNode)(
  'an old Node hands over to the one that came along, signals and exit codes included',
  async () => {
    expect(await pairgate(['token'], { node: oldNode! }).ended).toMatchObject({ code: 4 })
    const command = pairgate(['login', '--device'], { node: oldNode! })
    await command.link
    command.kill('SIGINT')
    const { code, stderr } = await command.ended
    expect([code, stderr]).toEqual([130, expect.stringMatching(/Cancelled, nothing was changed\n$/)])
  },
)

test.skipIf(!existsSync('/usr/bin/script'))(
  'on a terminal Ctrl-C brings the cursor back and ends with 130',
  async () => {
    const line = `${oldNode ?? process.execPath} ${LAUNCHER} login --device`
    const env = {
      PATH: process.env.PATH,
      PAIRGATE_CONFIG_DIR: directory,
      PAIRGATE_SERVER: server,
      NO_COLOR: '1',
    }
    const child = spawn('/usr/bin/script', ['-qec', line, '/dev/null'], { env })
    onTestFinished(() => void child.kill('SIGKILL'))
    let screen = ''
    child.stdout.on('data', (text) => {
      if (!screen.includes('Waiting') && String(text).includes('Waiting'))
        setTimeout(() => child.stdin.write('\u0003'), 300)
      screen += text
    })
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(130)
    expect(screen).toContain('\u001b[?25l')
    expect(screen.slice(screen.lastIndexOf('\u001b[?25h'))).toBe(
      '\u001b[?25hCancelled, nothing was changed\r\n',
    )
    expect(screen).not.toContain('\u001b[1m')
  },
)

test('the flow follows from what was asked for and whether a browser can be opened', () => {
  expect(chooseFlow(undefined, true)).toBe('pair')
  expect(chooseFlow(undefined, false)).toBe('device')
  expect(chooseFlow('device', true)).toBe('device')
  expect(chooseFlow('pair', false)).toBe('pair')
})

test.each([
  [{ DISPLAY: ':0' }, 'linux', true, true],
  [{ WAYLAND_DISPLAY: 'wayland-0' }, 'linux', true, true],
  [{}, 'linux', true, false],
  [{}, 'darwin', true, true],
  [{}, 'win32', true, true],
  [{}, 'darwin', false, false],
  [{ CI: 'true' }, 'darwin', true, false],
  [{ CI: 'false' }, 'darwin', true, true],
  [{ SSH_CONNECTION: '::1 1 ::1 22', DISPLAY: ':0' }, 'linux', true, false],
  [{ SSH_TTY: '/dev/pts/0' }, 'darwin', true, false],
])('with %j on %s, terminal %s: a browser can be opened is %s', (env, platform, isTTY, expected) => {
  expect(canOpenBrowser(env, platform, isTTY)).toBe(expected)
})

test('the configuration directory', () => {
  const all = { PAIRGATE_CONFIG_DIR: '/p', XDG_CONFIG_HOME: '/x', APPDATA: '/a' }
  expect(configDirectory(all, 'win32', '/h')).toBe('/p')
  expect(configDirectory({ ...all, PAIRGATE_CONFIG_DIR: '' }, 'linux', '/h')).toBe('/x/pairgate')
  expect(configDirectory({ APPDATA: '/a' }, 'win32', '/h')).toBe('/a/pairgate')
  expect(configDirectory({ APPDATA: '/a' }, 'linux', '/h')).toBe('/h/.config/pairgate')
})

test('rewriting a credential file that became readable to others closes it again', async () => {
  const store = credentialFile(directory)
  const credential = {
    access_token: 't',
    token_type: 'Bearer',
    expires_at: 1,
    issuer: 'i',
    subject: 's',
    name: null,
    kind: 'session',
  }
  await store.save('https://a.example', credential)
  chmodSync(store.place, 0o644)
  await store.save('https://b.example', credential)
  expect(mode(store.place)).toBe('600')
  expect(await store.find('https://a.example')).toEqual(credential)
  expect(await store.defaultServer()).toBe('https://b.example')
})

test('what a server says cannot steer the terminal', () => {
  expect(printable('\u001b[31mali\u202ece\r\n\u0007\u009b')).toBe('[31malice')
})

test.each([
  [86_400, '1 day'],
  [86_399, '1 day'],
  [2_591_999, '30 days'],
  [3_599, '1 hour'],
  [600, '10 minutes'],
  [59, '59 seconds'],
  [1, '1 second'],
])('%i seconds are %s', (seconds, words) => {
  expect(duration(seconds)).toBe(words)
})
