/** The login kit's polls, which ask to be held until somebody decides: as they should go, and cut by what is on the way. @module */

import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, onTestFinished, type TestContext, test } from 'vitest'
import { sqlite } from '../adapters/sqlite.ts'
import type { LoginError, LoginPrompt, SignInOptions } from '../clients/mod.ts'
import { createBrowser, createTestGate, pollDevice, type TestBrowser } from './support/gate.ts'
import { findFreePorts } from './support/guarded.ts'
import { startHaproxy } from './support/haproxy.ts'
import { createClient } from './support/kit.ts'
import { createPrograms, SOURCES } from './support/kit_stories.ts'
import { type LiveGate, listenGate } from './support/listen.ts'
import { demand } from './support/matrix.ts'
import { lookForProxy } from './support/proxy_world.ts'
import { RUNTIMES } from './support/runtimes.ts'
import { startTcpProxy } from './support/tcp_proxy.ts'

/** A server, and a person who is signed in there. */
interface World {
  readonly gate: LiveGate
  /** What people reach it by. */
  readonly base: string
  readonly alice: TestBrowser
  /** Of each poll so far: its connection. */
  readonly polls: readonly AbortSignal[]
  /** Resolves as soon as the next poll comes: to what resolves once its connection is cut. */
  nextPoll(): Promise<{ readonly isCut: Promise<unknown> }>
}

/** Starts it; `front` puts something before its port, and brings the port of that. */
async function startWorld(front = async (port: number) => port): Promise<World> {
  let base = ''
  const gate = await listenGate(async (own) => {
    base = `http://127.0.0.1:${await front(Number(new URL(own).port))}/auth`
    return { baseUrl: base, pollSeconds: 60 }
  }, '/auth')
  onTestFinished(async () => {
    await gate.gate.drain()
    await gate.close()
    await gate.gate.close()
  })
  const polls: AbortSignal[] = []
  let next = Promise.withResolvers<{ isCut: Promise<unknown> }>()
  gate.onRequest = ({ url, signal }) => {
    if (!url.endsWith('.token')) return
    polls.push(signal)
    next.resolve({ isCut: once(signal, 'abort') })
    next = Promise.withResolvers()
  }
  const { origin } = new URL(base)
  const alice = createBrowser((path, init) => fetch(new URL(path, origin), init), origin)
  await alice.post('/auth/sign-in/dev', { username: 'alice' })
  return { gate, base, alice, polls, nextPoll: () => next.promise }
}

/** What a poll asked for. */
type Input = { readonly wait?: number; readonly code?: string; readonly device_code?: string }

/** A login under way. */
function startLogin(
  { base, gate }: World,
  options: Partial<SignInOptions> & { readonly send?: typeof fetch },
) {
  const { send = fetch, ...how } = options
  const inputs: Input[] = []
  /** What it did beside polling. */
  const noted: string[] = []
  const client = createClient({
    server: base,
    fetch: async (url, init) => {
      if (String(url).endsWith('.token')) inputs.push(JSON.parse(String(init?.body)))
      return await send(url, init)
    },
  })
  const shown = Promise.withResolvers<LoginPrompt>()
  const login = client.login({
    browser: false,
    onPrompt: shown.resolve,
    onRetry: ({ code }) => void noted.push(`failed: ${code}`),
    onSlowDown: (interval) => void noted.push(`slower: ${interval}`),
    ...how,
    async wait(ms, signal) {
      noted.push(`pause: ${ms / 1000}`)
      await how.wait?.(ms, signal)
      gate.advance(ms / 1000)
    },
  })
  // a test that fails before it gets there says why by itself
  login.catch(() => {})
  return { login, inputs, noted, prompt: shown.promise }
}

/** Puts HAProxy before a port. */
async function haproxy(context: TestContext, ...lines: string[]): Promise<(port: number) => Promise<number>> {
  const found = await lookForProxy('haproxy')
  demand(context, 'reason' in found ? found.reason : null)
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-held-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return async (target) => {
    const [port = 0] = await findFreePorts(1)
    const defaults = ['mode http', 'timeout connect 2s', 'timeout client 60s', 'timeout server 60s', ...lines]
    const listen = [`bind 127.0.0.1:${port}`, `server pairgate 127.0.0.1:${target}`]
    const config = ['defaults', ...defaults, 'listen gateway', ...listen].map((line) => `${line}\n`).join('')
    const file = join(folder, 'haproxy.cfg')
    writeFileSync(file, config)
    const proxy = await startHaproxy(file, {}, port)
    onTestFinished(() => proxy.stop())
    return port
  }
}

const pathOf = ({ url }: LoginPrompt) => url.slice(new URL(url).origin.length)
const waitsOf = (inputs: readonly Input[]) => inputs.map(({ wait }) => wait)
const replays = ({ gate }: World) => gate.rows("SELECT id FROM events WHERE type = 'replayed'")
const intervals = ({ gate }: World) => gate.rows('SELECT poll_interval FROM grants')
const untilAborted = (_: number, signal?: AbortSignal) =>
  new Promise<void>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))

describe.each(['device', 'link'] as const)('%s', (via) => {
  test('one poll is enough: the person decides while it is held', async () => {
    const world = await startWorld()
    const polled = world.nextPoll()
    const { login, inputs, noted, prompt } = startLogin(world, { via })
    await polled
    expect((await world.alice.decide(pathOf(await prompt), 'allow')).status).toBe(200)
    expect(await login).toMatchObject({ subject: 'alice' })
    expect([waitsOf(inputs), noted, world.polls.length]).toEqual([[25], [], 1])
  })

  test('so is it when the person denies', async () => {
    const world = await startWorld()
    const polled = world.nextPoll()
    const { login, inputs, noted, prompt } = startLogin(world, { via })
    await polled
    await world.alice.decide(pathOf(await prompt), 'deny')
    await expect(login).rejects.toMatchObject({ code: 'access_denied' })
    expect([waitsOf(inputs), noted]).toEqual([[25], []])
  })

  test('whoever gives up lets go of it at the server too', async () => {
    const world = await startWorld()
    const ended = new AbortController()
    const polled = world.nextPoll()
    const { login, inputs, prompt } = startLogin(world, { via, signal: ended.signal })
    const { isCut } = await polled
    // by then it is held
    await world.alice.get(pathOf(await prompt))
    ended.abort()
    await expect(login).rejects.toThrow(ended.signal.reason)
    await isCut
    if (via === 'link') return
    world.gate.advance(60)
    const { body } = await pollDevice(world.gate, inputs[0]?.device_code ?? '')
    expect(body).toMatchObject({ error: 'authorization_pending', interval: 60 })
  })
})

test('whoever gives up behind HAProxy lets go of it at the server, with option abortonclose', async (context) => {
  const world = await startWorld(await haproxy(context, 'option abortonclose'))
  const ended = new AbortController()
  const polled = world.nextPoll()
  const { login } = startLogin(world, { via: 'device', signal: ended.signal })
  const { isCut } = await polled
  ended.abort()
  await expect(login).rejects.toThrow(ended.signal.reason)
  await isCut
})

describe.each(RUNTIMES)('a program on %s', (runtime) => {
  const programs = createPrograms(SOURCES)
  afterEach(() => programs.end())

  test('has its login by one poll', async () => {
    const world = await startWorld()
    const polled = world.nextPoll()
    const next = programs.login(runtime, world.base, 'device')
    const { prompt } = await next()
    await polled
    await world.alice.decide(pathOf(prompt as LoginPrompt), 'allow')
    expect(await next()).toMatchObject({ subject: 'alice' })
    expect(world.polls).toHaveLength(1)
  })
})

describe('PC-11 by loopback', () => {
  /** The browser comes back to the program. */
  async function comeBack(decided: Response): Promise<Response> {
    const location = decided.headers.get('location') ?? ''
    expect(location).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback\?/)
    return await fetch(location, { redirect: 'manual' })
  }

  test('the browser cuts the poll that is held, and the next one has its code', async () => {
    const world = await startWorld()
    const polled = world.nextPoll()
    const { login, inputs, noted, prompt } = startLogin(world, { via: 'loopback' })
    const { isCut } = await polled
    // its clock is so far behind that the one that holds the poll does not learn of what is decided there
    const now = () => Date.now() - 30_000
    const other = createTestGate({ baseUrl: world.base, database: sqlite(world.gate.database), now })
    const bob = other.browser()
    await bob.post('/auth/sign-in/dev', { username: 'bob' })
    expect((await comeBack(await bob.decide(pathOf(await prompt), 'allow'))).status).toBe(303)
    await isCut
    expect(await login).toMatchObject({ subject: 'bob', kind: 'session' })
    expect(inputs).toEqual([
      expect.objectContaining({ wait: 25 }),
      expect.objectContaining({ code: expect.any(String) }),
    ])
    expect([noted, replays(world), intervals(world)]).toEqual([[], [], [{ poll_interval: 60 }]])
  })

  test('or the server has answered it at Allow: the code comes a moment later', async () => {
    const world = await startWorld()
    const polled = world.nextPoll()
    const { login, inputs, prompt } = startLogin(world, { via: 'loopback', wait: untilAborted })
    await polled
    await comeBack(await world.alice.decide(pathOf(await prompt), 'allow'))
    expect(await login).toMatchObject({ subject: 'alice', kind: 'session' })
    expect(inputs.map(({ wait, code }) => [wait, typeof code])).toEqual([
      [25, 'undefined'],
      [undefined, 'string'],
    ])
    expect([replays(world), intervals(world)]).toEqual([[], [{ poll_interval: 60 }]])
  })

  test('at Deny the program knows before the browser is back, and still sends it on', async () => {
    const world = await startWorld()
    const polled = world.nextPoll()
    const known = Promise.withResolvers<void>()
    const { login, inputs, prompt } = startLogin(world, {
      via: 'loopback',
      async wait(ms, signal) {
        known.resolve()
        await untilAborted(ms, signal)
      },
    })
    await polled
    const decided = await world.alice.decide(pathOf(await prompt), 'deny')
    await Promise.race([known.promise, login])
    expect((await comeBack(decided)).status).toBe(303)
    await expect(login).rejects.toMatchObject({ code: 'access_denied' })
    expect(inputs).toHaveLength(1)
  })
})

describe('cut on the way, polls come at the pace of RFC 8628, and the login goes on', () => {
  /** Signs alice in, who allows it in the pause after the poll that was cut. */
  async function signInCut(world: World, cut: () => Promise<void>) {
    const polled = world.nextPoll()
    const running = startLogin(world, {
      via: 'device',
      async wait() {
        await (await polled).isCut
        expect((await world.alice.decide(pathOf(await running.prompt), 'allow')).status).toBe(200)
      },
    })
    await polled
    await cut()
    expect(await running.login).toMatchObject({ subject: 'alice' })
    expect(waitsOf(running.inputs)).toEqual([25, undefined])
    expect([replays(world), intervals(world)]).toEqual([[], [{ poll_interval: 60 }]])
    return running.noted
  }

  test('a proxy whose patience is short', async (context) => {
    const world = await startWorld(await haproxy(context, 'timeout server 2s'))
    expect(await signInCut(world, async () => {})).toEqual(['failed: busy', 'pause: 60'])
  })

  test('a connection that breaks', async () => {
    let cut = async () => {}
    const world = await startWorld(async (target) => {
      const proxy = await startTcpProxy(target)
      onTestFinished(() => proxy.close())
      cut = async () => {
        await proxy.shut()
        await proxy.reopen()
      }
      return proxy.port
    })
    expect(await signInCut(world, cut)).toEqual(['failed: unreachable', 'pause: 60'])
  })

  test('an older server, which refuses what it does not know: nobody is told', async () => {
    const world = await startWorld()
    // as this one does with a name that it does not know
    const send: typeof fetch = async (url, init) => {
      const body = init?.body && String(init.body).replace('"wait":', '"patience":')
      return await fetch(url, { ...init, ...(body && { body }) })
    }
    const { login, inputs, noted, prompt } = startLogin(world, {
      ...{ via: 'device', send },
      async wait() {
        expect((await world.alice.decide(pathOf(await prompt), 'allow')).status).toBe(200)
      },
    })
    expect(await login).toMatchObject({ subject: 'alice' })
    expect([waitsOf(inputs), noted]).toEqual([[25, undefined, undefined], ['pause: 60']])
  })
})

describe('a server that answers by a script', () => {
  const START = {
    ...{ device_code: 'd', user_code: 'BCDF-GHJK', expires_in: 600, interval: 5 },
    verification_uri: 'http://127.0.0.1:8787/device',
    verification_uri_complete: 'http://127.0.0.1:8787/device?user_code=BCDF-GHJK',
  }
  const ISSUED = { status: 'issued', access_token: 'pgk_x', token_type: 'Bearer', expires_in: 60 }
  const WHO = { issuer: 'i', subject: 's', name: null, client_id: null, kind: 'api_key', scope: '' }
  const result = (data: object) => Response.json({ result: { data } })

  /** Signs in; each answer to a poll may take its time. */
  async function signIn(answers: readonly ((init: RequestInit) => Promise<[seconds: number, Response]>)[]) {
    const left = [...answers]
    const waits: (number | undefined)[] = []
    const pauses: number[] = []
    let now = 0
    const client = createClient({
      ...{ server: 'http://127.0.0.1:8787', timeout: 20, now: () => now },
      async fetch(input, init = {}) {
        if (String(input).endsWith('device.authorize')) return result(START)
        if (!String(input).endsWith('.token')) return result({ ...WHO, expires_in: 60 })
        waits.push(JSON.parse(String(init.body)).wait)
        const [seconds, response] = (await left.shift()?.(init)) ?? [0, result(ISSUED)]
        now += seconds * 1000
        return response
      },
    })
    await client.login({
      ...{ via: 'device', browser: false, onPrompt() {} },
      async wait(ms) {
        pauses.push(ms / 1000)
        now += ms
      },
    })
    return { waits, pauses }
  }

  test('the pause is what is left of the interval for one that was held, else all of it', async () => {
    const answer = (seconds: number, status: string, interval: number) => async () =>
      [seconds, result({ status, interval })] satisfies [number, Response]
    const pending = 'authorization_pending'
    const { waits, pauses } = await signIn([
      answer(2, pending, 5),
      answer(25, pending, 5),
      answer(25, pending, 40),
      answer(1, 'slow_down', 45),
      answer(30, 'slow_down', 50),
    ])
    expect(pauses).toEqual([5, 0, 15, 45, 50])
    expect(waits).toEqual([25, 25, 25, 25, 25, 25])
  })

  const html = { 'content-type': 'text/html' }
  test.each<[string, () => Response]>([
    ['502', () => new Response('<h1>Bad Gateway</h1>', { status: 502, headers: html })],
    ['504', () => new Response('<h1>Gateway Timeout</h1>', { status: 504, headers: html })],
    ['nothing', () => new Response(null)],
    ['half an answer', () => new Response('{"result":', { headers: { 'content-type': 'application/json' } })],
    ['a network that is gone', () => expect.unreachable()],
  ])('%s: what comes after it asks for no wait', async (name, answer) => {
    const cut = async (): Promise<[number, Response]> => {
      if (name.startsWith('a network')) throw new TypeError('fetch failed')
      return [10, answer()]
    }
    const { waits, pauses } = await signIn([cut, cut])
    expect([waits, pauses]).toEqual([
      [25, undefined, undefined],
      [5, 5],
    ])
  })

  test('the time that a client has for an answer begins where the wait ends', async () => {
    const { waits, pauses } = await signIn([
      async ({ signal }) => {
        await once(AbortSignal.timeout(100), 'abort')
        signal?.throwIfAborted()
        return [0, result(ISSUED)]
      },
    ])
    expect([waits, pauses]).toEqual([[25], []])
  })

  test('a refusal that is not of the wait is one', async () => {
    const refusal = { error: { message: 'no', code: -32_600, data: { code: 'BAD_REQUEST' } } }
    const refuse = async (): Promise<[number, Response]> => [0, Response.json(refusal, { status: 400 })]
    const error = await signIn([refuse, refuse]).then(
      () => null,
      (error: LoginError) => error,
    )
    expect(error).toMatchObject({ code: 'refused', message: 'no' })
  })
})
