/**
 * Scenes in which every operation gives every answer that the document has. Those with a name are its examples; the
 * tests play all of them against the document.
 *
 * @module
 */

import type { PairgateOptions } from '../src/mod.ts'
import { playTroubles } from './scenes_troubles.ts'
import { bearer, createPaircode, type Input, RESOURCE_SERVER, Stage, type Theatre } from './stage.ts'

const ID = { client_id: 'mytool' }
const START = { ...ID, scope: 'read offline_access', device_name: 'ada@laptop' }

/** What the gate of most scenes is told. */
export const OPTIONS: Partial<PairgateOptions> = {
  clients: {
    mytool: { name: 'My tool', scopes: ['read', 'write', 'offline_access', 'pairgate:manage'] },
    linkonly: { flows: ['pair'] },
    codeonly: { flows: ['device'] },
  },
  scopes: { read: 'Read your orders', write: 'Change your orders' },
}

type Page = Readonly<Record<string, string>>

/** A login by either flow, told apart by words only. */
interface Flow {
  readonly group: 'device' | 'pair'
  start(stage: Stage, name?: string): Promise<{ reference: Input; poll: Input }>
}

const FLOWS: readonly Flow[] = [
  {
    group: 'device',
    async start(stage, name) {
      const { user_code, device_code } = await stage.take('deviceAuthorize', START, name ? { name } : {})
      return { reference: { user_code }, poll: { ...ID, device_code } }
    },
  },
  {
    group: 'pair',
    async start(stage, name) {
      const { verifier, paircode } = createPaircode()
      await stage.take('pairStart', { ...START, paircode }, name ? { name } : {})
      return { reference: { paircode }, poll: { ...ID, verifier } }
    },
  },
]

/** A login through the procedures: waited for, looked at, allowed, collected; another denied, and one that expires. */
async function playFlow(theatre: Theatre, { group, start }: Flow): Promise<void> {
  const stage = new Stage(theatre, OPTIONS)
  const headers = await stage.signIn('ada')
  const { reference, poll } = await start(stage, 'started')
  const collect = (input: Input, name: string) => stage.ask(`${group}Token`, { input, name })
  const decide = (decision: 'Approve' | 'Deny' | 'Review', input: Input, name: string) =>
    stage.ask(`${group}${decision}`, { input, name, headers })
  await collect(poll, 'authorization_pending')
  await collect(poll, 'slow_down')
  await decide('Review', reference, 'pending')
  const unknown = group === 'device' ? { user_code: 'BCDF-GHJK' } : { paircode: createPaircode().paircode }
  await decide('Review', unknown, 'not_found')
  await decide('Approve', unknown, 'not_found')
  await decide('Approve', { ...reference, scope: 'write' }, 'scope_required')
  await decide('Approve', reference, 'approved')
  await decide('Approve', reference, 'already_decided')
  await decide('Review', reference, 'already_decided')
  await collect(poll, 'issued')
  await collect(poll, 'invalid_grant')
  const denied = await start(stage)
  await decide('Deny', denied.reference, 'denied')
  await collect(denied.poll, 'access_denied')
  const late = await start(stage)
  stage.advance(601)
  await decide('Review', late.reference, 'expired')
  await decide('Deny', late.reference, 'expired')
  await collect(late.poll, 'expired_token')
}

/** A login whose result the person's browser brings. */
async function playLoopback(theatre: Theatre): Promise<void> {
  const stage = new Stage(theatre, OPTIONS)
  const headers = await stage.signIn('ada')
  const { verifier, paircode } = createPaircode()
  const loopback = { delivery: 'loopback', port: 53_171, state: 'af0ifjsldkj' }
  await stage.take('pairStart', { ...ID, paircode, ...loopback }, { name: 'started_loopback' })
  const { redirect_to = '' } = await stage.take(
    'pairApprove',
    { paircode },
    { name: 'approved_loopback', headers },
  )
  const code = new URL(redirect_to).searchParams.get('code')
  await stage.ask('pairToken', { input: { ...ID, verifier, code }, name: 'issued_loopback' })
  const other = createPaircode()
  await stage.take('cliLogin', { ...ID, paircode: other.paircode, ...loopback })
  const url = new URL(
    (await stage.take('pairApprove', { paircode: other.paircode }, { headers })).redirect_to ?? '',
  )
  await stage.take('cliToken', { ...ID, verifier: other.verifier, code: url.searchParams.get('code') })
}

/** The form endpoints of both flows. */
async function playForms(theatre: Theatre): Promise<void> {
  const stage = new Stage(theatre, OPTIONS)
  const headers = await stage.signIn('ada')
  const grant = { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', ...ID }
  const startDevice = (name?: string) => stage.take('oauthDeviceAuthorize', START, name ? { name } : {})
  for (const operation of ['oauthToken', 'oauthDeviceToken']) {
    const { user_code, device_code } = await startDevice('started')
    const collect = (input: Input, name: string) =>
      stage.ask(operation, { input: { ...grant, ...input }, name })
    await collect({ device_code }, 'authorization_pending')
    await collect({ device_code }, 'slow_down')
    await stage.take('deviceApprove', { user_code }, { headers })
    const { body } = await collect({ device_code }, 'issued')
    await collect({ device_code }, 'invalid_grant')
    const { refresh_token } = body as Record<string, string>
    const refresh = { grant_type: 'refresh_token', refresh_token }
    await collect({ ...refresh, scope: 'write' }, 'invalid_scope')
    await collect(refresh, 'refreshed')
    await collect({ grant_type: 'password' }, 'unsupported_grant_type')
    await collect({}, 'invalid_request')
    await collect({ device_code, client_id: 'nobody' }, 'invalid_client')
    await collect({ device_code, client_id: 'linkonly' }, 'unauthorized_client')
    const denied = await startDevice()
    await stage.take('deviceDeny', { user_code: denied.user_code }, { headers })
    await collect({ device_code: denied.device_code }, 'access_denied')
    const late = await startDevice()
    stage.advance(601)
    await collect({ device_code: late.device_code }, 'expired_token')
  }
}

/** The endpoints of the paircode flow, of either outcome. */
async function playPairForms(theatre: Theatre): Promise<void> {
  const stage = new Stage(theatre, OPTIONS)
  const headers = await stage.signIn('ada')
  const start = async (name?: string) => {
    const { verifier, paircode } = createPaircode()
    await stage.take('cliLogin', { ...START, paircode }, name ? { name } : {})
    return { verifier, paircode }
  }
  const collect = (input: Input, name: string) => stage.ask('cliToken', { input: { ...ID, ...input }, name })
  const { verifier, paircode } = await start('started')
  await stage.ask('cliLogin', { input: { ...START, paircode }, name: 'known' })
  await collect({ verifier }, 'authorization_pending')
  await collect({ verifier }, 'slow_down')
  await stage.take('pairApprove', { paircode }, { headers })
  await collect({ verifier }, 'issued')
  await collect({ verifier }, 'invalid_grant')
  await collect({}, 'invalid_request')
  await collect({ verifier, client_id: 'nobody' }, 'invalid_client')
  await collect({ verifier, client_id: 'codeonly' }, 'unauthorized_client')
  const denied = await start()
  await stage.take('pairDeny', { paircode: denied.paircode }, { headers })
  await collect({ verifier: denied.verifier }, 'access_denied')
  const late = await start()
  stage.advance(601)
  await collect({ verifier: late.verifier }, 'expired_token')
}

/** Logs a CLI in. */
async function logIn(stage: Stage, page: Page, scope?: string): Promise<Record<string, string>> {
  const { user_code, device_code } = await stage.take('deviceAuthorize', { ...ID, ...(scope && { scope }) })
  await stage.take('deviceApprove', { user_code }, { headers: page })
  return await stage.take('deviceToken', { ...ID, device_code })
}

/** A credential in use, and its end. */
async function playCredential(theatre: Theatre): Promise<void> {
  const stage = new Stage(theatre, OPTIONS)
  const page = await stage.signIn('ada')
  const { refresh_token } = await logIn(stage, page, 'read offline_access')
  const refresh = (input: Input, name: string) =>
    stage.ask('sessionRefresh', { input: { ...ID, ...input }, name })
  await refresh({ refresh_token, scope: 'write' }, 'invalid_scope')
  const { body } = await refresh({ refresh_token }, 'issued')
  await refresh({ refresh_token }, 'invalid_grant')
  const [one, other] = [await logIn(stage, page, 'read'), await logIn(stage, page)]
  const token = one.access_token
  await stage.ask('sessionWhoami', { headers: bearer(token), name: 'ok' })
  const json = { accept: 'application/json' }
  await stage.ask('secured', { headers: bearer(token), name: 'text' })
  await stage.ask('secured', { headers: { ...bearer(token), ...json }, name: 'credential' })
  await stage.ask('secured', { headers: { ...page, ...json }, name: 'browser' })
  await stage.ask('secured', { name: 'unauthorized' })
  const authorization = `Basic ${btoa(`${RESOURCE_SERVER.id}:${RESOURCE_SERVER.secret}`)}`
  const introspect = (input: Input, name: string) =>
    stage.ask('oauthIntrospect', { input, name, headers: { authorization } })
  await introspect({ token }, 'active')
  await introspect(
    { token: (body as { result: { data: { refresh_token: string } } }).result.data.refresh_token },
    'inactive',
  )
  await introspect({}, 'invalid_request')
  await stage.ask('oauthIntrospect', { input: { token: 'x' }, name: 'invalid_client' })
  await stage.ask('sessionSignOut', { headers: bearer(token), input: {}, name: 'signed_out' })
  await stage.ask('oauthRevoke', { input: { ...ID, token: other.access_token }, name: 'revoked' })
  await stage.ask('oauthRevoke', { input: ID, name: 'invalid_request' })
  await stage.ask('oauthRevoke', { input: { client_id: 'nobody', token: 'x' }, name: 'invalid_client' })
}

/** A CLI that manages its owner's keys and sessions. */
async function playManager(theatre: Theatre): Promise<void> {
  const stage = new Stage(theatre, OPTIONS)
  const page = await stage.signIn('ada')
  const { access_token } = await logIn(stage, page, 'read pairgate:manage')
  const headers = bearer(access_token)
  const ask = (operation: string, input: Input, name: string) =>
    stage.ask(operation, { input, name, headers })
  const { id } = await stage.take(
    'keysCreate',
    { name: 'nightly', scope: 'read', expires_in: 604_800 },
    { name: 'created', headers },
  )
  await ask('keysRotate', { id, overlap_seconds: 3600 }, 'rotated')
  await ask('keysRotate', { id: 'unknown' }, 'not_found')
  await stage.ask('keysList', { headers, name: 'ok' })
  await stage.ask('sessionList', { headers, name: 'ok' })
  const both = await Promise.all([1, 2].map(() => stage.ask('keysRotate', { input: { id }, headers })))
  if (both.filter(({ status }) => status === 409).length !== 1) throw new Error('Both rotations went through')
  await ask('keysRevoke', { id }, 'revoked')
  await ask('keysRevoke', { id }, 'not_found')
  const { id: session } = await stage.take('sessionList', {}, { headers }).then((list) => Object(list)[0])
  await ask('sessionRevoke', { id: session }, 'revoked')
  await ask('sessionRevoke', { id: session }, 'not_found')
  for (const kind of ['session', 'keys'])
    for (const which of ['RevokeOthers', 'RevokeAll']) {
      const { access_token: token } = await logIn(stage, await stage.signIn('ada'), 'pairgate:manage')
      await stage.ask(`${kind}${which}`, { input: {}, headers: bearer(token), name: 'revoked' })
    }
}

/** What is asked of the server itself. */
async function playService(theatre: Theatre): Promise<void> {
  const stage = new Stage(theatre, OPTIONS)
  for (const operation of ['serverMetadata', 'keySet', 'healthz', 'readyz'])
    await stage.ask(operation, { name: 'ok' })
}

/** Plays every scene. */
export async function playScenes(theatre: Theatre): Promise<void> {
  for (const flow of FLOWS) await playFlow(theatre, flow)
  await playLoopback(theatre)
  await playForms(theatre)
  await playPairForms(theatre)
  await playCredential(theatre)
  await playManager(theatre)
  await playService(theatre)
  await playTroubles(theatre, OPTIONS)
}
