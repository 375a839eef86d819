/**
 * The typed tRPC router. Every procedure checks its input, makes one flow call and returns plain JSON with the RFCs'
 * names. Everything that carries a secret is a mutation, because inputs of queries sit in URLs. What must also hold
 * when a host nests the router (origin of cookie callers, strict inputs, quiet errors) is checked here, not around it.
 *
 * @module
 */

import { initTRPC, TRPCError } from '@trpc/server'
import * as v from 'valibot'
import { isRefusal, type Refusal } from './core/outcome.ts'
import { requestSite } from './core/same_origin.ts'
import { isUnavailable } from './errors.ts'
import { decideGrant, type GrantReference, reviewGrant } from './flows/approval.ts'
import { findViewer, signOut } from './flows/browser.ts'
import { authenticateBearer, bearerToken, describe, endCredential } from './flows/credentials.ts'
import { type Deps, toCaller } from './flows/deps.ts'
import { authorizeDevice, redeemDeviceCode } from './flows/device.ts'
import { redeemVerifier, startPair } from './flows/paircode.ts'
import type { PairgateRouter, RouterContext } from './router_type.ts'

const text = (max: number) => v.pipe(v.string(), v.minLength(1), v.maxLength(max))
const startInput = {
  client_id: text(128),
  scope: v.optional(v.pipe(v.string(), v.maxLength(1024))),
  device_name: v.optional(v.pipe(v.string(), v.maxLength(256))),
}
const decision = { code: v.optional(text(64)) }
const none = v.strictObject({})

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

/** The `Retry-After` that the errors of a response ask for: the longest. */
export function retryAfterHeader(errors: readonly TRPCError[]): { headers?: Record<string, string> } {
  const times = errors.flatMap((error) => retryTimes.get(error) ?? [])
  return times.length > 0 ? { headers: { 'Retry-After': String(Math.max(...times)) } } : {}
}

/** Turns a flow's refusal into tRPC's error; the one place where that is decided. */
function toTRPCError(refusal: Refusal): TRPCError {
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
        message: 'invalid_scope: a scope is not registered for this client',
      })
    case 'conflict':
      return new TRPCError({ code: 'CONFLICT', message: 'The paircode is known already' })
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
      return new TRPCError({ code: 'FORBIDDEN', message: 'This account is disabled' })
  }
}

function unwrap<T extends object>(outcome: T): Exclude<T, Refusal> {
  if (isRefusal(outcome)) throw toTRPCError(outcome)
  return outcome as Exclude<T, Refusal>
}

/** The two kinds of procedures: open to every program, and for a person at a browser. */
function createProcedures(
  deps: Deps,
  resolve: (context: object) => RouterContext,
  ready: () => Promise<void>,
) {
  const t = initTRPC.context<object>().create({ isDev: false })

  const open = t.procedure.use(async ({ ctx, next, path }) => {
    const { request, remoteAddress } = resolve(ctx)
    const caller = toCaller(deps, request, remoteAddress)
    await ready()
    const result = await next({ ctx: { caller } })
    if (result.ok || result.error.code !== 'INTERNAL_SERVER_ERROR') return result
    const { cause } = result.error
    deps.log.error('A procedure failed', { path, request_id: caller.requestId, error: cause })
    const away = isUnavailable(cause)
    throw away
      ? later(
          { retry_after: 5 },
          { code: 'SERVICE_UNAVAILABLE', message: 'The database does not answer, try again' },
        )
      : new TRPCError({ code: 'INTERNAL_SERVER_ERROR', message: `Internal error ${caller.requestId}` })
  })

  const byPerson = open.use(async ({ ctx, next }) => {
    if (requestSite(ctx.caller.request.headers, deps.config.origin) !== 'same-origin') {
      throw new TRPCError({ code: 'FORBIDDEN', message: 'This call must come from a page of this origin' })
    }
    return await next({ ctx: { user: await findViewer(deps, ctx.caller.request) } })
  })

  return { t, open, byPerson }
}

type Procedures = ReturnType<typeof createProcedures>

function deviceProcedures(deps: Deps, { open, byPerson }: Procedures) {
  const reference = { user_code: text(64) }
  const refer = (input: { user_code: string }): GrantReference => ({
    flow: 'device',
    user_code: input.user_code,
  })
  const decide = (status: 'approved' | 'denied') =>
    byPerson
      .input(v.strictObject({ ...reference, ...decision }))
      .mutation(async ({ ctx, input }) =>
        unwrap(await decideGrant(deps, ctx.caller, ctx.user, refer(input), { status, code: input.code })),
      )
  return {
    authorize: open
      .input(v.strictObject(startInput))
      .mutation(async ({ ctx, input }) => unwrap(await authorizeDevice(deps, ctx.caller, input))),
    token: open
      .input(v.strictObject({ client_id: text(128), device_code: text(128) }))
      .mutation(async ({ ctx, input }) => unwrap(await redeemDeviceCode(deps, ctx.caller, input))),
    review: byPerson
      .input(v.strictObject(reference))
      .mutation(async ({ ctx, input }) =>
        unwrap(await reviewGrant(deps, ctx.caller, ctx.user, refer(input))),
      ),
    approve: decide('approved'),
    deny: decide('denied'),
  }
}

function pairProcedures(deps: Deps, { open, byPerson }: Procedures) {
  const reference = { paircode: text(64) }
  const refer = (input: { paircode: string }): GrantReference => ({ flow: 'pair', paircode: input.paircode })
  const decide = (status: 'approved' | 'denied') =>
    byPerson
      .input(v.strictObject({ ...reference, ...decision }))
      .mutation(async ({ ctx, input }) =>
        unwrap(await decideGrant(deps, ctx.caller, ctx.user, refer(input), { status, code: input.code })),
      )
  return {
    start: open
      .input(v.strictObject({ ...startInput, ...reference, delivery: v.optional(v.literal('poll')) }))
      .mutation(async ({ ctx, input }) => unwrap(await startPair(deps, ctx.caller, input))),
    token: open
      .input(v.strictObject({ client_id: text(128), verifier: text(128) }))
      .mutation(async ({ ctx, input }) => unwrap(await redeemVerifier(deps, ctx.caller, input))),
    review: byPerson
      .input(v.strictObject(reference))
      .mutation(async ({ ctx, input }) =>
        unwrap(await reviewGrant(deps, ctx.caller, ctx.user, refer(input))),
      ),
    approve: decide('approved'),
    deny: decide('denied'),
  }
}

function sessionProcedures(deps: Deps, { open }: Procedures) {
  return {
    whoami: open.input(v.optional(none)).query(async ({ ctx }) => {
      const who = await authenticateBearer(deps, ctx.caller.request)
      if (!who) throw toTRPCError({ status: 'not_signed_in' })
      return describe(deps, who)
    }),
    signOut: open.input(none).mutation(async ({ ctx }) => {
      const { request } = ctx.caller
      const token = bearerToken(request)
      if (token !== null && (await authenticateBearer(deps, request))) {
        await endCredential(deps, ctx.caller, token)
      } else if (token === null && requestSite(request.headers, deps.config.origin) === 'same-origin') {
        await signOut(deps, ctx.caller)
      } else {
        throw toTRPCError({ status: 'not_signed_in' })
      }
      return { status: 'signed_out' as const }
    }),
  }
}

/** `Built` if the two types are the very same. Assignable both ways is not enough: optional members would be free. */
type Same<Built, Written> =
  (<T>() => T extends Built ? 1 : 2) extends <T>() => T extends Written ? 1 : 2
    ? Built
    : 'the router is not what router_type.ts says'

/**
 * Builds the router.
 *
 * @param resolve Finds the request in the host's own context.
 * @param ready Resolves once the tables are there.
 */
export function createRouter<Host extends object>(
  deps: Deps,
  resolve: (context: Host) => RouterContext,
  ready: () => Promise<void>,
): PairgateRouter<Host> {
  const procedures = createProcedures(deps, resolve as (context: object) => RouterContext, ready)
  const { t } = procedures
  const router = t.router({
    device: t.router(deviceProcedures(deps, procedures)),
    pair: t.router(pairProcedures(deps, procedures)),
    session: t.router(sessionProcedures(deps, procedures)),
  })
  // the compiler checks here that the written type says exactly what is built
  const checked: Same<typeof router, PairgateRouter<object>> = router
  return checked as unknown as PairgateRouter<Host>
}
