/** Scenes in which something is refused or broken: by limits, by networks, by rights, and by a database that is away. @module */

import type { PairgateOptions } from '../src/mod.ts'
import type { Place } from './openapi_types.ts'
import {
  type Asked,
  AWAY,
  bearer,
  createPaircode,
  type Input,
  RESOURCE_SERVER,
  Stage,
  type Theatre,
} from './stage.ts'

type Options = Partial<PairgateOptions>

const ID = { client_id: 'mytool' }
const isProcedure = (path: string) => path.startsWith('/trpc/')

/** What starts a login, at either door. */
const STARTS: Readonly<Record<string, () => Input>> = {
  deviceAuthorize: () => ID,
  pairStart: () => ({ ...ID, paircode: createPaircode().paircode }),
  oauthDeviceAuthorize: () => ID,
  cliLogin: () => ({ ...ID, paircode: createPaircode().paircode }),
}

/** Clients that may not, and scopes that are not theirs. */
async function playClients(theatre: Theatre, options: Options): Promise<void> {
  const stage = new Stage(theatre, options)
  for (const [operation, input] of Object.entries(STARTS)) {
    const wrong =
      operation === 'deviceAuthorize' || operation === 'oauthDeviceAuthorize' ? 'linkonly' : 'codeonly'
    const ask = (more: Input, name: string) => stage.ask(operation, { input: { ...input(), ...more }, name })
    await ask({ client_id: 'nobody' }, 'invalid_client')
    await ask({ scope: 'admin' }, 'invalid_scope')
    await ask({ client_id: wrong }, 'unauthorized_client')
  }
  await stage.ask('deviceToken', { input: { client_id: 'linkonly', device_code: 'x'.repeat(43) } })
  await stage.ask('pairToken', { input: { client_id: 'codeonly', verifier: 'x'.repeat(43) } })
  const { paircode } = createPaircode()
  for (const _ of [1, 2]) await stage.ask('pairStart', { input: { ...ID, paircode }, name: 'known' })
}

/** Limits of an address and of the service, and networks that are not trusted. */
async function playStarts(theatre: Theatre, options: Options): Promise<void> {
  const limited = () => new Stage(theatre, { ...options, limits: { startPerMinute: 1 } })
  const full = () => new Stage(theatre, { ...options, limits: { pendingTotal: 1 } })
  const distant = () => new Stage(theatre, { ...options, trustedNetworks: ['10.0.0.0/8'] })
  for (const [operation, input] of Object.entries(STARTS)) {
    for (const [name, stage] of Object.entries({ rate_limited: limited(), overloaded: full() })) {
      await stage.ask(operation, { input: input() })
      await stage.ask(operation, { input: input(), name })
    }
    await distant().ask(operation, { input: input(), name: 'untrusted_network' })
  }
}

/** A person far from the terminal types the code, again and again. */
async function playCodes(theatre: Theatre, options: Options): Promise<void> {
  const address = '192.0.2.7'
  for (const group of ['device', 'pair']) {
    const stage = new Stage(theatre, options)
    const headers = await stage.signIn('ada')
    const { paircode } = createPaircode()
    const start = group === 'device' ? 'deviceAuthorize' : 'pairStart'
    const input = group === 'device' ? ID : { ...ID, paircode }
    const { user_code } = await stage.take(start, input, { address })
    const reference = group === 'device' ? { user_code } : { paircode }
    const approve = (code: string, name?: string) =>
      stage.ask(`${group}Approve`, { input: { ...reference, code }, headers, ...(name && { name }) })
    await approve('otter 99', 'wrong_code')
    for (let i = 0; i < 9; i++) await approve('otter 99')
    await approve('otter 99', 'too_many_codes')
    if (group === 'pair') continue
    await stage.ask('deviceReview', { input: reference, headers })
    await stage.ask('deviceDeny', { input: reference, headers })
  }
}

/** Somebody who belongs to several organisations and names none. */
async function playTenants(theatre: Theatre, options: Options): Promise<void> {
  const tenants = [
    { id: 'acme', name: 'Acme' },
    { id: 'globex', name: 'Globex' },
  ]
  const identify = (request: Request) =>
    request.headers.has('cookie') ? { subject: 'ada', name: 'Ada', tenants } : null
  const stage = new Stage(theatre, { ...options, identify, signInUrl: () => '/' })
  const headers = { cookie: 'gateway', 'sec-fetch-site': 'same-origin' }
  const { user_code } = await stage.take('deviceAuthorize', ID)
  await stage.ask('deviceApprove', { input: { user_code }, headers, name: 'tenant_required' })
  await stage.ask('deviceApprove', { input: { user_code, tenant: 'acme' }, headers })
}

/** One key after another. */
async function playKeyLimit(theatre: Theatre, options: Options): Promise<void> {
  const stage = new Stage(theatre, { ...options, limits: { keysPerUser: 1 } })
  const headers = await stage.signIn('ada')
  const create = (name?: string) =>
    stage.ask('keysCreate', { input: { name: 'nightly' }, headers, ...(name && { name }) })
  const { body } = await create()
  const { id } = (body as { result: { data: { id: string } } }).result.data
  await create('too_many_credentials')
  for (let i = 0; i < 198; i++) await create()
  await create()
  await stage.ask('keysRotate', { input: { id }, headers })
}

/** Inputs that every operation can be asked with, so that it gets as far as the database. */
async function collectInputs(stage: Stage): Promise<{
  inputs: Readonly<Record<string, Input>>
  page: Record<string, string>
  token: string | undefined
}> {
  const page = await stage.signIn('ada')
  const { user_code, device_code } = await stage.take('deviceAuthorize', { ...ID, scope: 'offline_access' })
  await stage.take('deviceApprove', { user_code }, { headers: page })
  const { access_token, refresh_token } = await stage.take('deviceToken', { ...ID, device_code })
  const { verifier, paircode } = createPaircode()
  const key = { name: 'nightly' }
  const device = { ...ID, device_code }
  const grant = { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', ...device }
  const starts = Object.fromEntries(Object.entries(STARTS).map(([operation, input]) => [operation, input()]))
  const token = { ...ID, token: access_token }
  const decisions = { deviceReview: { user_code }, deviceApprove: { user_code }, deviceDeny: { user_code } }
  const links = { pairReview: { paircode }, pairApprove: { paircode }, pairDeny: { paircode } }
  const tokens = {
    deviceToken: device,
    pairToken: { ...ID, verifier },
    sessionRefresh: { ...ID, refresh_token },
  }
  const keys = {
    keysCreate: key,
    keysRotate: { id: 'x' },
    keysRevoke: { id: 'x' },
    sessionRevoke: { id: 'x' },
  }
  const forms = {
    oauthToken: grant,
    oauthDeviceToken: grant,
    cliToken: { ...ID, verifier },
    oauthRevoke: token,
  }
  const introspect = {
    oauthIntrospect: {
      token: access_token,
      client_id: RESOURCE_SERVER.id,
      client_secret: RESOURCE_SERVER.secret,
    },
  }
  return {
    inputs: { ...starts, ...decisions, ...links, ...tokens, ...keys, ...forms, ...introspect },
    page,
    token: access_token,
  }
}

const HOLDERS = ['sessionWhoami', 'sessionSignOut', 'secured']
/** Those that do not look at the database, or at the host. */
const STURDY = ['healthz', 'keySet']
const ANY_HOST = [...STURDY, 'readyz', 'oauthIntrospect']

/** Everything that can go wrong everywhere. */
async function playGeneral(theatre: Theatre, options: Options): Promise<void> {
  const stage = new Stage(theatre, options)
  const fresh = new Stage(theatre, options)
  const { inputs, page, token } = await collectInputs(stage)
  for (const place of theatre.places) {
    const { id } = place
    const isOpen = place.operation.security.length === 0
    const headers = HOLDERS.includes(id) ? bearer(token) : isOpen ? {} : page
    const input = inputs[id] ?? {}
    await playWrongRequests(stage, place, { input, headers })
    if (isProcedure(place.path)) await playRights(stage, place, { input, page, token })
    if (STURDY.includes(id)) continue
    for (const [refusal, failure] of Object.entries({ away: AWAY, broken: new Error('a bug') })) {
      for (const one of [stage, fresh]) {
        one.failure = failure
        const name = one === stage ? refusal : `${refusal}_outside`
        await one.ask(id, {
          input,
          headers,
          ...((one === stage || isProcedure(place.path)) && { refusal: name }),
        })
        one.failure = null
      }
    }
  }
}

/** Requests that are wrong whoever makes them. */
async function playWrongRequests(
  stage: Stage,
  place: Place,
  { input, headers }: { input: Input; headers: Readonly<Record<string, string>> },
): Promise<void> {
  const { id, path, body } = place
  const ask = (asked: Asked, refusal?: string) =>
    stage.ask(id, { headers, ...asked, ...(refusal && { refusal }) })
  if (isProcedure(path)) await ask({ input: { ...input, odd: 1 } }, 'bad_request')
  if (!ANY_HOST.includes(id)) await ask({ origin: 'http://gateway.internal' }, 'wrong_host')
  if (body === null) return
  await ask({ body: 'x'.repeat(65_537) }, 'too_long')
  await ask({ body: brokenOff() }, isProcedure(path) ? 'broken_off' : undefined)
  if (isProcedure(path))
    await ask({ body: '{}', headers: { ...headers, 'content-type': 'text/plain' } }, 'not_json')
  if (isProcedure(path) || id === 'oauthIntrospect') return
  await ask({ input: {} }, 'invalid_request')
  await ask({ input, headers: { authorization: 'Basic eDp5' } }, 'basic')
}

/** Requests by those who may not. */
async function playRights(
  stage: Stage,
  { id, operation }: Place,
  { input, page, token }: { input: Input; page: Record<string, string>; token: string | undefined },
): Promise<void> {
  const schemes = operation.security.flatMap(Object.entries)
  const isFor = (scheme: string) => schemes.some(([name]) => name === scheme)
  const takesScope = schemes.some(([, scopes]) => scopes.length > 0)
  const ask = (refusal: string, headers: Record<string, string>) => stage.ask(id, { input, headers, refusal })
  if (isFor('bearer')) await ask('unauthorized', {})
  else if (isFor('browser')) await ask('unauthorized', { 'sec-fetch-site': 'same-origin' })
  if (isFor('browser') && '403' in operation.responses)
    await ask('foreign_origin', { ...page, origin: 'https://evil.example' })
  if (takesScope) await ask('insufficient_scope', bearer(token))
}

/** A body that ends before its end. */
function brokenOff(): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode('x'))
    },
    pull(controller) {
      controller.error(new Error('the connection is gone'))
    },
  })
}

/** Plays every scene of this file. */
export async function playTroubles(theatre: Theatre, options: Options): Promise<void> {
  await playClients(theatre, options)
  await playStarts(theatre, options)
  await playCodes(theatre, options)
  await playTenants(theatre, options)
  await playKeyLimit(theatre, options)
  await playGeneral(theatre, options)
}
