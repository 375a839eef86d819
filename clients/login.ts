/**
 * Signing in, from start to credential. Nothing here prints, and nothing reads a terminal: `onPrompt` is told what the
 * person has to see, the promise brings the credential.
 *
 * @module
 */

import { checkStart } from './answers.ts'
import { openBrowser } from './browser.ts'
import { LoginError, parseServer } from './errors.ts'
import type { DeviceAuthorizationResponse, PairgateApi, PairStartResponse } from './generated/contract.ts'
import { type Loopback, listenOnLoopback } from './loopback.ts'
import { call, type LoginToken, type Polled, pauseFor, poll, type WaitOptions } from './poll.ts'
import { surroundings } from './surroundings.ts'
import { chooseTransport, type Surroundings, type Transport } from './transport.ts'

/** A mutation, whatever the client's links, transformer and error shape are. */
interface Call<Of extends { mutate: (...args: never[]) => Promise<unknown> }> {
  mutate(
    input: Parameters<Of['mutate']>[0],
    options?: { signal?: AbortSignal },
  ): Promise<Awaited<ReturnType<Of['mutate']>>>
}

/**
 * Where to sign in: a base URL, a registered client_id, and the calls. `api` may be the part of a host's own tRPC client
 * that pairgate's router is nested under: `{ server, clientId, api: host.cli }`.
 */
export interface LoginTarget {
  readonly server: string
  readonly clientId: string
  readonly api: {
    readonly device: {
      readonly authorize: Call<PairgateApi['device']['authorize']>
      readonly token: Call<PairgateApi['device']['token']>
    }
    readonly pair: {
      readonly start: Call<PairgateApi['pair']['start']>
      readonly token: Call<PairgateApi['pair']['token']>
    }
  }
}

/** What a person has to be shown. */
export interface LoginPrompt {
  readonly via: Transport
  /** The link to open; on the server's own origin. With `loopback` it has to be opened on this machine. */
  readonly url: string
  /** Device flow: the page without the code, for typing it there. */
  readonly entry_url?: string
  /** The code that the page shows too (`device`: the user code; else a word and a number). */
  readonly code: string
  /** Seconds to decide in. */
  readonly expires_in: number
  /** Whether the link is about to be opened in a browser here. */
  readonly browser: boolean
}

/** How to sign in. */
export interface SignInOptions extends WaitOptions {
  /** Called with what the person must see, before the first poll; once more if `auto` has to take another way. */
  readonly onPrompt: (prompt: LoginPrompt) => void
  /** Which way. Default `auto`: `chooseTransport` decides. */
  readonly via?: 'auto' | Transport | undefined
  /** Whether to open the link in a browser here. Default: as `chooseTransport` says. */
  readonly browser?: boolean | undefined
  /** Opens a link; false when it cannot. Default `openBrowser`. */
  readonly open?: ((url: string) => Promise<boolean>) | undefined
  /** Where this runs, for `auto`. Default: asked of the machine. */
  readonly where?: Surroundings | undefined
  /** What the person knows this machine by. Shown on the page. */
  readonly deviceName?: string | undefined
  /** Space-separated scopes to ask for. Default: none. */
  readonly scope?: string | undefined
  /** Told that no browser could be opened. With `auto` another prompt follows, else the person may open the link. */
  readonly onBrowserFailure?: (() => void) | undefined
}

const originOf = (server: string) => new URL(parseServer(server)).origin

/** Lets nothing through but pages of the server itself: what is printed here, people open and trust. */
function checkUrl(url: string, { server }: LoginTarget): string {
  const page = URL.canParse(url) ? new URL(url) : null
  // a blob: URL has the origin of the page that made it
  const isWeb = page?.protocol === 'https:' || page?.protocol === 'http:'
  if (isWeb && page.origin === originOf(server) && !page.username && !page.password) return page.href
  throw new LoginError(
    'untrusted_url',
    'The server names a page that is not its own; refusing to show or open it',
  )
}

/** What was decided on before the start. */
interface Plan extends SignInOptions {
  readonly browser: boolean
  /** Told that the browser did not open. */
  readonly onBrowserFailure: () => void
}

function show(prompt: LoginPrompt, { onPrompt, onBrowserFailure, open = openBrowser }: Plan): void {
  onPrompt(prompt)
  if (prompt.browser) void open(prompt.url).then((opened) => opened || onBrowserFailure(), onBrowserFailure)
}

/** A login by code that was started. `device_code` is a secret: whoever has it collects the login. */
export type DeviceStart = DeviceAuthorizationResponse

/** Starts a login by code (RFC 8628 section 3.1), for `collectDevice` to wait for. */
export async function startDevice(
  target: LoginTarget,
  { deviceName: device_name, scope, signal }: Pick<SignInOptions, 'deviceName' | 'scope' | 'signal'>,
): Promise<DeviceStart> {
  const input = { client_id: target.clientId, device_name, scope }
  const answer = await call((request) => target.api.device.authorize.mutate(input, request), signal)
  const start = checkStart(answer, 'user_code')
  return {
    ...start,
    verification_uri: checkUrl(start.verification_uri, target),
    verification_uri_complete: checkUrl(start.verification_uri_complete, target),
  }
}

/** Waits for what the person decides on a login by code, and collects it. */
export async function collectDevice(
  { api, clientId: client_id }: LoginTarget,
  start: DeviceStart,
  options: WaitOptions,
): Promise<LoginToken> {
  const { device_code } = start
  const ask: Polled['ask'] = (hold, request) =>
    api.device.token.mutate({ client_id, device_code, ...hold }, request)
  return await poll({ ask, start }, options)
}

async function byDevice(target: LoginTarget, plan: Plan): Promise<LoginToken> {
  const start = await startDevice(target, plan)
  const { verification_uri_complete: url, verification_uri: entry_url, user_code: code, expires_in } = start
  show({ via: 'device', url, entry_url, code, expires_in, browser: plan.browser }, plan)
  return await collectDevice(target, start, plan)
}

/** 32 random bytes, base64url. */
function randomText(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)))
}

const base64url = (bytes: Uint8Array) =>
  btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (sign) => ({ '+': '-', '/': '_' })[sign] ?? '')

/** Starts with a verifier that stays here; its S256 is the paircode in the link. */
async function startPair(
  { api, clientId }: LoginTarget,
  { deviceName: device_name, scope, signal }: Plan,
  delivery: { delivery?: 'loopback'; port?: number; state?: string },
): Promise<{ start: PairStartResponse; verifier: string }> {
  const verifier = randomText()
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier))
  const paircode = base64url(new Uint8Array(digest))
  const input = { client_id: clientId, paircode, device_name, scope, ...delivery }
  const start = await call((request) => api.pair.start.mutate(input, request), signal)
  return { start: checkStart(start, 'match_code'), verifier }
}

function pairPrompt(
  target: LoginTarget,
  via: Transport,
  start: PairStartResponse,
  browser: boolean,
): LoginPrompt {
  const { login_url, match_code: code, expires_in } = start
  return { via, url: checkUrl(login_url, target), code, expires_in, browser }
}

async function byLink(target: LoginTarget, plan: Plan): Promise<LoginToken> {
  const { api, clientId } = target
  const { start, verifier } = await startPair(target, plan, {})
  show(pairPrompt(target, 'link', start, plan.browser), plan)
  const ask: Polled['ask'] = (hold, request) =>
    api.pair.token.mutate({ client_id: clientId, verifier, ...hold }, request)
  return await poll({ ask, start }, plan)
}

/** The browser brings a code that the credential takes beside the verifier. Polls meanwhile tell of Deny and the end. */
async function byLoopback(target: LoginTarget, plan: Plan, open: OpenLoopback): Promise<LoginToken> {
  const { api, clientId } = target
  const { loopback, state } = open
  const { start, verifier } = await startPair(target, plan, {
    delivery: 'loopback',
    port: loopback.port,
    state,
  })
  const prompt = pairPrompt(target, 'loopback', start, plan.browser)
  loopback.finishAt(prompt.url)
  const woken = new AbortController()
  // a browser that was here did open, whatever its end is
  show(prompt, { ...plan, onBrowserFailure: () => woken.signal.aborted || plan.onBrowserFailure() })
  let code: string | undefined
  void loopback.callback.then((callback) => {
    // Deny needs no code: the next poll tells
    code = callback.code
    woken.abort()
  })
  const ask: Polled['ask'] = (hold, request) =>
    api.pair.token.mutate({ client_id: clientId, verifier, ...(code ? { code } : hold) }, request)
  try {
    return await poll({ ask, start, woken: woken.signal }, plan)
  } catch (error) {
    // a poll that is held tells of Deny at once, and the browser is on its way: it would find nobody here
    const isDenied = error instanceof LoginError && error.code === 'access_denied'
    if (isDenied) await pauseFor(2_000, woken.signal, plan)
    throw error
  }
}

interface OpenLoopback {
  readonly loopback: Loopback
  readonly state: string
}

async function openLoopback({ server }: LoginTarget): Promise<OpenLoopback | null> {
  const state = randomText()
  try {
    return { loopback: await listenOnLoopback({ state, origin: originOf(server) }), state }
  } catch {
    // a sandbox without a listening socket, as Deno without --allow-net=127.0.0.1
    return null
  }
}

/** Signs in one way. */
async function signInVia(via: Transport, target: LoginTarget, plan: Plan): Promise<LoginToken> {
  if (via === 'device') return await byDevice(target, plan)
  const open = via === 'loopback' ? await openLoopback(target) : null
  if (!open) return await byLink(target, plan)
  try {
    return await byLoopback(target, plan, open)
  } finally {
    open.loopback.close()
  }
}

/** A browser that does not open is no end: a code is good on any other device too. */
async function signInSomehow(via: Transport, target: LoginTarget, plan: Plan): Promise<LoginToken> {
  const { signal } = plan
  const failed = new AbortController()
  const onBrowserFailure = () => {
    plan.onBrowserFailure()
    failed.abort()
  }
  const either = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal
  try {
    return await signInVia(via, target, { ...plan, onBrowserFailure, signal: either })
  } catch (error) {
    signal?.throwIfAborted()
    if (!failed.signal.aborted) throw error
    return await signInVia('device', target, { ...plan, browser: false })
  }
}

/**
 * Signs a person in and brings the credential; keeps nothing. `client.login` does that too, and remembers the login.
 *
 * @throws {LoginError} With the `code` that tells why.
 */
export async function signIn(target: LoginTarget, options: SignInOptions): Promise<LoginToken> {
  const { via = 'auto', browser } = options
  let isOver = false
  const plan = (choice: { readonly browser: boolean }): Plan => ({
    ...options,
    browser: browser ?? choice.browser,
    onBrowserFailure: () => isOver || options.onBrowserFailure?.(),
  })
  try {
    // where everything is said, nothing is asked of the surroundings: Deno takes a permission for that
    if (via !== 'auto' && browser !== undefined) return await signInVia(via, target, plan({ browser }))
    const choice = chooseTransport(options.where ?? surroundings())
    if (via !== 'auto') return await signInVia(via, target, plan(choice))
    const { via: chosen } = choice
    return browser === false
      ? await signInVia('device', target, plan(choice))
      : await signInSomehow(chosen, target, plan(choice))
  } finally {
    isOver = true
  }
}
