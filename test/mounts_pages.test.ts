/** The pages about hosts: they hold the examples to the letter, and what they hold besides runs. @module */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'
import { Miniflare, NoOpLog } from 'miniflare'
import { afterEach, describe, expect, test } from 'vitest'
import { d1 } from '../adapters/d1.ts'
import { COMPATIBILITY, FOR_WORKERD } from '../examples/workers/bundle.ts'
import { SECRET } from './support/gate.ts'
import { tokenAt } from './support/hosts.ts'
import { demand } from './support/matrix.ts'
import { BUN, DENO, plainEnvironment, ROOT, whyNot } from './support/runtimes.ts'
import { findFreePort } from './support/standalone.ts'

const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const PAGES = { node: 'node_http', hono: 'hono', express: 'express', fastify: 'fastify' }
const MORE = { next: 'next', sveltekit: 'sveltekit', workers: 'workers' }

/** The blocks of TypeScript of a page. */
const blocksOf = (page: string) =>
  [...read(`docs/gateways/${page}.md`).matchAll(/^```ts\n(.*?)^```$/gms)].map(([, text = '']) => text)

test.each(Object.entries({ ...PAGES, ...MORE }))(
  '%s.md holds examples/%s.ts to the letter',
  (page, example) => {
    expect(blocksOf(page)).toContain(read(`examples/${example}.ts`))
  },
)

test('what links and paths name in the pages is there', () => {
  const pages = readdirSync(join(ROOT, 'docs/gateways')).filter((name) => name.endsWith('.md'))
  for (const page of [...Object.keys({ ...PAGES, ...MORE }), 'deno_bun'])
    expect(pages).toContain(`${page}.md`)
  for (const page of pages)
    for (const [, target = ''] of read(`docs/gateways/${page}`).matchAll(/\]\(((?!https?:)[^)#]+)/g))
      expect([page, target, existsSync(join(ROOT, 'docs/gateways', target))]).toEqual([page, target, true])
})

let running: ChildProcess | undefined
let folder = ''
afterEach(async () => {
  const child = running
  running = undefined
  if (child && child.exitCode === null) {
    const ended = new Promise((resolve) => child.once('close', resolve))
    child.kill('SIGKILL')
    await ended
  }
  if (folder) rmSync(folder, { recursive: true, force: true })
})

const CLIENTS = "clients: { tool: { scopes: ['read'] } }, scopes: { read: 'Read' }"

/** The gate that the blocks of `deno_bun.md` import. */
const gateFile = (origin: string) => `
import { createPairgate } from '${ROOT}src/mod.ts'
import { sqlite } from '${ROOT}adapters/sqlite.ts'
export const gate = createPairgate({
  baseUrl: '${origin}/auth',
  secrets: ['${'s'.repeat(32)}'],
  database: sqlite(':memory:'),
  devSignIn: true,
  ${CLIENTS}
})
`

const RUN = {
  deno: [
    DENO,
    'run',
    '--no-prompt',
    '--no-lock',
    `--config=${ROOT}deno.json`,
    '--allow-net',
    '--allow-read',
    '--allow-env',
  ],
  bun: [BUN],
} as const

describe.each(['deno', 'bun'] as const)('deno_bun.md on %s', (runtime) => {
  test('GW-04 KEY-03 the page’s own server signs in, guards, knows the address, and leaves other paths alone', async (context) => {
    demand(context, whyNot(RUN[runtime]))
    const block = blocksOf('deno_bun')[runtime === 'deno' ? 0 : 1] ?? ''
    folder = mkdtempSync(join(tmpdir(), 'pairgate-page-'))
    const port = await findFreePort()
    const origin = `http://127.0.0.1:${port}`
    writeFileSync(join(folder, 'gate.ts'), gateFile(origin))
    writeFileSync(
      join(folder, 'server.ts'),
      `${block.replace('port: 3000', `port: ${port}`)}\nconsole.log('it listens')\n`,
    )
    const [program, ...args] = RUN[runtime]
    const child = spawn(program, [...args, join(folder, 'server.ts')], { cwd: ROOT, env: plainEnvironment() })
    running = child
    let output = ''
    await new Promise<void>((resolve, reject) => {
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding('utf8').on('data', (text: string) => {
          output += text
          if (output.includes('it listens')) resolve()
        })
      child.once('close', () => reject(new Error(output)))
    })

    const gate = { fetch: (request: Request) => fetch(request, { redirect: 'manual' }) }
    const token = await tokenAt({ gate, origin, mount: '/auth' }, 'read')
    const hello = (bearer?: string) =>
      fetch(
        `${origin}/api/hello`,
        bearer === undefined ? {} : { headers: { authorization: `Bearer ${bearer}` } },
      )
    expect(await (await hello(token)).json()).toEqual({ hello: 'alice' })
    expect((await hello()).status).toBe(401)
    expect((await fetch(`${origin}/authx`)).status).toBe(404)
    const metadata = await fetch(`${origin}/.well-known/oauth-authorization-server/auth`)
    expect(await metadata.json()).toMatchObject({ issuer: `${origin}/auth` })
  })
})

test('GW-04 KEY-03 workers.md: the page’s own Worker signs in, guards, and leaves other paths alone, in workerd', async () => {
  const origin = 'http://127.0.0.1:8787'
  const main = (blocksOf('workers')[1] ?? '')
    .replace('https://gateway.example', origin)
    .replace('identify: (request) => currentUser(request)', `devSignIn: true, ${CLIENTS}`)
  const { outputFiles } = await build({
    stdin: { contents: main, resolveDir: join(ROOT, 'examples'), loader: 'ts' },
    ...FOR_WORKERD,
  })
  const miniflare = new Miniflare({
    modules: true,
    script: outputFiles[0]?.text ?? '',
    ...COMPATIBILITY,
    bindings: { PAIRGATE_SECRET: SECRET },
    d1Databases: { DB: 'page' },
    cf: false,
    log: new NoOpLog(),
    telemetry: { enabled: false },
  })
  try {
    await d1(await miniflare.getD1Database('DB')).migrate()
    const send = async (url: string, init: RequestInit = {}) => {
      const headers = { 'cf-connecting-ip': '127.0.0.1', ...Object.fromEntries(new Headers(init.headers)) }
      const request = { redirect: 'manual', ...init, headers }
      return (await miniflare.dispatchFetch(url, request as object)) as unknown as Response
    }
    const fetch = async ({ url, method, headers, body }: Request) =>
      await send(url, { method, headers, ...(body && { body: await new Response(body).text() }) })
    const token = await tokenAt({ gate: { fetch }, origin, mount: '/auth' }, 'read')
    const headers = { authorization: `Bearer ${token}` }
    expect(await (await send(`${origin}/api/hello`, { headers })).json()).toEqual({ hello: 'alice' })
    expect((await send(`${origin}/api/hello`)).status).toBe(401)
    expect((await send(`${origin}/authx`)).status).toBe(404)
  } finally {
    await miniflare.dispose()
  }
})
