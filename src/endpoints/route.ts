/** How endpoints are written down: a path, a handler for each method, and one answer for every wrong method. @module */

import type { Context, Hono } from 'hono'
import { type Params, parseParams } from '../core/form.ts'
import type { Caller, Deps } from '../flows/deps.ts'

/** What Hono carries along with each request. */
export interface AppEnv {
  Bindings: { readonly caller: Caller; readonly peer: string | undefined }
}

/** A request on its way through an endpoint. */
export type AppContext = Context<AppEnv>

/** Answers a request. */
export type Handler = (c: AppContext) => Response | Promise<Response>

/** Handlers by method. HEAD is answered as GET, unless it is set to undefined because that GET has side effects. */
export interface Methods {
  readonly GET?: Handler
  readonly HEAD?: undefined
  readonly POST?: Handler
}

/**
 * Adds an endpoint. Another method is answered 405 with `Allow` (RFC 9110 section 15.5.6).
 *
 * @param wrongMethod Words that answer for this kind of endpoint.
 */
export function route(
  deps: Deps,
  app: Hono<AppEnv>,
  path: string,
  methods: Methods,
  wrongMethod: Handler,
): void {
  const handlers: Partial<Record<string, Handler>> = { HEAD: methods.GET, ...methods }
  const allowed = Object.keys(handlers).filter((method) => handlers[method])
  app.all(path, async (c) => {
    const { method } = c.req
    const { caller } = c.env
    const startedAt = deps.now()
    const handler = handlers[method]
    if (!handler) c.header('Allow', allowed.join(', '))
    const response = await (handler ?? wrongMethod)(c)
    // the path as it is written here: the one that came may hold a code
    const properties = { method, path, status: response.status, request_id: caller.requestId }
    deps.log.debug('request', { ...properties, milliseconds: deps.now() - startedAt })
    return response
  })
}

/** The media type of a request's body, without parameters; a charset other than UTF-8 makes it null. */
export function mediaType(request: Request): string | null {
  const [type = '', ...parameters] = (request.headers.get('content-type') ?? '').toLowerCase().split(';')
  const charset = parameters
    .map((parameter) => parameter.trim())
    .find((parameter) => parameter.startsWith('charset='))
  return charset === undefined || /^charset="?utf-8"?$/.test(charset) ? type.trim() : null
}

/**
 * Reads a form body (RFC 6749 section 3.2 and appendix B): the right media type, valid UTF-8, no parameter twice.
 *
 * @returns The parameters, or a sentence that says what is wrong.
 */
export async function readForm(request: Request): Promise<Params | string> {
  if (mediaType(request) !== 'application/x-www-form-urlencoded') {
    return 'The body must be application/x-www-form-urlencoded in UTF-8'
  }
  try {
    return parseParams(new TextDecoder('utf-8', { fatal: true }).decode(await request.arrayBuffer()))
  } catch {
    return 'The body is not valid UTF-8'
  }
}

/** Reads the query as strictly as a form. */
export function readQuery(request: Request): Params | string {
  return parseParams(new URL(request.url).search.slice(1))
}
