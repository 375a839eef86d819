/** The OAuth form endpoints and their words on the wire (RFC 6749, 8628, 7009, 8414). @module */

import { SEED_CLIENT } from '../config.ts'
import type { Params } from '../core/form.ts'
import { parsePort } from '../core/loopback.ts'
import type { Refusal, TokenError, TokenOutcome } from '../core/outcome.ts'
import { readWait } from '../core/prefer.ts'
import { findViewer } from '../flows/browser.ts'
import {
  authenticateBearer,
  bearerChallenge,
  bearerToken,
  describe,
  revokeToken,
} from '../flows/credentials.ts'
import type { Deps } from '../flows/deps.ts'
import { authorizeDevice, type DeviceAuthorizationResponse, redeemDeviceCode } from '../flows/device.ts'
import type { Wait } from '../flows/held.ts'
import { introspect, isResourceServer } from '../flows/introspection.ts'
import { type PairStartResponse, redeemVerifier, startPair } from '../flows/paircode.ts'
import { refreshLogin } from '../flows/refresh.ts'
import { DEVICE_GRANT, JWKS_PATH, jwks, metadata, REFRESH_GRANT, WELL_KNOWN } from './metadata.ts'
import { type Answer, json, Reply } from './reply.ts'
import {
  type AppContext,
  type Handler,
  type Methods,
  type Mount,
  mediaType,
  readForm,
  route,
} from './route.ts'
import { findSeedSession, seedCliLogin, seedToken, seedVerifyAuthenticated } from './seeds.ts'

interface OAuthError {
  readonly http: number
  readonly error: string
  readonly error_description: string
  readonly interval?: number
  readonly retry_after?: number
}

/** The RFCs' words for each outcome that is not a success: the one place where they are chosen. */
function toOAuthError(outcome: TokenError | Refusal): OAuthError {
  const error = (code: string, text: string, http: number = 400) => ({
    http,
    error: code,
    error_description: text,
  })
  switch (outcome.status) {
    case 'authorization_pending':
      return { ...error(outcome.status, 'The person has not decided yet'), interval: outcome.interval }
    case 'slow_down':
      return {
        ...error(outcome.status, `Polled too fast, wait ${outcome.interval} s between polls`),
        interval: outcome.interval,
      }
    case 'access_denied':
      return error(outcome.status, 'The request was denied')
    case 'expired_token':
      return error(outcome.status, 'The request has expired, start a new one')
    case 'invalid_grant':
      return error(
        outcome.status,
        'The code or refresh token is unknown, of another client, used before, or over',
      )
    case 'invalid_request':
      return error(outcome.status, outcome.description)
    case 'invalid_client':
      return error(outcome.status, 'The client_id is not registered here')
    case 'unauthorized_client':
      return error(outcome.status, 'This client may not use this flow')
    case 'invalid_scope':
      return error(
        outcome.status,
        'A scope is not registered for this client, or was not granted to this login',
      )
    case 'conflict':
      return error('invalid_request', outcome.description, 409)
    case 'rate_limited':
      return {
        ...error('temporarily_unavailable', 'Too many requests from this address', 429),
        retry_after: outcome.retry_after,
      }
    case 'overloaded':
      return {
        ...error('temporarily_unavailable', 'Too many logins are waiting', 503),
        retry_after: outcome.retry_after,
      }
    case 'not_signed_in':
      return error('access_denied', 'Nobody is signed in', 401)
    case 'user_disabled':
      return error('access_denied', 'This account is disabled', 403)
    case 'untrusted_network':
      return error('access_denied', 'Logins may not start from this network', 403)
    case 'insufficient_scope':
    case 'login_required':
    case 'not_allowed':
    case 'too_many_credentials':
      return error('access_denied', 'This may not be done', 403)
  }
}

/** An id and a password of HTTP Basic; null when they are not what RFC 6749 section 2.3.1 has. */
type Basic = { readonly id: string; readonly password: string } | null

/** Who tried HTTP Basic, form-urlencoded before base64 (RFC 6749 section 2.3.1); undefined when nobody did. */
function readBasic(c: AppContext): Basic | undefined {
  const header = c.req.header('authorization') ?? ''
  if (!/^basic( |$)/i.test(header)) return undefined
  try {
    const [, id = '', password = ''] = /^([^:]+):(.*)$/.exec(atob(header.slice(5).trim())) ?? []
    const decode = (text: string) => decodeURIComponent(text.replaceAll('+', ' '))
    return id ? { id: decode(id), password: decode(password) } : null
  } catch {
    return null
  }
}

/** Who tried HTTP Basic is refused in its terms (RFC 6749 section 5.2). */
function refuseBasic(description: string): Reply {
  const challenge = { 'WWW-Authenticate': 'Basic realm="pairgate"' }
  return json({ error: 'invalid_client', error_description: description }, 401, challenge)
}

function answerError(c: AppContext, failure: OAuthError): Reply {
  const { http, retry_after, ...body } = failure
  if (body.error === 'invalid_client' && readBasic(c) !== undefined)
    return refuseBasic(body.error_description)
  return json(body, http, retry_after === undefined ? {} : { 'Retry-After': String(retry_after) })
}

/** Answers a flow's outcome: 200 with its fields, or the RFC's error. */
function answer(
  c: AppContext,
  outcome: DeviceAuthorizationResponse | PairStartResponse | TokenOutcome | Refusal,
): Reply {
  if (!('status' in outcome)) return json(outcome)
  if (outcome.status !== 'issued') return answerError(c, toOAuthError(outcome))
  const { status: _status, ...token } = outcome
  return json(token)
}

/** An `invalid_request` in the RFCs' form. */
export function invalidRequest(description: string, http = 400): Reply {
  return json({ error: 'invalid_request', error_description: description }, http)
}

/** Says in OAuth's words that the method is wrong. */
export const wrongMethod: Handler = (c) =>
  invalidRequest(`The method ${c.req.method.slice(0, 16)} is not allowed here`, 405)

/** The client's id from the body, or from HTTP Basic with an empty password as some libraries send it for public clients. */
function readClientId(c: AppContext, params: Params): string | null | Reply {
  const inBody = params.get('client_id') ?? null
  const basic = readBasic(c)
  if (basic === undefined) return inBody
  if (basic?.password === '' && (inBody === null || inBody === basic.id)) return basic.id
  return refuseBasic('Clients here are public: they have no password')
}

/** Reads the form and the client; `fallback` is the client that a request without client_id is taken for. */
function readClientForm(
  c: AppContext,
  fallback: string | null,
): Reply | { params: Params; clientId: string } {
  const params = readForm(c)
  if (typeof params === 'string') return invalidRequest(params)
  const clientId = readClientId(c, params)
  if (clientId instanceof Reply) return clientId
  if (clientId === null && fallback === null) return invalidRequest('The parameter client_id is missing')
  return { params, clientId: clientId ?? fallback ?? '' }
}

function deviceAuthorization(deps: Deps): Handler {
  return async (c) => {
    // the second seed's own client sends nothing, or `{}` as JSON
    const isBare = deps.config.seedCompat && readBasic(c) === undefined && isBareRequest(c)
    if (isBare) return answer(c, await authorizeDevice(deps, c.env.caller, { client_id: SEED_CLIENT }))
    const form = readClientForm(c, deps.config.seedCompat ? SEED_CLIENT : null)
    if (form instanceof Reply) return form
    const { params, clientId: client_id } = form
    const start = { client_id, scope: params.get('scope'), device_name: params.get('device_name') }
    return answer(c, await authorizeDevice(deps, c.env.caller, start))
  }
}

function isBareRequest({ req, env }: AppContext): boolean {
  const type = mediaType(req.raw)
  if (type !== '' && type !== 'application/json') return false
  return /^\s*(\{\s*\})?\s*$/.test(env.body)
}

function token(deps: Deps): Handler {
  return async (c) => {
    const form = readClientForm(c, deps.config.seedCompat ? SEED_CLIENT : null)
    if (form instanceof Reply) return form
    const { params, clientId } = form
    const grantType =
      params.get('grant_type') ?? (clientId === SEED_CLIENT && deps.config.seedCompat ? DEVICE_GRANT : null)
    switch (grantType) {
      case null:
        return invalidRequest('The parameter grant_type is missing')
      case DEVICE_GRANT:
        return await deviceGrant(deps, c, clientId, params)
      case REFRESH_GRANT:
        return await refreshGrant(deps, c, clientId, params)
      default: {
        const error_description = `Only ${DEVICE_GRANT} and ${REFRESH_GRANT} are supported`
        return json({ error: 'unsupported_grant_type', error_description }, 400)
      }
    }
  }
}

/** How long a poll would wait for a decision (RFC 7240 section 4.3). */
function readPatience(c: AppContext): Wait | undefined {
  const seconds = readWait(c.req.header('prefer'))
  // a signal is made when it is first asked for
  return seconds > 0 ? { seconds, signals: [c.env.caller.request.signal] } : undefined
}

/** RFC 8628 section 3.4. */
async function deviceGrant(deps: Deps, c: AppContext, client_id: string, params: Params): Promise<Answer> {
  const device_code = params.get('device_code')
  if (!device_code) return invalidRequest('The parameter device_code is missing')
  return answer(
    c,
    await redeemDeviceCode(deps, c.env.caller, { client_id, device_code, wait: readPatience(c) }),
  )
}

/** RFC 6749 section 6. */
async function refreshGrant(deps: Deps, c: AppContext, client_id: string, params: Params): Promise<Answer> {
  const refresh_token = params.get('refresh_token')
  if (!refresh_token) return invalidRequest('The parameter refresh_token is missing')
  const request = { client_id, refresh_token, scope: params.get('scope') }
  return answer(c, await refreshLogin(deps, c.env.caller, request))
}

function pairStart(deps: Deps): Handler {
  return async (c) => {
    const form = readClientForm(c, null)
    if (form instanceof Reply) return form
    const { params, clientId: client_id } = form
    const paircode = params.get('paircode')
    if (!paircode) return invalidRequest('The parameter paircode is missing')
    const start = {
      client_id,
      paircode,
      scope: params.get('scope'),
      device_name: params.get('device_name'),
      delivery: params.get('delivery'),
      port: parsePort(params.get('port')),
      state: params.get('state'),
    }
    return answer(c, await startPair(deps, c.env.caller, start))
  }
}

function pairToken(deps: Deps): Handler {
  return async (c) => {
    const form = readClientForm(c, null)
    if (form instanceof Reply) return form
    const { params, clientId: client_id } = form
    const verifier = params.get('verifier')
    if (!verifier) return invalidRequest('The parameter verifier is missing')
    const poll = { client_id, verifier, code: params.get('code'), wait: readPatience(c) }
    return answer(c, await redeemVerifier(deps, c.env.caller, poll))
  }
}

/** RFC 7009. */
function revocation(deps: Deps): Handler {
  return async (c) => {
    const form = readClientForm(c, null)
    if (form instanceof Reply) return form
    const revoked = form.params.get('token')
    if (!revoked) return invalidRequest('The parameter token is missing')
    const outcome = await revokeToken(deps, c.env.caller, { token: revoked, client_id: form.clientId })
    return outcome.status === 'revoked' ? new Reply(null, 200, {}) : answer(c, outcome)
  }
}

/** RFC 7662, for the resource servers of the options: by HTTP Basic, or by id and secret in the form. */
function introspection(deps: Deps): Handler {
  return async (c) => {
    const params = readForm(c)
    if (typeof params === 'string') return invalidRequest(params)
    const basic = readBasic(c)
    const id = basic === undefined ? params.get('client_id') : basic?.id
    const secret = basic === undefined ? params.get('client_secret') : basic?.password
    if (!isResourceServer(deps, id ?? '', secret ?? ''))
      return refuseBasic('Only resource servers may ask, with their secret')
    const token = params.get('token')
    return token
      ? json(await introspect(deps, c.env.caller, token))
      : invalidRequest('The parameter token is missing')
  }
}

/** A page for testing a login: who is it? By Bearer credential, by the browser's cookie, or by the gateway's session. */
function secured(deps: Deps): Handler {
  return async (c) => {
    const { caller } = c.env
    const hasToken = bearerToken(caller.request) !== null
    const who = hasToken ? await authenticateBearer(deps, caller) : await findSeedSession(deps, caller)
    const user = who?.user ?? (hasToken ? null : (await findViewer(deps, caller))?.user)
    if (!user || user.disabled_at !== null) {
      c.header('WWW-Authenticate', bearerChallenge(caller.request))
      return c.text('Not authenticated', 401)
    }
    if (!c.req.header('accept')?.includes('application/json')) {
      return c.text(`You are authenticated as: ${user.name ?? user.subject}`)
    }
    const { issuer, subject, name, email } = user
    return json(who ? describe(who) : { issuer, subject, name, email })
  }
}

/** Adds the OAuth endpoints, the paircode endpoints and the metadata. */
export function addOAuthEndpoints(deps: Deps, mount: Mount): void {
  const { basePath, seedCompat, resourceServers } = deps.config
  const add = (path: string, methods: Methods) => route(deps, mount, path, methods, wrongMethod)
  for (const path of new Set([basePath + WELL_KNOWN, WELL_KNOWN + basePath]))
    add(path, { GET: metadata(deps) })
  add(`${basePath}${JWKS_PATH}`, { GET: jwks(deps) })
  add(`${basePath}/oauth/device/authorize`, { POST: deviceAuthorization(deps) })
  add(`${basePath}/oauth/device/token`, { POST: token(deps) })
  add(`${basePath}/oauth/token`, { POST: token(deps) })
  add(`${basePath}/oauth/revoke`, { POST: revocation(deps) })
  if (resourceServers.size > 0) add(`${basePath}/oauth/introspect`, { POST: introspection(deps) })
  add(`${basePath}/cli_login`, {
    POST: pairStart(deps),
    ...(seedCompat && { GET: seedCliLogin(deps), HEAD: undefined }),
  })
  add(`${basePath}/token`, {
    POST: pairToken(deps),
    ...(seedCompat && { GET: seedToken(deps), HEAD: undefined }),
  })
  add(`${basePath}/secured`, { GET: secured(deps) })
  if (seedCompat)
    add(`${basePath}/oauth/device/verify-authenticated`, { POST: seedVerifyAuthenticated(deps) })
}
