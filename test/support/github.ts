/** A local server that speaks GitHub's documented sign-in endpoints, as a GitHub Enterprise Server does. @module */

import { createHash, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'

/** An address of an account, as `GET /user/emails` lists it. */
export interface GitHubEmail {
  readonly email: string
  readonly primary: boolean
  readonly verified: boolean
  readonly visibility: 'public' | 'private' | null
}

/** An account. */
export interface GitHubAccount {
  readonly id: number
  readonly login: string
  readonly name: string | null
  /** The public address on the profile, if there is one. */
  readonly email: string | null
  readonly emails: readonly GitHubEmail[]
}

/** How to start one. */
export interface GitHubServerOptions {
  /** Callback URLs of its one app: the same host and port, and this path or one below. */
  readonly redirectUris: readonly string[]
  /** Shows a page with the buttons Authorize and Cancel. Default false: everybody has authorized before. */
  readonly page?: boolean
  /** Sends `iss` with the answer (RFC 9207), as github.com does. Default true. */
  readonly iss?: boolean
}

/** A running server. */
export interface GitHubServer {
  /** Its origin: the option `url` of `github()`. */
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
  /** Who is signed in there. Set it to sign somebody else in. */
  account: GitHubAccount
  /** Path of every request so far, in order. */
  readonly requests: readonly string[]
  /** Every access token given out so far. */
  readonly tokens: readonly string[]
  /**
   * Does what a person in a browser does, without one.
   *
   * @param action What to press, when there is a page. Default `authorize`.
   * @returns The redirect URI with the answer in its query; nothing is fetched from there.
   */
  visit(authorizationUrl: URL | string, action?: 'authorize' | 'cancel'): Promise<URL>
  close(): Promise<void>
}

/** The account that is signed in at first; only the middle address counts. */
export const OCTOCAT: GitHubAccount = {
  id: 583231,
  login: 'octocat',
  name: 'The Octocat',
  email: null,
  emails: [
    { email: 'old@example.com', primary: false, verified: true, visibility: null },
    { email: 'octocat@example.com', primary: true, verified: true, visibility: 'private' },
    { email: 'new@example.com', primary: false, verified: false, visibility: null },
  ],
}

interface Grant {
  readonly redirectUri: string
  readonly scope: string
  readonly challenge: string | null
  readonly account: GitHubAccount
}

interface Answer {
  readonly status: number
  readonly headers?: Record<string, string>
  readonly body?: string
}

const json = (status: number, body: unknown): Answer => ({
  status,
  headers: { 'content-type': 'application/json; charset=utf-8' },
  body: JSON.stringify(body),
})

const html = (status: number, body: string): Answer => ({
  status,
  headers: { 'content-type': 'text/html; charset=utf-8' },
  body,
})

const TOKEN_ERRORS = {
  incorrect_client_credentials: 'The client_id and/or client_secret passed are incorrect.',
  redirect_uri_mismatch: 'The redirect_uri MUST match the registered callback URL for this application.',
  bad_verification_code: 'The code passed is incorrect or expired.',
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk
  return new URLSearchParams(body)
}

function isRegistered(redirectUri: string, registered: readonly string[]): boolean {
  if (!URL.canParse(redirectUri)) return false
  const { origin, pathname } = new URL(redirectUri)
  return registered.some((one) => {
    const url = new URL(one)
    return origin === url.origin && (pathname === url.pathname || pathname.startsWith(`${url.pathname}/`))
  })
}

/** Starts a GitHub whose one app is registered with `redirectUris`. Close it after the test. */
export async function startGitHub(options: GitHubServerOptions): Promise<GitHubServer> {
  const clientId = 'Iv1.0123456789abcdef'
  const clientSecret = randomBytes(20).toString('hex')
  const codes = new Map<string, Grant>()
  const tokens = new Map<string, Grant>()
  const given: string[] = []
  const requests: string[] = []
  let origin = ''

  const redirect = (to: string, query: Record<string, string>): Answer => {
    const url = new URL(to)
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
    return { status: 302, headers: { location: url.href } }
  }

  const authorize = (query: URLSearchParams, action: string | null): Answer => {
    const [registered = ''] = options.redirectUris
    const redirectUri = query.get('redirect_uri') ?? registered
    const extras = {
      state: query.get('state') ?? '',
      ...(options.iss !== false && { iss: `${origin}/login/oauth` }),
    }
    if (query.get('client_id') !== clientId) return html(404, 'Not Found')
    if (!isRegistered(redirectUri, options.redirectUris)) {
      const error_description = TOKEN_ERRORS.redirect_uri_mismatch
      return redirect(registered, { error: 'redirect_uri_mismatch', error_description, ...extras })
    }
    if (options.page && action === null) {
      return html(
        200,
        `<!doctype html><html lang="en"><title>Authorize</title><h1>Authorize as ${server.account.login}</h1>
<form method="post"><button name="action" value="cancel">Cancel</button>
<button name="action" value="authorize">Authorize</button></form>`,
      )
    }
    if (action === 'cancel') {
      const error_description = 'The user has denied your application access.'
      return redirect(redirectUri, { error: 'access_denied', error_description, ...extras })
    }
    const code = randomBytes(10).toString('hex')
    const isS256 = query.get('code_challenge_method') === 'S256'
    const challenge = isS256 ? query.get('code_challenge') : null
    codes.set(code, { redirectUri, scope: query.get('scope') ?? '', challenge, account: server.account })
    return redirect(redirectUri, { code, ...extras })
  }

  const exchange = (
    form: URLSearchParams,
  ): Answer | { error: keyof typeof TOKEN_ERRORS } | Record<string, string> => {
    const code = form.get('code') ?? ''
    const grant = codes.get(code)
    if (form.get('client_id') !== clientId || form.get('client_secret') !== clientSecret) {
      return { error: 'incorrect_client_credentials' }
    }
    codes.delete(code)
    if (!grant) return { error: 'bad_verification_code' }
    if ((form.get('redirect_uri') ?? grant.redirectUri) !== grant.redirectUri)
      return { error: 'redirect_uri_mismatch' }
    const verifier = form.get('code_verifier') ?? ''
    if (
      grant.challenge !== null &&
      createHash('sha256').update(verifier).digest('base64url') !== grant.challenge
    ) {
      return { error: 'bad_verification_code' }
    }
    const token = `gho_${randomBytes(18).toString('hex')}`
    tokens.set(token, grant)
    given.push(token)
    return { access_token: token, token_type: 'bearer', scope: grant.scope }
  }

  const api = (path: string, authorization: string): Answer => {
    const grant = tokens.get(/^(?:bearer|token) (.+)$/i.exec(authorization)?.[1] ?? '')
    if (!grant) return json(401, { message: 'Bad credentials', status: '401' })
    const { emails, ...user } = grant.account
    const hasEmails = /(^|[ ,])user(:email)?($|[ ,])/.test(grant.scope)
    if (path === '/user')
      return json(200, { ...user, node_id: 'MDQ6VXNlcg==', type: 'User', site_admin: false })
    if (path === '/user/emails' && hasEmails) return json(200, emails)
    return json(404, { message: 'Not Found', status: '404' })
  }

  const answer = async (request: IncomingMessage): Promise<Answer> => {
    const { pathname, searchParams } = new URL(request.url ?? '/', origin)
    requests.push(pathname)
    if (pathname === '/login/oauth/authorize') {
      return authorize(
        searchParams,
        request.method === 'POST' ? (await readForm(request)).get('action') : null,
      )
    }
    if (pathname === '/login/oauth/access_token' && request.method === 'POST') {
      const result = exchange(await readForm(request)) as Record<string, string>
      const description = TOKEN_ERRORS[result.error as keyof typeof TOKEN_ERRORS]
      const body = description ? { ...result, error_description: description } : result
      if (request.headers.accept?.includes('application/json')) return json(200, body)
      const form = new URLSearchParams(body).toString()
      return {
        status: 200,
        headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
        body: form,
      }
    }
    if (pathname.startsWith('/api/v3/')) {
      if (!request.headers['user-agent']) return html(403, 'Request forbidden by administrative rules.')
      return api(pathname.slice('/api/v3'.length), request.headers.authorization ?? '')
    }
    return html(404, 'Not Found')
  }

  const http = createServer(async (request, response) => {
    const { status, headers, body } = await answer(request)
    response.writeHead(status, headers).end(body)
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(http.address() as AddressInfo).port}`

  const server: GitHubServer = {
    url: origin,
    clientId,
    clientSecret,
    account: OCTOCAT,
    requests,
    tokens: given,
    async visit(authorizationUrl, action = 'authorize') {
      const init = options.page ? { method: 'POST', body: new URLSearchParams({ action }) } : {}
      const response = await fetch(authorizationUrl, { ...init, redirect: 'manual' })
      const location = response.headers.get('location')
      if (!location) throw new Error(`Unexpected ${response.status}: ${await response.text()}`)
      return new URL(location)
    },
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve())
        http.closeAllConnections()
      }),
  }
  return server
}
