/** The helper for git: the real one, which starts the command, which finds the login. @module */

import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { toNodeHandler } from '../adapters/node.ts'
import type { PairgateOptions } from '../src/mod.ts'
import { type CommandWorld, createCommandWorld, LAUNCHER, runProgram } from './support/command_world.ts'

async function createWorld(options: Partial<PairgateOptions> = {}): Promise<CommandWorld> {
  const made = await createCommandWorld({
    clients: { 'pairgate-cli': { scopes: ['read'] }, renewing: { refresh: true } },
    accessSeconds: 600,
    limits: { startPerMinute: 10_000 },
    ...options,
  })
  onTestFinished(async () => await made.close())
  return made
}

let world: CommandWorld
beforeEach(async () => {
  world = await createWorld()
})

const HELPER = `!'${process.execPath}' '${LAUNCHER}' git-credential`

/** Asks the command as git does. */
const get = async (question: readonly string[], { env = {}, args = [] as string[] } = {}) =>
  await world.run(['git-credential', ...args, 'get'], { env, input: `${question.join('\n')}\n\n` })

const answerOf = ({ stdout }: { stdout: string }) =>
  Object.fromEntries(
    stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => line.split(/=(.*)/s)),
  )

const here = () => ['protocol=http', `host=${new URL(world.server).host}`]
const BEARER = ['capability[]=authtype', 'capability[]=state']

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

describe('git-credential', () => {
  test('answers for the host of the server, with what git 2.39 and 2.46 understand', async () => {
    const { access_token, expires_at } = await world.login('alice')
    const password = { username: 'alice', password: access_token, password_expiry_utc: String(expires_at) }
    const plain = await get(here())
    expect(plain).toMatchObject({ code: 0, stderr: '' })
    expect(answerOf(plain)).toEqual(password)
    const bearer = {
      'capability[]': 'authtype',
      authtype: 'Bearer',
      credential: access_token,
      ephemeral: '1',
      password_expiry_utc: String(expires_at),
    }
    expect(answerOf(await get([...BEARER, ...here()]))).toEqual(bearer)
    const both = ['wwwauth[]=Basic realm="git"', 'wwwauth[]=Bearer realm="git"']
    expect(answerOf(await get([...BEARER, ...here(), ...both]))).toEqual(bearer)
    // a server that wants a password only
    expect(answerOf(await get([...BEARER, ...here(), both[0] ?? '']))).toEqual(password)
    // an empty item takes back what was listed
    expect(answerOf(await get([...BEARER, 'capability[]=', ...here()]))).toEqual(password)
  })

  test('says nothing for anybody else, and does nothing on store and erase', async () => {
    const { access_token } = await world.login('alice')
    const { host, hostname, port } = new URL(world.server)
    const nothing = { code: 0, stdout: '', stderr: '' }
    const others = [
      ['protocol=https', `host=${host}`],
      ['protocol=http', `host=${hostname}`],
      ['protocol=http', `host=${hostname}:${Number(port) + 1}`],
      ['protocol=http', `host=localhost:${port}`],
      ['protocol=http', `host=evil.example@${host}`],
      ['protocol=http', `host=${host}/@evil.example`],
      ['protocol=http', `host=evil.example#@${host}`],
      ['protocol=http', 'host='],
      ['protocol=ssh', `host=${host}`],
      ['protocol=cert', 'path=/x'],
      [...here(), 'username=bob'],
      [],
    ]
    for (const question of others) expect([question, await get(question)]).toEqual([question, nothing])
    for (const operation of ['store', 'erase']) {
      const input = `${[...here(), 'username=alice', `password=${access_token}`].join('\n')}\n\n`
      expect(await world.run(['git-credential', operation], { input })).toEqual(nothing)
    }
    expect((await world.run(['token'])).stdout).toBe(`${access_token}\n`)
    expect(answerOf(await get([...here(), 'username=alice'])).password).toBe(access_token)
  })

  test('of several accounts the one in use answers, or the one that git names', async () => {
    const alice = await world.login('alice')
    const bob = await world.login('bob')
    expect(answerOf(await get(here()))).toMatchObject({ username: 'bob', password: bob.access_token })
    const named = answerOf(await get([...here(), 'username=alice']))
    expect(named).toMatchObject({ username: 'alice', password: alice.access_token })
    const meant = answerOf(await get(here(), { args: ['--account', 'alice'] }))
    expect(meant).toMatchObject({ username: 'alice', password: alice.access_token })
  })

  test('a server that is named is the only one that counts', async () => {
    const { access_token } = await world.login('alice')
    const other = { args: ['--server', 'https://other.example'] }
    expect(await get(here(), other)).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(answerOf(await get(here(), { args: ['--server', world.server] })).password).toBe(access_token)
    const out = await get(['protocol=https', 'host=other.example'], other)
    expect([out.code, out.stdout]).toEqual([4, ''])
    expect(out.stderr).toContain('Nobody is signed in at https://other.example')
  })

  test('the token of the environment is for the host of its server alone', async () => {
    const { access_token } = await world.login('alice')
    const env = { PAIRGATE_TOKEN: 'pgk_given' }
    expect(answerOf(await get(here(), { env }))).toEqual({ username: 'pairgate', password: 'pgk_given' })
    const elsewhere = { ...env, PAIRGATE_SERVER: 'https://other.example' }
    const { stdout } = await get(here(), { env: elsewhere })
    expect([stdout, stdout.includes(access_token)]).toEqual(['', false])
  })

  test('a login that is about to end is refreshed first', async () => {
    const { access_token } = await world.login('alice', { clientId: 'renewing' })
    const file = join(world.directory, 'credentials.json')
    writeFileSync(file, readFileSync(file, 'utf8').replace(/("expires_at": ?)\d+/g, '$11700000000'))
    const { password, password_expiry_utc } = answerOf(await get(here()))
    expect([password === access_token, password?.startsWith('pgk_')]).toEqual([false, true])
    expect(Number(password_expiry_utc)).toBeGreaterThan(1_700_000_000)
  })

  test('a login that is over ends with 4, and git goes on to ask', async () => {
    await world.login('alice', { clientId: 'renewing' })
    world.gate.database.exec('UPDATE credentials SET revoked_at = 1')
    const file = join(world.directory, 'credentials.json')
    writeFileSync(file, readFileSync(file, 'utf8').replace(/("expires_at": ?)\d+/g, '$11700000000'))
    const { code, stdout, stderr } = await get(here())
    expect([code, stdout, stderr]).toEqual([4, '', expect.stringContaining('pairgate login')])
  })
})

/** A gateway: pairgate under a path, and beside it git's own server, for whoever has a good credential. */
async function startGateway(folder: string): Promise<{ origin: string; seen: string[] }> {
  const seen: string[] = []
  const server = createServer(async (request, response) => {
    if (request.url?.startsWith('/auth')) return toNodeHandler(world.gate.gate)(request, response)
    const [scheme = '', value = ''] = (request.headers.authorization ?? '').split(' ')
    // the name does not count, the password is the token
    const token = scheme === 'Basic' ? Buffer.from(value, 'base64').toString().replace(/^.*?:/s, '') : value
    const headers = { authorization: `Bearer ${token}` }
    const who = await world.gate.gate.authenticate(new Request(world.server, { headers }))
    seen.push(`${scheme || 'nothing'}: ${who?.user.subject ?? 'nobody'}`)
    if (who) return passToGit(folder, request, response)
    response.writeHead(401, { 'www-authenticate': ['Basic realm="git"', 'Bearer realm="git"'] }).end()
  })
  const origin = `http://127.0.0.1:${await listen(server)}`
  world = await createWorld({ baseUrl: `${origin}/auth` })
  return { origin, seen }
}

function passToGit(folder: string, request: IncomingMessage, response: ServerResponse) {
  const { pathname, search } = new URL(request.url ?? '/', 'http://x')
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: request.method,
      PATH_INFO: pathname,
      QUERY_STRING: search.slice(1),
      CONTENT_LENGTH: request.headers['content-length'],
      CONTENT_TYPE: request.headers['content-type'] ?? '',
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'] ?? '',
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
    },
  })
  request.pipe(child.stdin)
  const parts: Buffer[] = []
  child.stdout.on('data', (part) => parts.push(part))
  child.on('close', () => {
    const all = Buffer.concat(parts)
    const end = all.indexOf('\r\n\r\n')
    const headers = all
      .subarray(0, end)
      .toString()
      .split('\r\n')
      .map((line) => line.split(/: (.*)/))
    const status = Number(headers.find(([name]) => name === 'Status')?.[1]?.slice(0, 3) ?? 200)
    for (const [name = '', value = ''] of headers) if (name !== 'Status') response.setHeader(name, value)
    response.writeHead(status).end(all.subarray(end + 4))
  })
}

describe('the real git', () => {
  let folder: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'pairgate-git-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const git = (...args: string[]) => execFileSync('git', args, { cwd: folder, stdio: 'pipe' })
    const who = ['-c', 'user.name=x', '-c', 'user.email=x@example.org']
    mkdirSync(join(folder, 'work'))
    git('init', '-q', '-b', 'main', 'work')
    writeFileSync(join(folder, 'work', 'hello.txt'), 'hello\n')
    git('-C', 'work', 'add', '.')
    git(...who, '-C', 'work', 'commit', '-q', '-m', 'first')
    git('clone', '-q', '--bare', 'work', 'project.git')
    git('-C', 'project.git', 'config', 'http.receivepack', 'true')
  })

  const environment = () => ({
    ...world.env,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_CONFIG_GLOBAL: join(folder, 'gitconfig'),
  })
  const configure = (origin: string) =>
    writeFileSync(
      join(folder, 'gitconfig'),
      `[credential "${origin}"]\n\thelper = ${JSON.stringify(HELPER).replaceAll('\\"', '\\"')}\n`,
    )

  test('git credential fill gets the token, for no other host', async () => {
    const { access_token, expires_at } = await world.login('alice')
    const { origin } = new URL(world.server)
    configure(origin)
    const fill = async (url: string) =>
      await runProgram('git', ['credential', 'fill'], { env: environment(), input: `url=${url}\n\n` })
    const filled = await fill(`${origin}/project.git`)
    expect(answerOf(filled)).toMatchObject({ username: 'alice', password: access_token })
    const { password_expiry_utc = String(expires_at) } = answerOf(filled)
    expect(password_expiry_utc).toBe(String(expires_at))
    const other = await fill('https://other.example/project.git')
    expect([other.code, other.stdout]).toEqual([128, ''])
  })

  test('git clone, fetch and push go through a gateway that takes the token', async () => {
    const { origin, seen } = await startGateway(folder)
    await world.login('alice')
    configure(origin)
    const git = async (...args: string[]) =>
      await runProgram('git', args, { env: environment(), cwd: join(folder, 'clone') })
    mkdirSync(join(folder, 'clone'))
    expect(await git('clone', '-q', `${origin}/project.git`, '.')).toMatchObject({ code: 0, stderr: '' })
    expect(readFileSync(join(folder, 'clone', 'hello.txt'), 'utf8')).toBe('hello\n')
    const who = ['-c', 'user.name=x', '-c', 'user.email=x@example.org']
    await git(...who, 'commit', '-q', '--allow-empty', '-m', 'second')
    expect(await git('push', '-q')).toMatchObject({ code: 0 })
    expect(await git('fetch')).toMatchObject({ code: 0 })
    // git tries without first
    expect(seen[0]).toBe('nothing: nobody')
    const withToken = seen.filter((one) => one !== 'nothing: nobody')
    expect(withToken.length).toBeGreaterThanOrEqual(3)
    for (const one of withToken) expect(one).toMatch(/^(Basic|Bearer): alice$/)
    await world.run(['logout'])
    const refused = await git('fetch')
    expect([refused.code, refused.stderr]).toEqual([128, expect.stringContaining('could not read Username')])
  })
})
