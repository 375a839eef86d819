/** How endpoints are written down: a path, a handler for each method, and one answer for every wrong method. @module */

import type { Context } from 'hono'
import { type Params, parseParams } from '../core/form.ts'
import type { Caller, Deps } from '../flows/deps.ts'
import { type Answer, withHeaders } from './reply.ts'

/** What Hono carries along with each request. */
export interface AppEnv {
  Bindings: {
    readonly caller: Caller
    readonly peer: string | undefined
    /** The body, once it was read: endpoints take it from here, since a Request gives it out only once. */
    body: string
  }
}

/** A request on its way through an endpoint. */
export type AppContext = Context<AppEnv>

/** Answers a request. */
export type Handler = (c: AppContext) => Answer | Promise<Answer>

/** Puts a handler at a path, for every method, behind the checks that all paths have. */
export type Mount = (path: string, handler: Handler) => void

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
export function route(deps: Deps, mount: Mount, path: string, methods: Methods, wrongMethod: Handler): void {
  const handlers: Partial<Record<string, Handler>> = { HEAD: methods.GET, ...methods }
  const allowed = Object.keys(handlers).filter((method) => handlers[method])
  const refuse: Handler = async (c) => withHeaders(await wrongMethod(c), { Allow: allowed.join(', ') })
  mount(path, async (c) => {
    const { method } = c.req
    const startedAt = deps.now()
    const answer = await (handlers[method] ?? refuse)(c)
    // the path as it is written here: the one that came may hold a code
    logRequest(deps, c.env.caller, { method, path, status: answer.status }, startedAt)
    return answer
  })
}

/** Says in the log that a request was answered. */
export function logRequest(
  deps: Deps,
  caller: Caller,
  properties: { readonly method: string; readonly path: string; readonly status: number },
  startedAt: number,
): void {
  const milliseconds = deps.now() - startedAt
  deps.log.debug('request', {
    ...properties,
    milliseconds,
    // made when somebody reads it
    get request_id() {
      return caller.requestId
    },
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
export function readForm(c: AppContext): Params | string {
  if (mediaType(c.req.raw) !== 'application/x-www-form-urlencoded') {
    return 'The body must be application/x-www-form-urlencoded in UTF-8'
  }
  const { body } = c.env
  // a form spells it in percent-encoded ASCII
  return body.includes('\ufffd') ? 'The body is not valid UTF-8' : parseParams(body)
}

/** Reads the query as strictly as a form. */
export function readQuery(request: Request): Params | string {
  return parseParams(new URL(request.url).search.slice(1))
}
