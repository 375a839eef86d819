/**
 * The client: signs in, remembers the login, calls with it, keeps it fresh, signs out. Everything that a terminal needs
 * to show comes as an event, so that any program can use it.
 *
 * @module
 */

import { checkWhoami, isToken } from './answers.ts'
import { authorize } from './authorize.ts'
import { credentialStore } from './credential_store.ts'
import { LoginError, parseServer, toLoginError } from './errors.ts'
import { createApi } from './generated/client.ts'
import type { PairgateApi } from './generated/contract.ts'
import { collectDevice, type SignInOptions, signIn, startDevice } from './login.ts'
import { HOLD, type LoginToken, type WaitOptions } from './poll.ts'
import { type Access, createSession, type Session } from './session.ts'
import {
  type Account,
  type CredentialStore,
  isSameAccount,
  type LoginEntry,
  type StoredLogin,
} from './store.ts'
import { machineName, readVariable, variablePrefix } from './surroundings.ts'
import { checkAnswer, revoke, send, type WireOptions } from './wire.ts'

/** What `createClient` takes. */
export interface ClientOptions {
  /** Base URL of the pairgate, path included. https, or http on this very machine. */
  readonly server: string
  /** The client_id that the server knows this program by. Default `pairgate-cli`. */
  readonly clientId?: string | undefined
  /**
   * The program's name, in the names of files and variables. Default: the client_id, with `-` for what is neither letter,
   * digit, `.`, `_` nor `-`.
   */
  readonly name?: string | undefined
  /** Where logins are kept. Default `credentialStore({ name })`. */
  readonly store?: CredentialStore | undefined
  /** Whose login to use. Default: the active one. */
  readonly account?: Account | undefined
  /**
   * A credential to use instead of any login that is kept. Default: the variable `NAME_TOKEN`, as in `MYTOOL_TOKEN`. Null:
   * not even that.
   */
  readonly token?: string | null | undefined
  /** Origins beside the server's own that `fetch` may send the credential to; https as the server. Default: none. */
  readonly origins?: readonly string[] | undefined
  /** Longest wait for an answer of pairgate, in milliseconds; 25 seconds more for a poll. Default 30000. */
  readonly timeout?: number | undefined
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof fetch | undefined
  /** Tells the time in milliseconds. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

/** What `login` takes beside all that `signIn` does. */
export interface LoginOptions extends SignInOptions {
  /** Default: the user's name and the machine's, `ada@laptop`. */
  readonly deviceName?: string | undefined
  /** Who has to sign in. Somebody else is `wrong_account`, and their new login is ended. Default: anybody. */
  readonly account?: Account | undefined
}

/** A login by code that was started by one run of a program, for another run to complete. Holds a secret. */
export interface PendingLogin {
  readonly server: string
  readonly client_id: string
  /** Whoever has it collects the login: not to be printed. */
  readonly device_code: string
  /** The code that the page shows too. */
  readonly user_code: string
  /** The page without the code, for typing it there. */
  readonly verification_uri: string
  readonly verification_uri_complete: string
  /** Epoch seconds. */
  readonly expires_at: number
  /** Least time between two polls, in seconds. */
  readonly interval: number
}

/** How to wait for a login that another run has started. */
export interface CompleteOptions extends WaitOptions {
  /** Who has to sign in, as for `login`. */
  readonly account?: Account | undefined
}

/** A new login, kept. */
export interface Login extends LoginEntry {
  /** Where its secrets are, for people: `keyring`, or the path of a file. */
  readonly place: string
  /** What the person should know about that; null when there is nothing. */
  readonly notice: string | null
  /** What became of the login before, of the same account: revoked, not revoked and good until then, or there was none. */
  readonly replaced: 'revoked' | 'not_revoked' | null
}

/** How signing out went. The login is forgotten here in any case. */
export interface Logout {
  readonly login: LoginEntry
  /** Why the server could not be told; null when the credential is revoked. It then stays good until it expires. */
  readonly error: LoginError | null
}

/** What `fetch` takes; as links of tRPC have it, a member may be undefined. */
export type FetchOptions = { readonly [Key in keyof RequestInit]: RequestInit[Key] | undefined }

/** A connection to one pairgate. */
export interface Client {
  /** Base URL without a trailing slash. */
  readonly server: string
  readonly clientId: string
  /** Where logins are kept. */
  readonly store: CredentialStore
  /**
   * Every procedure of pairgate, typed; called with the login if there is one. Rejects with an `ApiError`, or a
   * `LoginError` where there was no answer of pairgate's; `toLoginError` explains both.
   */
  readonly api: PairgateApi
  /**
   * Signs a person in, and keeps the login.
   *
   * @throws {LoginError} With the `code` that tells why. Then nothing was kept.
   */
  login(options: LoginOptions): Promise<Login>
  /**
   * Starts a login by code and ends at once: for a program that cannot stay until somebody has decided, as under a
   * coding agent. Keeps nothing.
   */
  start(options: Pick<SignInOptions, 'deviceName' | 'scope' | 'signal'>): Promise<PendingLogin>
  /**
   * Waits for the decision on a login that `start` has begun, and keeps the login.
   *
   * @throws {LoginError} As `login`.
   */
  complete(pending: PendingLogin, options: CompleteOptions): Promise<Login>
  /**
   * Keeps a credential that came some other way: one made on the account page, say.
   *
   * @throws {LoginError} `not_signed_in` when the server does not know it.
   */
  adopt(token: string): Promise<Login>
  /**
   * `fetch` with the credential as `Authorization: Bearer`. Refreshes it a minute before its end, and once more when the
   * answer is 401. A relative URL is relative to the server's origin.
   *
   * @throws {LoginError} `not_signed_in` without a login, `untrusted_url` for an origin that is neither the server's nor
   * in `origins`. What the network does comes out as `fetch` has it.
   */
  fetch(input: string | URL | Request, init?: FetchOptions): Promise<Response>
  /**
   * The credential that calls are made with, refreshed if it is about to end; null when nobody is signed in.
   *
   * @throws {LoginError} `not_signed_in` when the login is over; it is forgotten then.
   */
  access(): Promise<Access | null>
  /**
   * Gets a new access token now.
   *
   * @throws {LoginError} `not_signed_in` without a login, or when it is over; `refused` when it cannot be refreshed.
   */
  refresh(): Promise<LoginEntry>
  /** Revokes the login at the server and forgets it; null when there was none. */
  logout(): Promise<Logout | null>
}

/** What the parts of a client share. */
interface Parts {
  readonly wire: WireOptions
  readonly clientId: string
  readonly store: CredentialStore
  readonly session: Session
  readonly now: () => number
  /** Calls with this very token, or with none. */
  readonly apiWith: (token?: string) => PairgateApi
}

/** Asks whose a credential is. */
async function identify(
  { apiWith, wire: { server }, clientId, now }: Parts,
  token: Pick<LoginToken, 'access_token' | 'refresh_token'>,
): Promise<StoredLogin> {
  // what is none cannot be put into a header, and the words of that failure would quote it
  if (!isToken(token.access_token))
    throw new LoginError('refused', 'That is no token: it has characters that no token has')
  const who = checkWhoami(await apiWith(token.access_token).session.whoami.query())
  const { issuer, subject, name, kind, scope, expires_in } = who
  if (kind === 'browser') throw new LoginError('refused', "A browser's credential cannot be used here")
  return {
    server,
    client_id: who.client_id ?? clientId,
    ...{ issuer, subject, name, kind, scope },
    expires_at: Math.floor(now() / 1000) + expires_in,
    access_token: token.access_token,
    refresh_token: token.refresh_token ?? null,
  }
}

function toEntry({ access_token: _access, refresh_token: _refresh, ...entry }: StoredLogin): LoginEntry {
  return entry
}

/** A place that cannot be read, or has no room for a lock, shows here: before anybody signs in for nothing. */
async function assertWritable(store: CredentialStore): Promise<void> {
  await store.lock(async () => await store.list())
}

/** Keeps a login in place of the one before, of the same account, and ends that one. */
async function keep({ store, wire }: Parts, login: StoredLogin): Promise<Login> {
  const { previous, kept } = await store.lock(async () => ({
    // what a locked keyring holds cannot be read, and is no reason not to sign in again
    previous: await store.find(login.server, login).catch(() => 'unreadable' as const),
    kept: await store.save(login, { activate: true }),
  }))
  const result = { ...toEntry(login), ...kept }
  if (!previous) return { ...result, replaced: null }
  if (previous === 'unreadable') return { ...result, replaced: 'not_revoked' }
  if (previous.access_token === login.access_token) return { ...result, replaced: null }
  return { ...result, replaced: (await revoke(wire, previous)) ? 'not_revoked' : 'revoked' }
}

/** Keeps a login that was just made. If that fails, it is revoked rather than left lying about. */
async function keepNew(parts: Parts, token: LoginToken, wanted: Account | undefined): Promise<Login> {
  const { access_token, refresh_token = null } = token
  try {
    const login = await identify(parts, token)
    if (wanted && !isSameAccount(login, wanted)) {
      const words = `Signed in as ${login.subject}, but ${wanted.subject} was wanted`
      throw new LoginError('wrong_account', words)
    }
    return await keep(parts, login)
  } catch (error) {
    await revoke(parts.wire, { client_id: parts.clientId, access_token, refresh_token })
    throw toLoginError(error)
  }
}

async function start(
  { wire: { server }, clientId, apiWith, now }: Parts,
  options: Parameters<Client['start']>[0],
): Promise<PendingLogin> {
  const deviceName = options.deviceName ?? machineName()
  const { expires_in, ...started } = await startDevice(
    { server, clientId, api: apiWith() },
    { ...options, deviceName },
  )
  return { server, client_id: clientId, ...started, expires_at: Math.floor(now() / 1000) + expires_in }
}

async function complete(
  parts: Parts,
  pending: PendingLogin,
  { account, ...how }: CompleteOptions,
): Promise<Login> {
  const { apiWith, now } = parts
  const { server, client_id: clientId, expires_at } = pending
  if (server !== parts.wire.server) throw new LoginError('bad_server', `That login was started at ${server}`)
  const begun = { ...pending, expires_in: expires_at - Math.floor(now() / 1000) }
  const token = await collectDevice({ server, clientId, api: apiWith() }, begun, { now, ...how })
  return await keepNew({ ...parts, clientId }, token, account)
}

/** What stands above all logins: the option, or a variable of the environment. */
function givenToken({ token }: ClientOptions, name: string): { token: string; source: string } | null {
  if (token === null) return null
  if (token !== undefined) return { token, source: 'The option "token"' }
  const source = `${variablePrefix(name)}_TOKEN`
  const found = readVariable(source)?.trim()
  return found ? { token: found, source } : null
}

/** `fetch` for the gateway's own services: with a login, and to origins that may have it. */
function clientFetch(
  server: string,
  origins: readonly string[],
  session: Session,
  inner: typeof fetch,
): Client['fetch'] {
  const known = new Set([server, ...origins].map((url) => new URL(parseServer(url)).origin))
  const access: Session['access'] = async (spent) => {
    const found = await session.access(spent)
    if (!found) throw new LoginError('not_signed_in', `Nobody is signed in at ${server}`)
    return found
  }
  const authorized = authorize({ access }, inner)
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input, server)
    if (!known.has(url.origin)) {
      throw new LoginError(
        'untrusted_url',
        `The credential is not for ${url.origin}; name it in "origins" if it is`,
      )
    }
    return await authorized(input instanceof Request ? input : url, init as RequestInit | undefined)
  }
}

/**
 * Connects to a pairgate. Makes no request yet, and reads no login.
 *
 * @throws {LoginError} `bad_server`
 * @example
 * ```ts
 * const client = createClient({ server: 'https://gateway.example/auth', clientId: 'mytool' })
 * await client.login({ onPrompt: ({ url, code }) => console.error(`Open ${url} and check that it shows ${code}`) })
 * const response = await client.fetch('/api/projects')
 * ```
 */
export function createClient(options: ClientOptions): Client {
  const server = parseServer(options.server)
  const { clientId = 'pairgate-cli', timeout = 30_000, fetch = globalThis.fetch, now = Date.now } = options
  const { name = clientId.replace(/[^\w.-]/g, '-'), store = credentialStore({ name }) } = options
  const wire: WireOptions = { server, timeout, fetch }
  const polling: WireOptions = { ...wire, timeout: timeout + HOLD * 1000 }
  const own: typeof fetch = async (input, init) =>
    await checkAnswer(await send(String(input).endsWith('.token') ? polling : wire, input, init))
  const apiWith = (token?: string) => createApi({ server, fetch: own, ...(token && { token }) })
  const given = givenToken(options, name)
  const session = createSession({ server, account: options.account, store, given, api: apiWith(), now })
  const parts: Parts = { wire, clientId, store, session, now, apiWith }
  return {
    server,
    clientId,
    store,
    api: createApi({ server, fetch: authorize(session, own) }),
    fetch: clientFetch(server, options.origins ?? [], session, fetch),
    access: async () => await session.access(),
    refresh: async () => toEntry(await session.refresh()),
    async login({ account = options.account, ...how }) {
      session.assertStored()
      await assertWritable(store)
      const deviceName = how.deviceName ?? machineName()
      const token = await signIn({ server, clientId, api: apiWith() }, { now, ...how, deviceName })
      return await keepNew(parts, token, account)
    },
    async start(how) {
      session.assertStored()
      await assertWritable(store)
      return await start(parts, how)
    },
    async complete(pending, { account = options.account, ...how }) {
      session.assertStored()
      return await complete(parts, pending, { account, ...how })
    },
    async adopt(token) {
      session.assertStored()
      const login = await identify(parts, { access_token: token }).catch((error) => {
        throw toLoginError(error)
      })
      return await keep(parts, login)
    },
    async logout() {
      session.assertStored()
      const login = await session.stored()
      if (!login) return null
      const error = await revoke(wire, login)
      await store.remove(server, login)
      return { login: toEntry(login), error }
    },
  }
}
