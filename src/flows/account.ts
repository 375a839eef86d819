/** The life of a person's keys and sessions: seen, made, rotated, ended, by their owner or by a CLI that may. @module */

import { MANAGE_SCOPE, OFFLINE_SCOPE } from '../config.ts'
import { type CredentialStatus, credentialStatus } from '../core/credential.ts'
import type { Refusal } from '../core/outcome.ts'
import { type CredentialKind, createSecret, secretHint } from '../core/secret.ts'
import { cleanLabel } from '../core/text.ts'
import { sha256Hex } from '../hash.ts'
import type { Credential, User } from '../store.ts'
import { chooseTenant, isAllowed, KIND, mostCredentials, refuseNetwork } from './access.ts'
import { authorize } from './authorization.ts'
import { isSignInOld, type Viewer } from './browser.ts'
import { endCredential, idleTime, KEPT, scopeList, type Verified } from './credentials.ts'
import type { Caller, Deps } from './deps.ts'
import { recordEvent } from './events.ts'
import { keyLimit, takeOrRecord } from './limits.ts'

/** Who manages a person's credentials: they themselves at a browser, or a CLI with the scope `pairgate:manage`. */
export interface Manager extends Pick<Viewer, 'user' | 'tenants' | 'credentialId'> {
  /** What a CLI may hand on; null for a person, who may give whatever is theirs. */
  readonly scopes: readonly string[] | null
  /** Whether the sign-in is too old to make or rotate a key. */
  readonly isOld: boolean
}

/** A person at a browser manages all that is theirs. */
export function personManager(deps: Deps, viewer: Viewer | null): Manager | Refusal {
  if (!viewer) return { status: 'not_signed_in' }
  if (viewer.user.disabled_at !== null) return { status: 'user_disabled' }
  return { ...viewer, scopes: null, isOld: isSignInOld(deps, viewer) }
}

/** A CLI manages only with the scope for it, and hands on no more than it has, and not this scope. */
export function credentialManager({ user, credential, scopes }: Verified): Manager | Refusal {
  if (!scopes.includes(MANAGE_SCOPE)) return { status: 'insufficient_scope' }
  const { tenant } = credential
  return {
    user,
    tenants: tenant === null ? [] : [{ id: tenant, name: tenant }],
    credentialId: credential.id,
    scopes: scopes.filter((scope) => scope !== MANAGE_SCOPE),
    isOld: false,
  }
}

/** The scopes that a key may be given by hand: those that have words. A refresh token comes only with a login. */
export function keyScopes({ config }: Deps, { scopes }: Manager): string[] {
  return [...config.scopes.keys()].filter(
    (scope) => scope !== OFFLINE_SCOPE && (scopes === null || scopes.includes(scope)),
  )
}

/** A credential as lists show it. Times in epoch seconds. */
export interface CredentialSummary {
  /** Names it in `revoke` and `rotate`; no secret. */
  readonly id: string
  readonly kind: CredentialKind
  /** What the device calls itself, or what the person called the key. */
  readonly name: string
  /** Prefix and last four characters of the secret. */
  readonly hint: string
  /** Separated by spaces; empty when there is none. */
  readonly scope: string
  /** The organisation that it is for. */
  readonly tenant: string | null
  /** The app that it was given to; null for a browser, and for a key made by hand. */
  readonly client_id: string | null
  readonly created_at: number
  /** Where it was collected, or where the browser signed in. */
  readonly remote_address: string | null
  /** Where the person was who allowed it. */
  readonly approved_address: string | null
  /** To the minute; null when it was never used. */
  readonly last_used_at: number | null
  readonly last_used_address: string | null
  readonly expires_at: number
  /** When the secret before the last rotation stops to work too; null when it has. */
  readonly previous_until: number | null
  readonly status: CredentialStatus
  /** Whether it is the one that asks. */
  readonly current: boolean
  /** Whether it may be rotated: a live API key without refresh token. */
  readonly can_rotate: boolean
}

const inSeconds = (time: number) => Math.floor(time / 1000)

/** Says of a credential what a list may show. */
export function summarize(deps: Deps, credential: Credential, currentId: string | null): CredentialSummary {
  const { id, kind, name, hint, scope, tenant, client_id, remote_address, approved_address } = credential
  const status = credentialStatus(credential, deps.now(), idleTime(deps, credential))
  const isUsed = credential.first_used_at !== null || kind === 'browser'
  return {
    ...{ id, kind, name, hint, scope, tenant, client_id, remote_address, approved_address, status },
    created_at: inSeconds(credential.created_at),
    last_used_at: isUsed ? inSeconds(credential.last_used_at) : null,
    last_used_address: credential.last_used_address,
    expires_at: inSeconds(credential.expires_at),
    previous_until:
      status === 'active' && credential.family_hash === null && (credential.previous_until ?? 0) > deps.now()
        ? inSeconds(credential.previous_until ?? 0)
        : null,
    current: id === currentId,
    can_rotate: status === 'active' && kind === 'api_key' && credential.family_hash === null,
  }
}

/** A request that was made by somebody: the person, and the credential it carried. */
export interface Authenticated {
  readonly user: User
  readonly credential: CredentialSummary
  readonly scopes: readonly string[]
}

/**
 * Tells who made a request with a Bearer credential; what is told holds no secret, nor a hash of one.
 *
 * @param needed The scopes that it takes, all of them.
 */
export async function authenticate(
  deps: Deps,
  caller: Caller,
  needed: readonly string[],
): Promise<Authenticated | null> {
  const who = await authorize(deps, caller, needed)
  return 'status' in who ? null : summarizeVerified(deps, who)
}

/** Says who it is, without a secret. */
export function summarizeVerified(deps: Deps, { user, credential, scopes }: Verified): Authenticated {
  return { user, credential: summarize(deps, credential, credential.id), scopes }
}

/** Longest list; the ones that ended first are left out. */
const MOST_LISTED = 200

/** A person's credentials: live ones first, newest first. Ended ones are kept for 30 days at most. */
export async function listCredentials(deps: Deps, manager: Pick<Manager, 'user' | 'credentialId'>) {
  const found = await deps.store.listCredentials(manager.user.id, MOST_LISTED, deps.now())
  return found.map((credential) => summarize(deps, credential, manager.credentialId))
}

/** A new or rotated key. */
export interface KeySecret {
  /** Names the key for as long as it lives. */
  readonly id: string
  /** Shown this once. */
  readonly secret: string
  /** Epoch seconds. */
  readonly expires_at: number
}

/** What a person says of a key they want. */
export interface NewKey {
  /** Made visible and cut to 64 characters. */
  readonly name: string
  /** Separated by spaces. Default: none. */
  readonly scope?: string | undefined
  /** Lifetime in seconds, at most `maxKeySeconds`. Default: `keySeconds`. */
  readonly expires_in?: number | undefined
  /** Needed when there are several. */
  readonly tenant?: string | undefined
  /** Names the request: sent twice, it makes one key. */
  readonly id?: string | undefined
}

type KeyParts = { name: string; scope: string; tenant: string | null; seconds: number }

const wrong = (description: string) => ({ status: 'invalid_request', description }) as const

function readNewKey(deps: Deps, manager: Manager, key: NewKey): KeyParts | Refusal {
  const { keySeconds, maxKeySeconds } = deps.config
  const name = cleanLabel(key.name)
  if (!name) return wrong('A key needs a name')
  const scopes = [...new Set(scopeList(key.scope ?? '').filter(Boolean))]
  const possible = keyScopes(deps, manager)
  if (!scopes.every((scope) => possible.includes(scope))) return { status: 'invalid_scope' }
  const seconds = key.expires_in ?? Math.min(keySeconds, maxKeySeconds)
  if (!Number.isInteger(seconds) || seconds < 60 || seconds > maxKeySeconds)
    return wrong(`A key may live from 60 to ${maxKeySeconds} seconds`)
  const tenant = chooseTenant(manager.tenants, key.tenant)
  if (tenant === undefined) return wrong('The organisation must be one of yours')
  return { name, scope: scopes.join(' '), tenant, seconds }
}

/** Why nobody makes or rotates a key from here and now; null when they may. */
async function findObstacle(deps: Deps, caller: Caller, { user, isOld }: Manager): Promise<Refusal | null> {
  return (await refuseNetwork(deps, caller, null, user)) ?? (isOld ? { status: 'login_required' } : null)
}

/** Counts one more secret; says so when there were too many of late. */
async function takeTurn(deps: Deps, caller: Caller, user: User): Promise<Refusal | null> {
  const reached = await takeOrRecord(deps, caller, [keyLimit(deps, user.id)], deps.now(), { user })
  return reached && { status: 'rate_limited', retry_after: reached.retry_after }
}

/** Makes a key by hand. */
export async function createKey(
  deps: Deps,
  caller: Caller,
  manager: Manager,
  key: NewKey,
): Promise<({ readonly status: 'created' } & KeySecret) | Refusal> {
  const parts = readNewKey(deps, manager, key)
  if ('status' in parts) return parts
  const obstacle = await findObstacle(deps, caller, manager)
  if (obstacle) return obstacle
  const { user } = manager
  const refusal = await takeTurn(deps, caller, user)
  if (refusal) return refusal
  const now = deps.now()
  if (!(await isAllowed(deps, user, { ...parts, client_id: null }))) {
    await recordEvent(deps, caller, 'refused', { user, detail: 'not_allowed' })
    return { status: 'not_allowed' }
  }
  await deps.store.upsertUser(user, now)
  const { seconds, ...row } = parts
  const secret = createSecret(deps.random, deps.config.secretPrefix, 'api_key')
  const id = key.id ?? deps.randomId(16)
  const max = mostCredentials(deps, 'api_key')
  const expires_at = now + seconds * 1000
  const life = { created_at: now, expires_at, access_expires_at: null, family_hash: null, refresh_hash: null }
  const origin = { remote_address: caller.remoteAddress, approved_address: caller.remoteAddress }
  const owner = { id, kind: 'api_key', user_id: user.id, grant_id: null, client_id: null } as const
  const hashes = { secret_hash: sha256Hex(secret), hint: secretHint(secret) }
  const result = await deps.store.createKey({ ...owner, ...row, ...hashes, ...origin, ...life }, max)
  if (result === 'taken') return { status: 'conflict', description: 'This key was made before' }
  if (result === 'refused') return { status: 'too_many_credentials', max }
  await recordEvent(deps, caller, 'issued', { user, credential_id: id, detail: 'by hand' })
  return { status: 'created', id, secret, expires_at: inSeconds(expires_at) }
}

const STALE = { status: 'conflict', description: 'The key was rotated meanwhile' } as const

/** Longest time that the old secret of a rotated key may stay good, in seconds: 7 days. */
export const MAX_OVERLAP = 604_800

/**
 * Gives a key a new secret. Its id, name, scopes and end stay.
 *
 * @param request.overlap_seconds How long the old secret stays good: 0, the default, to 604800.
 * @param request.hint What the page showed of the secret to be replaced; another one by now is a `conflict`.
 */
export async function rotateKey(
  deps: Deps,
  caller: Caller,
  manager: Manager,
  request: { id: string; overlap_seconds?: number | undefined; hint?: string | undefined },
): Promise<({ readonly status: 'rotated' } & KeySecret) | { readonly status: 'not_found' } | Refusal> {
  const obstacle = await findObstacle(deps, caller, manager)
  if (obstacle) return obstacle
  const { user, scopes } = manager
  const now = deps.now()
  const credential = await deps.store.findOwnCredential({ id: request.id, user_id: user.id })
  if (!credential || !summarize(deps, credential, null).can_rotate) return { status: 'not_found' }
  if (request.hint !== undefined && request.hint !== credential.hint) return STALE
  // a CLI gets no secret for more than it may itself
  const isOwnTenant = credential.tenant === (manager.tenants[0]?.id ?? null)
  if (scopes && !(isOwnTenant && scopeList(credential.scope).every((scope) => scopes.includes(scope))))
    return { status: 'insufficient_scope' }
  const refusal = await takeTurn(deps, caller, user)
  if (refusal) return refusal
  const secret = createSecret(deps.random, deps.config.secretPrefix, 'api_key')
  const isFirst = await deps.store.rotateCredential({
    id: credential.id,
    user_id: user.id,
    secret_hash: credential.secret_hash,
    new_hash: sha256Hex(secret),
    hint: secretHint(secret),
    previous_until: now + (request.overlap_seconds ?? 0) * 1000,
    now,
  })
  if (!isFirst) return STALE
  const { id, client_id, expires_at } = credential
  await recordEvent(deps, caller, 'rotated', { user, client_id, credential_id: id })
  return { status: 'rotated', id, secret, expires_at: inSeconds(expires_at) }
}

/** The kinds that a list of keys, or of sessions, is about. */
export const KINDS = {
  keys: ['api_key'],
  sessions: ['browser', 'session'],
  all: ['browser', 'session', 'api_key'],
} as const satisfies Record<string, readonly CredentialKind[]>

/**
 * Ends one credential of the manager's own.
 *
 * @param request.report The person says that it was not theirs; that is recorded too.
 */
export async function revokeOwn(
  deps: Deps,
  caller: Caller,
  { user }: Manager,
  request: { id: string; kinds: readonly CredentialKind[]; report?: boolean | undefined },
): Promise<{ readonly status: 'revoked' | 'not_found' }> {
  const credential = await deps.store.findOwnCredential({ id: request.id, user_id: user.id })
  if (!credential || !request.kinds.includes(credential.kind)) return { status: 'not_found' }
  const { id: credential_id, client_id, grant_id } = credential
  if (request.report)
    await recordEvent(deps, caller, 'reported', { user, client_id, grant_id, credential_id })
  const isEnded = await endCredential(deps, caller, { credential, user })
  return { status: isEnded || request.report ? 'revoked' : 'not_found' }
}

/** Ends what a person allowed and no CLI has collected yet: it would outlive the end of everything. */
export async function expireAllowed(deps: Deps, user: User, kinds: readonly CredentialKind[]): Promise<void> {
  for (const flow of ['device', 'pair'] as const)
    if (kinds.includes(KIND[flow])) await deps.store.expireGrants(user.id, flow, deps.now())
}

/**
 * Ends several credentials of a person.
 *
 * @param request.except The one that stays: that of whoever asks.
 */
export async function revokeAll(
  deps: Deps,
  caller: Caller | null,
  user: User,
  request: { kinds: readonly CredentialKind[]; except: string | null },
): Promise<{ readonly status: 'revoked'; readonly count: number }> {
  // first, so that what is collected meanwhile is among those that end; one who is disabled collects nothing
  if (user.disabled_at === null) await expireAllowed(deps, user, request.kinds)
  const now = deps.now()
  const count = await deps.store.revokeCredentials({ user_id: user.id, ...request }, now, now + KEPT)
  const detail = `${count} of ${request.kinds.join(', ')}`
  if (count > 0) await recordEvent(deps, caller, 'revoked', { user, detail })
  return { status: 'revoked', count }
}
