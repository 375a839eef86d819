/**
 * What all procedures of the router share: who calls, the checks that must also hold when a host nests the router
 * (origin of cookie callers, quiet errors), and how a refusal is said in tRPC's words.
 *
 * @module
 */

import { initTRPC, TRPCError } from '@trpc/server'
import * as v from 'valibot'
import { isRefusal, type Refusal } from './core/outcome.ts'
import { requestSite } from './core/same_origin.ts'
import { isUnavailable } from './errors.ts'
import { credentialManager, personManager } from './flows/account.ts'
import { findViewer } from './flows/browser.ts'
import { authenticateBearer, bearerChallenge, bearerToken } from './flows/credentials.ts'
import { type Caller, type Deps, toCaller } from './flows/deps.ts'
import type { HostProcedure, RouterContext } from './router_type.ts'

/** Errors that say when to try again; seconds. */
const retryTimes = new WeakMap<TRPCError, number>()

function later(
  { retry_after }: { retry_after: number },
  options: ConstructorParameters<typeof TRPCError>[0],
): TRPCError {
  const error = new TRPCError(options)
  retryTimes.set(error, retry_after)
  return error
}

/** The headers that the errors of a response ask for: the longest `Retry-After`, and a challenge (RFC 6750 section 3). */
export function errorHeaders(errors: readonly TRPCError[], request: Request): Record<string, string> {
  const times = errors.flatMap((error) => retryTimes.get(error) ?? [])
  const isUnknown = errors.some(({ code }) => code === 'UNAUTHORIZED')
  return {
    ...(times.length > 0 && { 'Retry-After': String(Math.max(...times)) }),
    ...(isUnknown && { 'WWW-Authenticate': bearerChallenge(request) }),
  }
}

const forbidden = (message: string) => new TRPCError({ code: 'FORBIDDEN', message })

/** Turns a flow's refusal into tRPC's error; the one place where that is decided. */
export function toTRPCError(refusal: Refusal): TRPCError {
  switch (refusal.status) {
    case 'invalid_request':
      return new TRPCError({ code: 'BAD_REQUEST', message: refusal.description })
    case 'invalid_client':
      return new TRPCError({
        code: 'BAD_REQUEST',
        message: 'invalid_client: the client_id is not registered',
      })
    case 'unauthorized_client':
      return new TRPCError({
        code: 'FORBIDDEN',
        message: 'unauthorized_client: this client may not use this flow',
      })
    case 'invalid_scope':
      return new TRPCError({
        code: 'BAD_REQUEST',
        message: 'invalid_scope: a scope is not registered for this client, or was not granted to this login',
      })
    case 'conflict':
      return new TRPCError({ code: 'CONFLICT', message: refusal.description })
    case 'rate_limited':
      return later(refusal, {
        code: 'TOO_MANY_REQUESTS',
        message: `Too many requests, try again in ${refusal.retry_after} s`,
      })
    case 'overloaded':
      return later(refusal, {
        code: 'SERVICE_UNAVAILABLE',
        message: `Too many logins wait, try again in ${refusal.retry_after} s`,
      })
    case 'not_signed_in':
      return new TRPCError({ code: 'UNAUTHORIZED', message: 'Nobody is signed in' })
    case 'user_disabled':
      return forbidden('This account is disabled')
    case 'insufficient_scope':
      return forbidden(
        'insufficient_scope: this takes the scope pairgate:manage, and every scope of the key in question',
      )
    case 'login_required':
      return new TRPCError({ code: 'UNAUTHORIZED', message: 'login_required: the sign-in is too old' })
    case 'not_allowed':
      return forbidden('access_denied: this person may not have this')
    case 'untrusted_network':
      return forbidden('access_denied: logins may not start from this network')
    case 'too_many_credentials':
      return forbidden(`There are ${refusal.max} live ones already: end one first`)
  }
}

/** Takes a refusal out of an outcome, by throwing it. */
export function unwrap<T extends object>(outcome: T): Exclude<T, Refusal> {
  if (isRefusal(outcome)) throw toTRPCError(outcome)
  return outcome as Exclude<T, Refusal>
}

/** What is wrong with an input, in words of the schema alone: what came may be a secret in a wrong place. */
function inputProblem(cause: Error): string {
  const [issue] = 'issues' in cause ? (cause.issues as v.BaseIssue<unknown>[]) : []
  if (!issue) return 'The input is malformed'
  const part = v.getDotPath(issue)
  const what =
    issue.expected === 'never' ? 'there is no such field' : `expected ${issue.expected ?? 'something else'}`
  return part ? `${part}: ${what}` : `Input: ${what}`
}

/** What a caller is told of a failure: nothing of the inside, which the log has. */
function explainInside(deps: Deps, { requestId }: Caller, path: string, error: TRPCError): TRPCError {
  const { code, cause } = error
  if (code === 'BAD_REQUEST' && cause) return new TRPCError({ code, message: inputProblem(cause) })
  if (code !== 'INTERNAL_SERVER_ERROR') return error
  deps.log.error('A procedure failed', { path, request_id: requestId, error: cause })
  return isUnavailable(cause)
    ? later(
        { retry_after: 5 },
        { code: 'SERVICE_UNAVAILABLE', message: 'The database does not answer, try again' },
      )
    : new TRPCError({ code: 'INTERNAL_SERVER_ERROR', message: `Internal error ${requestId}` })
}

/** The same, fit for a host that shows stacks to its callers. */
function explain(...failure: Parameters<typeof explainInside>): TRPCError {
  return Object.defineProperty(explainInside(...failure), 'stack', { value: undefined })
}

const t = initTRPC.context<object>().create({ isDev: false })

/** The kinds of procedures: open to every program, for a person at a browser, for whoever manages credentials. */
export function createProcedures(
  deps: Deps,
  resolve: (context: object) => RouterContext,
  ready: () => Promise<void>,
  base: HostProcedure<object> = t.procedure,
) {
  // one step, not one for each: a step costs as much as a statement
  const open = base.use(async ({ ctx, next, path }) => {
    const { request, remoteAddress } = resolve(ctx)
    const caller = toCaller(deps, request, remoteAddress)
    await ready().catch((cause: unknown) => {
      throw explain(deps, caller, path, new TRPCError({ code: 'INTERNAL_SERVER_ERROR', cause }))
    })
    const result = await next({ ctx: { caller } })
    return result.ok ? result : { ...result, error: explain(deps, caller, path, result.error) }
  })

  const findPerson = async (caller: Caller) => {
    if (requestSite(caller.request.headers, deps.config.origin) !== 'same-origin')
      throw forbidden('This call must come from a page of this origin')
    return await findViewer(deps, caller)
  }

  const byPerson = open.use(
    async ({ ctx, next }) => await next({ ctx: { viewer: await findPerson(ctx.caller) } }),
  )

  const byManager = open.use(async ({ ctx, next }) => {
    const { caller } = ctx
    if (bearerToken(caller.request) === null) {
      const { headers } = caller.request
      const isBare = headers.get('cookie') === null && requestSite(headers, deps.config.origin) === 'unknown'
      if (isBare) throw toTRPCError({ status: 'not_signed_in' })
      return await next({ ctx: { manager: unwrap(personManager(deps, await findPerson(caller))) } })
    }
    const who = await authenticateBearer(deps, caller)
    return await next({
      ctx: { manager: unwrap(who ? credentialManager(who) : { status: 'not_signed_in' as const }) },
    })
  })

  return { t, open, byPerson, byManager }
}

/** The kinds of procedures, and what makes routers of them. */
export type Procedures = ReturnType<typeof createProcedures>

/** Text of 1 to `max` characters. */
export const text = (max: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(max))

/** No input; strict, because a procedure without an input parser takes any body. */
export const none = v.strictObject({})
