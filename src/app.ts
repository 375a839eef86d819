/**
 * The HTTP door: one `fetch` for pages, OAuth endpoints and tRPC. Around all of them: the body limit, the host
 * check, the headers that protect pages, and quiet errors.
 *
 * @module
 */

import { fetchRequestHandler } from '@trpc/server/adapters/fetch'
import { Hono } from 'hono/tiny'
import { hasDotSegments } from './core/path.ts'
import { addAuthz } from './endpoints/authz.ts'
import { BODY_FAILURES, readBody } from './endpoints/body.ts'
import { JWKS_PATH } from './endpoints/metadata.ts'
import { addOAuthEndpoints } from './endpoints/oauth.ts'
import { showMessage } from './endpoints/page.tsx'
import { addPages } from './endpoints/pages.ts'
import { type Answer, json, withHeaders } from './endpoints/reply.ts'
import {
  type AppContext,
  type AppEnv,
  type Handler,
  type Methods,
  type Mount,
  mediaType,
  route,
} from './endpoints/route.ts'
import { contentSecurityPolicy } from './endpoints/security_policy.ts'
import { isUnavailable } from './errors.ts'
import { type Deps, toCaller } from './flows/deps.ts'
import { MESSAGES, type Message } from './pages/message.tsx'
import { errorHeaders } from './procedures.ts'
import { createRouter } from './router.ts'
import type { RouterContext } from './router_type.ts'

/** Calls in one tRPC request. */
const MAX_BATCH = 10

/** Reads the body for the endpoints; says what is wrong with it. */
async function takeBody(deps: Deps, c: AppContext): Promise<Answer | null> {
  const body = await readBody(c.req.raw)
  if ('text' in body) {
    c.env.body = body.text
    return null
  }
  const problem = BODY_FAILURES[body.failure]
  if (problem.status === 500) deps.log.error(problem.text, {})
  return await failure(deps, c, problem, problem.status === 500 ? 'server_error' : 'invalid_request')
}

/** The headers of every answer, unless an endpoint says otherwise. */
function protectiveHeaders(deps: Deps): Record<string, string> {
  return {
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    // with no-referrer Chromium sends `Origin: null` with our own forms
    'Referrer-Policy': 'same-origin',
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Content-Security-Policy': contentSecurityPolicy(deps, null),
    ...(deps.config.isSecure && { 'Strict-Transport-Security': 'max-age=31536000' }),
  }
}

const isProgram = (c: AppContext) => !c.req.header('accept')?.includes('text/html')

/** Says what went wrong in the caller's language: JSON for programs, a page for people. */
function failure(deps: Deps, c: AppContext, message: Message, code: string): Answer | Promise<Answer> {
  // by Hono, which keeps the headers that were set before it failed
  if (isProgram(c)) return c.json({ error: code, error_description: message.text }, message.status)
  return showMessage(deps, c, message)
}

function onError(deps: Deps): (error: Error, c: AppContext) => Answer | Promise<Answer> {
  return (error, c) => {
    const { requestId } = c.env.caller
    deps.log.error('A request failed', { request_id: requestId, error })
    const text = `Please try again. If it happens again, tell whoever runs this service: error ${requestId}.`
    if (!isUnavailable(error))
      return failure(deps, c, { status: 500, title: 'Something went wrong', text }, 'server_error')
    c.header('Retry-After', '5')
    return failure(deps, c, { status: 503, title: 'Back in a moment', text }, 'temporarily_unavailable')
  }
}

/** Paths that proxies, probes and services call with a Host of their own. */
const ANY_HOST = ['/healthz', '/readyz', '/oauth/introspect', JWKS_PATH]

/** Paths that are answered without the database. Proxies are told that it is away, each in its way. */
const WITHOUT_TABLES = ['/healthz', JWKS_PATH]

/** Sends a browser that came by another name to the right one; refuses everything else (RFC 9110 section 15.5.20). */
function refuseHost({ config: { origin, baseUrl } }: Deps, c: AppContext, url: URL): Answer {
  if (c.req.method === 'GET' && !isProgram(c)) return c.redirect(origin + url.pathname + url.search, 307)
  return json({ error: 'invalid_request', error_description: `This server goes by ${baseUrl}` }, 421)
}

/** The checks that every path has: the body is read, the host is ours, the tables are there. Null when it may go on. */
function createAdmit(deps: Deps, ready: () => Promise<void>): (c: AppContext) => Promise<Answer | null> {
  const { origin, basePath } = deps.config
  const { host } = new URL(origin)
  const below = (paths: readonly string[]) => new Set(paths.map((path) => basePath + path))
  const [anyHost, withoutTables] = [below(ANY_HOST), below(WITHOUT_TABLES)]
  return async (c) => {
    const url = URL.parse(c.req.url)
    // a proxy asks about somebody else's request: any Host, any method, and no body to wait for
    const isAsked = url?.pathname.startsWith(`${basePath}/authz/`)
    if (isAsked) return null
    const refusal = await takeBody(deps, c)
    if (refusal) return refusal
    if (!url) return json({ error: 'invalid_request', error_description: 'The request names no host' }, 400)
    // frameworks that make up a URL of their own, as Next does, leave the header alone
    const isOurs = url.host === host || c.req.header('host')?.toLowerCase() === host
    if (!isOurs && !anyHost.has(url.pathname)) return refuseHost(deps, c, url)
    if (!withoutTables.has(url.pathname)) await ready()
    return null
  }
}

const wrongMethod: Handler = (c) => c.text('Method not allowed', 405)

function health(deps: Deps): Handler {
  return async (c) => {
    await deps.store.ping()
    return c.text('ok')
  }
}

/** The parts of a request that tRPC reads; its body was read before. */
function readRequest({ req: { raw }, env: { body } }: AppContext): Request {
  const { url, method, headers } = raw
  const text = async () => body
  const parts: Pick<Request, 'url' | 'method' | 'headers' | 'signal' | 'text'> = {
    ...{ url, method, headers, text },
    signal: raw.signal,
  }
  return parts as Request
}

function trpc(deps: Deps, ready: () => Promise<void>): Handler {
  const router = createRouter<RouterContext>(deps, (context) => context, ready)
  return async (c) => {
    if (c.req.method === 'POST' && mediaType(c.req.raw) !== 'application/json') {
      return json({ error: 'invalid_request', error_description: 'The body must be application/json' }, 415)
    }
    return await fetchRequestHandler({
      endpoint: `${deps.config.basePath}/trpc`,
      req: readRequest(c),
      router,
      maxBatchSize: MAX_BATCH,
      responseMeta: ({ errors }) => ({ headers: errorHeaders(errors, c.env.caller.request) }),
      createContext: () => ({ request: c.env.caller.request, remoteAddress: c.env.peer }),
    })
  }
}

/** Refuses what routers take for something else than it is. */
function refuseTarget({ method, url, headers }: Request): Response | null {
  // they look methods up in plain objects: `__proto__` would write to the prototype of all of them
  if (method in Object.prototype) return new Response(null, { status: 501 })
  // what Node's server hands on cannot be made a Request of (RFC 9110 section 4.2.4)
  if (/^https?:\/\/[^/?#]*@/i.test(url)) return new Response('The target has credentials', { status: 400 })
  // on Deno the URL is the header Host and then the target, both as they came
  if (/[\s/\\?#@]/.test(headers.get('host') ?? ''))
    return new Response('The header Host is no host', { status: 400 })
  return hasDotSegments(url) ? new Response('The path has dot segments', { status: 400 }) : null
}

/** Answers a request. Never rejects. */
export type App = (request: Request, peer: string | undefined) => Promise<Answer>

/**
 * Builds the application.
 *
 * @param ready Resolves once the tables are there.
 * @returns Answers a request; `peer` is the address of the socket's other end.
 */
export function createApp(deps: Deps, ready: () => Promise<void>): App {
  const { basePath } = deps.config
  const headers = protectiveHeaders(deps)
  const admit = createAdmit(deps, ready)
  const app = new Hono<AppEnv>()
  // Hono hands on whatever a handler answers with
  const admitted = (handler: Handler) => async (c: AppContext) =>
    ((await admit(c)) ?? (await handler(c))) as Response
  app.onError(onError(deps) as (error: Error, c: AppContext) => Response)
  app.notFound(admitted((c) => failure(deps, c, MESSAGES.no_such_page, 'not_found')))
  const mount: Mount = (path, handler) => app.all(path, admitted(handler))
  const add = (path: string, methods: Methods) => route(deps, mount, basePath + path, methods, wrongMethod)
  add('/healthz', { GET: (c) => c.text('ok') })
  add('/readyz', { GET: health(deps) })
  addOAuthEndpoints(deps, mount)
  addPages(deps, mount)
  addAuthz(deps, mount, ready)
  const procedures = trpc(deps, ready)
  add('/trpc/*', { GET: procedures, POST: procedures })

  return async (request, peer) => {
    const caller = toCaller(deps, request, peer)
    const answer: Answer = refuseTarget(request) ?? (await app.fetch(request, { caller, peer, body: '' }))
    // an endpoint may have its own: the key set is cached, and one page's form leads to a CLI
    return withHeaders(answer, headers)
  }
}
