/** Who is signed in, by the session of Better Auth or Auth.js in the same process. Neither is imported. @module */

import { isProtected } from '../src/internal.ts'
import { type Identify, type IdentifyInfo, type Identity, PairgateError } from '../src/mod.ts'
import {
  checkFunction,
  checkKeys,
  refuseOption,
  refuseWith,
  type ToIdentity,
  text,
} from './identify_options.ts'

/** The part of a session of Better Auth that is used here. */
export interface BetterAuthSession {
  readonly user: {
    readonly id: string
    readonly name?: string | null | undefined
    readonly email?: string | null | undefined
    readonly emailVerified?: boolean | undefined
  }
  readonly session: { readonly createdAt: Date | string }
}

/** What `getSession` of Better Auth is asked with. */
export interface BetterAuthQuery {
  readonly headers: Headers
  readonly query: { readonly disableCookieCache: boolean; readonly disableRefresh: boolean }
}

/** The part of a Better Auth that is used here: what `betterAuth()` returns. */
export interface BetterAuth<Session extends BetterAuthSession> {
  readonly options: object
  readonly api: { getSession(query: BetterAuthQuery): Promise<Session | null> }
}

/**
 * What a session may be found by: the cookie, and for a base URL of several hosts the host. No `Authorization` and no key:
 * plugins make sessions of those, and then a program could allow logins.
 */
const SESSION_HEADERS = ['cookie', 'host', 'x-forwarded-host', 'x-forwarded-proto']

function sessionHeaders({ headers }: Request): Headers {
  const pairs = SESSION_HEADERS.map((name) => [name, headers.get(name)] as const)
  return new Headers(pairs.filter((pair): pair is [string, string] => pair[1] !== null))
}

/**
 * Believes the session of a Better Auth. People are known by `user.id`; the e-mail address is passed on once it is
 * verified. A session in which an administrator impersonates somebody is nobody's: what it allowed would outlive it.
 *
 * @param auth What `betterAuth()` returned.
 * @param options.toIdentity Changes the identity, for example adds `tenants`; null for nobody.
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when an option is wrong.
 * @example
 * ```ts
 * identify: betterAuthSession(auth)
 * ```
 */
export function betterAuthSession<Session extends BetterAuthSession>(
  auth: BetterAuth<Session>,
  options: { readonly toIdentity?: ToIdentity<Session> | undefined } = {},
): Identify {
  checkKeys(options, ['toIdentity'])
  checkFunction('toIdentity', options.toIdentity)
  if (typeof auth?.api?.getSession !== 'function') refuseOption('auth', 'must be what betterAuth() returned')
  const { database, secondaryStorage } = auth.options as { database?: unknown; secondaryStorage?: unknown }
  const query = {
    // a session that was ended lives on in its copy in a cookie; without a store that is all there is
    disableCookieCache: Boolean(database ?? secondaryStorage),
    // its cookie would be lost
    disableRefresh: true,
  }
  return async (request, { log }) => {
    const refuse = refuseWith(log, 'Better Auth')
    if (!request.headers.has('cookie')) return refuse('no cookie')
    const found = await auth.api.getSession({ headers: sessionHeaders(request), query })
    if (!found) return refuse('no session')
    const { user, session } = found
    if ((session as { impersonatedBy?: unknown }).impersonatedBy != null) return refuse('impersonated')
    const identity: Identity = {
      subject: user.id,
      name: text(user.name),
      email: user.emailVerified === true ? text(user.email) : undefined,
      auth_time: Math.floor(new Date(session.createdAt).getTime() / 1000),
    }
    return options.toIdentity ? await options.toIdentity(found, identity) : identity
  }
}

/** The part of a session of Auth.js that is used here. */
export interface AuthJsSession {
  readonly user?:
    | {
        readonly id?: string | undefined
        readonly name?: string | null | undefined
        readonly email?: string | null | undefined
        readonly emailVerified?: Date | string | boolean | null | undefined
      }
    | undefined
}

/** How a session of Auth.js is found: `session` or `handler`. */
export type AuthJsOptions<Session extends AuthJsSession> = {
  /** Changes the identity, for example adds `issuer` or `tenants`; null for nobody. */
  readonly toIdentity?: ToIdentity<Session> | undefined
} & (
  | {
      /** Finds the session of a request, for example `() => auth()` of next-auth. */
      readonly session: (request: Request) => Session | null | Promise<Session | null>
    }
  | {
      /** Auth.js itself: `(request) => Auth(request, config)`. It is asked at `{url}/session`. */
      readonly handler: (request: Request) => Response | Promise<Response>
      /** Its public URL, base path included: `https://gateway.example/auth`. Cookies have other names on http. */
      readonly url: string
    }
)

const fail = (message: string): never => {
  throw new PairgateError('ERR_PAIRGATE_SIGN_IN', message)
}

const NO_USER_ID =
  'The session of Auth.js has no "user.id", or it is no text: set it in the callback "session". E-mail addresses identify nobody'

function checkAuthUrl(url: unknown): string {
  if (typeof url !== 'string' || !URL.canParse(url)) return refuseOption('url', 'must be an absolute URL')
  const parsed = new URL(url)
  if (!isProtected(parsed) || parsed.search || parsed.hash)
    refuseOption('url', 'must be https, http is for loopback only, without query and fragment')
  return `${url.replace(/\/$/, '')}/session`
}

/** Asks Auth.js as its own client in the browser would. */
function askHandler<Session extends AuthJsSession>(
  handler: (request: Request) => Response | Promise<Response>,
  url: string,
): (request: Request) => Promise<Session | null> {
  return async ({ headers }) => {
    const cookie = headers.get('cookie')
    if (cookie === null) return null
    const response = await handler(new Request(url, { headers: { cookie } }))
    if (response.status !== 200) fail(`Auth.js answered ${response.status} when asked for the session`)
    return (await response.json()) as Session | null
  }
}

/**
 * Believes the session of Auth.js, whatever the framework. People are known by `user.id`, which Auth.js leaves out by
 * default; without it the answer is an error that says so. The e-mail address is passed on only when the session says
 * that it is verified.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when an option is wrong.
 * @example
 * ```ts
 * identify: authJsSession({ session: () => auth() }) // next-auth
 * identify: authJsSession({ handler: (request) => Auth(request, config), url: 'https://gateway.example/auth' })
 * ```
 */
export function authJsSession<Session extends AuthJsSession = AuthJsSession>(
  options: AuthJsOptions<Session>,
): Identify {
  checkKeys(options, 'session' in options ? ['session', 'toIdentity'] : ['handler', 'url', 'toIdentity'])
  checkFunction('toIdentity', options.toIdentity)
  const [option, find] =
    'session' in options ? (['session', options.session] as const) : (['handler', options.handler] as const)
  if (typeof find !== 'function') refuseOption(option, 'must be a function')
  const getSession =
    'session' in options ? options.session : askHandler<Session>(options.handler, checkAuthUrl(options.url))
  return async (request: Request, { log }: IdentifyInfo) => {
    const found = await getSession(request)
    if (!found?.user) return refuseWith(log, 'Auth.js')('no session')
    const { id, name, email, emailVerified } = found.user
    const identity: Identity = {
      subject: text(id) ?? fail(NO_USER_ID),
      name: text(name),
      email: emailVerified ? text(email) : undefined,
    }
    return options.toIdentity ? await options.toIdentity(found, identity) : identity
  }
}
