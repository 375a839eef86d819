/**
 * What the two seed systems' own clients speak, only under `seedCompat`. The first seed's client shows its secret in
 * a URL; here the link that the person opens still holds only its hash, nothing completes without Allow, and the
 * cookie that the client keeps is read at `/secured` and nowhere else.
 *
 * @module
 */

import { SEED_CLIENT } from '../config.ts'
import { requestSite } from '../core/same_origin.ts'
import { decideGrant } from '../flows/approval.ts'
import { findViewer } from '../flows/browser.ts'
import { collect } from '../flows/collect.ts'
import { getCookie, setCookie } from '../flows/cookies.ts'
import { type Verified, verifySecret } from '../flows/credentials.ts'
import type { Caller, Deps } from '../flows/deps.ts'
import { startPair } from '../flows/paircode.ts'
import { s256 } from '../hash.ts'
import { type AppContext, type Handler, readForm, readQuery } from './route.ts'

/** The seed's client waits 180 s and polls each second. */
const SEED_TIMES = { seconds: 180, interval: 1 }

function readPaircode(c: AppContext): string | null {
  const query = readQuery(c.req.raw)
  const paircode = typeof query === 'string' ? undefined : query.get('paircode')
  return paircode && /^[A-Za-z0-9_-]{22}$/.test(paircode) ? paircode : null
}

function deprecated(c: AppContext): void {
  c.header('Deprecation', 'true')
}

/** `GET /cli_login?paircode=P`: answers the bare login URL. */
export function seedCliLogin(deps: Deps): Handler {
  return async (c) => {
    deprecated(c)
    const verifier = readPaircode(c)
    if (!verifier) return c.text('paircode must be 22 base64url characters', 400)
    const start = { client_id: SEED_CLIENT, paircode: s256(verifier) }
    const started = await startPair(deps, c.env.caller, start, SEED_TIMES)
    if (!('status' in started)) return c.text(started.login_url)
    if (started.status === 'conflict') return c.text('This paircode was used before', 409)
    if (!('retry_after' in started)) return c.text('This login may not be started', 403)
    c.header('Retry-After', String(started.retry_after))
    return c.text('Too many requests', started.status === 'overloaded' ? 503 : 429)
  }
}

/** `GET /token?paircode=P`: empty while pending; once, the user's id with a session cookie. */
export function seedToken(deps: Deps): Handler {
  return async (c) => {
    deprecated(c)
    const verifier = readPaircode(c)
    if (!verifier) return c.text('paircode must be 22 base64url characters', 400)
    const outcome = await collect(deps, c.env.caller, {
      flow: 'pair',
      client_id: SEED_CLIENT,
      secret: verifier,
    })
    switch (outcome.status) {
      case 'authorization_pending':
      case 'slow_down':
        return c.text('')
      case 'issued': {
        const who = await verifySecret(deps, c.env.caller, outcome.access_token, ['session'])
        c.header('Set-Cookie', setCookie(deps, 'seed', outcome.access_token, outcome.expires_in))
        return c.text(who?.user.subject ?? '')
      }
      default:
        return c.text(outcome.status, 400)
    }
  }
}

/** `POST /oauth/device/verify-authenticated`: the second seed's frontend allows a device. */
export function seedVerifyAuthenticated(deps: Deps): Handler {
  return async (c) => {
    deprecated(c)
    if (requestSite(c.req.raw.headers, deps.config.origin) === 'foreign')
      return c.json({ detail: 'Cross-origin request' }, 403)
    const form = readForm(c)
    const userCode = typeof form === 'string' ? undefined : form.get('user_code')
    const viewer = await findViewer(deps, c.env.caller)
    if (!viewer) return c.json({ detail: 'Authentication required' }, 401)
    if (!userCode) return c.json({ detail: 'The parameter user_code is missing' }, 400)
    const reference = { flow: 'device', user_code: userCode } as const
    const outcome = await decideGrant(deps, c.env.caller, viewer, reference, {
      status: 'approved',
      code: userCode,
    })
    switch (outcome.status) {
      case 'approved':
        return c.json({ message: 'Device authorized successfully!' })
      case 'already_decided':
        return c.json({ detail: 'This device code has already been processed.' }, 400)
      case 'rate_limited':
        return c.json({ detail: 'Too many wrong codes' }, 429)
      case 'user_disabled':
        return c.json({ detail: 'This account is disabled' }, 403)
      case 'login_required':
        return c.json({ detail: 'Authentication required' }, 401)
      case 'not_allowed':
      case 'untrusted_network':
      case 'too_many_credentials':
        return c.json({ detail: 'This device may not be authorized' }, 403)
      default:
        return c.json({ detail: 'The device code is invalid or has expired.' }, 400)
    }
  }
}

/** Who the first seed's cookie belongs to. */
export async function findSeedSession(deps: Deps, caller: Caller): Promise<Verified | null> {
  const cookie = deps.config.seedCompat ? getCookie(deps, caller.request, 'seed') : null
  return cookie ? await verifySecret(deps, caller, cookie, ['session']) : null
}
