/** The options of pairgate: type, unit, range, default and meaning of each, in one place. Checked in config.ts. @module */

import type { Flow } from './core/grant.ts'
import type { Delivery } from './core/loopback.ts'
import type { Provider } from './providers.ts'
import type { AuditEvent, EventType, Store, UserIdentity } from './store.ts'

/** An organisation or team that a person belongs to. */
export interface Tenant {
  /** Stable id, 1-255 characters: credentials carry it. */
  readonly id: string
  /** What the page calls it. Default: its id. */
  readonly name?: string | undefined
}

/** Who the gateway's own session says is there. */
export interface Identity extends Partial<UserIdentity> {
  /** Stable id of the person at `issuer`; 1-255 characters. */
  readonly subject: string
  /** Who vouches for `subject`. Default: the base URL. */
  readonly issuer?: string
  readonly name?: string | undefined
  readonly email?: string | undefined
  /** When the person signed in, in epoch seconds (OpenID Connect Core section 2). Needed under `maxAuthAgeSeconds`. */
  readonly auth_time?: number | undefined
  /** The organisations that a credential may be for; with several the person chooses one. Default: none. */
  readonly tenants?: readonly Tenant[] | undefined
}

/** What a transport knows of a request beside the request itself. */
export interface RequestInfo {
  /** Address of the socket's peer. Without it limits share one bucket and people type the code themselves. */
  readonly remoteAddress?: string | undefined
}

/** What `identify` is told beside the request. */
export interface IdentifyInfo extends RequestInfo {
  /** For saying why somebody is not believed. */
  readonly log: Log
}

/** Answers who is signed in at the gateway, from its own session; null when nobody is. */
export interface Identify {
  (request: Request, info: IdentifyInfo): Identity | null | undefined | Promise<Identity | null | undefined>
  /** Who vouches for its people, where that is one issuer and not the base URL. Backends are told their subjects as they are. */
  readonly issuer?: string | undefined
}

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
  /** Lifetime of its sessions, in seconds: 60 to 31536000. Default: `sessionSeconds`. */
  readonly sessionTtl?: number | undefined
  /**
   * Whether it gets a refresh token (RFC 6749 section 6) with every login. Default: only when it asks for the scope
   * `offline_access`, which must be among its `scopes`.
   */
  readonly refresh?: boolean | undefined
  /**
   * How its logins by link may reach it. With `['loopback']` alone nobody elsewhere can collect what a person is lured to
   * allow. Default: both.
   */
  readonly deliveries?: readonly Delivery[] | undefined
  /** Networks that its logins must start and be allowed in, as CIDRs. Default: `trustedNetworks`. */
  readonly trustedNetworks?: readonly string[] | undefined
}

/** A service that may ask what a token is good for (RFC 7662), by HTTP Basic or by form. */
export interface ResourceServerOptions {
  /** Its password, of at least 32 bytes. An undefined one, as from an unset variable, is refused. */
  readonly secret: string | undefined
}

/** What a proxy may ask for, by name: `/authz/nginx/NAME`, `/authz/forward/NAME`, `/authz/ext/NAME`. */
export interface PolicyOptions {
  /** The scopes that a request takes, all of them. Default: none, any good credential goes on. */
  readonly scopes?: readonly string[] | undefined
  /** The service behind it: `aud` of the assertions that it gets. Default: `baseUrl`. */
  readonly audience?: string | undefined
}

/** Somebody, asking for access: what `isAllowed` judges. */
export interface AccessRequest extends UserIdentity {
  readonly name: string | null
  readonly email: string | null
  /** The app that gets the credential; null for a key that the person made by hand. */
  readonly client_id: string | null
  readonly scopes: readonly string[]
  readonly tenant: string | null
}

/** Something that happened; the same for `onEvent`, `gate.events` and webhooks. Nothing in it is secret. */
export interface PairgateEvent extends Omit<AuditEvent, 'at' | 'user_id'> {
  /** ISO 8601, UTC. */
  readonly timestamp: string
  /** Whom it concerns, as far as that is known. */
  readonly user: (UserIdentity & { readonly name: string | null; readonly email: string | null }) | null
}

/** Where events are sent to, signed as the Standard Webhooks specification has it. */
export interface WebhookOptions {
  /** https, or http on loopback. */
  readonly url: string
  /** `whsec_` and base64 of 24 to 64 bytes. With several, separated by a space, each signs: so they can be changed. */
  readonly secret: string | undefined
  /** The events to send. Default: all. */
  readonly events?: readonly EventType[] | undefined
}

/**
 * How often things may happen. A limit counts for an IPv4 address or an IPv6 /64, over all instances unless it says
 * otherwise.
 */
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
  /** Polls held at once by one process, per address; those beyond are answered at once. 0 holds none. Default 100. */
  readonly heldPerAddress?: number | undefined
  /** Polls held at once by one process, in all. 0 holds none. Default 10000. */
  readonly heldTotal?: number | undefined
  /** Live API keys of one person. Default 50. */
  readonly keysPerUser?: number | undefined
  /** Live sessions of CLIs of one person. Default 50. */
  readonly sessionsPerUser?: number | undefined
}

/** Where pairgate reports to. Messages are constant, one line; properties hold no secrets. */
export interface Log {
  debug(message: string, properties: Record<string, unknown>): void
  info(message: string, properties: Record<string, unknown>): void
  warn(message: string, properties: Record<string, unknown>): void
  error(message: string, properties: Record<string, unknown>): void
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
  /** What each scope allows, in words, for the page. These are also what a person may give a key made by hand. */
  readonly scopes?: Readonly<Record<string, string>> | undefined
  /** The flows that are on; an empty list switches logins off. Default: both. */
  readonly flows?: readonly Flow[] | undefined
  /** Lifetime of a device code and its user code: 5 to 1800. Default 600. */
  readonly deviceCodeSeconds?: number | undefined
  /** Lifetime of a paircode: 5 to 1800. Default 600. */
  readonly paircodeSeconds?: number | undefined
  /** Least time between two polls: 1 to 60. Default 5. */
  readonly pollSeconds?: number | undefined
  /** Lifetime of an API key from the device flow: 60 to 31536000. Default 86400 (a day). */
  readonly keySeconds?: number | undefined
  /** Longest lifetime of a key that a person makes by hand: 60 to 31536000. Default 31536000 (a year). */
  readonly maxKeySeconds?: number | undefined
  /** Lifetime of a CLI's session: 60 to 31536000. Default 2592000 (30 days). */
  readonly sessionSeconds?: number | undefined
  /** A CLI's session, and a login with a refresh token, ends when unused for this long: 60 to 31536000. Default 1209600 (14 days). */
  readonly sessionIdleSeconds?: number | undefined
  /** Lifetime of an access token that comes with a refresh token: 60 to 86400. Default 3600. */
  readonly accessSeconds?: number | undefined
  /** Lifetime of a login with a refresh token, however often it is refreshed: 60 to 31536000. Default 2592000 (30 days). */
  readonly refreshSeconds?: number | undefined
  /** What the secrets start with, before `k_`, `s_`, `r_`, `b_`: 2-8 of a-z and 0-9, a letter first. Changing it ends all. Default `pg`. */
  readonly secretPrefix?: string | undefined
  /** Lifetime of a browser's sign-in: 60 to 2592000. Default 43200 (12 hours). */
  readonly browserSeconds?: number | undefined
  /** A browser's sign-in ends when unused for this long: 60 to 2592000. Default 7200 (2 hours). */
  readonly browserIdleSeconds?: number | undefined
  /**
   * How long an API key or session that was verified is answered from memory: 0 to 60. What this gate ends it refuses at
   * once, what another instance ends up to so many seconds later. Default 0: never, a revocation holds everywhere at once.
   */
  readonly verifyCacheSeconds?: number | undefined
  /** Allowing a login, and making or rotating a key, takes a sign-in that is no older: 60 to 2592000. Default: any. */
  readonly maxAuthAgeSeconds?: number | undefined
  /** See {@link LimitOptions}. */
  readonly limits?: LimitOptions | undefined
  /** Proxies whose X-Forwarded-For is believed, as CIDRs. Default: none. */
  readonly trustedProxies?: readonly string[] | undefined
  /** Networks that logins must start and be allowed in, and keys be made in, as CIDRs; an unknown address is in none. Default: any. */
  readonly trustedNetworks?: readonly string[] | undefined
  /** Services that may call the introspection endpoint, by id. Default: none, and no endpoint. */
  readonly resourceServers?: Readonly<Record<string, ResourceServerOptions>> | undefined
  /** What proxies may ask for beside a good credential, by name. Default: none. */
  readonly policies?: Readonly<Record<string, PolicyOptions>> | undefined
  /** Asked before a credential is issued or refreshed; false refuses it. Default: everybody who is not disabled. */
  readonly isAllowed?: ((request: AccessRequest) => boolean | Promise<boolean>) | undefined
  /** Told of everything that happens, after the answer; a failure is logged. */
  readonly onEvent?: ((event: PairgateEvent) => void | Promise<void>) | undefined
  /** Where events are sent to. Default: nowhere. */
  readonly webhooks?: readonly WebhookOptions[] | undefined
  /** How long the audit trail is kept: 86400 to 315360000. Default 31536000 (a year). */
  readonly eventSeconds?: number | undefined
  /** Serves the two seed systems' own clients too. Weaker; see SECURITY.md. Default false. */
  readonly seedCompat?: boolean | undefined
  /** Whether the first request creates or upgrades the tables; otherwise they are only checked. Default true. */
  readonly autoMigrate?: boolean | undefined
  /** Where pairgate reports to. Default: LogTape's logger `pairgate`, which is silent until LogTape is configured. */
  readonly log?: Log | undefined
  /** Keeps a serverless instance alive for work that goes on after an answer. `pairgate/workers` sets it. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined
  /** Tells the time in epoch milliseconds. For tests. Default `Date.now`. */
  readonly now?: (() => number) | undefined
}
