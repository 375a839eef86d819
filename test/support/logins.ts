/** Both flows through both doors, under one set of words: for tests that race them or break them half-way. @module */

import { createBrowser, createPaircode, DEVICE_GRANT, type TestBrowser } from './gate.ts'

/** Sends a request to a path of the service. */
export type Send = (path: string, init?: RequestInit) => Promise<Response>
/** The two flows. */
export const FLOWS = ['device', 'pair'] as const
/** One of the two flows. */
export type Flow = (typeof FLOWS)[number]
/** The OAuth form endpoints and the pages, or the tRPC procedures. */
export type Door = 'form' | 'trpc'

/** One login, as the CLI and the person know it. */
export interface Login {
  readonly flow: Flow
  /** What the CLI polls with. */
  readonly secret: string
  /** What the person has: the user code or the paircode. */
  readonly code: string
  /** Path of the page where the person decides. */
  readonly page: string
}

/** What either door answered, in the same words. */
export interface Answer {
  readonly http: number
  /** `started`, `issued`, an outcome such as `invalid_grant`, or `rate_limited`, `conflict`, `unavailable`, `failed`. */
  readonly status: string
  readonly body: Readonly<Record<string, unknown>>
  readonly text: string
  readonly retryAfter: string | null
}

const REFUSED: Readonly<Record<number, string>> = {
  409: 'conflict',
  429: 'rate_limited',
  500: 'failed',
  503: 'unavailable',
}

async function read(response: Response): Promise<Answer> {
  const text = await response.text()
  const json = JSON.parse(text) as Record<string, unknown>
  const body = ((json.result as { data?: object } | undefined)?.data ?? json) as Record<string, unknown>
  const error = (body.error as { data?: { code?: string } } | undefined)?.data?.code ?? body.error
  const word = body.status ?? error ?? (body.access_token ? 'issued' : 'started')
  return {
    http: response.status,
    status: REFUSED[response.status] ?? String(word),
    body,
    text,
    retryAfter: response.headers.get('retry-after'),
  }
}

async function postForm(
  send: Send,
  path: string,
  form: Record<string, string>,
  init: RequestInit = {},
): Promise<Answer> {
  return await read(await send(path, { method: 'POST', body: new URLSearchParams(form), ...init }))
}

/** Calls a tRPC mutation. */
export async function call(
  send: Send,
  path: string,
  input: Record<string, string | number | undefined>,
  headers: Record<string, string> = {},
  init: RequestInit = {},
): Promise<Answer> {
  return await read(
    await send(`/trpc/${path}`, {
      method: 'POST',
      body: JSON.stringify(input),
      headers: { 'content-type': 'application/json', ...headers },
      ...init,
    }),
  )
}

/** A paircode login before anybody was asked: the CLI makes all of it up. */
export function preparePair(): Login {
  const { verifier, paircode } = createPaircode()
  return { flow: 'pair', secret: verifier, code: paircode, page: `/pair/${paircode}` }
}

/** Asks for a login; a paircode one may be `prepared`. */
export async function requestLogin(
  send: Send,
  flow: Flow,
  door: Door,
  { prepared = preparePair(), ...more }: { prepared?: Login; device_name?: string; scope?: string } = {},
): Promise<{ answer: Answer; login: Login }> {
  const input = {
    client_id: 'pairgate-cli',
    ...(flow === 'pair' && { paircode: prepared.code }),
    ...more,
  }
  const [path, procedure] =
    flow === 'device' ? ['/oauth/device/authorize', 'device.authorize'] : ['/cli_login', 'pair.start']
  const answer =
    door === 'form' ? await postForm(send, path, input) : await call(send, String(procedure), input)
  const { device_code, user_code } = answer.body
  const device = { secret: String(device_code), code: String(user_code) }
  const login =
    flow === 'pair' ? prepared : { flow, ...device, page: `/device?user_code=${String(user_code)}` }
  return { answer, login }
}

/** Starts a login that nothing stands in the way of. */
export async function startLogin(send: Send, flow: Flow, door: Door = 'form'): Promise<Login> {
  const { answer, login } = await requestLogin(send, flow, door)
  if (answer.status !== 'started') throw new Error(`${answer.http} ${answer.text}`)
  return login
}

/** How a poll would be held. */
export interface Hold {
  /** Seconds. */
  readonly wait?: number
  readonly signal?: AbortSignal
}

/** Polls once. */
export async function poll(
  send: Send,
  { flow, secret }: Login,
  door: Door = 'form',
  { wait, signal }: Hold = {},
): Promise<Answer> {
  const client_id = 'pairgate-cli'
  const end = signal ? { signal } : {}
  const [path, form] =
    flow === 'device'
      ? (['/oauth/device/token', { client_id, device_code: secret }] as const)
      : (['/token', { client_id, verifier: secret }] as const)
  if (door === 'trpc') return await call(send, `${flow}.token`, { ...form, wait }, {}, end)
  const grant = { ...(flow === 'device' && { grant_type: DEVICE_GRANT }), ...form }
  return await postForm(send, path, grant, { ...end, ...(wait && { headers: { prefer: `wait=${wait}` } }) })
}

/** A browser in which somebody has signed in by the dev sign-in. */
export async function signIn(send: Send, origin: string, name: string): Promise<TestBrowser> {
  const person = createBrowser(send, origin)
  const response = await person.signIn(name)
  if (response.status !== 303) throw new Error(`${response.status} ${await response.text()}`)
  return person
}

const SAID: Readonly<Record<string, string>> = {
  Allowed: 'approved',
  Denied: 'denied',
  'Already answered': 'already_decided',
  'You allowed this': 'already_approved',
  'You denied this': 'already_denied',
  'Too many tries': 'rate_limited',
}

/** What a page says has happened, in the words of the flows; `already_approved` when one did it oneself. */
export async function said(response: Response): Promise<string> {
  const title = /<title>(.*?) · /.exec(await response.text())?.[1] ?? ''
  return SAID[title] ?? `${response.status} ${title}`
}

/** What a page's script sends along: the cookies of its browser, and that it is of the same origin. */
export function pageHeaders(person: TestBrowser, origin: string): Record<string, string> {
  const cookie = [...person.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  return { cookie, origin, 'sec-fetch-site': 'same-origin' }
}

/** Makes the ways in which a person who has the page of a login open can answer it. */
export async function openDecision(
  send: Send,
  origin: string,
  person: TestBrowser,
  { flow, code, page }: Login,
): Promise<(decision: 'allow' | 'deny', door?: Door) => Promise<string>> {
  const html = await (await person.get(page)).text()
  return async (decision, door = 'form') => {
    if (door === 'form') return await said(await person.submit(html, { decision }))
    const procedure = decision === 'allow' ? 'approve' : 'deny'
    const input = flow === 'device' ? { user_code: code } : { paircode: code }
    const { status, body } = await call(send, `${flow}.${procedure}`, input, pageHeaders(person, origin))
    return status === 'already_decided' && body.your_decision ? `already_${body.your_decision}` : status
  }
}
