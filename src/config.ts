/** Checks the options, fills in the defaults, and makes of them what the rest of pairgate works with. @module */

import * as v from 'valibot'
import { guardSchema, readWebhookKeys, schema } from './config_schema.ts'
import { type AddressRange, isLoopbackHost, isProtected, isPublicHost, parseRange } from './core/address.ts'
import type { Flow } from './core/grant.ts'
import type { Delivery } from './core/loopback.ts'
import { PairgateError } from './errors.ts'
import { sha256Hex } from './hash.ts'
import type { PairgateOptions } from './options.ts'
import type { EventType } from './store.ts'

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
  /** How its logins by link may be delivered. */
  readonly deliveries: readonly Delivery[]
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
    | 'policies'
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
  /** Hashes of the resource servers' secrets, by id. */
  readonly resourceServers: ReadonlyMap<string, string>
  /** What proxies may ask for, by name; {@link ANY_POLICY} too. */
  readonly policies: ReadonlyMap<string, Policy>
  /** The issuer whose subjects backends are told as they are: the gateway, or the first provider. */
  readonly homeIssuer: string
  readonly webhooks: readonly Webhook[]
  readonly trustedProxies: readonly AddressRange[]
  /** Where logins must start and be allowed, and keys be made or rotated; null for anywhere. */
  readonly trustedNetworks: readonly AddressRange[] | null
}

/** A policy as the endpoints use it. */
export interface Policy {
  readonly scopes: readonly string[]
  readonly audience: string
}

/** The policy that asks for nothing but a good credential. */
export const ANY_POLICY = 'any'

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
  // what a client may ask for, or a person give a key made by hand
  const known = new Set([
    ...config.scopes.keys(),
    ...[...config.clients.values()].flatMap((one) => one.scopes),
  ])
  for (const [name, { scopes }] of config.policies)
    for (const scope of scopes.filter((one) => !known.has(one)))
      warnings.push(
        `Option "policies.${name}" takes the scope ${scope}, which nobody can get: "scopes" and "clients" do not name it`,
      )
  return warnings
}

/** Who vouches for the names of the dev sign-in: nobody. */
export const DEV_ISSUER = 'urn:pairgate:dev'

/** The client that `pairgate login` is, known to every server. */
const BUILT_IN_CLIENT = 'pairgate-cli'

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
  if (!isProtected(url)) {
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
  const builtIn = {
    flows: ['device', 'pair'] as Flow[],
    deliveries: ['poll', 'loopback'] as Delivery[],
    refresh: false,
  }
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
    deliveries: client.deliveries,
    trustedNetworks: networks ? parseRanges(option, networks) : null,
    keyName: id === SEED_CLIENT ? 'Device Link Access Key' : (client.name ?? id),
  }
}

function parseWebhook({ url, secret, events }: Parsed['webhooks'][number]): Webhook {
  return { id: sha256Hex(url), url, keys: readWebhookKeys(secret) ?? [], events }
}

function parsePolicies(policies: Parsed['policies'], baseUrl: string): Map<string, Policy> {
  if (Object.hasOwn(policies, ANY_POLICY))
    refuse(`Option "policies.${ANY_POLICY}" is wrong: this name is for any good credential`)
  const named = Object.entries(policies).map(
    ([name, { scopes, audience = baseUrl }]) => [name, { scopes, audience }] as const,
  )
  return new Map([[ANY_POLICY, { scopes: [], audience: baseUrl }], ...named])
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

function parse<Schema extends typeof schema | typeof guardSchema>(
  shape: Schema,
  options: unknown,
): v.InferOutput<Schema> {
  const result = v.safeParse(shape, options)
  if (result.success) return result.output
  const [issue] = result.issues
  return refuse(`Option "${v.getDotPath(issue) ?? ''}" is wrong: ${explainIssue(issue)}`)
}

/**
 * Checks what a guard takes: a misspelt option would let everybody through who has any credential.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION`
 */
export function parseGuardOptions(options: unknown): v.InferOutput<typeof guardSchema> {
  return parse(guardSchema, options)
}

/**
 * Checks options and fills in the defaults.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION`, naming the option, what was wanted and what came.
 */
export function parseOptions(options: PairgateOptions): Config {
  const output = parse(schema, options)
  for (const option of ['clients', 'scopes', 'resourceServers', 'policies'] as const)
    if (Array.isArray(options[option])) refuse(`Option "${option}" is wrong: must be an object, got a list`)
    // valibot leaves out what could be taken for a part of every object
    else if (Object.keys(options[option] ?? {}).length !== Object.keys(output[option]).length)
      refuse(`Option "${option}" is wrong: nothing in it may be called "constructor" or "prototype"`)
  const { clients: _clients, trustedNetworks: networks, trustedProxies, scopes, name, ...checked } = output
  const {
    database: _database,
    now: _now,
    waitUntil: _waitUntil,
    log: _log,
    resourceServers,
    policies,
    webhooks,
    ...rest
  } = checked
  const base = parseBaseUrl(rest.baseUrl)
  if (rest.devSignIn && !base.isLoopback)
    refuse('Option "devSignIn" signs in any name: it is refused when "baseUrl" is not on loopback')
  if (rest.identify && (rest.signIn.length > 0 || rest.devSignIn))
    refuse(`Options "identify" and "${rest.devSignIn ? 'devSignIn' : 'signIn'}" exclude each other`)
  if (!rest.identify && rest.signIn.length === 0 && !rest.devSignIn) {
    refuse('Nobody could sign in: one of the options "identify", "signIn" or "devSignIn" is needed')
  }
  const ids = rest.signIn.map((provider) => provider.id)
  if (new Set(ids).size !== ids.length) refuse(`Option "signIn" names a provider twice: ${ids.join(', ')}`)
  // not quoted: a path may hold a secret
  if (new Set(webhooks.map(({ url }) => url)).size !== webhooks.length)
    refuse('Option "webhooks" names a URL twice')
  const clients = Object.entries(listClients(output)).map(([id, client]) => parseClient(id, client, output))
  return Object.freeze({
    ...rest,
    ...base,
    name: name ?? new URL(base.baseUrl).host,
    clients: new Map(clients.map((client) => [client.id, client])),
    scopes: new Map([...RESERVED_SCOPES, ...Object.entries(scopes)]),
    resourceServers: new Map(
      Object.entries(resourceServers).map(([id, { secret }]) => [id, sha256Hex(secret)]),
    ),
    policies: parsePolicies(policies, base.baseUrl),
    homeIssuer: rest.identify
      ? (rest.identify.issuer ?? base.baseUrl)
      : (rest.signIn[0]?.issuer ?? DEV_ISSUER),
    webhooks: webhooks.map(parseWebhook),
    trustedProxies: parseRanges('trustedProxies', trustedProxies),
    trustedNetworks: networks ? parseRanges('trustedNetworks', networks) : null,
  })
}
