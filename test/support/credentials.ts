/** Credentials for tests: whole logins of any client, and what is asked of them afterwards. @module */

import { createPaircode, DEVICE_GRANT, type TestBrowser, type TestGate } from './gate.ts'
import type { Flow } from './logins.ts'

/** What a token endpoint answers on success. */
export interface Tokens {
  readonly access_token: string
  readonly token_type: string
  readonly expires_in: number
  readonly refresh_token?: string
  readonly scope?: string
}

/** A JSON answer. */
export interface Answer {
  readonly status: number
  readonly body: Record<string, unknown>
  readonly headers: Headers
}

async function toAnswer(response: Response): Promise<Answer> {
  const text = await response.text()
  return { status: response.status, headers: response.headers, body: text ? JSON.parse(text) : {} }
}

/** Posts a form and reads the JSON that comes back. */
export async function postForm(
  t: TestGate,
  path: string,
  form: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const body = new URLSearchParams(form)
  return await toAnswer(await t.fetch(path, { method: 'POST', body, headers }))
}

/** A login that waits for the person: the page to decide on, and how to poll. */
export interface Pending {
  readonly page: string
  poll(): Promise<Answer>
}

/** Starts a login. */
export async function startAs(
  t: TestGate,
  flow: Flow,
  start: { client_id?: string; scope?: string; device_name?: string } = {},
): Promise<Pending> {
  const client_id = start.client_id ?? 'pairgate-cli'
  const form = { ...start, client_id }
  if (flow === 'device') {
    const { body } = await postForm(t, '/oauth/device/authorize', form)
    const poll = { grant_type: DEVICE_GRANT, client_id, device_code: String(body.device_code) }
    return {
      page: String(body.verification_uri_complete),
      poll: () => postForm(t, '/oauth/device/token', poll),
    }
  }
  const { verifier, paircode } = createPaircode()
  const { body } = await postForm(t, '/cli_login', { ...form, paircode })
  return { page: String(body.login_url), poll: () => postForm(t, '/token', { client_id, verifier }) }
}

/** A browser in which somebody is signed in by the dev sign-in. */
export async function personAt(t: TestGate, name: string): Promise<TestBrowser> {
  const person = t.browser()
  await person.signIn(name)
  return person
}

/** Logs a client in, as a person who allows everything that is asked for. */
export async function loginAs(
  t: TestGate,
  person: TestBrowser,
  flow: Flow,
  start: { client_id?: string; scope?: string; device_name?: string } = {},
): Promise<Tokens> {
  const login = await startAs(t, flow, start)
  const page = await (await person.get(login.page)).text()
  await person.submit(page, { decision: 'allow', ...scopeFields(start.scope) })
  const { status, body } = await login.poll()
  if (status !== 200) throw new Error(`${status} ${JSON.stringify(body)}`)
  return body as unknown as Tokens
}

/** The ticked boxes of a review page; a single scope has none. */
export function scopeFields(scope = ''): Record<string, string> {
  const scopes = scope.split(' ').filter(Boolean)
  return Object.fromEntries(scopes.map((one) => [`scope:${one}`, 'on']))
}

/** Who a token belongs to: the status of `/secured`. */
export async function useToken(t: TestGate, token: string): Promise<number> {
  return (await t.fetch('/secured', { headers: { authorization: `Bearer ${token}` } })).status
}

/** Exchanges a refresh token. */
export async function refreshAt(
  t: TestGate,
  refreshToken: string,
  form: Record<string, string> = {},
): Promise<Answer> {
  const base = { grant_type: 'refresh_token', client_id: 'mytool', refresh_token: refreshToken }
  return await postForm(t, '/oauth/token', { ...base, ...form })
}

/** Calls a tRPC procedure with a Bearer credential; a query when there is no input. */
export async function callAs(
  t: TestGate,
  token: string | null,
  path: string,
  input?: object,
): Promise<Answer> {
  const authorization: Record<string, string> = token === null ? {} : { authorization: `Bearer ${token}` }
  const headers = { 'content-type': 'application/json', ...authorization }
  const init = input === undefined ? { headers } : { method: 'POST', headers, body: JSON.stringify(input) }
  const answer = await toAnswer(await t.fetch(`/trpc/${path}`, init))
  const data = (answer.body.result as { data?: Record<string, unknown> } | undefined)?.data
  const error = answer.body.error as { message: string; data: { code: string } } | undefined
  return { ...answer, body: data ?? { code: error?.data.code, message: error?.message } }
}
