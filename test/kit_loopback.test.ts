/** The login kit's loopback delivery: the browser comes back to a port of the program, on each runtime. @module */

import { request } from 'node:http'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { listenOnLoopback } from '../clients/loopback.ts'
import { launchChromium } from './support/chromium.ts'
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

  test('brings a Deny back at once', async () => {
    const next = programs.login('node', gate.base, 'loopback')
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
    const loopback = await listenOnLoopback('the-state')
    const { port } = loopback
    try {
      loopback.finishAt('https://gateway.example/auth/pair/x')
      const foreign = [
        ['/callback?code=evil', {}],
        ['/callback?code=evil&state=', {}],
        ['/callback?code=evil&state=other', {}],
        ['/callback?state=the-state', {}],
        ['/?code=evil&state=the-state', {}],
        ['/callback/?code=evil&state=the-state', {}],
        ['/callback?code=evil&state=the-state', { method: 'POST' }],
        ['/callback?code=evil&state=the-state', { host: `evil.example:${port}` }],
        ['/callback?code=evil&state=the-state', { host: `localhost:${port}` }],
        ['/favicon.ico', {}],
      ] as const
      for (const [path, options] of foreign) expect((await ask(port, path, options)).status).toBe(404)
      expect(await ask(port, '/callback?code=good&state=the-state')).toEqual({
        status: 303,
        location: 'https://gateway.example/auth/pair/x',
      })
      expect(await loopback.callback).toEqual({ code: 'good' })
    } finally {
      loopback.close()
    }
  })

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
