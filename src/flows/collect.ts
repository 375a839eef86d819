/** Collecting a credential: the poll of both flows, from the shown secret to the one answer that carries a token. @module */

import type { Client } from '../config.ts'
import { decidePoll, type Flow, type Grant } from '../core/grant.ts'
import type { Refusal, TokenOutcome, TokenResponse } from '../core/outcome.ts'
import { createFamily, createRefreshToken, createSecret, secretHint } from '../core/secret.ts'
import { formatUserCode } from '../core/user_code.ts'
import { sha256Hex } from '../hash.ts'
import { isAllowed, isRefreshable, KIND, loginSeconds, mostCredentials } from './access.ts'
import type { Caller, Deps } from './deps.ts'
import { recordEvent } from './events.ts'
import type { Wait } from './held.ts'
import { recordSometimes } from './limits.ts'
import { findClient } from './start.ts'

function credentialName(grant: Grant, client: Client): string {
  const name = grant.device_name ?? client.keyName
  return grant.user_code ? `${name} (${formatUserCode(grant.user_code)})` : name
}

async function refuseReplay(deps: Deps, caller: Caller, grant: Grant): Promise<TokenOutcome> {
  const { id: grant_id, client_id, user_id } = grant
  await recordEvent(deps, caller, 'replayed', { grant_id, client_id, user_id })
  return { status: 'invalid_grant' }
}

/** Records why an approved grant brings no credential, and says it as RFC 8628 section 3.5 does. */
async function refuse(deps: Deps, caller: Caller, grant: Grant, detail: string): Promise<TokenOutcome> {
  const { id: grant_id, client_id, user_id } = grant
  const key = `refused ${detail} ${grant_id}`
  await recordSometimes(deps, caller, 'refused', { grant_id, client_id, user_id, detail }, key)
  return { status: 'access_denied' }
}

/** Finds out why the statement's guard did not hold although the grant was approved. */
async function explainRefusal(deps: Deps, caller: Caller, grant: Grant, now: number): Promise<TokenOutcome> {
  if (grant.expires_at <= now) return { status: 'expired_token' }
  const user = await deps.store.findUser(grant.user_id ?? '')
  const isDisabled = user?.disabled_at != null
  return await refuse(deps, caller, grant, isDisabled ? 'user_disabled' : 'too_many_credentials')
}

/** The secrets of a new login, and what is stored of them. */
function createTokens(
  deps: Deps,
  kind: 'session' | 'api_key',
  { now, expiresAt, refreshable }: { now: number; expiresAt: number; refreshable: boolean },
) {
  const { random, config } = deps
  const access = createSecret(random, config.secretPrefix, kind)
  const stored = { secret_hash: sha256Hex(access), hint: secretHint(access), expires_at: expiresAt }
  const none = { access_expires_at: null, family_hash: null, refresh_hash: null }
  if (!refreshable) return { access, refresh: null, stored: { ...stored, ...none } }
  const family = createFamily(random)
  const refresh = createRefreshToken(random, config.secretPrefix, family)
  const access_expires_at = Math.min(expiresAt, now + config.accessSeconds * 1000)
  const hashes = { family_hash: sha256Hex(family), refresh_hash: sha256Hex(refresh) }
  return { access, refresh, stored: { ...stored, ...hashes, access_expires_at } }
}

async function issue(
  deps: Deps,
  caller: Caller,
  grant: Grant,
  { client, code_hash }: { client: Client; code_hash: string | null },
): Promise<TokenOutcome> {
  const now = deps.now()
  if (deps.config.isAllowed) {
    const user = await deps.store.findUser(grant.user_id ?? '')
    if (!user || !(await isAllowed(deps, user, grant)))
      return await refuse(deps, caller, grant, 'not_allowed')
  }
  const kind = KIND[grant.flow]
  const expiresAt = now + loginSeconds(deps, grant.flow, client, grant.scope) * 1000
  const { access, refresh, stored } = createTokens(deps, kind, {
    now,
    expiresAt,
    refreshable: isRefreshable(client, grant.scope),
  })
  const id = deps.randomId(16)
  const result = await deps.store.issueCredential({
    credential: {
      ...stored,
      id,
      kind,
      name: credentialName(grant, client),
      remote_address: caller.remoteAddress,
    },
    secret_hash: grant.secret_hash,
    code_hash,
    client_id: client.id,
    flow: grant.flow,
    max: mostCredentials(deps, kind),
    now,
  })
  if (result === 'already_issued') return await refuseReplay(deps, caller, grant)
  if (result === 'refused') return await explainRefusal(deps, caller, grant, now)
  const about = { user_id: grant.user_id, client_id: client.id, grant_id: grant.id, credential_id: id }
  await recordEvent(deps, caller, 'issued', about)
  const end = stored.access_expires_at ?? expiresAt
  return tokenResponse({ access, refresh, scope: grant.scope, seconds: Math.floor((end - now) / 1000) })
}

/** A credential as the token endpoints answer it (RFC 6749 section 5.1). */
export function tokenResponse(tokens: {
  access: string
  refresh: string | null
  scope: string
  seconds: number
}): TokenResponse {
  return {
    status: 'issued',
    access_token: tokens.access,
    token_type: 'Bearer',
    expires_in: tokens.seconds,
    ...(tokens.refresh !== null && { refresh_token: tokens.refresh }),
    ...(tokens.scope && { scope: tokens.scope }),
  }
}

/** A poll, as it came. */
export interface PollRequest {
  readonly flow: Flow
  readonly client_id: string
  /** What the CLI alone knows: its device code or its verifier. */
  readonly secret: string
  /** What the browser brought it; only by `loopback`. */
  readonly code?: string | undefined
  /** How long it would wait for a decision. Default: not at all. */
  readonly wait?: Wait | undefined
}

/** A poll whose client is known. */
interface CheckedPoll {
  readonly flow: Flow
  readonly client: Client
  readonly secret_hash: string
  readonly code_hash: string | null
}

/** What a poll finds now: its grant, and what is to be answered. */
async function judge(
  deps: Deps,
  caller: Caller,
  { flow, client, secret_hash, code_hash }: CheckedPoll,
  isHeld: boolean,
): Promise<{ readonly grant: Grant | null; readonly outcome: TokenOutcome }> {
  const grant = await deps.store.findGrant({ secret_hash })
  if (!grant) return { grant, outcome: { status: 'invalid_grant' } }
  const now = deps.now()
  // one that was held has been counted when it came; while it is, every other one is too fast
  const last = isHeld ? undefined : deps.held.has(grant.id) ? now : deps.recent.last(grant.id)
  const decision = decidePoll(grant, { flow, client_id: client.id, code_hash, now, last })
  switch (decision.status) {
    case 'issue':
      return { grant, outcome: await issue(deps, caller, grant, { client, code_hash }) }
    case 'slow_down':
      deps.recent.note(grant.id, now)
      await deps.store.slowDown(grant.id, decision.interval)
      return { grant, outcome: decision }
    case 'authorization_pending':
      if (!isHeld) deps.recent.note(grant.id, now)
      return { grant, outcome: decision }
    case 'invalid_grant': {
      const isReplay = grant.credential_id !== null && grant.client_id === client.id
      // by loopback the same CLI may have collected it by another poll, with the code, while this one was held
      const isOwn = isHeld && grant.loopback_port !== null
      const outcome: TokenOutcome =
        isReplay && !isOwn ? await refuseReplay(deps, caller, grant) : { status: 'invalid_grant' }
      return { grant, outcome }
    }
    default:
      return { grant, outcome: { status: decision.status } }
  }
}

/**
 * Answers one poll. A pending one costs a single SELECT: its pace is kept in memory, and only a violation is written.
 * One that would wait is answered when somebody decides, or in the end: that takes another SELECT.
 */
export async function collect(
  deps: Deps,
  caller: Caller,
  { flow, client_id, secret, code, wait }: PollRequest,
): Promise<TokenOutcome | Refusal> {
  const client = findClient(deps, flow, client_id)
  if ('status' in client) return client
  const code_hash = code === undefined ? null : sha256Hex(code)
  const poll: CheckedPoll = { flow, client, secret_hash: sha256Hex(secret), code_hash }
  const { grant, outcome } = await judge(deps, caller, poll, false)
  if (!wait || !grant || outcome.status !== 'authorization_pending') return outcome
  const held = deps.held.hold(grant.id, grant.expires_at, caller.remoteAddress, wait)
  if (!held) return outcome
  try {
    // nobody would get what is issued to a connection that is gone
    return (await held.released) ? (await judge(deps, caller, poll, true)).outcome : outcome
  } finally {
    held.end()
  }
}
