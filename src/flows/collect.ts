/** Collecting a credential: the poll of both flows, from the shown secret to the one answer that carries a token. @module */

import { decidePoll, type Flow, type Grant } from '../core/grant.ts'
import type { Refusal, TokenOutcome } from '../core/outcome.ts'
import { type CredentialKind, createSecret, secretHint } from '../core/secret.ts'
import { formatUserCode } from '../core/user_code.ts'
import { base64url, sha256Hex } from '../hash.ts'
import type { Client } from '../options.ts'
import type { Caller, Deps } from './deps.ts'
import { recordEvent } from './events.ts'
import { findClient } from './start.ts'

/** What each flow ends in. */
const KIND = { device: 'api_key', pair: 'session' } as const satisfies Record<Flow, CredentialKind>

/** Lifetime of the credential that a flow ends in, for a client; seconds. */
export function credentialSeconds(deps: Deps, flow: Flow, client: Client): number {
  return flow === 'device' ? client.keySeconds : deps.config.sessionSeconds
}

function credentialName(grant: Grant, client: Client): string {
  const name = grant.device_name ?? client.keyName
  return grant.user_code ? `${name} (${formatUserCode(grant.user_code)})` : name
}

async function refuseReplay(deps: Deps, caller: Caller, grant: Grant): Promise<TokenOutcome> {
  const { id: grant_id, client_id, user_id } = grant
  await recordEvent(deps, caller, 'replayed', { grant_id, client_id, user_id })
  return { status: 'invalid_grant' }
}

async function issue(deps: Deps, caller: Caller, grant: Grant, client: Client): Promise<TokenOutcome> {
  const now = deps.now()
  const seconds = credentialSeconds(deps, grant.flow, client)
  const secret = createSecret(deps.random, KIND[grant.flow])
  const id = base64url(deps.random(16))
  const result = await deps.store.issueCredential({
    credential: {
      id,
      kind: KIND[grant.flow],
      secret_hash: sha256Hex(secret),
      hint: secretHint(secret),
      name: credentialName(grant, client),
      remote_address: caller.remoteAddress,
      expires_at: now + seconds * 1000,
    },
    secret_hash: grant.secret_hash,
    client_id: client.id,
    flow: grant.flow,
    now,
  })
  if (result === 'already_issued') return await refuseReplay(deps, caller, grant)
  // the guard did not hold although the grant is approved: it expired this instant, or its user was disabled
  if (result === 'refused') return { status: grant.expires_at > now ? 'access_denied' : 'expired_token' }
  const about = { user_id: grant.user_id, client_id: client.id, grant_id: grant.id, credential_id: id }
  await recordEvent(deps, caller, 'issued', about)
  const scope = grant.scope ? { scope: grant.scope } : {}
  return { status: 'issued', access_token: secret, token_type: 'Bearer', expires_in: seconds, ...scope }
}

/**
 * Answers one poll. A pending one costs a single SELECT: its pace is kept in memory, and only a violation is written.
 *
 * @param poll.secret What the CLI alone knows: its device code or its verifier.
 */
export async function collect(
  deps: Deps,
  caller: Caller,
  poll: { flow: Flow; client_id: string; secret: string },
): Promise<TokenOutcome | Refusal> {
  const client = findClient(deps, poll.flow, poll.client_id)
  if ('status' in client) return client
  const grant = await deps.store.findGrant({ secret_hash: sha256Hex(poll.secret) })
  if (!grant) return { status: 'invalid_grant' }
  const now = deps.now()
  const last = deps.recent.last(grant.id)
  const decision = decidePoll(grant, { flow: poll.flow, client_id: client.id, now, last })
  switch (decision.status) {
    case 'issue':
      return await issue(deps, caller, grant, client)
    case 'slow_down':
      deps.recent.note(grant.id, now)
      await deps.store.slowDown(grant.id, decision.interval)
      return decision
    case 'authorization_pending':
      deps.recent.note(grant.id, now)
      return decision
    case 'invalid_grant':
      return grant.credential_id && grant.client_id === client.id
        ? await refuseReplay(deps, caller, grant)
        : { status: 'invalid_grant' }
    default:
      return { status: decision.status }
  }
}
