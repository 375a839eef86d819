/** Guards the host's own routes: only requests with a good credential go on. @module */

import type { Context } from 'hono'
import { parseGuardOptions } from './config.ts'
import { deny } from './endpoints/challenge.ts'
import { type Authenticated, summarizeVerified } from './flows/account.ts'
import { authorizeAtDoor } from './flows/authorization.ts'
import { type Deps, toCaller } from './flows/deps.ts'
import type { RequestInfo } from './options.ts'

/** What a guard asks for. */
export interface GuardOptions {
  /** The scopes that a request takes, all of them. Default: none. */
  readonly scopes?: readonly string[] | undefined
  /**
   * In Hono: finds the address of the socket's peer, for the list of where credentials are used, for example
   * `(c) => getConnInfo(c).remote.address`. Default: unknown.
   */
  readonly remoteAddress?: ((context: Context) => string | undefined) | undefined
}

/** The part of Hono's context that a guard uses. */
export interface GuardContext {
  readonly req: { readonly raw: Request }
  set(key: 'pairgate', value: Authenticated): void
}

/** What a guarded handler of Hono finds in its context: `new Hono<{ Variables: GuardVariables }>()`. */
export interface GuardVariables {
  /** Who makes the request. */
  pairgate: Authenticated
}

/** Lets only requests with a good credential through. */
export interface Guard {
  /** Middleware of Hono. Who it is: `c.get('pairgate')`. */
  (context: GuardContext, next: () => Promise<void>): Promise<Response | undefined>
  /**
   * The same for other hosts.
   *
   * @returns Who it is; or the answer that refuses: 401 or 403, as JSON, with a challenge (RFC 6750 section 3); 503 while the
   *   database is away.
   */
  check(request: Request, info?: RequestInfo): Promise<Authenticated | Response>
}

/** @param ready Resolves once the tables are there. */
export function createGuard(deps: Deps, ready: () => Promise<void>, options: GuardOptions): Guard {
  const { scopes, remoteAddress: findAddress } = parseGuardOptions(options)
  const check: Guard['check'] = async (request, { remoteAddress } = {}) => {
    const who = await authorizeAtDoor(deps, ready, toCaller(deps, request, remoteAddress), scopes)
    return 'status' in who ? deny(request, who.status, scopes).toResponse() : summarizeVerified(deps, who)
  }
  const middleware = async (context: GuardContext, next: () => Promise<void>) => {
    const remoteAddress = findAddress?.(context as unknown as Context)
    const who = await check(context.req.raw, { remoteAddress })
    if (who instanceof Response) return who
    context.set('pairgate', who)
    await next()
    return undefined
  }
  return Object.assign(middleware, { check })
}
