/** A walk through every door of a standalone server that notes each secret, and every answer, on the way. @module */

import { scopeFields } from './credentials.ts'
import { createBrowser, createPaircode, DEVICE_GRANT, readForm, type TestBrowser } from './gate.ts'
import { pageHeaders } from './logins.ts'

/** One answer. */
export interface Noted {
  readonly request: string
  readonly status: number
  /** Headers and body. */
  readonly text: string
}

/** What the walk has left behind. */
export interface Notes {
  /** What was handed out, by name; each is in one answer only. */
  readonly handedOut: Map<string, string>
  /** What clients and operators made themselves: in no answer at all. */
  readonly brought: Map<string, string>
  /** What may be shown on pages again, but never logged: form tokens, codes that people read and type. */
  readonly shown: Map<string, string>
  /** What clients say of themselves and nobody needs to keep. */
  readonly chatter: Map<string, string>
  readonly answers: Noted[]
}

/** Makes empty notes. */
export function createNotes(): Notes {
  return { handedOut: new Map(), brought: new Map(), shown: new Map(), chatter: new Map(), answers: [] }
}

type Body = Record<string, string>
type Fetch = (path: string, init?: RequestInit) => Promise<Response>

const AGENT = 'a-very-odd-user-agent/7.31'
const CLIENT = 'mytool'

/** A way to fetch that notes each answer. */
function noting(base: string, { answers, chatter }: Notes): Fetch {
  chatter.set('user-agent', AGENT)
  return async (path, init) => {
    const headers = new Headers(init?.headers)
    headers.set('user-agent', AGENT)
    const response = await fetch(new URL(path, base), { redirect: 'manual', ...init, headers })
    const text = `${[...response.headers].map((pair) => pair.join(': ')).join('\n')}\n\n${await response.clone().text()}`
    answers.push({
      request: `${init?.method ?? 'GET'} ${new URL(path, base).pathname}`,
      status: response.status,
      text,
    })
    return response
  }
}

/** The walk. */
export interface Walk {
  readonly notes: Notes
  readonly fetch: Fetch
  post(path: string, form: Body, headers?: Body): Promise<{ status: number; body: Body }>
  call(path: string, input: object, headers?: Body): Promise<Body>
  person(name: string): Promise<TestBrowser>
}

/** Starts a walk at a server. */
export function createWalk(base: string, notes: Notes): Walk {
  const fetch = noting(base, notes)
  let people = 0
  const read = async (response: Response) => {
    const text = await response.text()
    return text.startsWith('{') ? JSON.parse(text) : {}
  }
  return {
    notes,
    fetch,
    async post(path, form, headers = {}) {
      const response = await fetch(path, { method: 'POST', body: new URLSearchParams(form), headers })
      return { status: response.status, body: await read(response) }
    },
    async call(path, input, headers = {}) {
      const init = {
        method: 'POST',
        body: JSON.stringify(input),
        headers: { 'content-type': 'application/json', ...headers },
      }
      const { result } = await read(await fetch(`/trpc/${path}`, init))
      return result?.data ?? {}
    },
    async person(name) {
      const browser = createBrowser(fetch, base)
      await browser.signIn(name)
      await browser.get('/device')
      notes.handedOut.set(
        `session cookie ${++people} of ${name}`,
        browser.cookies.get('pairgate-session') ?? '',
      )
      return browser
    },
  }
}

const noteTokens = ({ notes }: Walk, name: string, { access_token, refresh_token }: Body) => {
  if (access_token) notes.handedOut.set(`access token ${name}`, access_token)
  if (refresh_token) notes.handedOut.set(`refresh token ${name}`, refresh_token)
}

/** The page of a request, with its token and its code noted. */
async function openPage({ notes }: Walk, person: TestBrowser, page: string): Promise<string> {
  const html = await (await person.get(page)).text()
  const { form_token = '' } = readForm(html).fields
  notes.shown.set(`form token ${form_token.slice(0, 6)}`, form_token)
  notes.handedOut.set('form cookie', person.cookies.get('pairgate-form') ?? '')
  return html
}

/** Both flows, through a door each, allowed, collected twice, used, refreshed. */
export async function walkLogins(walk: Walk, base: string): Promise<{ tokens: Body[]; alice: TestBrowser }> {
  const { notes, post, call, person } = walk
  const alice = await person('alice')
  const tokens: Body[] = []
  const start = { client_id: CLIENT, scope: 'offline_access read', device_name: 'laptop' }
  for (const door of ['form', 'trpc'] as const) {
    const device =
      door === 'form'
        ? (await post('/oauth/device/authorize', start)).body
        : await call('device.authorize', start)
    const { device_code = '', user_code = '' } = device
    notes.handedOut.set(`device code, ${door}`, device_code)
    notes.shown.set(`user code, ${door}`, user_code)
    notes.shown.set(`user code, ${door}, as it is kept`, user_code.replace('-', ''))
    const poll = () =>
      door === 'form'
        ? post('/oauth/device/token', { client_id: CLIENT, grant_type: DEVICE_GRANT, device_code }).then(
            ({ body }) => body,
          )
        : call('device.token', { client_id: CLIENT, device_code })
    await poll()
    await poll()
    await alice.submit(await openPage(walk, alice, `/device?user_code=${user_code}`), {
      decision: 'allow',
      ...scopeFields(start.scope),
    })
    const answer = await poll()
    noteTokens(walk, `of the device flow, ${door}`, answer)
    tokens.push(answer)
    await poll()
  }
  for (const door of ['form', 'trpc'] as const) {
    const { verifier, paircode } = createPaircode()
    notes.brought.set(`verifier, ${door}`, verifier)
    const input = { client_id: CLIENT, paircode, scope: 'read' }
    const { match_code = '' } =
      door === 'form' ? (await post('/cli_login', input)).body : await call('pair.start', input)
    notes.shown.set(`match code, ${door}`, match_code)
    const poll = () =>
      door === 'form'
        ? post('/token', { client_id: CLIENT, verifier }).then(({ body }) => body)
        : call('pair.token', { client_id: CLIENT, verifier })
    await poll()
    await openPage(walk, alice, `/pair/${paircode}`)
    await call('pair.review', { paircode }, pageHeaders(alice, base))
    await call('pair.approve', { paircode }, pageHeaders(alice, base))
    const answer = await poll()
    noteTokens(walk, `of the paircode flow, ${door}`, answer)
    tokens.push(answer)
    await poll()
  }
  return { tokens, alice }
}

/** The delivery `loopback`, through a door each: the code is in one answer, and brought with the verifier. */
export async function walkLoopback(walk: Walk, base: string, alice: TestBrowser): Promise<void> {
  const { notes, post, call } = walk
  const state = 'a-state-of-the-cli-that-only-the-browser-brings'
  for (const door of ['form', 'trpc'] as const) {
    const { verifier, paircode } = createPaircode()
    notes.brought.set(`verifier of loopback, ${door}`, verifier)
    const { body } = await post('/cli_login', {
      ...{ client_id: CLIENT, paircode, scope: 'read' },
      ...{ delivery: 'loopback', port: '49152', state },
    })
    notes.shown.set(`match code of loopback, ${door}`, body.match_code ?? '')
    const html = await openPage(walk, alice, `/pair/${paircode}`)
    const callback =
      door === 'form'
        ? (await alice.submit(html, { decision: 'allow', ...scopeFields('read') })).headers.get('location')
        : (await call('pair.approve', { paircode }, pageHeaders(alice, base))).redirect_to
    const code = new URL(callback ?? '').searchParams.get('code') ?? ''
    notes.handedOut.set(`code of loopback, ${door}`, code)
    await alice.get(`/pair/${paircode}`)
    await post('/token', { client_id: CLIENT, verifier, code: `${code.slice(0, 20)}x` })
    noteTokens(
      walk,
      `of loopback, ${door}`,
      (await post('/token', { client_id: CLIENT, verifier, code })).body,
    )
    await post('/token', { client_id: CLIENT, verifier, code })
  }
}

/** Refreshes, and a refresh token that comes back. */
export async function walkRefresh(walk: Walk, [one, other]: readonly Body[]): Promise<void> {
  const form = { client_id: CLIENT, grant_type: 'refresh_token' }
  const { body } = await walk.post('/oauth/token', { ...form, refresh_token: one?.refresh_token ?? '' })
  noteTokens(walk, 'refreshed, form', body)
  const again = await walk.call('session.refresh', { client_id: CLIENT, refresh_token: other?.refresh_token })
  noteTokens(walk, 'refreshed, trpc', again)
  await walk.post('/oauth/token', { ...form, refresh_token: other?.refresh_token ?? '' })
}

/** Keys by hand on both doors: made, rotated, listed, reported, revoked. */
export async function walkKeys(walk: Walk, base: string, alice: TestBrowser): Promise<string> {
  const { notes, call } = walk
  const headers = pageHeaders(alice, base)
  const made = await call('keys.create', { name: 'ci', scope: 'read' }, headers)
  const rotated = await call('keys.rotate', { id: made.id, overlap_seconds: 60 }, headers)
  notes.handedOut.set('key made by hand', made.secret ?? '').set('key rotated', rotated.secret ?? '')
  const html = await (await alice.get('/account')).text()
  const page = readForm(html.slice(html.indexOf('<details')))
  notes.shown.set('form token of the key form', page.fields.form_token ?? '')
  const secretPage = await (
    await alice.post('/account', { ...page.fields, name: 'deploy', expires_in: '604800' })
  ).text()
  notes.handedOut.set('key made on the page', /class="code secret"[^>]*>([^<]+)/.exec(secretPage)?.[1] ?? '')
  const list = await (await alice.get('/account')).text()
  const form = list.split('<form').find((part) => part.includes('name="hint"')) ?? ''
  const { fields } = readForm(`<form${form}`)
  notes.shown.set('form token of the list', fields.form_token ?? '')
  const fresh = await (await alice.post('/account', { ...fields, action: 'rotate', overlap: '0' })).text()
  notes.handedOut.set('key rotated on the page', /class="code secret"[^>]*>([^<]+)/.exec(fresh)?.[1] ?? '')
  await alice.post('/account', { ...fields, action: 'report' })
  for (const query of ['keys.list', 'session.list']) await walk.fetch(`/trpc/${query}`, { headers })
  return rotated.secret ?? ''
}

/** The seed systems' own clients. */
export async function walkSeeds(walk: Walk, alice: TestBrowser): Promise<void> {
  const { notes, fetch, post } = walk
  const secret = createPaircode().verifier.slice(0, 22)
  notes.brought.set('paircode of the first seed', secret)
  const link = await (await fetch(`/cli_login?paircode=${secret}`)).text()
  await alice.submit(await openPage(walk, alice, link), { decision: 'allow' })
  const collected = await fetch(`/token?paircode=${secret}`)
  notes.handedOut.set(
    'cookie of the first seed',
    /pairgate-seed=([^;]+)/.exec(collected.headers.get('set-cookie') ?? '')?.[1] ?? '',
  )
  const { body } = await post('/oauth/device/authorize', {})
  notes.handedOut.set('device code of the second seed', body.device_code ?? '')
  notes.shown.set('user code of the second seed', body.user_code ?? '')
  await alice.post('/oauth/device/verify-authenticated', { user_code: body.user_code ?? '' })
  const token = await post('/oauth/device/token', { device_code: body.device_code ?? '' })
  noteTokens(walk, 'of the second seed', token.body)
}

/** Every secret in every wrong place, so that errors have a chance to repeat it. */
export async function walkMistakes(walk: Walk, alice: TestBrowser): Promise<void> {
  const { notes, post, fetch } = walk
  const typed = 'XZXZ-XZXZ'
  notes.shown.set('a code that was typed wrong', typed)
  await alice.get(`/device?user_code=${typed}`)
  const all = [...notes.handedOut.values(), ...notes.brought.values()]
  for (const secret of all) {
    // as unknown, spoiled: what is sent would otherwise still work, or be ended
    const wrong = `${secret.slice(0, -1)}${secret.endsWith('x') ? 'y' : 'x'}`
    await post('/oauth/token', { client_id: CLIENT, grant_type: secret, device_code: secret })
    await post('/oauth/device/token', { client_id: secret, grant_type: DEVICE_GRANT, device_code: wrong })
    await post('/oauth/device/authorize', { client_id: CLIENT, scope: secret })
    await post('/cli_login', { client_id: CLIENT, paircode: secret, delivery: secret })
    await post('/oauth/introspect', { client_id: 'api', client_secret: secret, token: secret })
    await walk.call('device.token', { client_id: CLIENT, device_code: [secret], [secret]: secret })
    await fetch(`/nope/${secret}?x=${secret}`, {
      headers: { 'x-forwarded-for': secret, 'x-request-id': secret },
    })
    await fetch(`/secured?access_token=${secret}`, { headers: { authorization: `Basic ${btoa(secret)}` } })
    await fetch('/secured', { headers: { cookie: `pairgate-session=${wrong}; pairgate-seed=${wrong}` } })
    await fetch(`/trpc/session.whoami?input=${encodeURIComponent(JSON.stringify(secret))}`)
  }
}
