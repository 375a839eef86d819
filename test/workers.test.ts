/** Cloudflare Workers: the Worker in workerd, and the server around it that people start on their machine. @module */

import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Miniflare, NoOpLog, type WorkerdStructuredLog } from 'miniflare'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { d1 } from '../adapters/d1.ts'
import { bundleWorker, COMPATIBILITY } from '../examples/workers/bundle.ts'
import { generateD1 } from '../examples/workers/generate.ts'
import { createBrowser, SECRET, type TestBrowser } from './support/gate.ts'
import { createClient, loginWithDevice, loginWithPaircode } from './support/kit.ts'
import { issuer, MOUNT, signIn } from './support/sign_in.ts'
import { findFreePort, signInAt, startInVain, startStandalone } from './support/standalone.ts'

const EXAMPLE = join(import.meta.dirname, '../examples/workers')
const BASE = 'http://127.0.0.1:8787'
const AUTHORIZE = '/oauth/device/authorize'
const STARTED = { method: 'POST', body: new URLSearchParams({ client_id: 'pairgate-cli' }) }

const { code, metafile } = await bundleWorker({ configFile: null, minify: true })

/** Options with a database whose very first statement never ends. */
const SLOW_DATABASE = `
  import { env } from 'cloudflare:workers'
  import { d1 } from ${JSON.stringify(join(EXAMPLE, '../../adapters/d1.ts'))}
  let isFirst = true
  const bind = (sql) => (...values) => ({
    async all() {
      if (isFirst) {
        isFirst = false
        console.log('the first statement waits')
        await new Promise((resolve) => setTimeout(resolve, 3_600_000))
      }
      return await env.DB.prepare(sql).bind(...values).all()
    },
  })
  export const database = d1({ prepare: (sql) => ({ bind: bind(sql) }) })`

/** The Worker in workerd, on a D1 database of its own. */
async function startWorker(bindings: Record<string, string> = {}, hasTables = true, script = code) {
  const logged: string[] = []
  const miniflare = new Miniflare({
    modules: true,
    script,
    ...COMPATIBILITY,
    bindings: { PAIRGATE_BASE_URL: BASE, PAIRGATE_SECRET: SECRET, PAIRGATE_LOG: 'pretty', ...bindings },
    d1Databases: { DB: 'test' },
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    cf: false,
    log: new NoOpLog(),
    telemetry: { enabled: false },
    structuredWorkerdLogs: true,
    handleStructuredLogs: ({ message }: WorkerdStructuredLog) => void logged.push(message),
  })
  const database = await miniflare.getD1Database('DB')
  if (hasTables) await d1(database).migrate()
  const send = async (path: string, init?: RequestInit) =>
    (await miniflare.dispatchFetch(new URL(path, BASE), {
      redirect: 'manual',
      ...(init as object),
    })) as unknown as Response
  return {
    /** What it has logged so far, a line each. */
    logged,
    database,
    fetch: send,
    browser: () => createBrowser(send, BASE),
    rows: async (sql: string) => (await database.prepare(sql).all<Record<string, unknown>>()).results,
    socket: () => miniflare.unsafeGetDirectURL(),
    stop: () => miniflare.dispose(),
  }
}

type TestWorker = Awaited<ReturnType<typeof startWorker>>

/** Signs in by one flow with the typed client, while somebody allows it in a browser. */
async function login(base: string, flow: typeof loginWithDevice, person: TestBrowser, send = fetch) {
  let allowed: Promise<Response> | undefined
  const token = await flow(createClient({ server: base, fetch: send }), {
    onPrompt: ({ url }) => {
      allowed = person.decide(new URL(url).pathname + new URL(url).search, 'allow')
    },
    wait: async () => void (await allowed),
  })
  return token.access_token
}

/** Stops what was started for one test when that ends, however it does. */
async function forThisTest<T extends { stop(): Promise<unknown>; remove?(): void }>(starting: Promise<T>) {
  const started = await starting
  onTestFinished(async () => {
    await started.stop()
    started.remove?.()
  })
  return started
}

const folder = mkdtempSync(join(tmpdir(), 'pairgate-workers-'))
afterAll(() => rmSync(folder, { recursive: true }))

describe('the bundle', () => {
  test('has at most 300 kB, minified', () => {
    expect(code.length).toBeLessThanOrEqual(300_000)
  })

  test('has no logging library: the Worker brings its own log', () => {
    const parts = Object.values(metafile.outputs).flatMap(({ inputs }) => Object.entries(inputs))
    const used = parts.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([path]) => path)
    expect(used.filter((path) => path.includes('src/pairgate.ts'))).toHaveLength(1)
    expect(used.filter((path) => path.includes('logtape'))).toEqual([])
  })

  test('needs nothing of Node’s, not even as a compatibility flag', () => {
    const outside = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path))
    expect(outside).toEqual(['cloudflare:workers'])
    expect(readFileSync(join(EXAMPLE, 'wrangler.jsonc'), 'utf8')).not.toContain('nodejs')
  })
})

describe('migrations', () => {
  let made: TestWorker
  let applied: TestWorker
  const files = readdirSync(join(EXAMPLE, 'migrations')).sort()
  beforeAll(async () => {
    ;[made, applied] = await Promise.all([startWorker(), startWorker({}, false)])
    for (const file of files) {
      const lines = readFileSync(join(EXAMPLE, 'migrations', file), 'utf8')
        .trim()
        .split('\n')
        .slice(1)
      await applied.database.batch(lines.map((line) => applied.database.prepare(line)))
    }
  })
  afterAll(() => Promise.all([made.stop(), applied.stop()]))

  const schema = ({ rows }: TestWorker) =>
    rows(
      "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\' ORDER BY name",
    )

  test('the files are those that the generator writes', async () => {
    const generated = Object.entries(await generateD1()).filter(([path]) => path.endsWith('.sql'))
    const written = files.map((file) => {
      const path = `examples/workers/migrations/${file}`
      return [path, readFileSync(join(EXAMPLE, '../..', path), 'utf8')]
    })
    expect(written).toEqual(generated)
  })

  test('they make the very tables that migrate() makes', async () => {
    expect(await schema(applied)).toEqual(await schema(made))
    expect((await schema(applied)).length).toBeGreaterThan(10)
    const steps = 'SELECT name, length(timestamp) AS length FROM pairgate_migrations ORDER BY name'
    expect(await applied.rows(steps)).toEqual(await made.rows(steps))
  })

  test('after them the tables are right, and migrate() changes nothing', async () => {
    const all = async () => [await schema(applied), await applied.rows('SELECT * FROM pairgate_migrations')]
    const before = await all()
    await d1(applied.database).checkSchema()
    await d1(applied.database).migrate()
    expect(await all()).toEqual(before)
  })
})

describe('the Worker', () => {
  let worker: TestWorker
  beforeAll(async () => {
    worker = await startWorker()
  })
  afterAll(() => worker.stop())

  test('work goes on after the answer: old rows are deleted, the use of a credential is written down', async () => {
    // the last of what a purge deletes, in the last of its six statements
    await worker.rows("INSERT INTO limits (key, bucket, n) VALUES ('old', 1, 1)")
    const person = worker.browser()
    await person.signIn('alice')
    const key = await login(BASE, loginWithDevice, person, worker.fetch as typeof fetch)
    await vi.waitFor(async () =>
      expect(await worker.rows("SELECT key FROM limits WHERE key = 'old'")).toEqual([]),
    )
    await worker.rows('UPDATE credentials SET last_used_at = last_used_at - 120000')
    const [before] = await worker.rows("SELECT last_used_at FROM credentials WHERE kind = 'api_key'")
    const answer = await worker.fetch('/secured', { headers: { authorization: `Bearer ${key}` } })
    expect(await answer.text()).toBe('You are authenticated as: alice')
    await vi.waitFor(async () => {
      const [after] = await worker.rows("SELECT last_used_at FROM credentials WHERE kind = 'api_key'")
      expect(after?.last_used_at).toBeGreaterThan(Number(before?.last_used_at))
    })
  })

  test('people sign in at an OpenID issuer', async () => {
    const { server } = await issuer()
    const far = await forThisTest(
      startWorker({
        PAIRGATE_BASE_URL: MOUNT,
        PAIRGATE_OIDC_ISSUER: server.issuer,
        PAIRGATE_OIDC_CLIENT_ID: server.clientId,
        PAIRGATE_OIDC_CLIENT_SECRET: server.clientSecret,
      }),
    )
    const person = far.browser()
    expect((await signIn(person, server)).status).toBe(303)
    expect(await (await person.get('/auth/secured')).text()).toBe('You are authenticated as: ann')
  })

  test('a first request that is cut off while it looks at the tables holds up nobody else', async () => {
    const configFile = join(folder, 'slow.js')
    writeFileSync(configFile, SLOW_DATABASE)
    const slow = await forThisTest(
      startWorker({}, true, (await bundleWorker({ configFile, minify: false })).code),
    )
    const { hostname, port } = await slow.socket()
    const headers = { host: new URL(BASE).host, accept: 'text/html' }
    const first = request({ hostname, port, path: '/sign-in', headers }).on('error', () => {})
    first.end()
    await vi.waitFor(() => expect(slow.logged).toContain('the first statement waits'))
    const signal = AbortSignal.timeout(5_000)
    const answers = Array.from({ length: 5 }, () => slow.fetch('/sign-in', { signal }))
    first.destroy()
    answers.push(...Array.from({ length: 5 }, () => slow.fetch('/sign-in', { signal })))
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(Array(10).fill(200))
  })

  test('OPS-06 without tables: 503, a line in the log that says what to do, and nothing is written', async () => {
    const bare = await forThisTest(startWorker({}, false))
    const answer = await bare.fetch(AUTHORIZE, STARTED)
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '5'])
    expect(await answer.text()).not.toMatch(/tables|wrangler/)
    const line = /has no tables of pairgate yet: run "npx wrangler d1 migrations apply [^\n]*$/
    await vi.waitFor(() => expect(bare.logged).toEqual([expect.stringMatching(line)]))
    expect(
      await bare.rows("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf\\_%' ESCAPE '\\'"),
    ).toEqual([])
  })

  test.each([
    [
      'no signing secret',
      { PAIRGATE_SECRET: '' },
      'PAIRGATE_SECRET is missing: run "npx wrangler secret put',
    ],
    ['no base URL', { PAIRGATE_BASE_URL: '' }, 'PAIRGATE_BASE_URL is missing: set it'],
    ['a short secret', { PAIRGATE_SECRET: 'hunter2' }, 'Option "secrets.0" is wrong: must have at least 32'],
    [
      'the dev sign-in at a public URL',
      { PAIRGATE_BASE_URL: 'https://login.example', PAIRGATE_DEV_SIGN_IN: '1' },
      'PAIRGATE_DEV_SIGN_IN signs in any name: it is refused',
    ],
    ['no way to sign in', { PAIRGATE_BASE_URL: 'https://login.example' }, 'Nobody could sign in'],
  ])('OPS-06 %s: 500 that says nothing, and a line in the log', async (_, bindings, reason) => {
    const wrong = await forThisTest(startWorker(bindings as Record<string, string>, false))
    const answer = await wrong.fetch('/healthz')
    expect([answer.status, await answer.json()]).toEqual([
      500,
      { error: 'server_error', error_description: expect.stringContaining('its log says what is missing') },
    ])
    const line = expect.stringContaining(`pairgate cannot start: ${reason}`)
    await vi.waitFor(() => expect(wrong.logged).toEqual([line]))
    expect(wrong.logged.join()).not.toMatch(/hunter2|\n/)
  })
})

/** The state and the parent of a process; null when there is none. */
function readProcess(pid: string | number): { state: string; parent: number } | null {
  try {
    const [, state = '', parent] = /\) (\w) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8')) ?? []
    return { state, parent: Number(parent) }
  } catch {
    return null
  }
}

/** Tells whether a process runs; one that has ended may wait a while for somebody to take note. */
const isRunning = (pid: number) => !['Z', 'X', undefined].includes(readProcess(pid)?.state)

/** The processes that one has started, and those that they have started. */
function descendants(pid: number): number[] {
  const children = readdirSync('/proc').filter((name) => readProcess(name)?.parent === pid)
  return children.map(Number).flatMap((child) => [child, ...descendants(child)])
}

describe('serve.ts', () => {
  const database = { DATABASE_URL: `d1:${join(folder, 'life')}` }
  const whoami = (server: string, token: string) => createClient({ server, token }).api.session.whoami.query()

  test('it greets, signs in by both flows, keeps everything over a restart, and leaves no process behind', async () => {
    const first = await forThisTest(startStandalone(database, '', 'workers'))
    expect(first.output()).toContain(
      `pairgate listens on ${first.base}\n  stores in     ${database.DATABASE_URL}\n`,
    )
    expect(first.output()).toContain(`npx pairgate login --server ${first.base}`)
    const person = await signInAt(first, 'alice')
    const key = await login(first.base, loginWithDevice, person)
    const session = await login(first.base, loginWithPaircode, person)
    expect(await whoami(first.base, key)).toMatchObject({ subject: 'alice', kind: 'api_key' })
    expect(first.output()).toContain('"message":"audit: issued"')
    const below = descendants(first.pid)
    expect(below.length).toBeGreaterThan(1)
    expect(await first.stop()).toBe(0)
    await vi.waitFor(() => expect(below.filter(isRunning)).toEqual([]), 5_000)
    expect(statSync(join(folder, 'life')).mode & 0o777).toBe(0o700)

    const second = await forThisTest(startStandalone({ ...database, PAIRGATE_MIGRATE: '0' }, '', 'workers'))
    expect(await whoami(second.base, session)).toMatchObject({ subject: 'alice', kind: 'session' })
    const later = createBrowser((path, init) => fetch(new URL(path, second.base), init), second.base)
    for (const [name, value] of person.cookies) later.cookies.set(name, value)
    expect(await (await later.get('/secured')).text()).toBe('You are authenticated as: alice')
  })

  test('it counts by the address of the socket, whatever the client claims; further options come from a file', async () => {
    const file = join(folder, 'options.ts')
    writeFileSync(file, 'export default { limits: { startPerMinute: 2 } }')
    const env = { DATABASE_URL: `d1:${join(folder, 'limits')}`, PAIRGATE_CONFIG: file }
    const server = await forThisTest(startStandalone(env, '/auth', 'workers'))
    const statuses: number[] = []
    for (const last of [1, 2, 3]) {
      const address = `203.0.113.${last}`
      const headers = { 'cf-connecting-ip': address, 'x-forwarded-for': address, 'x-real-ip': address }
      statuses.push((await fetch(`${server.base}${AUTHORIZE}`, { ...STARTED, headers })).status)
    }
    expect(statuses).toEqual([200, 200, 429])
    expect(server.output()).not.toContain('203.0.113.')
  })

  test('OPS-06 workerd that ends of itself is started again, and all is there', async () => {
    const env = { DATABASE_URL: `d1:${join(folder, 'crash')}` }
    const server = await forThisTest(startStandalone(env, '', 'workers'))
    const key = await login(server.base, loginWithDevice, await signInAt(server, 'alice'))
    const name = (pid: number) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
    for (const pid of descendants(server.pid)) if (name(pid) === 'workerd') process.kill(pid, 'SIGKILL')
    await vi.waitFor(() => expect(server.output()).toContain('workerd ended of itself'), 10_000)
    expect(await whoami(server.base, key)).toMatchObject({ subject: 'alice' })
  })

  test('OPS-06 a taken port: one line, exit code 1', async () => {
    const port = await findFreePort()
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(port, '127.0.0.1', resolve))
    const env = { DATABASE_URL: `d1:${join(folder, 'taken')}`, PORT: String(port) }
    const { code, output } = await startInVain(env, 'workers')
    other.close()
    expect([code, output]).toEqual([
      1,
      expect.stringMatching(/^pairgate cannot start: Cannot listen on 127.0.0.1:\d+ \(HOST, PORT\): .*\n$/),
    ])
  })

  test.each([
    [
      'a database of another kind',
      { DATABASE_URL: 'sqlite:x.db' },
      'DATABASE_URL must be d1:FOLDER on Workers',
    ],
    [
      'no tables',
      { PAIRGATE_MIGRATE: '0' },
      'are missing or older than this version: start once with PAIRGATE_MIGRATE=1',
    ],
    [
      'a wrong option',
      { PAIRGATE_SECRET: 'hunter2' },
      'Option "secrets.0" is wrong: must have at least 32 bytes',
    ],
  ])('OPS-06 %s: one line, exit code 1, nothing written', async (_, env, reason) => {
    const place = join(folder, 'nothing')
    const { code, output } = await startInVain({ DATABASE_URL: `d1:${place}`, ...env }, 'workers')
    expect([code, output]).toEqual([1, expect.stringMatching(/^pairgate cannot start: .*\n$/)])
    expect(output).toContain(reason)
    expect(output).not.toContain('hunter2')
    expect(existsSync(place)).toBe(false)
  })
})
