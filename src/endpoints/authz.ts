/**
 * Forward authentication: a reverse proxy asks before each request whether it may go on, and hands the identity headers
 * of the answer to the backend. Three dialects; what a request takes is bound to the path that the operator wrote into
 * the proxy's configuration, never to anything that a client can add to: no query, no body, no path of the original
 * request is looked at.
 *
 * @module
 */

import { ANY_POLICY } from '../config.ts'
import { identityHeaders } from '../core/identity_headers.ts'
import { authorizeAtDoor, createAssertion } from '../flows/authorization.ts'
import { type Deps, warnHourly } from '../flows/deps.ts'
import { deny } from './challenge.ts'
import { Reply, withHeaders } from './reply.ts'
import { type AppContext, type Handler, logRequest, type Mount } from './route.ts'

/**
 * How proxies take an answer. nginx knows 200, 401 and 403 only, and makes a 500 of all else; the reason is in
 * `X-Pairgate-Error`. Traefik and Caddy (`forward`) and Envoy (`ext`) hand any other answer on to the client.
 */
export const DIALECTS = ['nginx', 'forward', 'ext'] as const
type Dialect = (typeof DIALECTS)[number]

/** A request that proxies ask about may announce a body that does not come with it. */
function endsConnection({ headers }: Request): boolean {
  return (headers.get('content-length') ?? '0') !== '0' || headers.has('transfer-encoding')
}

/** With chunks there would be a body to wait for, and a proxy that does not could not use the connection again. */
const NO_BODY = { 'Content-Length': '0' }

/** nginx would make a 500 of a 5xx, lose the reason, and end the connection for a body that it does not want. */
function forNginx({ status, headers }: Reply): Reply {
  const { 'Content-Type': _type, ...fit } = headers
  return new Reply(null, status === 401 ? 401 : 403, { ...fit, ...NO_BODY })
}

async function judge(deps: Deps, ready: () => Promise<void>, c: AppContext, name: string): Promise<Reply> {
  const { caller } = c.env
  const policy = deps.config.policies.get(name)
  if (!policy) {
    // whoever gets here without the proxy can write a path too
    const asked = /^[\w-]{1,64}$/.test(name) ? name : 'no name of a policy'
    warnHourly(deps, 'A proxy asks for a policy that the option "policies" does not name', {
      policy: asked,
    })
    return deny(caller.request, 'unknown_policy')
  }
  const { scopes, audience } = policy
  const who = await authorizeAtDoor(deps, ready, caller, scopes)
  if ('status' in who) return deny(caller.request, who.status, scopes)
  const { user, credential } = who
  const assertion = await createAssertion(deps, who, audience)
  const headers = identityHeaders({ ...credential, user, assertion }, deps.config.homeIssuer)
  // a name that is spelled for a header is ASCII, and has no line break
  return new Reply(null, 200, { ...headers, ...NO_BODY })
}

/**
 * Finds the policy in the path. Envoy appends the path of the original request to its prefix, so what comes after the
 * policy is not ours; as long as there are no policies, all of it may be that path.
 */
function policyName(deps: Deps, dialect: Dialect, rest: string): string {
  if (rest === '') return ANY_POLICY
  const [name = '', ...more] = rest.slice(1).split('/')
  if (dialect !== 'ext') return more.length === 0 ? name : rest
  if (name === ANY_POLICY || deps.config.policies.size > 1) return name
  warnHourly(deps, 'A proxy asks at /authz/ext, and there are no policies: any good credential goes on')
  return ANY_POLICY
}

function ask(deps: Deps, ready: () => Promise<void>, dialect: Dialect, prefix: string): Handler {
  return async (c) => {
    const { request } = c.env.caller
    const startedAt = deps.now()
    const name = policyName(deps, dialect, new URL(request.url).pathname.slice(prefix.length))
    const answer = await judge(deps, ready, c, name).catch((error: unknown) => {
      deps.log.error('A request of a proxy failed', { request_id: c.env.caller.requestId, error })
      return deny(request, 'server_error')
    })
    const { method } = request
    logRequest(deps, c.env.caller, { method, path: prefix, status: answer.status }, startedAt)
    const fit = dialect === 'nginx' && answer.status !== 200 ? forNginx(answer) : answer
    return endsConnection(request) ? withHeaders(fit, { Connection: 'close' }) : fit
  }
}

/**
 * Adds the endpoints that proxies ask, by any method.
 *
 * @param ready Resolves once the tables are there. Awaited here, so that each dialect says in its way that they are not.
 */
export function addAuthz(deps: Deps, mount: Mount, ready: () => Promise<void>): void {
  for (const dialect of DIALECTS) {
    const prefix = `${deps.config.basePath}/authz/${dialect}`
    const handler = ask(deps, ready, dialect, prefix)
    mount(prefix, handler)
    mount(`${prefix}/*`, handler)
  }
}
