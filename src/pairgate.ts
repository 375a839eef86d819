/** The one place where the parts meet. @module */

import { getLogger } from '@logtape/logtape'
import { type App, createApp } from './app.ts'
import { type Config, optionWarnings, parseOptions } from './config.ts'
import { hasDotSegments } from './core/path.ts'
import { secretPattern } from './core/secret.ts'
import { WELL_KNOWN } from './endpoints/metadata.ts'
import { type Answer, Reply } from './endpoints/reply.ts'
import { type Authenticated, authenticate, type CredentialSummary } from './flows/account.ts'
import { type Deps, toCaller } from './flows/deps.ts'
import { type EventFilter, type EventPage, listEvents } from './flows/events.ts'
import { createHeld } from './flows/held.ts'
import { createRandomId } from './flows/random_id.ts'
import { createRecent } from './flows/recent.ts'
import { disableUser, enableUser, listUserCredentials, revokeUserCredentials } from './flows/users.ts'
import { deliverSometimes } from './flows/webhooks.ts'
import { createGuard, type Guard, type GuardOptions } from './guard.ts'
import type { Log, PairgateOptions, RequestInfo } from './options.ts'
import { createRouter } from './router.ts'
import type { HostProcedure, PairgateRouter, RouterContext } from './router_type.ts'
import { createSigner } from './signing.ts'
import type { UserIdentity } from './store.ts'
import { cacheVerifications } from './verify_cache.ts'

/** A pairgate, ready to be mounted. */
export interface Pairgate {
  /**
   * Answers a request: pages, OAuth endpoints, tRPC. Never rejects.
   *
   * @param request Its path includes the base URL's. Its body must not have been read.
   */
  fetch(request: Request, info?: RequestInfo): Promise<Response>
  /** Tells whether a request is for pairgate: its path is the base URL's, is below that, or is where its metadata is. */
  handles(request: Pick<Request, 'url'>): boolean
  /**
   * Tells who made a request with a Bearer credential: a CLI's session or an API key.
   *
   * @param need.scopes The scopes that it takes, all of them. Default: none.
   * @param need.remoteAddress Address of the socket's peer, for the list of where credentials are used.
   * @returns The person, the credential and its scopes; null when there is nobody, or a scope is missing.
   */
  authenticate(
    request: Request,
    need?: RequestInfo & { scopes?: readonly string[] },
  ): Promise<Authenticated | null>
  /**
   * Makes middleware that lets only requests with a good Bearer credential through; others are answered 401 or 403, or 503
   * while the database is away.
   *
   * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when an option is wrong.
   */
  guard(options?: GuardOptions): Guard
  /** What the operator can do about a person. */
  readonly users: {
    /** Ends everything of theirs at once, and lets nothing new be issued. Returns how many keys and sessions ended. */
    disable(identity: UserIdentity): Promise<number>
    /** Lets them sign in again. What was ended stays ended. */
    enable(identity: UserIdentity): Promise<void>
    /** Lists their keys and sessions, newest first, at most 200. */
    credentials(identity: UserIdentity): Promise<CredentialSummary[]>
    /** Ends one of their credentials, or all. Returns how many. */
    revoke(identity: UserIdentity, credentialId?: string): Promise<number>
  }
  /**
   * Reads the audit trail, newest first.
   *
   * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when a part of the filter is wrong.
   */
  events(filter?: EventFilter): Promise<EventPage>
  /** Regular expression of API keys, sessions and refresh tokens, for secret scanners. */
  readonly secretPattern: string
  /**
   * The typed tRPC router, to nest in the host's own.
   *
   * @param options.resolve Finds the request in the host's context.
   * @param options.procedure The host's base procedure: its middleware runs first, and the compiler holds `resolve` to
   *   its context. Default: a bare one.
   */
  router<Host extends object>(options: {
    resolve: (context: Host) => RouterContext
    procedure?: HostProcedure<Host> | undefined
  }): PairgateRouter<Host>
  /** Creates or upgrades the tables now; otherwise the first request does, see the option `autoMigrate`. */
  migrate(): Promise<void>
  /** Rejects with `ERR_PAIRGATE_SCHEMA` when the tables are not those of this version. Changes nothing. */
  checkSchema(): Promise<void>
  /**
   * Answers the polls that are held, and holds no more. To be called before a server stops listening: it would wait for
   * them, up to 30 s. Resolves once they are answered.
   */
  drain(): Promise<void>
  /** Answers the polls that are held, waits for work that goes on after answers, then closes the database. */
  close(): Promise<void>
}

/**
 * Makes a pairgate, for servers that bring a log: LogTape stays out of their bundle.
 *
 * @param defaultLog Where to report to when the options do not say.
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when an option is wrong or missing.
 */
export function createGate(options: PairgateOptions, defaultLog: Log): Pairgate {
  const config = parseOptions(options)
  const log = options.log ?? defaultLog
  const now = options.now ?? Date.now
  const seconds = config.verifyCacheSeconds
  const store = seconds > 0 ? cacheVerifications(options.database, { now, seconds }) : options.database
  const deferred = new Set<Promise<unknown>>()
  const deps: Deps = {
    config,
    store,
    log,
    now,
    signer: createSigner(config.secrets),
    random: (length) => crypto.getRandomValues(new Uint8Array(length)),
    randomId: createRandomId(),
    recent: createRecent(),
    uses: createRecent(10_000),
    held: createHeld({ config, store, log, now }),
    defer(work) {
      const done = work
        .catch((error: unknown) => log.error('Deferred work failed', { error }))
        .finally(() => deferred.delete(done))
      deferred.add(done)
      options.waitUntil?.(done)
    },
  }

  for (const warning of optionWarnings(config)) log.warn(warning, {})
  const migrate = async () => {
    const steps = await store.migrate()
    if (steps.length > 0) log.info('The tables were made or upgraded', { steps: steps.join(', ') })
  }

  // requests share no promise: on Workers one that is cut off would leave it open for ever
  let isReady = false
  const ready = async () => {
    if (!isReady) await (config.autoMigrate ? migrate() : store.checkSchema())
    isReady = true
    // there is no timer: whoever comes gives the webhooks their turn
    deliverSometimes(deps)
  }

  const app = createApp(deps, ready)
  const gate: Pairgate = {
    async fetch(request, info = {}) {
      const answer = await app(request, info.remoteAddress)
      return answer instanceof Reply ? answer.toResponse() : answer
    },
    handles: ({ url }) => isOurs(config, url),
    guard: (options = {}) => createGuard(deps, ready, options),
    async authenticate(request, { scopes = [], remoteAddress } = {}) {
      await ready()
      return await authenticate(deps, toCaller(deps, request, remoteAddress), scopes)
    },
    users: {
      disable: (identity) => ready().then(() => disableUser(deps, identity)),
      enable: (identity) => ready().then(() => enableUser(deps, identity)),
      credentials: (identity) => ready().then(() => listUserCredentials(deps, identity)),
      revoke: (identity, id) => ready().then(() => revokeUserCredentials(deps, identity, id)),
    },
    events: (filter) => ready().then(() => listEvents(deps, filter)),
    secretPattern: secretPattern(config.secretPrefix),
    router: ({ resolve, procedure }) => createRouter(deps, resolve, ready, procedure),
    migrate,
    checkSchema: () => store.checkSchema(),
    drain: () => deps.held.drain(),
    async close() {
      await deps.held.drain()
      while (deferred.size > 0) await Promise.all(deferred)
      await store.close()
    },
  }
  apps.set(gate, app)
  return gate
}

/** Tells whether a URL, or a path, is for us. */
function isOurs({ origin, basePath }: Config, url: string): boolean {
  // `//x` is a path, when it is no whole URL that comes
  const pathname = URL.parse(url.startsWith('/') ? origin + url : url)?.pathname ?? ''
  const isBelow = pathname === basePath || pathname.startsWith(`${basePath}/`)
  // what a proxy asks at /authz/ext ends in a path of its client's: no page of the host may answer for it
  const isClimbing = url.includes(`${basePath}/authz/`) && hasDotSegments(url)
  return isBelow || isClimbing || pathname === WELL_KNOWN + basePath
}

/** What is behind the `fetch` of each gate. */
const apps = new WeakMap<Pick<Pairgate, 'fetch'>, App>()

/** The same as `gate.fetch`, but for servers that can send plain text without a Response. */
export async function answerRequest(
  gate: Pick<Pairgate, 'fetch'>,
  request: Request,
  info: RequestInfo,
): Promise<Answer> {
  const app = apps.get(gate)
  return app ? await app(request, info.remoteAddress) : await gate.fetch(request, info)
}

/** What LogTape does with it is for the application to configure. */
function createLog(): Log {
  const logger = getLogger(['pairgate'])
  return {
    debug: (message, properties) => logger.debug(message, properties),
    info: (message, properties) => logger.info(message, properties),
    warn: (message, properties) => logger.warn(message, properties),
    error: (message, properties) => logger.error(message, properties),
  }
}

/**
 * Makes a pairgate.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when an option is wrong or missing.
 * @example
 * ```ts
 * const gate = createPairgate({
 *   baseUrl: 'https://gateway.example/auth',
 *   secrets: [process.env.PAIRGATE_SECRET],
 *   database: sqlite('pairgate.db'),
 *   identify: (request) => currentUser(request),
 * })
 * app.use((c, next) => (gate.handles(c.req) ? gate.fetch(c.req.raw) : next()))
 * ```
 */
export function createPairgate(options: PairgateOptions): Pairgate {
  return createGate(options, createLog())
}
