/** Checks the options, fills in the defaults, and makes of them what the rest of pairgate works with. @module */

import * as v from 'valibot'
import { type AddressRange, isLoopbackHost, isPublicHost, parseRange } from './core/address.ts'
import type { Flow } from './core/grant.ts'
import { PairgateError } from './errors.ts'
import { sha256Hex } from './hash.ts'
import type { AccessRequest, Identify, Log, PairgateEvent, PairgateOptions } from './options.ts'
import type { Provider } from './providers.ts'
import { EVENT_TYPES, type EventType, type Store } from './store.ts'

const seconds = (min: number, max: number, fallback: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max)), fallback)
const count = (fallback: number) => v.optional(v.pipe(v.number(), v.integer(), v.minValue(1)), fallback)
const text = v.pipe(v.string(), v.minLength(1), v.maxLength(255))
const scopeToken = v.pipe(
  v.string(),
  v.regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,64}$/, 'must be an RFC 6749 scope token'),
)
const flows = v.optional(v.array(v.picklist(['device', 'pair'])), ['device', 'pair'])
const networks = v.array(v.string())
const id = v.pipe(v.string(), v.regex(/^[\w.~:/-]{1,128}$/, 'must be 1-128 URL-safe characters'))
const year = 31_536_000
const month = 2_592_000

const lifetime = v.pipe(v.number(), v.integer(), v.minValue(60), v.maxValue(year))

const clientSchema = v.strictObject({
  name: v.optional(text),
  flows,
  scopes: v.optional(v.array(scopeToken), []),
  keyTtl: v.optional(lifetime),
  sessionTtl: v.optional(lifetime),
  refresh: v.optional(v.boolean(), false),
  trustedNetworks: v.optional(networks),
})

const callback = <T>() => v.custom<T>((value) => typeof value === 'function', 'must be a function')
const secret = v.pipe(v.string('is not set'), v.minBytes(32, 'must have at least 32 bytes'))

function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, username, password } = new URL(text)
  return (
    (protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname))) && !username && !password
  )
}

/** The keys of a webhook's secret (Standard Webhooks); null when it is none. */
function readWebhookKeys(secret: string): Uint8Array[] | null {
  const keys = secret.split(' ').map((one) => {
    const [, encoded] = /^whsec_([A-Za-z0-9+/]{32,88}={0,2})$/.exec(one) ?? []
    try {
      return encoded ? Uint8Array.from(atob(encoded), (char) => char.charCodeAt(0)) : null
    } catch {
      return null
    }
  })
  return keys.every((key) => key !== null && key.length >= 24 && key.length <= 64)
    ? (keys as Uint8Array[])
    : null
}

const webhookSchema = v.strictObject({
  url: v.pipe(v.string(), v.check(isSafeUrl, 'must be https, http is for loopback only')),
  secret: v.pipe(
    v.string('is not set'),
    v.check((text) => readWebhookKeys(text) !== null, 'must be whsec_ and base64 of 24 to 64 bytes'),
  ),
  events: v.optional(v.array(v.picklist(EVENT_TYPES)), EVENT_TYPES.slice()),
})

const isLog = (value: unknown): value is Log =>
  typeof value === 'object' &&
  value !== null &&
  (['debug', 'info', 'warn', 'error'] as const).every(
    (level) => typeof (value as Partial<Log>)[level] === 'function',
  )

const schema = v.strictObject({
  baseUrl: v.string(),
  secrets: v.pipe(v.array(secret), v.minLength(1, 'must hold at least one secret')),
  database: v.custom<Store>(
    (value) => typeof value === 'object' && value !== null,
    'must be a database, for example sqlite(file)',
  ),
  identify: v.optional(callback<Identify>()),
  signInUrl: v.optional(callback<(returnTo: string) => string>()),
  signIn: v.optional(v.array(v.custom<Provider>((value) => typeof value === 'object' && value !== null)), []),
  devSignIn: v.optional(v.boolean(), false),
  name: v.optional(text),
  clients: v.optional(v.record(id, clientSchema), {}),
  scopes: v.optional(v.record(scopeToken, text), {}),
  flows,
  deviceCodeSeconds: seconds(5, 1800, 600),
  paircodeSeconds: seconds(5, 1800, 600),
  pollSeconds: seconds(1, 60, 5),
  keySeconds: seconds(60, year, 86_400),
  maxKeySeconds: seconds(60, year, year),
  sessionSeconds: seconds(60, year, month),
  sessionIdleSeconds: seconds(60, year, 1_209_600),
  accessSeconds: seconds(60, 86_400, 3_600),
  refreshSeconds: seconds(60, year, month),
  secretPrefix: v.optional(
    v.pipe(v.string(), v.regex(/^[a-z][a-z0-9]{1,7}$/, 'must be 2-8 of a-z and 0-9, a letter first')),
    'pg',
  ),
  browserSeconds: seconds(60, month, 43_200),
  browserIdleSeconds: seconds(60, month, 7_200),
  maxAuthAgeSeconds: v.optional(v.pipe(v.number(), v.integer(), v.minValue(60), v.maxValue(month))),
  limits: v.optional(
    v.strictObject({
      startPerMinute: count(120),
      pendingPerAddress: count(200),
      pendingTotal: count(10_000),
      wrongCodesPerAccount: count(10),
      wrongCodesPerAddress: count(30),
      wrongCodesTotal: count(60),
      keysPerUser: count(50),
      sessionsPerUser: count(50),
    }),
    {},
  ),
  trustedProxies: v.optional(networks, []),
  trustedNetworks: v.optional(networks),
  resourceServers: v.optional(v.record(id, v.strictObject({ secret })), {}),
  isAllowed: v.optional(callback<(request: AccessRequest) => boolean | Promise<boolean>>()),
  onEvent: v.optional(callback<(event: PairgateEvent) => void | Promise<void>>()),
  webhooks: v.optional(v.array(webhookSchema), []),
  eventSeconds: seconds(86_400, 10 * year, year),
  seedCompat: v.optional(v.boolean(), false),
  autoMigrate: v.optional(v.boolean(), true),
  log: v.optional(
    v.custom<Log>((value) => isLog(value), 'must have the functions debug, info, warn and error'),
  ),
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
  readonly sessionSeconds: number
  /** Whether it always gets a refresh token. */
  readonly refresh: boolean
  /** Where its logins must start and be allowed; null for anywhere. */
  readonly trustedNetworks: readonly AddressRange[] | null
  /** What its API keys are called when the device says no name. */
  readonly keyName: string
}

/** The options, checked and completed. */
export interface Config
  extends Omit<
    v.InferOutput<typeof schema>,
    | 'clients'
    | 'scopes'
    | 'resourceServers'
    | 'webhooks'
    | 'trustedProxies'
    | 'trustedNetworks'
    | 'name'
    | 'database'
    | 'now'
    | 'log'
    | 'waitUntil'
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
  /** What each scope allows, in words; those of pairgate itself too. */
  readonly scopes: ReadonlyMap<string, string>
  /** Secrets of resource servers by id. */
  readonly resourceServers: ReadonlyMap<string, string>
  readonly webhooks: readonly Webhook[]
  readonly trustedProxies: readonly AddressRange[]
  /** Where logins must start and be allowed, and keys be made or rotated; null for anywhere. */
  readonly trustedNetworks: readonly AddressRange[] | null
}

/** A webhook as the flows use it. */
export interface Webhook {
  /** Follows from the URL: deliveries that wait for a webhook survive a restart, and end when it is taken out. */
  readonly id: string
  readonly url: string
  /** Keys of HMAC-SHA-256. */
  readonly keys: readonly Uint8Array[]
  readonly events: readonly EventType[]
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

/** The scope that lets a CLI's credential manage its owner's credentials. */
export const MANAGE_SCOPE = 'pairgate:manage'

/** The scope that asks for a refresh token (OpenID Connect Core section 11). */
export const OFFLINE_SCOPE = 'offline_access'

/** Scopes with a meaning to pairgate itself, in the words of the page. */
const RESERVED_SCOPES: ReadonlyMap<string, string> = new Map([
  [OFFLINE_SCOPE, 'Stay signed in without asking you again'],
  [MANAGE_SCOPE, 'See, make, replace and end your keys and sessions'],
])

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

function parseRanges(option: string, ranges: readonly string[]): AddressRange[] {
  return ranges.map(
    (range) => parseRange(range) ?? refuse(`Option "${option}" must hold CIDRs, got "${range}"`),
  )
}

type Parsed = v.InferOutput<typeof schema>

/** The clients that every server knows, and those of the options, which may replace them. */
function listClients(options: Parsed): Parsed['clients'] {
  const builtIn = { flows: ['device', 'pair'] as Flow[], refresh: false }
  return {
    [BUILT_IN_CLIENT]: { ...builtIn, name: 'pairgate CLI', scopes: [...RESERVED_SCOPES.keys()] },
    ...(options.seedCompat && { [SEED_CLIENT]: { ...builtIn, name: 'A command-line app', scopes: [] } }),
    ...options.clients,
  }
}

function parseClient(id: string, client: Parsed['clients'][string], options: Parsed): Client {
  const networks = client.trustedNetworks ?? options.trustedNetworks
  const option = client.trustedNetworks ? `clients.${id}.trustedNetworks` : 'trustedNetworks'
  return {
    id,
    name: client.name ?? id,
    flows: client.flows.filter((flow) => options.flows.includes(flow)),
    scopes: client.scopes,
    keySeconds: client.keyTtl ?? options.keySeconds,
    sessionSeconds: client.sessionTtl ?? options.sessionSeconds,
    refresh: client.refresh,
    trustedNetworks: networks ? parseRanges(option, networks) : null,
    keyName: id === SEED_CLIENT ? 'Device Link Access Key' : (client.name ?? id),
  }
}

function parseWebhook({ url, secret, events }: Parsed['webhooks'][number]): Webhook {
  return { id: sha256Hex(url), url, keys: readWebhookKeys(secret) ?? [], events }
}

/** Options whose values are secret, or have secrets in them: what came is not quoted. */
const SECRET_OPTIONS: readonly unknown[] = ['secrets', 'resourceServers', 'webhooks']

/** What is wrong with an option, in words. */
function explainIssue({ type, expected, received, message, path }: v.BaseIssue<unknown>): string {
  if (type === 'strict_object' && path?.length && expected === 'never') return 'there is no such option'
  if (type === 'strict_object' && received === 'undefined') return 'it is missing'
  const mayBeSecret = SECRET_OPTIONS.includes(path?.[0]?.key) && message.endsWith(received)
  return mayBeSecret ? `must be ${expected}` : message
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
    refuse(`Option "${v.getDotPath(issue) ?? ''}" is wrong: ${explainIssue(issue)}`)
  }
  for (const option of ['clients', 'scopes', 'resourceServers'] as const)
    if (Array.isArray(options[option])) refuse(`Option "${option}" is wrong: must be an object, got a list`)
  const {
    clients: _clients,
    trustedNetworks: networks,
    trustedProxies,
    scopes,
    name,
    ...checked
  } = result.output
  const {
    database: _database,
    now: _now,
    waitUntil: _waitUntil,
    log: _log,
    resourceServers,
    webhooks,
    ...rest
  } = checked
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
  // not quoted: a path may hold a secret
  if (new Set(webhooks.map(({ url }) => url)).size !== webhooks.length)
    refuse('Option "webhooks" names a URL twice')
  if (result.output.clients[BUILT_IN_CLIENT]?.refresh)
    refuse(
      `Option "clients.${BUILT_IN_CLIENT}.refresh" must be false: the pairgate command does not refresh yet`,
    )
  const clients = Object.entries(listClients(result.output)).map(([id, client]) =>
    parseClient(id, client, result.output),
  )
  return Object.freeze({
    ...rest,
    ...base,
    name: name ?? new URL(base.baseUrl).host,
    clients: new Map(clients.map((client) => [client.id, client])),
    scopes: new Map([...RESERVED_SCOPES, ...Object.entries(scopes)]),
    resourceServers: new Map(Object.entries(resourceServers).map(([id, server]) => [id, server.secret])),
    webhooks: webhooks.map(parseWebhook),
    trustedProxies: parseRanges('trustedProxies', trustedProxies),
    trustedNetworks: networks ? parseRanges('trustedNetworks', networks) : null,
  })
}
