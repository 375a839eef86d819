/** The shape of the options: type, range and default of each. @module */

import * as v from 'valibot'
import { isProtected } from './core/address.ts'
import type { GuardOptions } from './guard.ts'
import type { AccessRequest, Identify, Log, PairgateEvent } from './options.ts'
import type { Provider } from './providers.ts'
import { EVENT_TYPES, type Store } from './store.ts'

const seconds = (min: number, max: number, fallback: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max)), fallback)
const count = (fallback: number, least = 1) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(least)), fallback)
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
  deliveries: v.optional(v.array(v.picklist(['poll', 'loopback'])), ['poll', 'loopback']),
  trustedNetworks: v.optional(networks),
})

const callback = <T>() => v.custom<T>((value) => typeof value === 'function', 'must be a function')
const secret = v.pipe(
  v.string('it is not set, make one with openssl rand -base64 32'),
  v.minBytes(32, 'must have at least 32 bytes, make one with openssl rand -base64 32'),
)

function isSafeUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const url = new URL(text)
  return isProtected(url) && !url.username && !url.password
}

/** The keys of a webhook's secret (Standard Webhooks); null when it is none. */
export function readWebhookKeys(secret: string): Uint8Array[] | null {
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
    v.string('it is not set'),
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

const policySchema = v.strictObject({
  scopes: v.optional(v.array(scopeToken), []),
  audience: v.optional(text),
})

/** What a guard takes. */
export const guardSchema = v.strictObject({
  scopes: v.optional(v.array(scopeToken), []),
  remoteAddress: v.optional(callback<NonNullable<GuardOptions['remoteAddress']>>()),
})

/** What `createPairgate` takes, checked and completed. */
export const schema = v.strictObject({
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
  verifyCacheSeconds: seconds(0, 60, 0),
  maxAuthAgeSeconds: v.optional(v.pipe(v.number(), v.integer(), v.minValue(60), v.maxValue(month))),
  limits: v.optional(
    v.strictObject({
      startPerMinute: count(120),
      pendingPerAddress: count(200),
      pendingTotal: count(10_000),
      heldPerAddress: count(100, 0),
      heldTotal: count(10_000, 0),
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
  policies: v.optional(
    v.record(v.pipe(v.string(), v.regex(/^[\w-]{1,64}$/, 'must be 1-64 of A-Z a-z 0-9 _ -')), policySchema),
    {},
  ),
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
