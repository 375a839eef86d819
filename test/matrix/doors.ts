/**
 * A CLI at both doors of a server: plain `fetch` at the form endpoints, the typed client at tRPC. Runs wherever the
 * typed client does.
 *
 * @module
 */

import { toLoginError } from '../../clients/mod.ts'
import { createBrowser, DEVICE_GRANT, type TestBrowser } from '../support/gate.ts'
import { createClient } from '../support/kit.ts'
import { type Door, type Flow, type Login, openDecision, preparePair, type Send } from '../support/logins.ts'

/** A running server, as its users know it. */
export interface Site {
  /** Its base URL, without a trailing slash. */
  readonly base: string
  /** The path of the base URL, such as `/auth`; empty for the root. */
  readonly mount: string
  /** Sends a request to a path below the base URL, or to a whole URL. */
  readonly send: Send
}

/** A login under way. */
export interface Started extends Login {
  /** Seconds until it expires. */
  readonly expires_in: number
  /** Seconds between polls. */
  readonly interval: number
}

/** What a poll was answered. */
export interface Polled {
  /** `issued`, or the RFCs' word. */
  readonly status: string
  readonly interval?: number
  readonly access_token?: string
}

/** Both doors. */
export const DOORS: readonly Door[] = ['form', 'trpc']
/** Who asks, unless somebody else does. */
const CLIENT = 'pairgate-cli'

/** Connects to a server. */
export function connect(base: string): Site {
  const send: Send = (path, init) =>
    fetch(path.startsWith('/') ? base + path : path, { redirect: 'manual', ...init })
  return { base, mount: new URL(base).pathname.replace(/\/$/, ''), send }
}

/** A browser in which somebody has signed in by the dev sign-in. Its paths begin with the mount, as those of links do. */
export async function signIn({ base, mount }: Site, name: string): Promise<TestBrowser> {
  const { origin } = new URL(base)
  const person = createBrowser((path, init) => fetch(new URL(path, origin), init), origin)
  const response = await person.post(`${mount}/sign-in/dev`, { username: name })
  if (response.status !== 303) throw new Error(`${response.status} ${await response.text()}`)
  return person
}

/** Posts a form as a program does. */
export async function post(
  { send }: Site,
  path: string,
  form: Record<string, string>,
): Promise<{ http: number; body: Record<string, unknown> }> {
  const response = await send(path, { method: 'POST', body: new URLSearchParams(form) })
  const text = await response.text()
  return { http: response.status, body: text ? JSON.parse(text) : {} }
}

/** The typed client, with a credential or without. */
export const api = ({ base }: Site, token?: string) => createClient({ server: base, token }).api

async function startDevice(site: Site, door: Door): Promise<Started> {
  const input = { client_id: CLIENT, device_name: 'matrix 👩‍💻' }
  const start =
    door === 'trpc'
      ? await api(site).device.authorize.mutate(input)
      : (await post(site, '/oauth/device/authorize', input)).body
  const { device_code, user_code, verification_uri_complete, expires_in, interval } = start
  const { pathname, search } = new URL(String(verification_uri_complete))
  return {
    flow: 'device',
    secret: String(device_code),
    code: String(user_code),
    page: pathname + search,
    expires_in: Number(expires_in),
    interval: Number(interval),
  }
}

async function startPair(site: Site, door: Door): Promise<Started> {
  const login = preparePair()
  const input = { client_id: CLIENT, paircode: login.code, device_name: 'matrix 👩‍💻' }
  const start =
    door === 'trpc' ? await api(site).pair.start.mutate(input) : (await post(site, '/cli_login', input)).body
  const { login_url, expires_in, interval } = start
  const { pathname } = new URL(String(login_url))
  return { ...login, page: pathname, expires_in: Number(expires_in), interval: Number(interval) }
}

/** Starts a login. */
export async function start(site: Site, flow: Flow, door: Door = 'form'): Promise<Started> {
  return flow === 'device' ? await startDevice(site, door) : await startPair(site, door)
}

async function pollForm(site: Site, { flow, secret }: Login, client_id: string): Promise<Polled> {
  const { body } =
    flow === 'device'
      ? await post(site, '/oauth/device/token', { grant_type: DEVICE_GRANT, client_id, device_code: secret })
      : await post(site, '/token', { client_id, verifier: secret })
  return { ...body, status: String(body.error ?? (body.access_token ? 'issued' : 'nothing')) }
}

/** Polls once. */
export async function poll(
  site: Site,
  login: Login,
  door: Door = 'form',
  client_id = CLIENT,
): Promise<Polled> {
  if (door === 'form') return await pollForm(site, login, client_id)
  const { flow, secret } = login
  try {
    return flow === 'device'
      ? await api(site).device.token.mutate({ client_id, device_code: secret })
      : await api(site).pair.token.mutate({ client_id, verifier: secret })
  } catch (error) {
    // a refusal's message begins with the RFC's word
    return { status: toLoginError(error).message.replace(/:.*/, '') }
  }
}

/** Waits, in seconds. */
export const sleep = (seconds: number) => new Promise<void>((resolve) => setTimeout(resolve, seconds * 1000))

/**
 * Polls at the pace that is told, until it is over.
 *
 * @param beforePoll Called before each poll, when the one before was told to wait.
 */
export async function pollUntilOver(
  site: Site,
  login: Started,
  { door = 'form', beforePoll = () => {} }: { door?: Door; beforePoll?: () => void } = {},
): Promise<Polled> {
  for (;;) {
    beforePoll()
    const answer = await poll(site, login, door)
    if (answer.status !== 'authorization_pending') return answer
    await sleep(answer.interval ?? login.interval)
  }
}

/** A person who has signed in, with a page open: the ways to answer it. */
export async function openPage(site: Site, person: TestBrowser, login: Login) {
  return await openDecision(site.send, new URL(site.base).origin, person, login)
}

/** Starts a login that somebody allows at once. */
export async function startAllowed(site: Site, flow: Flow, door: Door = 'form'): Promise<Started> {
  const person = await signIn(site, 'alice')
  const login = await start(site, flow, door)
  const said = await (await openPage(site, person, login))('allow', door)
  if (said !== 'approved') throw new Error(`Expected the ${flow} login to be allowed, it is ${said}`)
  return login
}
