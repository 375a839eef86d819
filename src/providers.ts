/** Sign-in through somebody else: any OpenID Connect issuer, Google, GitHub. @module */

import { isProtected } from './core/address.ts'
import { PairgateError } from './errors.ts'
import type { ClientAuth, Configuration, CustomFetch } from './openid.ts'

/** One sign-in on its way: every value is fresh, and bound to the browser by the caller. */
export interface Transaction {
  /** Where the browser comes back to, exactly as registered at the provider; one per provider. */
  readonly redirectUri: string
  /** At least 128 random bits, as is `nonce`, which GitHub does not use. */
  readonly state: string
  readonly nonce: string
  /** PKCE secret of 43 to 128 characters (RFC 7636 §4.1). */
  readonly codeVerifier: string
  /** The person must have signed in at the provider within so many seconds (OpenID Connect Core section 3.1.2.1). */
  readonly maxAge?: number | undefined
}

/** What an identity provider vouches for: (issuer, subject) tells people apart, the rest is for show. */
export interface ProviderIdentity {
  readonly issuer: string
  readonly subject: string
  readonly name?: string | undefined
  /** Only an address that the provider has verified. */
  readonly email?: string | undefined
}

/** An identity provider that people can be sent to. */
export interface Provider {
  /** Path segment of `/sign-in/{id}` and `/sign-in/callback/{id}`. */
  readonly id: string
  /** What the button says. */
  readonly name: string
  /** Who vouches for the people that it signs in. */
  readonly issuer: string
  /** The URL to send the browser to; rejects with `ERR_PAIRGATE_SIGN_IN` if the provider is out of reach. */
  authorize(transaction: Transaction): Promise<URL>
  /**
   * Turns the query that came back into an identity; rejects with `ERR_PAIRGATE_SIGN_IN_CANCELLED` if
   * the person cancelled, with `ERR_PAIRGATE_SIGN_IN` if the answer is not believed: its message is for people, its
   * cause's for logs, without codes, tokens and secrets.
   */
  callback(currentUrl: URL, transaction: Transaction): Promise<ProviderIdentity>
}

/** A client registered at Google. */
export interface GoogleOptions {
  readonly clientId: string
  readonly clientSecret: string
}

/** An OAuth app or GitHub app; a GitHub app learns addresses by the account permission "Email addresses". */
export interface GitHubOptions extends GoogleOptions {
  /** Origin of a GitHub Enterprise Server. Default `https://github.com`. */
  readonly url?: string | undefined
}

/** A client registered at an OpenID Connect issuer. */
export interface OidcOptions {
  /** Matches `[a-z][a-z0-9-]{0,31}`. Default `oidc`. */
  readonly id?: string | undefined
  /** What the button says. Default: the issuer's host. */
  readonly name?: string | undefined
  /** Where `/.well-known/openid-configuration` is found. https, or http on loopback. */
  readonly issuer: string
  readonly clientId: string
  /** Sent by whichever of Basic and post the issuer lists first. Default: none, a public client. */
  readonly clientSecret?: string | undefined
  /** Scopes, separated by spaces. Default `openid profile email`. */
  readonly scope?: string | undefined
}

type OpenidClient = typeof import('./openid.ts')
type Tokens = Awaited<ReturnType<OpenidClient['authorizationCodeGrant']>>
type Answer = { body?: { error?: unknown } } | undefined
type Connect = (client: OpenidClient) => Configuration | Promise<Configuration>
type Identify = (client: OpenidClient, config: Configuration, tokens: Tokens) => Promise<ProviderIdentity>
type Parts = {
  id: string
  name: string
  issuer: string
  scope: string
  /** Whether it is asked for the time of the sign-in. Google and GitHub cannot tell. */
  asksAge: boolean
  connect: Connect
  identify: Identify
}

const GOOGLE = 'https://accounts.google.com'
const TIMEOUT_SECONDS = 10
const LARGEST_ANSWER = 1_048_576
const ERROR_CODE = /^\w{1,64}$/

function refuse(message: string): never {
  throw new PairgateError('ERR_PAIRGATE_OPTION', message)
}

function fail(message: string, cause?: unknown): never {
  throw new PairgateError('ERR_PAIRGATE_SIGN_IN', message, cause)
}

function parseUrl(option: string, value: string): URL {
  const url = URL.canParse(value) ? new URL(value) : refuse(`Option "${option}" must be an absolute URL`)
  if (!isProtected(url)) refuse(`Option "${option}" must be https, http is for loopback only`)
  // openid-client fetches a well-known URL as it is, and then compares no issuer
  const isPlain = url.href === url.origin + url.pathname && !url.pathname.includes('/.well-known/')
  if (!isPlain) refuse(`Option "${option}" must not carry "/.well-known/", a query, a fragment or a password`)
  return url
}

function text(value: unknown, shape = /./s): string | undefined {
  return typeof value === 'string' && shape.test(value) ? value : undefined
}

const cappedFetch: CustomFetch = async (url, init) => {
  const response = await fetch(url, init as RequestInit)
  let left = LARGEST_ANSWER
  const cap = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      left -= chunk.length
      if (left < 0) fail('The answer is larger than 1 MB')
      controller.enqueue(chunk)
    },
  })
  return new Response(response.body?.pipeThrough(cap), response)
}

/** Errors underneath hold whole answers, tokens included; kept are fixed messages and error codes (UP-06). */
function explain(level: unknown): string {
  // GitHub puts errors into answers of status 200, which are then refused for having no token
  if (!(level instanceof Error)) return text((level as Answer)?.body?.error, ERROR_CODE) ?? ''
  const { name, message, code, error, cause } = level as Error & { code?: unknown; error?: unknown }
  // an error without a code is the runtime's, which quotes what it choked on
  const words = typeof code === 'string' ? `${message} (${code})` : name
  return [words, text(error, ERROR_CODE), explain(cause)].filter(Boolean).join(': ')
}

async function attempt<T>(name: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step()
  } catch (error) {
    const { code, error: reason } = error as { code?: unknown; error?: unknown }
    const isCancelled = code === 'OAUTH_AUTHORIZATION_RESPONSE_ERROR' && reason === 'access_denied'
    const cause = new Error(explain(error))
    if (isCancelled) {
      throw new PairgateError('ERR_PAIRGATE_SIGN_IN_CANCELLED', `Sign-in was cancelled at ${name}`, cause)
    }
    return fail(`Sign-in at ${name} did not work`, cause)
  }
}

function provider({ id, name, issuer, scope, asksAge, connect, identify }: Parts): Provider {
  if (!/^(?!(dev|callback)$)[a-z][a-z0-9-]{0,31}$/.test(id)) {
    refuse(`Option "id" must match [a-z][a-z0-9-]{0,31} and be neither "dev" nor "callback", got "${id}"`)
  }
  const isOpenid = scope.split(' ').includes('openid')
  let known: Configuration | undefined
  const open = async () => {
    const client = await import('./openid.ts')
    // not its promise is kept: no failure is remembered, and on Workers no request may await another's
    known ??= await connect(client)
    return { client, config: known }
  }
  return {
    id,
    name,
    issuer,
    authorize: ({ redirectUri, state, nonce, codeVerifier, maxAge }) =>
      attempt(name, async () => {
        const { client, config } = await open()
        return client.buildAuthorizationUrl(config, {
          redirect_uri: redirectUri,
          scope,
          state,
          code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
          code_challenge_method: 'S256',
          ...(isOpenid && { nonce }),
          ...(asksAge && maxAge !== undefined && { max_age: String(maxAge) }),
        })
      }),
    callback: (currentUrl, { redirectUri, state, nonce, codeVerifier, maxAge }) =>
      attempt(name, async () => {
        const { client, config } = await open()
        const answer = new URL(redirectUri)
        answer.search = currentUrl.search
        const tokens = await client.authorizationCodeGrant(config, answer, {
          expectedState: state,
          pkceCodeVerifier: codeVerifier,
          ...(isOpenid && { expectedNonce: nonce }),
          ...(asksAge && maxAge !== undefined && { maxAge }),
        })
        return identify(client, config, tokens)
      }),
  }
}

/** Sends the secret the way the issuer lists first; Basic when it lists none (RFC 8414 §2). */
function clientAuth(client: OpenidClient, clientSecret: string | undefined): ClientAuth {
  if (clientSecret === undefined) return client.None()
  return (server, ...rest) => {
    const methods = server.token_endpoint_auth_methods_supported ?? []
    const isPost = methods.find((method) => /^client_secret_(basic|post)$/.test(method))?.endsWith('post')
    const authenticate = isPost ? client.ClientSecretPost : client.ClientSecretBasic
    authenticate(clientSecret)(server, ...rest)
  }
}

const identifyByIdToken: Identify = async (client, config, tokens) => {
  const claims = tokens.claims() ?? fail('The answer has no ID token')
  // with an access token at hand, many issuers keep the profile out of the ID token (OIDC Core §5.4)
  const isComplete = (claims.name && claims.email) || !config.serverMetadata().userinfo_endpoint
  const profile = isComplete ? claims : await client.fetchUserInfo(config, tokens.access_token, claims.sub)
  const name = text(profile.name) ?? text(profile.preferred_username)
  const email = profile.email_verified === true ? text(profile.email) : undefined
  return { issuer: claims.iss, subject: claims.sub, name, email }
}

/**
 * Signs people in at an OpenID Connect issuer: code flow with PKCE, state and nonce. Checked are the ID token's
 * issuer, audience, expiry, nonce and (asymmetric) signature, and the answer's `iss` (RFC 9207). Throws
 * `ERR_PAIRGATE_OPTION` on an insecure issuer, an empty client or a bad id.
 */
export function oidc(options: OidcOptions): Provider {
  const issuer = parseUrl('issuer', options.issuer)
  const { id = 'oidc', name = issuer.host, clientId, clientSecret, scope = 'openid profile email' } = options
  if (!clientId || clientSecret === '') refuse(`Provider "${id}": "clientId" or "clientSecret" is empty`)
  if (!scope.split(' ').includes('openid')) refuse(`Provider "${id}": "scope" must hold "openid"`)
  const connect = (client: OpenidClient) => {
    const insecure = issuer.protocol === 'http:' ? [client.allowInsecureRequests] : []
    return client.discovery(issuer, clientId, undefined, clientAuth(client, clientSecret), {
      timeout: TIMEOUT_SECONDS,
      [client.customFetch]: cappedFetch,
      execute: [client.enableNonRepudiationChecks, ...insecure],
    })
  }
  const asksAge = issuer.origin !== GOOGLE
  return provider({ id, name, issuer: options.issuer, scope, asksAge, connect, identify: identifyByIdToken })
}

/** Signs people in with their Google account. Throws `ERR_PAIRGATE_OPTION` on an empty client. */
export function google({ clientId, clientSecret = '' }: GoogleOptions): Provider {
  return oidc({ id: 'google', name: 'Google', issuer: GOOGLE, clientId, clientSecret })
}

/**
 * Signs people in with their GitHub account. The issuer is GitHub's origin and the subject the account's number,
 * since a login can pass to somebody else; the e-mail address is the primary one, if verified. Throws
 * `ERR_PAIRGATE_OPTION` on an insecure URL or an empty client.
 */
export function github({ clientId, clientSecret, url = 'https://github.com' }: GitHubOptions): Provider {
  const { origin, host, pathname, protocol } = parseUrl('url', url)
  if (pathname !== '/') refuse('Provider "github": "url" must be an origin, without a path')
  if (!clientId || !clientSecret) refuse('Provider "github": "clientId" or "clientSecret" is empty')
  const api = host === 'github.com' || host.endsWith('.ghe.com') ? `https://api.${host}` : `${origin}/api/v3`
  const connect = (client: OpenidClient) => {
    // what GitHub sends as `iss` (RFC 9207); not every version sends it, and a wrong one is refused
    const issuer = `${origin}/login/oauth`
    const server = {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/access_token`,
    }
    const config = new client.Configuration(server, clientId, clientSecret)
    config.timeout = TIMEOUT_SECONDS
    config[client.customFetch] = cappedFetch
    if (protocol === 'http:') client.allowInsecureRequests(config)
    return config
  }
  const identify: Identify = async (client, config, { access_token }) => {
    const read = async (path: string): Promise<unknown> => {
      const headers = new Headers({ accept: 'application/vnd.github+json' })
      const target = new URL(api + path)
      const response = await client.fetchProtectedResource(config, access_token, target, 'GET', null, headers)
      if (response.ok) return response.json()
      // how GitHub says that the addresses were not granted
      if (path === '/user/emails' && [403, 404].includes(response.status)) return []
      return fail(`GitHub answered ${response.status} at ${path}`)
    }
    const user = (await read('/user')) as Record<string, unknown>
    if (!Number.isSafeInteger(user.id)) fail('GitHub told no account number')
    const emails = (await read('/user/emails')) as Record<string, unknown>[]
    const email = emails.find(({ primary, verified }) => primary === true && verified === true)?.email
    const name = text(user.name) ?? text(user.login)
    return { issuer: origin, subject: String(user.id), name, email: text(email) }
  }
  const named = { id: 'github', name: 'GitHub', issuer: origin }
  return provider({ ...named, scope: 'user:email', asksAge: false, connect, identify })
}
