/** pairgate's router inside a host's tRPC application: typed, over HTTP, with the host's links, transformer and errors. @module */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createTRPCClient, httpBatchLink, httpLink, TRPCClientError } from '@trpc/client'
import { initTRPC } from '@trpc/server'
import { createExpressMiddleware } from '@trpc/server/adapters/express'
import express from 'express'
import superjson from 'superjson'
import { afterAll, afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { closeServer, toNodeHandler, toRequest } from '../adapters/node.ts'
import { LoginError, type LoginPrompt, toLoginError } from '../clients/mod.ts'
import { PairgateError } from '../src/mod.ts'
import { watchSqlite } from './support/faults.ts'
import { createBrowser, createTestGate } from './support/gate.ts'
import { createClient, loginWithDevice, loginWithPaircode } from './support/kit.ts'
import { findFreePort } from './support/standalone.ts'
import {
  createHostClient,
  type Host,
  type HostRouter,
  LINK_NAMES,
  type LinkName,
  startHost,
} from './support/trpc_host.ts'

let isAway = false
const database = watchSqlite(':memory:', () => {
  if (isAway) throw new PairgateError('ERR_PAIRGATE_STORE_UNAVAILABLE', 'zzdetail')
})
let h: Host
beforeAll(async () => {
  h = await startHost({ database, limits: { startPerMinute: 1000 } })
})
afterEach(() => {
  isAway = false
})
afterAll(() => h.close())

/** How a login is told what to do: somebody allows it, and the server's clock is what waits. */
async function allowedBy(name: string) {
  const person = await h.person(name)
  const decided: Promise<Response>[] = []
  const prompts: LoginPrompt[] = []
  return {
    prompts,
    onPrompt(prompt: LoginPrompt) {
      prompts.push(prompt)
      const { pathname, search } = new URL(prompt.url)
      decided.push(person.decide(pathname + search, 'allow'))
    },
    async wait(ms: number) {
      h.t.advance(ms / 1000)
      await Promise.all(decided)
    },
  }
}

const failure = async (work: Promise<unknown>) => {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  )
  if (error === null) throw new Error('The call was not refused')
  return error
}

const FLOWS = [
  ['device', loginWithDevice, 'api_key'],
  ['pair', loginWithPaircode, 'session'],
] as const

describe.each(LINK_NAMES)('%s', (link) => {
  test.each(FLOWS)(
    'a CLI signs in by the %s flow through the host’s client, and uses what it got',
    async (_, signIn, kind) => {
      const { cli, clock } = createHostClient(h.api, link)
      expect(await clock.query()).toEqual(new Date(0))
      const options = await allowedBy('alice')
      const client = { server: h.base, clientId: 'pairgate-cli', api: cli }
      const token = await signIn(client, { ...options, deviceName: 'laptop' })
      expect(options.prompts[0]!.url.startsWith(`${h.base}/`)).toBe(true)
      const mine = createHostClient(h.api, link, { authorization: `Bearer ${token.access_token}` })
      const who = await mine.cli.session.whoami.query()
      expect(who).toMatchObject({
        subject: 'alice',
        kind,
        credential_name: expect.stringContaining('laptop'),
      })
      await mine.cli.session.signOut.mutate({})
      expect(toLoginError(await failure(mine.cli.session.whoami.query())).code).toBe('not_signed_in')
    },
  )

  test('errors of the host’s shape are explained, in a batch with calls that go well too', async () => {
    const { cli, clock } = createHostClient(h.api, link)
    // sent as one request by the links that batch
    const [now, error] = await Promise.all([clock.query(), failure(cli.session.whoami.query())])
    expect(now).toEqual(new Date(0))
    expect(error).toBeInstanceOf(TRPCClientError)
    expect((error as TRPCClientError<HostRouter>).data).toMatchObject({
      kind: 'UNAUTHORIZED',
      where: 'cli.session.whoami',
    })
    expect(toLoginError(error)).toMatchObject({ code: 'not_signed_in', message: 'Nobody is signed in' })

    const start = () => cli.device.authorize.mutate({ client_id: 'pairgate-cli' })
    const unknown = { server: h.base, clientId: 'nobody', api: cli }
    const [, refusal] = await Promise.all([start(), failure(loginWithDevice(unknown, { onPrompt() {} }))])
    expect(refusal).toMatchObject({ code: 'refused', message: expect.stringContaining('invalid_client') })

    isAway = true
    const away = toLoginError(await failure(start()))
    expect(away).toMatchObject({ code: 'busy', message: expect.stringContaining('does not answer') })
  })

  test('who answers nothing is unreachable', async () => {
    const { cli } = createHostClient(`http://127.0.0.1:${await findFreePort()}/api`, link)
    expect(toLoginError(await failure(cli.session.whoami.query()))).toMatchObject({ code: 'unreachable' })
  })

  test('DF-23 over a limit is busy, and only the calls that are', async () => {
    const limited = await startHost({ limits: { startPerMinute: 3 } })
    onTestFinished(() => limited.close())
    const { cli } = createHostClient(limited.api, link)
    const starts = Array.from({ length: 5 }, () => cli.device.authorize.mutate({ client_id: 'pairgate-cli' }))
    const outcomes = await Promise.allSettled(starts)
    const errors = outcomes.flatMap((one) => (one.status === 'rejected' ? [toLoginError(one.reason)] : []))
    expect(errors.map(({ code }) => code)).toEqual(['busy', 'busy'])
    expect(errors[0]!.message).toMatch(/Too many requests, try again in \d+ s/)
  })
})

test('a page where the host’s API was looked for cannot be read', async () => {
  const { cli } = createHostClient(`${h.origin}/elsewhere`, 'httpLink')
  const error = toLoginError(await failure(cli.session.whoami.query()))
  expect(error).toMatchObject({ code: 'busy', message: expect.stringContaining('cannot be read') })
})

test('a login through the host’s client shows and opens no page but pairgate’s', async () => {
  const { cli } = createHostClient(h.api)
  const client = { server: 'https://elsewhere.example/auth', clientId: 'pairgate-cli', api: cli }
  const error = await failure(loginWithDevice(client, { onPrompt: () => expect.unreachable() }))
  expect(error).toMatchObject({ code: 'untrusted_url' })
  const bad = await failure(
    loginWithDevice({ ...client, server: 'nowhere' }, { onPrompt: () => expect.unreachable() }),
  )
  expect(bad).toBeInstanceOf(LoginError)
})

test('RPC-03 in a batch at the host’s own handler limits count calls, not requests', async () => {
  const limited = await startHost({ limits: { startPerMinute: 5 } })
  onTestFinished(() => limited.close())
  const batch = async (n: number) => {
    const inputs = Object.fromEntries(
      Array.from({ length: n }, (_, i) => [i, { json: { client_id: 'pairgate-cli' } }]),
    )
    const path = Array(n).fill('cli.device.authorize').join(',')
    const headers = { 'content-type': 'application/json' }
    const body = JSON.stringify(inputs)
    const response = await fetch(`${limited.api}/${path}?batch=1`, { method: 'POST', headers, body })
    return (await response.json()) as { result?: unknown }[]
  }
  expect((await batch(40)).filter(({ result }) => result)).toHaveLength(5)
  expect(limited.t.rows('SELECT id FROM grants')).toHaveLength(5)
})

describe('Express, which has no Request', () => {
  const t = initTRPC.context<{ readonly http: express.Request }>().create({ transformer: superjson })

  async function startExpress() {
    const port = await findFreePort()
    const origin = `http://127.0.0.1:${port}`
    const test = createTestGate({ baseUrl: `${origin}/auth` })
    const router = t.router({
      cli: test.gate.router({
        procedure: t.procedure,
        resolve: ({ http }) => ({ request: toRequest(http), remoteAddress: http.socket.remoteAddress }),
      }),
    })
    const app = express()
    app.use(toNodeHandler(test.gate))
    app.use(express.json())
    app.use('/api', createExpressMiddleware({ router, createContext: ({ req }) => ({ http: req }) }))
    const server = app.listen(port, '127.0.0.1')
    onTestFinished(() => closeServer(server))
    const connect = (headers: Record<string, string> = {}, link: LinkName = 'httpBatchLink') => {
      const options = { url: `${origin}/api`, transformer: superjson, headers }
      return createTRPCClient<typeof router>({
        links: [link === 'httpLink' ? httpLink(options) : httpBatchLink(options)],
      })
    }
    const person = createBrowser((path, init) => fetch(new URL(path, origin), init), origin)
    return { test, origin, connect, person }
  }

  test('a login goes through, and its address is that of the socket', async () => {
    const { test, origin, connect, person } = await startExpress()
    await person.post('/auth/sign-in/dev', { username: 'alice' })
    const { cli } = connect()
    let decided: Promise<Response> | undefined
    const allow = async (link: string) => {
      const page = await (await person.get(link)).text()
      expect(page).toContain('127.0.0.1')
      return await person.submit(page, { decision: 'allow' })
    }
    const token = await loginWithDevice(
      { server: `${origin}/auth`, clientId: 'pairgate-cli', api: cli },
      {
        onPrompt: ({ url }) => {
          decided = allow(new URL(url).pathname + new URL(url).search)
        },
        async wait(ms) {
          test.advance(ms / 1000)
          await decided
        },
      },
    )
    expect((await decided)?.status).toBe(200)
    const mine = connect({ authorization: `Bearer ${token.access_token}` })
    expect(await mine.cli.session.whoami.query()).toMatchObject({ subject: 'alice' })
    expect(test.rows('SELECT remote_address FROM grants')).toEqual([{ remote_address: '127.0.0.1' }])
  })

  test('RPC-04 KEY-02 cookies and credentials arrive, and a cookie’s caller comes from a page of this origin', async () => {
    const { test, origin, connect, person } = await startExpress()
    await person.post('/auth/sign-in/dev', { username: 'alice' })
    const cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const { user_code, device_code } = await connect().cli.device.authorize.mutate({
      client_id: 'pairgate-cli',
    })
    for (const headers of [
      { cookie },
      { cookie, origin: 'https://evil.example' },
      { cookie, origin: 'null' },
    ]) {
      const error = await failure(connect(headers).cli.device.approve.mutate({ user_code }))
      expect(error).toMatchObject({ data: { code: 'FORBIDDEN' } })
    }
    const here = connect({ cookie, origin }, 'httpLink')
    expect(await here.cli.device.approve.mutate({ user_code })).toEqual({ status: 'approved' })
    const token = await connect().cli.device.token.mutate({ client_id: 'pairgate-cli', device_code })
    if (token.status !== 'issued') throw new Error(token.status)
    const lower = connect({ authorization: `bearer ${token.access_token}` })
    expect(await lower.cli.session.whoami.query()).toMatchObject({ kind: 'api_key' })
    expect(test.rows('SELECT status FROM grants')).toEqual([{ status: 'approved' }])
  })
})

describe('the example', () => {
  test('signs a CLI in, and lets it have what its scopes allow', async () => {
    process.env.DATABASE_FILE = ':memory:'
    const { app } = await import('../examples/trpc.ts')
    const env = { incoming: { socket: { remoteAddress: '127.0.0.1' } } }
    const origin = 'http://127.0.0.1:3000'
    const send = async (path: URL | RequestInfo, init?: RequestInit) =>
      await app.fetch(
        path instanceof Request
          ? path
          : new Request(new URL(String(path), origin), { redirect: 'manual', ...init }),
        env as never,
      )
    const connect = (token?: string) =>
      createTRPCClient<typeof import('../examples/trpc.ts').appRouter>({
        links: [
          httpBatchLink({
            url: `${origin}/api`,
            transformer: superjson,
            headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
            fetch: (url, init) => send(url as URL, init as RequestInit),
          }),
        ],
      })
    const person = createBrowser(send, origin)
    await person.post('/auth/sign-in/dev', { username: 'alice' })
    const client = { server: `${origin}/auth`, clientId: 'mytool', api: connect().cli }
    const allowed = (fields: Record<string, string> = {}) => {
      let decided: Promise<Response> | undefined
      return {
        onPrompt: ({ url }: LoginPrompt) => {
          decided = person.decide(url, 'allow', fields)
        },
        wait: async () => void (await decided),
      }
    }
    const login = async (scope?: string) => await loginWithDevice(client, { scope, ...allowed() })
    const token = await login('read')
    const projects = await connect(token.access_token).projects.query()
    expect(projects).toEqual([{ owner: 'alice', since: new Date(0) }])
    for (const other of [undefined, (await login()).access_token]) {
      const error = await failure(connect(other).projects.query())
      expect(error).toMatchObject({ data: { code: 'UNAUTHORIZED' } })
    }
    // what the page shows: the kit signs in, and its fetch carries the host's own typed client
    const kit = createClient({ server: client.server, clientId: 'mytool', fetch: send })
    const api = createTRPCClient<typeof import('../examples/trpc.ts').appRouter>({
      links: [httpBatchLink({ url: `${origin}/api`, transformer: superjson, fetch: kit.fetch })],
    })
    await kit.login({ via: 'device', browser: false, scope: 'read', ...allowed({ 'scope:read': '1' }) })
    expect(await api.projects.query()).toEqual([{ owner: 'alice', since: new Date(0) }])
  })

  test('is what the documentation shows', () => {
    const read = (path: string) => readFileSync(join(import.meta.dirname, '..', path), 'utf8')
    const code = read('examples/trpc.ts')
      .replace(/^\/\*\*.*?\*\/\n\n/s, '')
      .replace('../adapters/sqlite.ts', 'pairgate/sqlite')
      .replace('../src/mod.ts', 'pairgate')
    expect(read('docs/gateways/trpc.md')).toContain(`\`\`\`ts\n${code}\`\`\``)
  })
})
