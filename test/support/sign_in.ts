/** Gates with identity providers behind them, and a person who signs in there. @module */

import { afterEach, expect } from 'vitest'
import type { PairgateOptions } from '../../src/mod.ts'
import { github, oidc, type Provider } from '../../src/providers.ts'
import { createTestGate, type TestBrowser, type TestGate } from './gate.ts'
import { type GitHubServer, startGitHub } from './github.ts'
import { type OidcClaims, type OidcServer, startOidc } from './oidc.ts'

/** The base URL of these gates: mounted under a path. */
export const MOUNT = 'http://127.0.0.1:8787/auth'
/** Where the person was going. */
export const PAGE = '/auth/device?user_code=BCDF-GHJK'

/** What to close after each test. */
export const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()))
})

/** Starts an OpenID issuer, and its provider. */
export async function issuer(id = 'oidc', claims?: (login: string) => OidcClaims, base = MOUNT) {
  const redirectUris = [`${base}/sign-in/callback/${id}`]
  const server = await startOidc(claims ? { redirectUris, claims } : { redirectUris })
  closers.push(server.close)
  return { server, provider: oidc({ ...server, id, name: `Example ${id}` }) }
}

/** Starts a GitHub, and its provider. */
export async function hub(page = true) {
  const server = await startGitHub({ redirectUris: [`${MOUNT}/sign-in/callback/github`], page })
  closers.push(server.close)
  return { server, provider: github(server) }
}

/** Makes a gate under the mount. */
export const gateWith = (signIn: readonly Provider[], options: Partial<PairgateOptions> = {}) =>
  createTestGate({ baseUrl: MOUNT, signIn, ...options })

/**
 * Opens the provider's button and does as the person does there.
 *
 * @param how.login null cancels.
 * @returns Path and query of the callback, not fetched yet.
 */
export async function comeBack(
  person: TestBrowser,
  server: OidcServer | GitHubServer,
  { id = 'oidc', login = 'ann' as string | null, next = PAGE } = {},
): Promise<string> {
  const start = await person.get(`/auth/sign-in/${id}?${new URLSearchParams({ next })}`)
  expect(start.status).toBe(303)
  const at = start.headers.get('location') ?? ''
  const url =
    'account' in server
      ? await server.visit(at, login === null ? 'cancel' : 'authorize')
      : await server.visit(at, login)
  return url.pathname + url.search
}

/** The same, and fetches the callback. */
export async function signIn(person: TestBrowser, server: OidcServer | GitHubServer, how?: object) {
  return await person.get(await comeBack(person, server, how))
}

/** Who the pages greet; null when they send to the sign-in. */
export async function whoIs(person: TestBrowser): Promise<string | null> {
  const response = await person.get('/auth/device')
  if (response.status !== 200) return null
  return /<header><span>[^<]*<\/span><span>([^<]*?)(?: · )?</.exec(await response.text())?.[1] ?? null
}

/** The cookie of a browser that is signed in. */
export const SESSION = 'pairgate-session'
/** The cookie of a sign-in on its way. */
export const TRANSACTION = 'pairgate-sign-in'
/** The heading of a page. */
export const title = async (response: Response) => /<h1>([^<]*)/.exec(await response.clone().text())?.[1]

/** Expects the page that asks to sign in again, and nobody signed in. */
export async function expectRefused(response: Response, person: TestBrowser, gate: TestGate): Promise<void> {
  expect([response.status, await title(response)]).toEqual([400, 'Sign-in was interrupted'])
  expect(await response.text()).toContain('href="/auth/sign-in"')
  expect(person.cookies.has(SESSION)).toBe(false)
  expect(await whoIs(person)).toBeNull()
  expect(gate.rows("SELECT id FROM credentials WHERE kind = 'browser' AND revoked_at IS NULL")).toEqual([])
}
