/** Upstream sign-in: a transaction that is bound to one browser, on its way to an identity provider and back. @module */

import { safeReturnPath } from '../core/same_origin.ts'
import { PairgateError } from '../errors.ts'
import { base64url, fromBase64url, sha256Hex, sign, toBase64url, verifySignature } from '../hash.ts'
import type { Transaction } from '../providers.ts'
import { type SignInStep, startBrowserSession } from './browser.ts'
import { getCookie, setCookie } from './cookies.ts'
import type { Caller, Deps } from './deps.ts'

/** How long a person may take at the identity provider; seconds. */
const TRANSACTION_SECONDS = 600

// Everything secret of a transaction follows from its id and our own secret, so the cookie holds nothing else and
// what the browser sees in the URL (state, challenge, nonce) does not give the id away.
function deriveTransaction(deps: Deps, secret: string, providerId: string, id: string): Transaction {
  const derive = (purpose: string) => sign(secret, purpose, [providerId, id])
  return {
    redirectUri: `${deps.config.baseUrl}/sign-in/callback/${providerId}`,
    state: derive('sign-in state'),
    nonce: derive('sign-in nonce'),
    codeVerifier: derive('sign-in verifier'),
    maxAge: deps.config.maxAuthAgeSeconds,
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
