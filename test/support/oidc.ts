/** A real OpenID provider (`oidc-provider`) in this process, on a loopback port of its own. @module */

import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
// @ts-expect-error oidc-provider ships no types
import { Provider } from 'oidc-provider'
// @ts-expect-error as above; given one of its own, it does not warn about the default
import { createMemoryAdapter } from 'oidc-provider/lib/adapters/memory_adapter.js'

/** What the issuer says about a person. */
export interface OidcClaims {
  readonly name?: string
  readonly email?: string
  readonly email_verified?: boolean
}

/** How to start one. */
export interface OidcServerOptions {
  /** The registered redirect URIs of its one client; compared exactly. */
  readonly redirectUris: readonly string[]
  /** The claims of the account with this login. Default: the login as name, `{login}@example.com`, verified. */
  readonly claims?: (login: string) => OidcClaims
}

/** A running issuer. */
export interface OidcServer {
  readonly issuer: string
  readonly clientId: string
  readonly clientSecret: string
  /** Path of every request so far, in order. */
  readonly requests: readonly string[]
  /**
   * Does what a person in a browser does, without one: types `login` into the form and continues, or cancels.
   *
   * @param login null cancels.
   * @returns The redirect URI with the answer in its query; nothing is fetched from there.
   */
  visit(authorizationUrl: URL | string, login: string | null): Promise<URL>
  close(): Promise<void>
}

const CLIENT_ID = 'pairgate-test'

const PAGE = `<!doctype html><html lang="en"><title>Example ID</title><h1>Example ID</h1>
<form method="post"><label>Login <input name="login" autofocus></label>
<button name="action" value="continue">Continue</button> <button name="action" value="cancel">Cancel</button></form>`

const defaultClaims = (login: string): OidcClaims => ({
  name: login,
  email: `${login}@example.com`,
  email_verified: true,
})

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  let body = ''
  for await (const chunk of request.setEncoding('utf8')) body += chunk
  return new URLSearchParams(body)
}

function configuration(clientSecret: string, options: OidcServerOptions) {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    adapter: createMemoryAdapter(0),
    ttl: {
      Interaction: 600,
      Grant: 600,
      Session: 600,
      AccessToken: 600,
      AuthorizationCode: 60,
      IdToken: 600,
    },
    clients: [
      {
        client_id: CLIENT_ID,
        client_secret: clientSecret,
        redirect_uris: options.redirectUris,
        id_token_signed_response_alg: 'ES256',
      },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: 'test', alg: 'ES256', use: 'sig' }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    claims: { openid: ['sub'], profile: ['name'], email: ['email', 'email_verified'] },
    features: { devInteractions: { enabled: false } },
    pkce: { required: () => true },
    interactions: { url: (_ctx: unknown, interaction: { uid: string }) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx: unknown, accountId: string) => ({
      accountId,
      claims: () => ({
        ...(options.claims ?? defaultClaims)(accountId.slice('sub-'.length)),
        sub: accountId,
      }),
    }),
    // to sign in is to consent
    async loadExistingGrant(ctx: {
      oidc: {
        provider: {
          Grant: new (grant: object) => { addOIDCScope(scope: string): void; save(): Promise<string> }
        }
        session: { accountId: string }
        params: { scope: string }
      }
    }) {
      const { provider, session, params } = ctx.oidc
      const grant = new provider.Grant({ clientId: CLIENT_ID, accountId: session.accountId })
      grant.addOIDCScope(params.scope)
      await grant.save()
      return grant
    },
  }
}

async function visit(authorizationUrl: URL | string, login: string | null): Promise<URL> {
  let url = new URL(authorizationUrl)
  const { origin } = url
  const jar = new Map<string, string>()
  let init: RequestInit = {}
  for (let hops = 0; hops < 10; hops++) {
    const cookie = [...jar].map((pair) => pair.join('=')).join('; ')
    const response = await fetch(url, { ...init, headers: { cookie }, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? []
      jar.set(name, value)
    }
    const location = response.headers.get('location')
    const page = await response.text()
    if (location) {
      url = new URL(location, url)
      init = {}
      if (url.origin !== origin) return url
    } else if (page === PAGE) {
      const form = login === null ? { action: 'cancel' } : { action: 'continue', login }
      init = { method: 'POST', body: new URLSearchParams(form) }
    } else {
      throw new Error(`Unexpected ${response.status} at ${url.pathname}: ${page}`)
    }
  }
  throw new Error('Too many redirects')
}

/** Starts an issuer whose login form takes any name: the subject is `sub-{login}`. Close it after the test. */
export async function startOidc(options: OidcServerOptions): Promise<OidcServer> {
  const clientSecret = randomBytes(32).toString('base64url')
  const requests: string[] = []
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, configuration(clientSecret, options))
  const serve = provider.callback()
  server.on('request', async (request: IncomingMessage, response: ServerResponse) => {
    requests.push(request.url?.replace(/\?.*/, '') ?? '')
    if (!request.url?.startsWith('/interaction/')) return serve(request, response)
    if (request.method !== 'POST')
      return response.setHeader('content-type', 'text/html; charset=utf-8').end(PAGE)
    const form = await readForm(request)
    const result =
      form.get('action') === 'cancel'
        ? { error: 'access_denied', error_description: 'The person cancelled' }
        : { login: { accountId: `sub-${form.get('login')}` } }
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false })
  })
  return {
    issuer,
    clientId: CLIENT_ID,
    clientSecret,
    requests,
    visit,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
