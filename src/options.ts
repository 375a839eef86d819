/** The options of pairgate: type, unit, range, default and meaning of each, in one place. @module */

import * as v from 'valibot'
import { type AddressRange, isLoopbackHost, isPublicHost, parseRange } from './core/address.ts'
import type { Flow } from './core/grant.ts'
import { PairgateError } from './errors.ts'
import type { Provider } from './providers.ts'
import type { Store, UserIdentity } from './store.ts'

/** Who the gateway's own session says is there. */
export interface Identity extends Partial<UserIdentity> {
  /** Stable id of the person at `issuer`; 1-255 characters. */
  readonly subject: string
  /** Who vouches for `subject`. Default: the base URL. */
  readonly issuer?: string
  readonly name?: string | undefined
  readonly email?: string | undefined
}

/** Answers who is signed in at the gateway, from its own session; null when nobody is. */
export type Identify = (
  request: Request,
) => Identity | null | undefined | Promise<Identity | null | undefined>

/** A command-line app that may ask to be signed in. */
export interface ClientOptions {
  /** What people read on the page. Default: the client's id. */
  readonly name?: string | undefined
  /** The flows it may use. Default: both. */
  readonly flows?: readonly Flow[] | undefined
  /** The scopes it may ask for. Default: none. */
  readonly scopes?: readonly string[] | undefined
  /** Lifetime of its API keys, in seconds: 60 to 31536000. Default: `keySeconds`. */
  readonly keyTtl?: number | undefined
}

/** How often things may happen. A limit counts for an IPv4 address or an IPv6 /64, over all instances. */
export interface LimitOptions {
  /** Logins started per address in a minute. Default 120. */
  readonly startPerMinute?: number | undefined
  /** Logins of one flow waiting for a decision, per address. Default 200. */
  readonly pendingPerAddress?: number | undefined
  /** Logins of one flow waiting for a decision, in all. Default 10000. */
  readonly pendingTotal?: number | undefined
  /** Wrong user codes per account in ten minutes. Default 10. */
  readonly wrongCodesPerAccount?: number | undefined
  /** Wrong user codes per address in ten minutes. Default 30. */
  readonly wrongCodesPerAddress?: number | undefined
  /** Wrong user codes per minute in all, after which new codes get longer. Default 60. */
  readonly wrongCodesTotal?: number | undefined
}

/** What `createPairgate` takes. Durations are in seconds. */
export interface PairgateOptions {
  /** The public URL that pairgate is reached under, path included. https, or http on loopback. */
  readonly baseUrl: string
  /** Signing secrets of at least 32 bytes: the first signs, all verify. An undefined one, as from an unset variable, is refused. */
  readonly secrets: readonly (string | undefined)[]
  /** Where everything is kept, for example `sqlite('pairgate.db')`. */
  readonly database: Store
  /** Tells who is signed in at the gateway. Use this or `signIn`. */
  readonly identify?: Identify | undefined
  /** With `identify`: where a person signs in at the gateway, given the URL to come back to. */
  readonly signInUrl?: ((returnTo: string) => string) | undefined
  /** Identity providers that pairgate itself sends people to. */
  readonly signIn?: readonly Provider[] | undefined
  /** A form that signs in any name. Only on loopback, for development. Default false. */
  readonly devSignIn?: boolean | undefined
  /** What the pages call this service. Default: the host of `baseUrl`. */
  readonly name?: string | undefined
  /** Command-line apps by client_id, beside the built-in `pairgate-cli`. */
  readonly clients?: Readonly<Record<string, ClientOptions>> | undefined
  /** What each scope allows, in words, for the page. */
  readonly scopes?: Readonly<Record<string, string>> | undefined
  /** The flows that are on. Default: both. */
  readonly flows?: readonly Flow[] | undefined
  /** Lifetime of a device code and its user code: 5 to 1800. Default 600. */
  readonly deviceCodeSeconds?: number | undefined
  /** Lifetime of a paircode: 5 to 1800. Default 600. */
  readonly paircodeSeconds?: number | undefined
  /** Least time between two polls: 1 to 60. Default 5. */
  readonly pollSeconds?: number | undefined
  /** Lifetime of an API key: 60 to 31536000. Default 86400 (a day). */
  readonly keySeconds?: number | undefined
  /** Lifetime of a CLI's session: 60 to 31536000. Default 2592000 (30 days). */
  readonly sessionSeconds?: number | undefined
  /** Lifetime of a browser's sign-in: 60 to 2592000. Default 43200 (12 hours). */
  readonly browserSeconds?: number | undefined
  /** A browser's sign-in ends when unused for this long: 60 to 2592000. Default 7200 (2 hours). */
  readonly browserIdleSeconds?: number | undefined
  /** See {@link LimitOptions}. */
  readonly limits?: LimitOptions | undefined
  /** Proxies whose X-Forwarded-For is believed, as CIDRs. Default: none. */
  readonly trustedProxies?: readonly string[] | undefined
  /** Serves the two seed systems' own clients too. Weaker; see SECURITY.md. Default false. */
  readonly seedCompat?: boolean | undefined
  /** Whether the first request creates or upgrades the tables; otherwise they are only checked. Default true. */
  readonly autoMigrate?: boolean | undefined
  /** Keeps a serverless instance alive for work that goes on after an answer. `pairgate/workers` sets it. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined
  /** Tells the time in epoch milliseconds. For tests. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}

const seconds = (min: number, max: number, fallback: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max)), fallback)
const count = (fallback: number) => v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), fallback)
const text = v.pipe(v.string(), v.minLength(1), v.maxLength(255))
const scopeToken = v.pipe(
  v.string(),
  v.regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/, 'must be an RFC 6749 scope token'),
)
const flows = v.optional(v.pipe(v.array(v.picklist(['device', 'pair'])), v.minLength(1)), ['device', 'pair'])
const year = 31_536_000
const month = 2_592_000

const clientSchema = v.strictObject({
  name: v.optional(text),
  flows,
  scopes: v.optional(v.array(scopeToken), []),
  keyTtl: v.optional(v.pipe(v.number(), v.integer(), v.minValue(60), v.maxValue(year))),
})

const callback = <T>() => v.custom<T>((value) => typeof value === 'function', 'must be a function')

const schema = v.strictObject({
  baseUrl: v.string(),
  secrets: v.pipe(
    v.array(v.pipe(v.string('is not set'), v.minBytes(32, 'must have at least 32 bytes'))),
    v.minLength(1, 'must hold at least one secret'),
  ),
  database: v.custom<Store>(
    (value) => typeof value === 'object' && value !== null,
    'must be a database, for example sqlite(file)',
  ),
  identify: v.optional(callback<Identify>()),
  signInUrl: v.optional(callback<(returnTo: string) => string>()),
  signIn: v.optional(v.array(v.custom<Provider>((value) => typeof value === 'object' && value !== null)), []),
  devSignIn: v.optional(v.boolean(), false),
  name: v.optional(text),
  clients: v.optional(
    v.record(
      v.pipe(v.string(), v.regex(/^[\w.~:/-]{1,128}$/, 'must be 1-128 URL-safe characters')),
      clientSchema,
    ),
    {},
  ),
  scopes: v.optional(v.record(scopeToken, text), {}),
  flows,
  deviceCodeSeconds: seconds(5, 1800, 600),
  paircodeSeconds: seconds(5, 1800, 600),
  pollSeconds: seconds(1, 60, 5),
  keySeconds: seconds(60, year, 86_400),
  sessionSeconds: seconds(60, year, month),
  browserSeconds: seconds(60, month, 43_200),
  browserIdleSeconds: seconds(60, month, 7_200),
  limits: v.optional(
    v.strictObject({
      startPerMinute: count(120),
      pendingPerAddress: count(200),
      pendingTotal: count(10_000),
      wrongCodesPerAccount: count(10),
      wrongCodesPerAddress: count(30),
      wrongCodesTotal: count(60),
    }),
    {},
  ),
  trustedProxies: v.optional(v.array(v.string()), []),
  seedCompat: v.optional(v.boolean(), false),
  autoMigrate: v.optional(v.boolean(), true),
  waitUntil: v.optional(callback<(work: Promise<unknown>) => void>()),
  now: v.optional(callback<() => number>(), () => Date.now),
})

/** A client as the flows use it. */
export interface Client {
  readonly id: string
  readonly name: string
  readonly flows: readonly Flow[]
  readonly scopes: readonly string[]
  readonly keySeconds: number
  /** What its API keys are called when the device says no name. */
  readonly keyName: string
}

/** The options, checked and completed. */
export interface Config
  extends Omit<
    v.InferOutput<typeof schema>,
    'clients' | 'trustedProxies' | 'name' | 'database' | 'now' | 'waitUntil'
  > {
  /** Without a trailing slash; also the issuer. */
  readonly baseUrl: string
  readonly origin: string
  /** Path of the mount without a trailing slash; empty at the root. */
  readonly basePath: string
  readonly isSecure: boolean
  readonly isLoopback: boolean
  /** Whether the public internet can reach the base URL. */
  readonly isPublic: boolean
  readonly name: string
  readonly clients: ReadonlyMap<string, Client>
  readonly trustedProxies: readonly AddressRange[]
}

/** What is allowed but deserves a second thought. */
export function optionWarnings(config: Config): string[] {
  const warnings: string[] = []
  for (const option of ['deviceCodeSeconds', 'paircodeSeconds'] as const) {
    const seconds = config[option]
    if (seconds < 300)
      warnings.push(
        `Option "${option}" is ${seconds}: many people need five minutes to sign in and compare a code`,
      )
    if (seconds > 900)
      warnings.push(
        `Option "${option}" is ${seconds}: the longer a code lives, the better for whoever phishes with it`,
      )
  }
  if (config.seedCompat)
    warnings.push('Option "seedCompat" is on: weaker requests are served, see SECURITY.md')
  return warnings
}

/** The client that `pairgate login` is, known to every server. */
export const BUILT_IN_CLIENT = 'pairgate-cli'

/** The client that the seeds' own clients are, which send no client_id. Only under `seedCompat`. */
export const SEED_CLIENT = 'seed'

function refuse(message: string): never {
  throw new PairgateError('ERR_PAIRGATE_OPTION', message)
}

function parseBaseUrl(
  baseUrl: string,
): Pick<Config, 'baseUrl' | 'origin' | 'basePath' | 'isSecure' | 'isLoopback' | 'isPublic'> {
  const url = URL.canParse(baseUrl)
    ? new URL(baseUrl)
    : refuse(`Option "baseUrl" must be an absolute URL, got "${baseUrl}"`)
  const isLoopback = isLoopbackHost(url.hostname)
  const isSecure = url.protocol === 'https:'
  if (!isSecure && !(url.protocol === 'http:' && isLoopback)) {
    refuse(`Option "baseUrl" must be https, http is for loopback only, got "${baseUrl}"`)
  }
  if (url.search || url.hash || url.username || url.password) {
    refuse('Option "baseUrl" must not carry a query, a fragment or a password')
  }
  const basePath = url.pathname.replace(/\/+$/, '')
  if (!/^(\/[\w.~-]+)*$/.test(basePath) || /\/\.{1,2}(\/|$)/.test(basePath)) {
    refuse(`Option "baseUrl" must have a plain path, got "${url.pathname}"`)
  }
  const isPublic = isPublicHost(url.hostname)
  return { baseUrl: url.origin + basePath, origin: url.origin, basePath, isSecure, isLoopback, isPublic }
}

function parseClients(options: v.InferOutput<typeof schema>): ReadonlyMap<string, Client> {
  const builtIn = (name: string) => ({
    name,
    flows: ['device', 'pair'] as Flow[],
    scopes: [],
    keyTtl: undefined,
  })
  const all: v.InferOutput<typeof schema>['clients'] = {
    [BUILT_IN_CLIENT]: builtIn('pairgate CLI'),
    ...(options.seedCompat && { [SEED_CLIENT]: builtIn('A command-line app') }),
    ...options.clients,
  }
  return new Map(
    Object.entries(all).map(([id, client]) => [
      id,
      {
        id,
        name: client.name ?? id,
        flows: client.flows.filter((flow) => options.flows.includes(flow)),
        scopes: client.scopes,
        keySeconds: client.keyTtl ?? options.keySeconds,
        keyName: id === SEED_CLIENT ? 'Device Link Access Key' : (client.name ?? id),
      },
    ]),
  )
}

/**
 * Checks options and fills in the defaults.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION`, naming the option, what was wanted and what came.
 */
export function parseOptions(options: PairgateOptions): Config {
  const result = v.safeParse(schema, options)
  if (!result.success) {
    const [issue] = result.issues
    refuse(`Option "${v.getDotPath(issue) ?? ''}" is wrong: ${issue.message}`)
  }
  const { clients: _clients, trustedProxies, name, ...checked } = result.output
  const { database: _database, now: _now, waitUntil: _waitUntil, ...rest } = checked
  const base = parseBaseUrl(rest.baseUrl)
  if (rest.devSignIn && !base.isLoopback)
    refuse('Option "devSignIn" signs in any name: it is refused when "baseUrl" is not on loopback')
  if (rest.identify && (rest.signIn.length > 0 || rest.devSignIn))
    refuse('Options "identify" and "signIn" exclude each other')
  if (!rest.identify && rest.signIn.length === 0 && !rest.devSignIn) {
    refuse('Nobody could sign in: one of the options "identify", "signIn" or "devSignIn" is needed')
  }
  const ids = rest.signIn.map((provider) => provider.id)
  if (new Set(ids).size !== ids.length) refuse(`Option "signIn" names a provider twice: ${ids.join(', ')}`)
  return Object.freeze({
    ...rest,
    ...base,
    name: name ?? new URL(base.baseUrl).host,
    clients: parseClients(result.output),
    trustedProxies: trustedProxies.map(
      (range) => parseRange(range) ?? refuse(`Option "trustedProxies" must hold CIDRs, got "${range}"`),
    ),
  })
}
