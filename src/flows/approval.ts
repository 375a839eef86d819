/** Allow and Deny: what a signed-in person is shown, and the one decision that is final. @module */

import { sameNetwork } from '../core/address.ts'
import { type Grant, grantState } from '../core/grant.ts'
import { sameMatchCode } from '../core/match_code.ts'
import type { DecideOutcome, Refusal, ReviewDetails, ReviewError } from '../core/outcome.ts'
import { formatUserCode, normalizeUserCode } from '../core/user_code.ts'
import { paircodeHash } from '../hash.ts'
import { SEED_CLIENT } from '../options.ts'
import type { User } from '../store.ts'
import { credentialSeconds } from './collect.ts'
import type { Caller, Deps } from './deps.ts'
import { recordEvent } from './events.ts'
import {
  guessingLimit,
  recordLimitHit,
  releaseLimits,
  releasePending,
  retryAfter,
  takeLimits,
  wrongCodeLimits,
} from './limits.ts'

/** What names a request on the person's side: the code they typed, or the paircode of their link. */
export type GrantReference =
  | { readonly flow: 'device'; readonly user_code: string }
  | { readonly flow: 'pair'; readonly paircode: string }

async function wrongCode(deps: Deps, caller: Caller, user: User): Promise<void> {
  await recordEvent(deps, caller, 'wrong_code', { user })
  const guessing = guessingLimit(deps)
  if (await takeLimits(deps, [guessing], deps.now()))
    await recordEvent(deps, caller, 'guessing', { detail: guessing.key })
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
  const reached = await takeLimits(deps, limits, now)
  if (reached) {
    await recordLimitHit(deps, caller, reached, { user })
    return { status: 'rate_limited', retry_after: retryAfter(reached) }
  }
  const found = await judge()
  if (found === null) await wrongCode(deps, caller, user)
  else await releaseLimits(deps, limits, now)
  return found
}

async function findPending(
  deps: Deps,
  caller: Caller,
  user: User | null,
  reference: GrantReference,
): Promise<Grant | ReviewError | Refusal> {
  if (!user) return { status: 'not_signed_in' }
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
  return state === 'expired' ? { status: 'expired' } : alreadyDecided(found, user)
}

function alreadyDecided(grant: Grant, user: User): ReviewError {
  const isYours = grant.user_id === user.id && grant.status !== 'pending'
  return { status: 'already_decided', your_decision: isYours ? grant.status : null }
}

function codeOf(grant: Grant): string {
  return grant.user_code ? formatUserCode(grant.user_code) : (grant.match_code ?? '')
}

/** Shows a request to the person who may decide it. Only wrong codes leave a trace. */
export async function reviewGrant(
  deps: Deps,
  caller: Caller,
  user: User | null,
  reference: GrantReference,
): Promise<ReviewDetails | ReviewError | Refusal> {
  const grant = await findPending(deps, caller, user, reference)
  if (!('flow' in grant)) return grant
  const client = deps.config.clients.get(grant.client_id)
  if (!client) return { status: 'not_found' }
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
    lifetime: credentialSeconds(deps, grant.flow, client),
    code: codeRequired ? null : codeOf(grant),
    code_in_terminal: hasCodeInTerminal(grant),
    code_required: codeRequired,
  }
}

/** The first seed's client shows no code in the terminal, so nobody could compare or type it. */
function hasCodeInTerminal(grant: Grant): boolean {
  return grant.flow === 'device' || grant.client_id !== SEED_CLIENT
}

function needsTypedCode(grant: Grant, caller: Caller): boolean {
  return hasCodeInTerminal(grant) && !sameNetwork(grant.remote_address, caller.remoteAddress)
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

/**
 * Records the person's decision. The first one is final.
 *
 * @param decision.code What the person read in the terminal; needed to allow when networks differ.
 */
export async function decideGrant(
  deps: Deps,
  caller: Caller,
  user: User | null,
  reference: GrantReference,
  decision: { status: 'approved' | 'denied'; code?: string | undefined },
): Promise<DecideOutcome | Refusal> {
  const grant = await findPending(deps, caller, user, reference)
  if (!('flow' in grant)) return grant
  if (!user) return { status: 'not_signed_in' }
  const { status, code } = decision
  const wrong = status === 'approved' ? await checkTypedCode(deps, caller, user, grant, code) : null
  if (wrong) return wrong
  const now = deps.now()
  await deps.store.upsertUser(user, now)
  if (!(await deps.store.decideGrant({ grant_id: grant.id, status, user_id: user.id, now }))) {
    if (grant.expires_at <= now) return { status: 'expired' }
    return alreadyDecided((await deps.store.findGrant({ id: grant.id })) ?? grant, user)
  }
  await recordEvent(deps, caller, status, { user, client_id: grant.client_id, grant_id: grant.id })
  await releasePending(deps, grant)
  return { status }
}
