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
import { JWKS_PATH } from './endpoints/metadata.ts'
import { addOAuthEndpoints } from './endpoints/oauth.ts'
import { showMessage } from './endpoints/page.tsx'
import { addPages } from './endpoints/pages.ts'
import {
  type AppContext,
  type AppEnv,
  type Handler,
  type Methods,
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

/** Longest body that is read, in bytes. */
const MAX_BODY = 65_536
/** How much of a longer one is drained, so that the answer arrives instead of a reset connection. */
const MAX_DRAIN = 8 * 1024 * 1024
/** Calls in one tRPC request. */
const MAX_BATCH = 10

const BODY_FAILURES = {
  'read before': {
    status: 500,
    title: 'Mounted too late',
    text: 'The body of this request was read before pairgate got it: mount pairgate before body parsers',
  },
  'too long': { status: 413, title: 'Too long', text: `A body may have ${MAX_BODY} bytes` },
  'broken off': { status: 400, title: 'Broken off', text: 'The request ended before its body did' },
} as const

/** Reads a body up to the limit, chunked or not; says so when it is longer, or breaks off. */
async function readBody(request: Request): Promise<Uint8Array<ArrayBuffer> | keyof typeof BODY_FAILURES> {
  const chunks: Uint8Array[] = []
  let length = 0
  if (request.bodyUsed) return 'read before'
  if (!request.body) return new Uint8Array()
  try {
    for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
      length += chunk.length
      if (length <= MAX_BODY) chunks.push(chunk)
      else if (length > MAX_DRAIN) break
    }
  } catch {
    return 'broken off'
  }
  if (length > MAX_BODY) return 'too long'
  const body = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    body.set(chunk, offset)
    offset += chunk.length
  }
  return body
}

/** Reads the body, so that it can be read later on; says what is wrong with it. */
async function takeBody(deps: Deps, c: AppContext): Promise<Response | null> {
  const { raw } = c.req
  const body = await readBody(raw)
  if (typeof body === 'string') {
    const { status, text } = BODY_FAILURES[body]
    if (status === 500) deps.log.error(text, {})
    return await failure(deps, c, BODY_FAILURES[body], status === 500 ? 'server_error' : 'invalid_request')
  }
  // an empty one was read too, and cannot be read again
  if (c.req.method === 'POST' && raw.body !== null)
    c.req.raw = new Request(raw.url, { method: raw.method, headers: raw.headers, body })
  return null
}

/** The headers of every answer, unless an endpoint says otherwise. */
function protectiveHeaders(deps: Deps): [string, string][] {
  return Object.entries({
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    // with no-referrer Chromium sends `Origin: null` with our own forms
    'Referrer-Policy': 'same-origin',
    'X-Frame-Options': 'DENY',
    'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin',
    'Content-Security-Policy': contentSecurityPolicy(deps, null),
    ...(deps.config.isSecure && { 'Strict-Transport-Security': 'max-age=31536000' }),
  })
}

const isProgram = (c: AppContext) => !c.req.header('accept')?.includes('text/html')

/** Says what went wrong in the caller's language: JSON for programs, a page for people. */
function failure(deps: Deps, c: AppContext, message: Message, code: string) {
  if (!isProgram(c)) return showMessage(deps, c, message)
  return c.json({ error: code, error_description: message.text }, message.status)
}

function onError(deps: Deps): (error: Error, c: AppContext) => Response | Promise<Response> {
  return (error, c) => {
    const { requestId } = c.env.caller
    deps.log.error('A request failed', { request_id: requestId, error })
    const away = isUnavailable(error)
    if (away) c.header('Retry-After', '5')
    const [status, title] = away
      ? ([503, 'Back in a moment'] as const)
      : ([500, 'Something went wrong'] as const)
    const text = `Please try again. If it happens again, tell whoever runs this service: error ${requestId}.`
    return failure(deps, c, { status, title, text }, away ? 'temporarily_unavailable' : 'server_error')
  }
}

/** Paths that proxies, probes and services call with a Host of their own. */
const ANY_HOST = ['/healthz', '/readyz', '/oauth/introspect', JWKS_PATH]

/** Paths that are answered without the database. Proxies are told that it is away, each in its way. */
const WITHOUT_TABLES = ['/healthz', JWKS_PATH]

/** Whether a proxy asks about somebody else's request: any Host, any method, and no body to wait for. */
const isAuthz = ({ config }: Deps, pathname: string) => pathname.startsWith(`${config.basePath}/authz/`)

/** Sends a browser that came by another name to the right one; refuses everything else (RFC 9110 section 15.5.20). */
function checkHost(deps: Deps, c: AppContext, url: URL | null): Response | null {
  const { origin, basePath } = deps.config
  if (!url) return c.json({ error: 'invalid_request', error_description: 'The request names no host' }, 400)
  // frameworks that make up a URL of their own, as Next does, leave the header alone
  const hosts = [url.host, c.req.header('host')?.toLowerCase()]
  const isExempt = ANY_HOST.some((path) => url.pathname === basePath + path) || isAuthz(deps, url.pathname)
  if (hosts.includes(new URL(origin).host) || isExempt) return null
  const isPage = c.req.method === 'GET' && !isProgram(c)
  if (isPage) return c.redirect(origin + url.pathname + url.search, 307)
  return c.json(
    { error: 'invalid_request', error_description: `This server goes by ${deps.config.baseUrl}` },
    421,
  )
}

const wrongMethod: Handler = (c) => c.text('Method not allowed', 405)

function health(deps: Deps): Handler {
  return async (c) => {
    await deps.store.ping()
    return c.text('ok')
  }
}

function trpc(deps: Deps, ready: () => Promise<void>): Handler {
  const router = createRouter<RouterContext>(deps, (context) => context, ready)
  return async (c) => {
    if (c.req.method === 'POST' && mediaType(c.req.raw) !== 'application/json') {
      return c.json({ error: 'invalid_request', error_description: 'The body must be application/json' }, 415)
    }
    return await fetchRequestHandler({
      endpoint: `${deps.config.basePath}/trpc`,
      req: c.req.raw,
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

/**
 * Builds the application.
 *
 * @param ready Resolves once the tables are there.
 * @returns Answers a request; `peer` is the address of the socket's other end. Never rejects.
 */
export function createApp(
  deps: Deps,
  ready: () => Promise<void>,
): (request: Request, peer: string | undefined) => Promise<Response> {
  const { basePath } = deps.config
  const headers = protectiveHeaders(deps)
  const app = new Hono<AppEnv>()
  app.onError(onError(deps))
  app.notFound((c) => failure(deps, c, MESSAGES.no_such_page, 'not_found'))
  app.use(async (c, next) => {
    const url = URL.parse(c.req.url)
    const isAsked = isAuthz(deps, url?.pathname ?? '')
    const refusal = (isAsked ? null : await takeBody(deps, c)) ?? checkHost(deps, c, url)
    if (refusal) return refusal
    if (!isAsked && !WITHOUT_TABLES.some((path) => url?.pathname === basePath + path)) await ready()
    return await next()
  })
  const add = (path: string, methods: Methods) => route(deps, app, basePath + path, methods, wrongMethod)
  add('/healthz', { GET: (c) => c.text('ok') })
  add('/readyz', { GET: health(deps) })
  addOAuthEndpoints(deps, app)
  addPages(deps, app)
  addAuthz(deps, app, ready)
  const procedures = trpc(deps, ready)
  add('/trpc/*', { GET: procedures, POST: procedures })

  return async (request, peer) => {
    const caller = toCaller(deps, request, peer)
    const response = refuseTarget(request) ?? (await app.fetch(request, { caller, peer }))
    // an endpoint may have its own: the key set is cached, and one page's form leads to a CLI
    for (const [name, value] of headers) if (!response.headers.has(name)) response.headers.set(name, value)
    return response
  }
}
