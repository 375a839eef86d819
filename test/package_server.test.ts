/** The standalone server of the package that people install: bundled with its libraries, started by `npx pairgate-server`. @module */

import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { OLD_NODE, PACKED_SERVER, type Packed, packed, servePacked } from './support/package.ts'
import { BUN, DENO, whyNot } from './support/runtimes.ts'

const FILE = 'node_modules/pairgate/dist/server.js'
const SERVERS: Record<string, readonly [string, ...string[]]> = {
  node: [PACKED_SERVER],
  deno: [DENO, 'run', '--no-prompt', '--allow-net', '--allow-env', '--allow-read', '--allow-write', FILE],
  bun: [BUN, FILE],
}

let project: Packed
beforeAll(async () => {
  project = await packed()
})
afterAll(() => project?.remove())

/** A folder for a database. */
function place(name: string): string {
  mkdirSync(join(project.folder, name))
  return `sqlite:${name}/pairgate.db`
}

const secured = (base: string, token: string) =>
  fetch(`${base}/secured`, { headers: { authorization: `Bearer ${token}` } })

test.for(Object.entries(SERVERS))(
  'on %s it signs in, ends at SIGTERM, and knows everybody again',
  async ([name, program], context) => {
    const reason = whyNot(program)
    if (reason) context.skip(reason)
    const env = { DATABASE_URL: place(name) }
    const first = await servePacked(project, program, env)
    const token = await first.signIn('alice')
    expect(await (await secured(first.base, token)).text()).toBe('You are authenticated as: alice')
    expect(await first.stop()).toBe(0)
    expect(statSync(join(project.folder, name, 'pairgate.db.secret')).mode & 0o777).toBe(0o600)

    const second = await servePacked(project, program, env)
    expect((await secured(second.base, token)).status).toBe(200)
    expect((await secured(second.base, `${token.slice(0, -1)}_`)).status).toBe(401)
    expect(await second.stop()).toBe(0)
  },
)

describe('a configuration file', () => {
  test('may be TypeScript, and use what the package has: its errors are known for what they are', async () => {
    const text = `import { oidc, type PairgateOptions } from 'pairgate'
      // nobody listens there
      const signIn = [oidc({ issuer: 'http://127.0.0.1:1', clientId: 'x', clientSecret: 'x' })]
      export default { signIn, clients: { mytool: { name: 'My Tool' } } } satisfies Partial<PairgateOptions>`
    writeFileSync(join(project.folder, 'oidc.ts'), text)
    const env = { DATABASE_URL: place('configured'), PAIRGATE_CONFIG: 'oidc.ts' }
    const server = await servePacked(project, [PACKED_SERVER], env)
    onTestFinished(async () => void (await server.stop()))
    const body = new URLSearchParams({ client_id: 'mytool' })
    const started = await fetch(`${server.base}/oauth/device/authorize`, { method: 'POST', body })
    expect(started.status).toBe(200)
    const page = await fetch(`${server.base}/sign-in/oidc`, { redirect: 'manual' })
    expect([page.status, await page.text()]).toEqual([502, expect.stringContaining('Sign-in failed')])
  })
})

describe('it cannot start', () => {
  const REASONS = [
    ['a wrong setting', { PORT: '99999' }, [], 'PORT must be 1 to 65535, got "99999"'],
    ['no driver', { DATABASE_URL: 'mysql://a:b@127.0.0.1/x' }, [], 'run "npm install mysql2" first'],
    [
      'a file that is not there',
      { PAIRGATE_CONFIG: 'no.ts' },
      [],
      'PAIRGATE_CONFIG names a file that is not',
    ],
    ['an argument', {}, ['--help'], 'it takes no arguments'],
  ] as const
  test.each(REASONS)('%s: one line, exit code 1, nothing written', async (_, env, args, reason) => {
    const ended = await project.run([PACKED_SERVER, ...args], { env })
    expect(ended).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^pairgate cannot start: .*\n$/),
    })
    expect(ended.stderr).toContain(reason)
    expect(existsSync(join(project.folder, 'pairgate.db'))).toBe(false)
  })

  test('an old Node: the line says which one it takes', async (context) => {
    if (!OLD_NODE) return context.skip('There is no Node before 24 here')
    const { code, stdout, stderr } = await project.run([PACKED_SERVER], { node: OLD_NODE })
    expect({ code, stdout, stderr }).toEqual({
      code: 1,
      stdout: '',
      stderr: expect.stringMatching(/^pairgate cannot start: it needs Node 24 or newer, this is v[\d.]+\n$/),
    })
  })
})

test('the licences of what is bundled go along with it', () => {
  const text = readFileSync(join(project.folder, 'node_modules/pairgate/dist/server.LICENSES.txt'), 'utf8')
  for (const name of ['hono', '@hono/node-server', '@trpc/server', 'kysely', 'openid-client', 'valibot'])
    expect(text).toMatch(new RegExp(`^${name} [\\d.]+ \\(MIT\\)$`, 'm'))
})
