/** Allow and Deny: what a signed-in person is shown, and the one decision that is final. @module */

import { type Client, OFFLINE_SCOPE, SEED_CLIENT } from '../config.ts'
import { sameNetwork } from '../core/address.ts'
import { type Grant, grantState } from '../core/grant.ts'
import { callbackUrl, LOOPBACK_SECONDS } from '../core/loopback.ts'
import { sameMatchCode } from '../core/match_code.ts'
import type { DecideOutcome, Refusal, ReviewDetails, ReviewError } from '../core/outcome.ts'
import { formatUserCode, normalizeUserCode } from '../core/user_code.ts'
import { paircodeHash, sha256Hex, sign } from '../hash.ts'
import type { Decision, User } from '../store.ts'
import { chooseTenant, isAllowed, KIND, loginSeconds, mostCredentials, refuseNetwork } from './access.ts'
import { isSignInOld, type Viewer } from './browser.ts'
import { scopeList } from './credentials.ts'
import type { Caller, Deps } from './deps.ts'
import { recordEvent } from './events.ts'
import {
  guessingLimit,
  recordGuessing,
  releaseLimits,
  releasePending,
  takeLimits,
  takeOrRecord,
  wrongCodeLimits,
} from './limits.ts'

/** What names a request on the person's side: the code they typed, or the paircode of their link. */
export type GrantReference =
  | { readonly flow: 'device'; readonly user_code: string }
  | { readonly flow: 'pair'; readonly paircode: string }

async function wrongCode(deps: Deps, caller: Caller, user: User): Promise<void> {
  await recordEvent(deps, caller, 'wrong_code', { user })
  if (await takeLimits(deps, [guessingLimit(deps)], deps.now())) await recordGuessing(deps, caller)
}

/**
 * Judges a code that a person typed. The try is counted first, so that guesses side by side count too; a right one is
 * given back.
 *
 * @returns What `judge` found, or null when the code was wrong.
 */
async function judgeCode<T>(
  deps: Deps,
  caller: Caller,
  user: User,
  judge: () => T | null | Promise<T | null>,
): Promise<T | null | Refusal> {
  const limits = wrongCodeLimits(deps, user.id, caller.remoteAddress)
  const now = deps.now()
  const reached = await takeOrRecord(deps, caller, limits, now, { user })
  if (reached) return { status: 'rate_limited', retry_after: reached.retry_after }
  const found = await judge()
  if (found === null) await wrongCode(deps, caller, user)
  // nobody waits for it
  else deps.defer(releaseLimits(deps, limits, now))
  return found
}

async function findPending(
  deps: Deps,
  caller: Caller,
  user: User,
  reference: GrantReference,
): Promise<Grant | ReviewError | Refusal> {
  if (user.disabled_at !== null) return { status: 'user_disabled' }
  let found: Grant | Refusal | null
  if (reference.flow === 'device') {
    const userCode = normalizeUserCode(reference.user_code)
    const lookUp = () => (userCode ? deps.store.findGrant({ user_code: userCode }) : null)
    found = await judgeCode(deps, caller, user, lookUp)
  } else {
    const hash = paircodeHash(reference.paircode)
    found = hash ? await deps.store.findGrant({ secret_hash: hash }) : null
  }
  if (!found || ('flow' in found && found.flow !== reference.flow)) return { status: 'not_found' }
  if (!('flow' in found)) return found
  const state = grantState(found, deps.now())
  if (state === 'pending') return found
  const decided = alreadyDecided(found, user)
  // by loopback an answer is good for a minute only: who gave it is told of the answer, not of its end
  return state === 'expired' && !decided.your_decision ? { status: 'expired' } : decided
}

function alreadyDecided(grant: Grant, user: User): Extract<ReviewError, { status: 'already_decided' }> {
  const isYours = grant.user_id === user.id && grant.status !== 'pending'
  return { status: 'already_decided', your_decision: isYours ? grant.status : null }
}

function codeOf(grant: Grant): string {
  return grant.user_code ? formatUserCode(grant.user_code) : (grant.match_code ?? '')
}

/** Why a person may not allow anything of this client now, whatever they would choose; null when they may. */
async function findObstacle(
  deps: Deps,
  caller: Caller,
  viewer: Viewer,
  client: Client,
  flow: Grant['flow'],
): Promise<Refusal | null> {
  const { user } = viewer
  const refusal = await refuseNetwork(deps, caller, client, user)
  if (refusal) return refusal
  if (isSignInOld(deps, viewer)) return { status: 'login_required' }
  const max = mostCredentials(deps, KIND[flow])
  const count = await deps.store.countCredentials(user.id, KIND[flow], deps.now())
  return count < max ? null : { status: 'too_many_credentials', max }
}

/** Lifetime of the login, whichever of its scopes the person leaves out: without `offline_access` it may be longer. */
function longestLogin(deps: Deps, client: Client, { flow, scope }: Grant): number {
  const others = scopeList(scope).filter((token) => token !== OFFLINE_SCOPE)
  // at least one scope stays
  const choices = others.length > 0 ? [scope, others.join(' ')] : [scope]
  return Math.max(...choices.map((one) => loginSeconds(deps, flow, client, one)))
}

/** Shows a request to the person who may decide it. Only wrong codes leave a trace. */
export async function reviewGrant(
  deps: Deps,
  caller: Caller,
  viewer: Viewer | null,
  reference: GrantReference,
): Promise<ReviewDetails | ReviewError | Refusal> {
  if (!viewer) return { status: 'not_signed_in' }
  const grant = await findPending(deps, caller, viewer.user, reference)
  if (!('flow' in grant)) return grant
  const client = deps.config.clients.get(grant.client_id)
  if (!client) return { status: 'not_found' }
  const obstacle = await findObstacle(deps, caller, viewer, client, grant.flow)
  if (obstacle) return obstacle
  const codeRequired = needsTypedCode(grant, caller)
  return {
    status: 'pending',
    flow: grant.flow,
    client_id: grant.client_id,
    client_name: client.name,
    device_name: grant.device_name,
    remote_address: grant.remote_address,
    started_at: Math.floor(grant.created_at / 1000),
    expires_in: Math.ceil((grant.expires_at - deps.now()) / 1000),
    scope: grant.scope,
    tenants: viewer.tenants,
    lifetime: longestLogin(deps, client, grant),
    code: codeRequired ? null : codeOf(grant),
    code_in_terminal: hasCodeInTerminal(grant),
    code_required: codeRequired,
    loopback_port: grant.loopback_port,
  }
}

/** The first seed's client shows no code in the terminal, so nobody could compare or type it. */
function hasCodeInTerminal(grant: Grant): boolean {
  return grant.flow === 'device' || grant.client_id !== SEED_CLIENT
}

function needsTypedCode(grant: Grant, caller: Caller): boolean {
  // by loopback the credential goes to the machine of whoever allows it, wherever the request came from
  return (
    grant.loopback_port === null &&
    hasCodeInTerminal(grant) &&
    !sameNetwork(grant.remote_address, caller.remoteAddress)
  )
}

function codeFits(grant: Grant, typed: string): boolean {
  return grant.user_code
    ? normalizeUserCode(typed) === grant.user_code
    : sameMatchCode(typed, grant.match_code ?? '')
}

/** Checks the code that has to be typed when networks differ; null when it is right, or none is needed. */
async function checkTypedCode(
  deps: Deps,
  caller: Caller,
  user: User,
  grant: Grant,
  typed: string | undefined,
): Promise<{ status: 'wrong_code' } | Refusal | null> {
  if (!needsTypedCode(grant, caller)) return null
  if (!typed) return { status: 'wrong_code' }
  const judged = await judgeCode(deps, caller, user, () => (codeFits(grant, typed) ? grant : null))
  if (judged === null) return { status: 'wrong_code' }
  return 'flow' in judged ? null : judged
}

/** What a person says with Allow or Deny. */
export interface Choice {
  readonly status: 'approved' | 'denied'
  /** What they read in the terminal; needed to allow when networks differ. */
  readonly code?: string | undefined
  /** What of the requested scope they grant, separated by spaces. Default: all of it. */
  readonly scope?: string | undefined
  /** The organisation they chose; needed to allow when there are several. */
  readonly tenant?: string | undefined
}

type Granted = { readonly scope: string; readonly tenant: string | null }

/** What is left of the scope, for which tenant; or why that cannot be. */
function readChoice(
  grant: Grant,
  { tenants }: Viewer,
  choice: Choice,
): Granted | { status: 'tenant_required' | 'scope_required' } {
  const asked = scopeList(grant.scope)
  const kept = choice.scope === undefined ? asked : scopeList(choice.scope)
  const isPart = kept.every((token) => asked.includes(token)) && (kept.length > 0 || asked.length === 0)
  if (!isPart) return { status: 'scope_required' }
  const tenant = chooseTenant(tenants, choice.tenant)
  if (tenant === undefined) return { status: 'tenant_required' }
  return { scope: asked.filter((token) => kept.includes(token)).join(' '), tenant }
}

/** Checks all that stands between a person and Allow, and what they chose. */
async function checkApproval(
  deps: Deps,
  caller: Caller,
  viewer: Viewer,
  grant: Grant,
  choice: Choice,
): Promise<Granted | DecideOutcome | Refusal> {
  const { user } = viewer
  const client = deps.config.clients.get(grant.client_id)
  if (!client) return { status: 'not_found' }
  const obstacle =
    (await findObstacle(deps, caller, viewer, client, grant.flow)) ??
    (await checkTypedCode(deps, caller, user, grant, choice.code))
  if (obstacle) return obstacle
  const granted = readChoice(grant, viewer, choice)
  if ('status' in granted) return granted
  const { client_id } = grant
  if (await isAllowed(deps, user, { client_id, ...granted })) return granted
  await recordEvent(deps, caller, 'refused', { user, client_id, grant_id: grant.id, detail: 'not_allowed' })
  return { status: 'not_allowed' }
}

/** The code that the browser of a person who allows a login brings: signed, so that it can be made again. */
const loopbackCodes = ({ config }: Deps, { id }: Grant) =>
  config.secrets.map((secret) => sign(secret, 'loopback', [id]))

/** A second click on the same button cuts the first redirect off: the browser is sent to the CLI once more. */
async function repeatDecision(
  deps: Deps,
  decided: ReviewError | Refusal,
  reference: GrantReference,
  { status }: Choice,
): Promise<DecideOutcome | Refusal> {
  const isYours = 'your_decision' in decided && decided.your_decision !== null
  if (reference.flow !== 'pair' || !isYours) return decided
  const grant = await deps.store.findGrant({ secret_hash: paircodeHash(reference.paircode) ?? '' })
  if (!grant || grantState(grant, deps.now()) !== status) return decided
  const code = loopbackCodes(deps, grant).find((one) => sha256Hex(one) === grant.code_hash) ?? null
  const isSame = (code === null) === (status === 'denied')
  const redirect_to = isSame && callbackUrl(grant, { code, iss: deps.config.baseUrl })
  return redirect_to ? { status, redirect_to } : decided
}

/** What makes the browser go to a CLI that listens: what is stored of a decision, and where the browser goes. */
function createCallback(deps: Deps, grant: Grant, { status, now }: Pick<Decision, 'status' | 'now'>) {
  const { loopback_port, expires_at } = grant
  const code =
    loopback_port !== null && status === 'approved' ? (loopbackCodes(deps, grant)[0] ?? null) : null
  const end = code ? Math.min(expires_at, now + LOOPBACK_SECONDS * 1000) : expires_at
  return {
    stored: { code_hash: code && sha256Hex(code), expires_at: end },
    redirect_to: callbackUrl(grant, { code, iss: deps.config.baseUrl }),
  }
}

/** Records the person's decision. The first one is final. Denying is always possible. */
export async function decideGrant(
  deps: Deps,
  caller: Caller,
  viewer: Viewer | null,
  reference: GrantReference,
  choice: Choice,
): Promise<DecideOutcome | Refusal> {
  if (!viewer) return { status: 'not_signed_in' }
  const { user } = viewer
  const grant = await findPending(deps, caller, user, reference)
  if (!('flow' in grant)) return await repeatDecision(deps, grant, reference, choice)
  const { status } = choice
  const granted =
    status === 'approved'
      ? await checkApproval(deps, caller, viewer, grant, choice)
      : { scope: grant.scope, tenant: null }
  if ('status' in granted) return granted
  const now = deps.now()
  if (!viewer.isStored) await deps.store.upsertUser(user, now)
  const decision = { status, now, user_id: user.id, decided_address: caller.remoteAddress }
  const { stored, redirect_to } = createCallback(deps, grant, decision)
  if (!(await deps.store.decideGrant({ grant_id: grant.id, ...decision, ...granted, ...stored }))) {
    if (grant.expires_at <= now) return { status: 'expired' }
    const decided = alreadyDecided((await deps.store.findGrant({ id: grant.id })) ?? grant, user)
    return await repeatDecision(deps, decided, reference, choice)
  }
  deps.held.release(grant.id)
  await Promise.all([
    recordEvent(deps, caller, status, { user, client_id: grant.client_id, grant_id: grant.id }),
    releasePending(deps, grant),
  ])
  return { status, ...(redirect_to && { redirect_to }) }
}
