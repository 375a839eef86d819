/** A pairgate for tests: real SQLite, a settable clock, and a browser that keeps cookies and sends forms. @module */

import { createHash, randomBytes } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import { sqlite } from '../../adapters/sqlite.ts'
import { createPairgate, type Pairgate, type PairgateOptions } from '../../src/mod.ts'

/** The base URL of test gates. */
export const BASE = 'http://127.0.0.1:8787'
/** A signing secret of the least length. */
export const SECRET = 'test-secret-test-secret-test-sec'
/** RFC 8628 section 3.4. */
export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'

/** A gate with what tests want to look at. */
export interface TestGate {
  readonly gate: Pairgate
  readonly database: DatabaseSync
  /** Moves the clock on, in seconds. */
  advance(seconds: number): void
  /** Sends a request from an address. */
  fetch(path: string, init?: RequestInit, address?: string): Promise<Response>
  /** Posts a form as a program does. */
  post(path: string, form: Record<string, string>, address?: string): Promise<Response>
  /** Runs SQL straight on the database. */
  rows(sql: string, ...values: (string | number)[]): Record<string, unknown>[]
  /** A fresh browser. */
  browser(address?: string): TestBrowser
  /** Waits for what goes on after answers, tidying up included. */
  settle(): Promise<void>
}

/** Makes a gate; the dev sign-in is on unless another way to sign in is given. */
export function createTestGate(options: Partial<PairgateOptions> = {}): TestGate {
  const database = new DatabaseSync(':memory:')
  let now = Date.now()
  const deferred = new Set<Promise<unknown>>()
  const gate = createPairgate({
    baseUrl: BASE,
    secrets: [SECRET],
    database: sqlite(database),
    devSignIn: !options.identify && !options.signIn,
    now: () => now,
    waitUntil: (work) => deferred.add(work),
    ...options,
  })
  const { origin } = new URL(options.baseUrl ?? BASE)
  const fetch: TestGate['fetch'] = async (path, init, remoteAddress = '127.0.0.1') => {
    const request = new Request(new URL(path, origin), { redirect: 'manual', ...init })
    const response = await gate.fetch(request, { remoteAddress })
    // SQLite writes what goes on after an answer in the next turn
    await new Promise((resolve) => setImmediate(resolve))
    return response
  }
  return {
    gate,
    database,
    advance: (seconds) => {
      now += seconds * 1000
    },
    fetch,
    post: (path, form, address) => fetch(path, { method: 'POST', body: new URLSearchParams(form) }, address),
    rows: (sql, ...values) => database.prepare(sql).all(...values) as Record<string, unknown>[],
    browser: (address) => createBrowser((path, init) => fetch(path, init, address), origin),
    async settle() {
      for (const work of deferred) {
        await work
        deferred.delete(work)
      }
    },
  }
}

/** The form of a page, as a person's browser would send it. */
export interface PageForm {
  readonly action: string
  readonly method: string
  readonly fields: Readonly<Record<string, string>>
}

/** Reads the first form of a page that has an input or a named button. */
export function readForm(html: string): PageForm {
  const plain = (text: string) =>
    text
      .replaceAll('&quot;', '"')
      .replaceAll('&#39;', "'")
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&')
  for (const [, attributes = '', inside = ''] of html.matchAll(/<form([^>]*)>(.*?)<\/form>/gs)) {
    if (!inside.includes('name="')) continue
    const attribute = (name: string) => plain(new RegExp(`${name}="([^"]*)"`).exec(attributes)?.[1] ?? '')
    const hidden = [...inside.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)"/g)]
    const fields = Object.fromEntries(hidden.map(([, name = '', value = '']) => [name, plain(value)]))
    return { action: attribute('action'), method: attribute('method'), fields }
  }
  throw new Error(`No form in the page: ${html.slice(html.indexOf('<body'))}`)
}

/** A person's browser without the pixels: cookies, same-origin headers, forms. */
export interface TestBrowser {
  readonly cookies: Map<string, string>
  get(path: string): Promise<Response>
  /** Posts a form from a page of this origin. */
  post(path: string, fields: Record<string, string>, headers?: Record<string, string>): Promise<Response>
  /** Signs in by the dev sign-in. */
  signIn(username: string): Promise<Response>
  /** Opens a link, reads the form there and decides. */
  decide(link: string, decision: 'allow' | 'deny', fields?: Record<string, string>): Promise<Response>
  /** Same, on a page that is open already. */
  submit(html: string, fields: Record<string, string>): Promise<Response>
}

/** Makes a browser over any way to fetch. */
export function createBrowser(
  fetch: (path: string, init?: RequestInit) => Promise<Response>,
  origin: string,
): TestBrowser {
  const cookies = new Map<string, string>()
  const send = async (path: string, init: RequestInit = {}) => {
    const headers = new Headers(init.headers)
    headers.set('accept', 'text/html')
    if (cookies.size > 0)
      headers.set('cookie', [...cookies].map(([name, value]) => `${name}=${value}`).join('; '))
    const response = await fetch(path, { ...init, headers, redirect: 'manual' })
    for (const cookie of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(cookie) ?? []
      if (/max-age=0/i.test(cookie)) cookies.delete(name)
      else cookies.set(name, value)
    }
    return response
  }
  const browser: TestBrowser = {
    cookies,
    get: (path) => send(path, { headers: { 'sec-fetch-site': 'none' } }),
    post: (path, fields, headers) =>
      send(path, {
        method: 'POST',
        body: new URLSearchParams(fields),
        headers: { origin, 'sec-fetch-site': 'same-origin', ...headers },
      }),
    signIn: (username) =>
      browser.post(`${new URL(origin).pathname.replace(/\/$/, '')}/sign-in/dev`, { username }),
    async decide(link, decision, fields = {}) {
      return await browser.submit(await (await browser.get(link)).text(), { decision, ...fields })
    },
    submit: (html, fields) => {
      const form = readForm(html)
      return browser.post(form.action, { ...form.fields, ...fields })
    },
  }
  return browser
}

/** What a device authorization answers. */
export interface DeviceStart {
  device_code: string
  user_code: string
  verification_uri: string
  verification_uri_complete: string
  expires_in: number
  interval: number
}

/** Starts a device login as the built-in client. */
export async function startDevice(
  test: TestGate,
  form: Record<string, string> = {},
  address?: string,
): Promise<DeviceStart> {
  const response = await test.post('/oauth/device/authorize', { client_id: 'pairgate-cli', ...form }, address)
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
  return (await response.json()) as DeviceStart
}

/** Polls with a device code as the built-in client. */
export async function pollDevice(test: TestGate, deviceCode: string, form: Record<string, string> = {}) {
  const response = await test.post('/oauth/device/token', {
    grant_type: DEVICE_GRANT,
    client_id: 'pairgate-cli',
    device_code: deviceCode,
    ...form,
  })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  }
}

/** A verifier and its paircode. */
export function createPaircode(): { verifier: string; paircode: string } {
  const verifier = randomBytes(32).toString('base64url')
  return { verifier, paircode: createHash('sha256').update(verifier).digest('base64url') }
}

/** Starts a paircode login as the built-in client. */
export async function startPair(test: TestGate, form: Record<string, string> = {}, address?: string) {
  const codes = createPaircode()
  const response = await test.post(
    '/cli_login',
    { client_id: 'pairgate-cli', paircode: codes.paircode, ...form },
    address,
  )
  if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
  const body = (await response.json()) as {
    login_url: string
    match_code: string
    expires_in: number
    interval: number
  }
  return { ...codes, ...body }
}

/** Polls with a verifier as the built-in client. */
export async function pollPair(test: TestGate, verifier: string, form: Record<string, string> = {}) {
  const response = await test.post('/token', { client_id: 'pairgate-cli', verifier, ...form })
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  }
}
