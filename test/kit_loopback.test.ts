/** The login kit's loopback delivery: the browser comes back to a port of the program, on each runtime. @module */

import { request } from 'node:http'
import { connect } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { listenOnLoopback } from '../clients/loopback.ts'
import { launchChromium } from './support/chromium.ts'
import { createPaircode } from './support/gate.ts'
import { createClient } from './support/kit.ts'
import { createPrograms, SOURCES } from './support/kit_stories.ts'
import { type LiveGate, listenGate } from './support/listen.ts'
import { RUNTIMES } from './support/runtimes.ts'

const browser = await launchChromium()
const programs = createPrograms(SOURCES)

let gate: LiveGate
beforeAll(async () => {
  gate = await listenGate(() => ({ pollSeconds: 60 }), '/auth')
})
afterEach(() => programs.end())
afterAll(async () => {
  await browser?.close()
  await gate.close()
  await gate.gate.close()
})

/** A person with a browser who is signed in. */
async function person(name: string) {
  if (!browser) throw new Error('There is no browser')
  const context = await browser.newContext()
  const page = await context.newPage()
  await page.goto(`${gate.base}/sign-in`)
  await page.getByLabel('Name').fill(name)
  await page.getByRole('button', { name: 'Sign in' }).click()
  return page
}

describe.skipIf(!browser)('PC-11 a real browser', () => {
  test.each(RUNTIMES)(
    'comes back to a program on %s after Allow, long before the next poll, and ends on a page of the server',
    async (runtime) => {
      const next = programs.login(runtime, gate.base, 'loopback')
      const { prompt } = await next()
      expect(prompt).toMatchObject({ via: 'loopback', browser: true })
      const page = await person('alice')
      await page.goto(prompt?.url ?? '')
      expect(await page.textContent('main')).toContain(prompt?.code)
      await page.getByRole('button', { name: 'Allow' }).click()
      await page.waitForURL(prompt?.url ?? '')
      expect(await page.textContent('h1')).toMatch(/allowed/i)
      expect(page.url()).not.toContain('code=')
      const { login, answer } = await next()
      expect(login).toMatchObject({ subject: 'alice', kind: 'session' })
      expect(answer).toBe('You are authenticated as: alice')
      expect(await next()).toEqual({ logout: expect.objectContaining({ error: null }) })
      await page.context().close()
    },
  )

  test.each(RUNTIMES)('brings a Deny back to a program on %s at once', async (runtime) => {
    const next = programs.login(runtime, gate.base, 'loopback')
    const { prompt } = await next()
    const page = await person('alice')
    await page.goto(prompt?.url ?? '')
    await page.getByRole('button', { name: 'Deny' }).click()
    expect(await next()).toEqual({ error: 'access_denied' })
    await page.waitForURL(prompt?.url ?? '')
    expect(await page.textContent('h1')).toMatch(/denied/i)
    await page.context().close()
  })
})

test('auto is loopback where a browser can be opened, and a device code once it does not open', async () => {
  const next = programs.login('node', gate.base, 'auto', { NO_BROWSER: '1' })
  expect((await next()).prompt).toMatchObject({ via: 'loopback', browser: true })
  expect(await next()).toEqual({ browser: 'failed' })
  const { prompt } = await next()
  expect(prompt).toMatchObject({ via: 'device', browser: false })
})

test('PC-11 a server that we sign in at gets no code of another one that it leads the browser to', async () => {
  const { paircode } = createPaircode()
  const ended = new AbortController()
  const brought: unknown[] = []
  const server = 'https://evil.example/auth'
  const client = createClient({
    server,
    async fetch(input, init) {
      const { code, port, state } = JSON.parse(String(init?.body))
      if (!String(input).endsWith('pair.start')) {
        brought.push(code)
        return Response.json({ result: { data: { status: 'authorization_pending', interval: 5 } } })
      }
      // its own login at the good server, which only the delivery keeps it from collecting
      const form = { client_id: 'pairgate-cli', paircode, delivery: 'loopback', port: String(port), state }
      const started = await fetch(`${gate.base}/cli_login`, {
        method: 'POST',
        body: new URLSearchParams(form),
      })
      return Response.json({ result: { data: { ...(await started.json()), login_url: `${server}/x` } } })
    },
  })
  const polled = Promise.withResolvers<void>()
  const login = client.login({
    ...{ via: 'loopback', browser: false, signal: ended.signal },
    onPrompt: () => {},
    async wait(_, signal) {
      polled.resolve()
      await new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    },
  })
  const end = expect(login).rejects.toThrow()
  await polled.promise
  const person = gate.browser()
  await person.post('/auth/sign-in/dev', { username: 'alice' })
  const decided = await person.decide(`/auth/pair/${paircode}`, 'allow')
  const callback = decided.headers.get('location') ?? ''
  expect(new URL(callback).searchParams.get('code')).toHaveLength(43)
  const answer = await fetch(callback, { redirect: 'manual' })
  ended.abort()
  await end
  expect([answer.status, brought]).toEqual([404, [undefined]])
})

describe('PC-11 the listener', () => {
  /** Asks with any headers and any method. */
  function ask(port: number, path: string, options: { method?: string; host?: string } = {}) {
    const { method = 'GET', host = `127.0.0.1:${port}` } = options
    return new Promise<{ status: number; location: string | undefined }>((resolve, reject) => {
      const sent = request({ host: '127.0.0.1', port, path, method, headers: { host } }, (response) => {
        response.resume()
        resolve({ status: response.statusCode ?? 0, location: response.headers.location })
      })
      sent.on('error', reject).end()
    })
  }

  test('takes one kind of request, and nobody else’s', async () => {
    const loopback = await listenOnLoopback({ state: 'the-state', origin: 'https://gateway.example' })
    const good = 'state=the-state&iss=https%3A%2F%2Fgateway.example%2Fauth'
    const { port } = loopback
    try {
      loopback.finishAt('https://gateway.example/auth/pair/x')
      const foreign = [
        ['/callback?code=evil', {}],
        ['/callback?code=evil&state=', {}],
        [`/callback?code=evil&state=other&${good}`, {}],
        [`/callback?${good}`, {}],
        [`/?code=evil&${good}`, {}],
        [`/callback/?code=evil&${good}`, {}],
        [`/callback?code=evil&${good}`, { method: 'POST' }],
        [`/callback?code=evil&${good}`, { host: `evil.example:${port}` }],
        [`/callback?code=evil&${good}`, { host: `localhost:${port}` }],
        // RFC 9207: the code of another server, which the one we asked led the browser through
        ['/callback?code=other&state=the-state', {}],
        ['/callback?code=other&state=the-state&iss=https%3A%2F%2Fother.example%2Fauth', {}],
        ['/callback?code=other&state=the-state&iss=https%3A%2F%2Fgateway.example.evil', {}],
        ['/favicon.ico', {}],
      ] as const
      for (const [path, options] of foreign) expect((await ask(port, path, options)).status).toBe(404)
      expect(await ask(port, `/callback?code=good&${good}`)).toEqual({
        status: 303,
        location: 'https://gateway.example/auth/pair/x',
      })
      expect(await loopback.callback).toEqual({ code: 'good' })
    } finally {
      loopback.close()
    }
  })

  test.each(['', 'GET /callback?code=x HTTP/1.1\r\nHost: '])(
    'waits for nobody who has said %j once the login is over: the program could not end',
    async (said) => {
      const loopback = await listenOnLoopback({ state: 'the-state', origin: 'https://gateway.example' })
      const socket = connect(loopback.port, '127.0.0.1')
      const isClosed = new Promise<void>((resolve) =>
        socket.on('close', () => resolve()).on('error', () => {}),
      )
      await new Promise<void>((resolve) => socket.once('connect', resolve))
      if (said) await new Promise((resolve) => socket.write(said, resolve))
      // the listener has seen whoever came before this one
      await ask(loopback.port, '/')
      loopback.close()
      await isClosed
    },
  )

  test('is gone once the login is over, whatever its end', async () => {
    const controller = new AbortController()
    const server: { port?: number } = {}
    const client = createClient({
      server: gate.base,
      fetch: async (input, init) => {
        const body = String(init?.body)
        if (body.includes('"port"')) server.port = JSON.parse(body).port
        return await fetch(input, init)
      },
    })
    const login = client.login({
      via: 'loopback',
      browser: false,
      signal: controller.signal,
      onPrompt: () => controller.abort(),
    })
    await expect(login).rejects.toThrow(controller.signal.reason)
    expect(server.port).toBeGreaterThan(1023)
    await expect(ask(server.port ?? 0, '/')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})
