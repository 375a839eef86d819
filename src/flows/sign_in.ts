/** Who is at the browser: upstream sign-in, the dev sign-in, the browser's own credential, the gateway's session. @module */

import { readCookie, writeCookie } from '../core/cookie.ts'
import { safeReturnPath } from '../core/same_origin.ts'
import { createSecret, secretHint } from '../core/secret.ts'
import { cleanLabel } from '../core/text.ts'
import { PairgateError } from '../errors.ts'
import { base64url, fromBase64url, sha256Hex, sign, toBase64url, verifySignature } from '../hash.ts'
import type { Identity } from '../options.ts'
import type { ProviderIdentity, Transaction } from '../providers.ts'
import type { User } from '../store.ts'
import { endCredential, verifySecret } from './credentials.ts'
import type { Caller, Deps } from './deps.ts'
import { recordEvent } from './events.ts'

/** Who vouches for the names of the dev sign-in: nobody. */
export const DEV_ISSUER = 'urn:pairgate:dev'

/** How long a person may take at the identity provider; seconds. */
const TRANSACTION_SECONDS = 600

/** What a browser gets to keep after a step: the path to go to, and a cookie. */
export interface SignInStep {
  readonly location: string
  readonly cookies: readonly string[]
}

/** The name of one of our cookies; `__Host-` wherever the base URL is https. */
export function cookieName(deps: Deps, part: 'session' | 'sign-in' | 'form' | 'seed'): string {
  return `${deps.config.isSecure ? '__Host-' : ''}pairgate-${part}`
}

/** Writes one of our cookies; `maxAge` in seconds, 0 deletes. */
export function setCookie(
  deps: Deps,
  part: 'session' | 'sign-in' | 'form' | 'seed',
  value: string,
  maxAge: number,
): string {
  return writeCookie(cookieName(deps, part), value, { maxAge, secure: deps.config.isSecure })
}

/** Reads one of our cookies; null when absent or given twice. */
export function getCookie(
  deps: Deps,
  request: Request,
  part: 'session' | 'sign-in' | 'form' | 'seed',
): string | null {
  return readCookie(request.headers.get('cookie'), cookieName(deps, part))
}

/** The id that a person has in the store: issuer and subject, nothing else. */
export function userId(identity: { issuer: string; subject: string }): string {
  return sha256Hex(JSON.stringify([identity.issuer, identity.subject]))
}

function toUser(identity: Identity & { issuer: string }): Omit<User, 'disabled_at'> {
  const { issuer, subject } = identity
  for (const part of [issuer, subject]) {
    if (typeof part !== 'string' || part === '' || part.length > 255 || !part.isWellFormed()) {
      throw new PairgateError(
        'ERR_PAIRGATE_SIGN_IN',
        'An identity must have an issuer and a subject of 1-255 characters',
      )
    }
  }
  return {
    id: userId({ issuer, subject }),
    issuer,
    subject,
    name: cleanLabel(identity.name),
    email: cleanLabel(identity.email),
  }
}

/** Tells who is signed in at this browser: the gateway's session says it, or our own cookie; null for nobody. */
export async function findViewer(deps: Deps, request: Request): Promise<User | null> {
  const { identify, baseUrl } = deps.config
  if (identify) {
    const identity = await identify(request)
    if (!identity) return null
    const user = toUser({ ...identity, issuer: identity.issuer ?? baseUrl })
    const known = await deps.store.findUser(user.id)
    return { ...user, disabled_at: known?.disabled_at ?? null }
  }
  const cookie = getCookie(deps, request, 'session')
  return cookie ? ((await verifySecret(deps, cookie, ['browser']))?.user ?? null) : null
}

/** Signs a browser in: a fresh secret each time, and the end of the one it had. */
async function startBrowserSession(
  deps: Deps,
  caller: Caller,
  identity: ProviderIdentity,
  next: string,
): Promise<SignInStep | { status: 'user_disabled' }> {
  const user = toUser(identity)
  const now = deps.now()
  await deps.store.upsertUser(user, now)
  if ((await deps.store.findUser(user.id))?.disabled_at != null) return { status: 'user_disabled' }
  await endBrowserSession(deps, caller)
  const secret = createSecret(deps.random, 'browser')
  const id = base64url(deps.random(16))
  await deps.store.insertCredential({
    id,
    kind: 'browser',
    user_id: user.id,
    grant_id: null,
    client_id: null,
    secret_hash: sha256Hex(secret),
    hint: secretHint(secret),
    name: 'Browser',
    scope: '',
    remote_address: caller.remoteAddress,
    created_at: now,
    expires_at: now + deps.config.browserSeconds * 1000,
  })
  await recordEvent(deps, caller, 'signed_in', { user, credential_id: id })
  return { location: next, cookies: [setCookie(deps, 'session', secret, deps.config.browserSeconds)] }
}

async function endBrowserSession(deps: Deps, caller: Caller): Promise<void> {
  const cookie = getCookie(deps, caller.request, 'session')
  if (cookie) await endCredential(deps, caller, cookie)
}

/** Signs the browser out, on the server too. */
export async function signOut(deps: Deps, caller: Caller): Promise<SignInStep> {
  await endBrowserSession(deps, caller)
  return { location: safeReturnPath(null, deps.config.baseUrl), cookies: [setCookie(deps, 'session', '', 0)] }
}

/** Signs in whatever name was typed; only where `devSignIn` is on, which is on loopback. */
export async function devSignIn(
  deps: Deps,
  caller: Caller,
  form: { username: string; next?: string | undefined },
) {
  const username = cleanLabel(form.username)
  if (!username) return { status: 'invalid_request', description: 'Type a name' } as const
  const identity = { issuer: DEV_ISSUER, subject: username, name: username }
  return await startBrowserSession(deps, caller, identity, safeReturnPath(form.next, deps.config.baseUrl))
}

// Everything secret of a transaction follows from its id and our own secret, so the cookie holds nothing else and
// what the browser sees in the URL (state, challenge, nonce) does not give the id away.
function deriveTransaction(deps: Deps, secret: string, providerId: string, id: string): Transaction {
  const derive = (purpose: string) => sign(secret, purpose, [providerId, id])
  return {
    redirectUri: `${deps.config.baseUrl}/sign-in/callback/${providerId}`,
    state: derive('sign-in state'),
    nonce: derive('sign-in nonce'),
    codeVerifier: derive('sign-in verifier'),
  }
}

/** A sign-in that the provider, or the way to it, did not let happen. */
export interface SignInFailed {
  readonly status: 'sign_in_failed' | 'sign_in_cancelled'
  /** For the person. */
  readonly message: string
  /** Where they were going. */
  readonly next: string
}

/** Logs why a sign-in failed, for the operator; rethrows what is no failure of a sign-in. */
function signInFailed(
  deps: Deps,
  caller: Caller,
  provider: string,
  next: string,
  error: unknown,
): SignInFailed {
  if (!(error instanceof PairgateError)) throw error
  const { code, message, cause } = error
  if (code === 'ERR_PAIRGATE_SIGN_IN_CANCELLED') return { status: 'sign_in_cancelled', message, next }
  if (code !== 'ERR_PAIRGATE_SIGN_IN') throw error
  const reason = cause instanceof Error ? `${message}: ${cause.message}` : message
  deps.log.warn('An upstream sign-in failed', { provider, request_id: caller.requestId, reason })
  return { status: 'sign_in_failed', message, next }
}

/** Sends a browser to an identity provider; the transaction is bound to it by a signed cookie for ten minutes. */
export async function startSignIn(
  deps: Deps,
  caller: Caller,
  providerId: string,
  returnTo: string | undefined,
): Promise<SignInStep | SignInFailed | { status: 'not_found' }> {
  const provider = deps.config.signIn.find(({ id }) => id === providerId)
  const [secret = ''] = deps.config.secrets
  if (!provider) return { status: 'not_found' }
  const next = safeReturnPath(returnTo, deps.config.baseUrl)
  const fields = [
    base64url(deps.random(32)),
    provider.id,
    String(deps.now() + TRANSACTION_SECONDS * 1000),
    toBase64url(next),
  ]
  const [id = ''] = fields
  try {
    const url = await provider.authorize(deriveTransaction(deps, secret, provider.id, id))
    const cookie = [...fields, sign(secret, 'sign-in cookie', fields)].join('.')
    return { location: url.href, cookies: [setCookie(deps, 'sign-in', cookie, TRANSACTION_SECONDS)] }
  } catch (error) {
    return signInFailed(deps, caller, provider.id, next, error)
  }
}

function readTransaction(deps: Deps, cookie: string | null, providerId: string) {
  const fields = (cookie ?? '').split('.')
  const signature = fields.pop() ?? ''
  const [id = '', cookieProvider, expiresAt, next = ''] = fields
  const { secrets, baseUrl } = deps.config
  const secret = secrets.find((one) => verifySignature([one], 'sign-in cookie', fields, signature))
  if (!secret || fields.length !== 4 || cookieProvider !== providerId || Number(expiresAt) <= deps.now())
    return null
  return { id, secret, expiresAt: Number(expiresAt), next: safeReturnPath(fromBase64url(next), baseUrl) }
}

/**
 * Takes the browser back from an identity provider. Works once per transaction, only in the browser that started it.
 *
 * @param query The query of the callback; the rest of its URL comes from the configuration.
 */
export async function finishSignIn(
  deps: Deps,
  caller: Caller,
  providerId: string,
  query: string,
): Promise<SignInStep | SignInFailed | { status: 'not_found' | 'user_disabled' | 'sign_in_expired' }> {
  const provider = deps.config.signIn.find(({ id }) => id === providerId)
  if (!provider) return { status: 'not_found' }
  const found = readTransaction(deps, getCookie(deps, caller.request, 'sign-in'), provider.id)
  if (!found) return { status: 'sign_in_expired' }
  const transaction = deriveTransaction(deps, found.secret, provider.id, found.id)
  if (new URLSearchParams(query).get('state') !== transaction.state) return { status: 'sign_in_expired' }
  // one use, over all instances: a counter of its own that goes up to one
  if (!(await deps.store.takeLimit(`sign-in:${sha256Hex(found.id)}`, found.expiresAt, 1)))
    return { status: 'sign_in_expired' }
  try {
    const identity = await provider.callback(new URL(transaction.redirectUri + query), transaction)
    const step = await startBrowserSession(deps, caller, identity, found.next)
    return 'status' in step
      ? step
      : { ...step, cookies: [...step.cookies, setCookie(deps, 'sign-in', '', 0)] }
  } catch (error) {
    return signInFailed(deps, caller, provider.id, found.next, error)
  }
}
