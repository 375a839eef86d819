/** Who is at the browser: the gateway's session or pairgate's own, its start and its end, and the dev sign-in. @module */

import { DEV_ISSUER } from '../config.ts'
import { safeReturnPath } from '../core/same_origin.ts'
import { createSecret, secretHint, secretKind } from '../core/secret.ts'
import { cleanLabel } from '../core/text.ts'
import { PairgateError } from '../errors.ts'
import { sha256Hex } from '../hash.ts'
import type { Identity, Tenant } from '../options.ts'
import type { ProviderIdentity } from '../providers.ts'
import type { User } from '../store.ts'
import { getCookie, setCookie } from './cookies.ts'
import { endCredential, verifySecret } from './credentials.ts'
import { type Caller, type Deps, warnHourly } from './deps.ts'
import { recordEvent } from './events.ts'
import { userId } from './user_id.ts'

/** What a browser gets to keep after a step: the path to go to, and a cookie. */
export interface SignInStep {
  readonly location: string
  readonly cookies: readonly string[]
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

/** A person at a browser. */
export interface Viewer {
  readonly user: User
  /** Whether the stored row says the same of them; false when there is none. */
  readonly isStored: boolean
  /** The organisations that a credential may be for. */
  readonly tenants: readonly { readonly id: string; readonly name: string }[]
  /** When they signed in, in epoch milliseconds; null when the gateway does not say. */
  readonly authTime: number | null
  /** This browser's own credential; null when the gateway vouches. */
  readonly credentialId: string | null
}

function toTenants(tenants: readonly Tenant[]): Viewer['tenants'] {
  for (const { id } of tenants) {
    if (typeof id !== 'string' || id === '' || id.length > 255 || !id.isWellFormed())
      throw new PairgateError('ERR_PAIRGATE_SIGN_IN', 'A tenant must have an id of 1-255 characters')
  }
  return tenants.map(({ id, name }) => ({ id, name: cleanLabel(name) ?? id }))
}

/** Tells who is signed in at this browser: the gateway's session says it, or our own cookie; null for nobody. */
export async function findViewer(deps: Deps, caller: Caller): Promise<Viewer | null> {
  const { identify, baseUrl } = deps.config
  if (identify) {
    const identity = await identify(caller.request, { remoteAddress: caller.peer, log: deps.log })
    if (!identity) return null
    const user = toUser({ ...identity, issuer: identity.issuer ?? baseUrl })
    const known = await deps.store.findUser(user.id)
    return {
      user: { ...user, disabled_at: known?.disabled_at ?? null },
      isStored: known?.name === user.name && known.email === user.email,
      tenants: toTenants(identity.tenants ?? []),
      authTime: identity.auth_time === undefined ? null : identity.auth_time * 1000,
      credentialId: null,
    }
  }
  const cookie = getCookie(deps, caller.request, 'session')
  const who = cookie ? await verifySecret(deps, caller, cookie, ['browser']) : null
  if (!who) return null
  const { created_at: authTime, id: credentialId } = who.credential
  return { user: who.user, isStored: true, tenants: [], authTime, credentialId }
}

/** Tells whether a person signed in too long ago for what matters (`maxAuthAgeSeconds`). */
export function isSignInOld(deps: Deps, { authTime }: Pick<Viewer, 'authTime'>): boolean {
  const { maxAuthAgeSeconds } = deps.config
  if (maxAuthAgeSeconds === undefined) return false
  if (authTime === null) {
    warnHourly(deps, 'The option "identify" gave no auth_time, which "maxAuthAgeSeconds" needs')
    return true
  }
  const age = deps.now() - authTime
  // what is no time, or milliseconds where seconds were meant, is not young; clocks may differ by five minutes
  return !(age <= maxAuthAgeSeconds * 1000 && age > -300_000)
}

/** Signs a browser in: a fresh secret each time, and the end of the one it had. */
export async function startBrowserSession(
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
  const secret = createSecret(deps.random, deps.config.secretPrefix, 'browser')
  const id = deps.randomId(16)
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
    tenant: null,
    remote_address: caller.remoteAddress,
    approved_address: null,
    created_at: now,
    expires_at: now + deps.config.browserSeconds * 1000,
    access_expires_at: null,
    family_hash: null,
    refresh_hash: null,
  })
  await recordEvent(deps, caller, 'signed_in', { user, credential_id: id })
  return { location: next, cookies: [setCookie(deps, 'session', secret, deps.config.browserSeconds)] }
}

async function endBrowserSession(deps: Deps, caller: Caller): Promise<void> {
  const cookie = getCookie(deps, caller.request, 'session')
  if (!cookie || secretKind(deps.config.secretPrefix, cookie) !== 'browser') return
  const found = await deps.store.findCredential(sha256Hex(cookie))
  if (found) await endCredential(deps, caller, found)
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
