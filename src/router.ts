/**
 * The typed tRPC router. Every procedure checks its input, makes one flow call and returns plain JSON with the RFCs'
 * names. Everything that carries a secret is a mutation, because inputs of queries sit in URLs.
 *
 * @module
 */

import * as v from 'valibot'
import { requestSite } from './core/same_origin.ts'
import { decideGrant, type GrantReference, reviewGrant } from './flows/approval.ts'
import { signOut } from './flows/browser.ts'
import { authenticateBearer, bearerToken, describe, endCredential } from './flows/credentials.ts'
import type { Caller, Deps } from './flows/deps.ts'
import { authorizeDevice, redeemDeviceCode } from './flows/device.ts'
import type { Wait } from './flows/held.ts'
import { redeemVerifier, startPair } from './flows/paircode.ts'
import { refreshLogin } from './flows/refresh.ts'
import { createProcedures, none, type Procedures, text, toTRPCError, unwrap } from './procedures.ts'
import { keyProcedures, ownSessionProcedures } from './router_account.ts'
import type { HostProcedure, PairgateRouter, RouterContext } from './router_type.ts'

const startInput = {
  client_id: text(128),
  scope: v.optional(v.pipe(v.string(), v.maxLength(1024))),
  device_name: v.optional(v.pipe(v.string(), v.maxLength(256))),
}
/** How far these must fit together is for the flow to say. */
const delivery = {
  delivery: v.optional(v.picklist(['poll', 'loopback'])),
  port: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1024), v.maxValue(65_535))),
  state: v.optional(text(128)),
}
/** How long the CLI would wait for a decision, in seconds. More than the most is the most. */
const wait = v.optional(v.pipe(v.number(), v.integer(), v.minValue(0)))

/** The connection's end is told by the request where that is the host's own, and by tRPC where it is not. */
function toWait(
  { caller }: { readonly caller: Caller },
  { wait: seconds }: { readonly wait?: number | undefined },
  signal: AbortSignal | undefined,
): Wait | undefined {
  return seconds ? { seconds, signals: [caller.request.signal, ...(signal ? [signal] : [])] } : undefined
}

const decision = { code: v.optional(text(64)), scope: v.optional(text(1024)), tenant: v.optional(text(255)) }

function deviceProcedures(deps: Deps, { open, byPerson }: Procedures) {
  const reference = { user_code: text(64) }
  const refer = (input: { user_code: string }): GrantReference => ({
    flow: 'device',
    user_code: input.user_code,
  })
  const decide = (status: 'approved' | 'denied') =>
    byPerson
      .input(v.strictObject({ ...reference, ...decision }))
      .mutation(async ({ ctx, input: { code, scope, tenant, ...named } }) => {
        const choice = { status, code, scope, tenant }
        return unwrap(await decideGrant(deps, ctx.caller, ctx.viewer, refer(named), choice))
      })
  return {
    authorize: open
      .input(v.strictObject(startInput))
      .mutation(async ({ ctx, input }) => unwrap(await authorizeDevice(deps, ctx.caller, input))),
    token: open
      .input(v.strictObject({ client_id: text(128), device_code: text(128), wait }))
      .mutation(async ({ ctx, input, signal }) =>
        unwrap(await redeemDeviceCode(deps, ctx.caller, { ...input, wait: toWait(ctx, input, signal) })),
      ),
    review: byPerson
      .input(v.strictObject(reference))
      .mutation(async ({ ctx, input }) =>
        unwrap(await reviewGrant(deps, ctx.caller, ctx.viewer, refer(input))),
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
      .mutation(async ({ ctx, input: { code, scope, tenant, ...named } }) => {
        const choice = { status, code, scope, tenant }
        return unwrap(await decideGrant(deps, ctx.caller, ctx.viewer, refer(named), choice))
      })
  return {
    start: open
      .input(v.strictObject({ ...startInput, ...reference, ...delivery }))
      .mutation(async ({ ctx, input }) => unwrap(await startPair(deps, ctx.caller, input))),
    token: open
      .input(v.strictObject({ client_id: text(128), verifier: text(128), code: v.optional(text(128)), wait }))
      .mutation(async ({ ctx, input, signal }) =>
        unwrap(await redeemVerifier(deps, ctx.caller, { ...input, wait: toWait(ctx, input, signal) })),
      ),
    review: byPerson
      .input(v.strictObject(reference))
      .mutation(async ({ ctx, input }) =>
        unwrap(await reviewGrant(deps, ctx.caller, ctx.viewer, refer(input))),
      ),
    approve: decide('approved'),
    deny: decide('denied'),
  }
}

function sessionProcedures(deps: Deps, procedures: Procedures) {
  const { open } = procedures
  return {
    whoami: open.input(v.optional(none)).query(async ({ ctx }) => {
      const who = await authenticateBearer(deps, ctx.caller)
      if (!who) throw toTRPCError({ status: 'not_signed_in' })
      return describe(who)
    }),
    refresh: open
      .input(v.strictObject({ client_id: text(128), refresh_token: text(128), scope: startInput.scope }))
      .mutation(async ({ ctx, input }) => unwrap(await refreshLogin(deps, ctx.caller, input))),
    signOut: open.input(none).mutation(async ({ ctx: { caller } }) => {
      const token = bearerToken(caller.request)
      const who = token === null ? null : await authenticateBearer(deps, caller)
      const isPage = requestSite(caller.request.headers, deps.config.origin) === 'same-origin'
      if (who) await endCredential(deps, caller, who)
      else if (token === null && isPage) await signOut(deps, caller)
      else throw toTRPCError({ status: 'not_signed_in' })
      return { status: 'signed_out' as const }
    }),
    ...ownSessionProcedures(deps, procedures),
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
 * @param procedure The host's, to build on.
 */
export function createRouter<Host extends object>(
  deps: Deps,
  resolve: (context: Host) => RouterContext,
  ready: () => Promise<void>,
  procedure?: HostProcedure<Host>,
): PairgateRouter<Host> {
  const find = resolve as (context: object) => RouterContext
  const procedures = createProcedures(deps, find, ready, procedure as HostProcedure<object> | undefined)
  const { t } = procedures
  const router = t.router({
    device: t.router(deviceProcedures(deps, procedures)),
    pair: t.router(pairProcedures(deps, procedures)),
    session: t.router(sessionProcedures(deps, procedures)),
    keys: t.router(keyProcedures(deps, procedures)),
  })
  // the compiler checks here that the written type says exactly what is built
  const checked: Same<typeof router, PairgateRouter<object>> = router
  return checked as unknown as PairgateRouter<Host>
}
