/** Strict OAuth libraries sign in over real sockets, with nothing but the discovery URL. @module */

import * as oauth from 'oauth4webapi'
import * as client from 'openid-client'
import { afterEach, describe, expect, test } from 'vitest'
import { createBrowser, type TestBrowser } from './support/gate.ts'
import { type LiveGate, listenGate } from './support/listen.ts'

const CLIENT = 'mytool'
const WELL_KNOWN = '/.well-known/oauth-authorization-server'

const open: LiveGate[] = []
afterEach(async () => {
  for (const live of open.splice(0)) await live.close()
})

/** Serves a gate on a socket; the libraries really wait between polls, so those may come each second. */
async function start(mount = ''): Promise<{ base: string; t: LiveGate; person: TestBrowser }> {
  const clients = { [CLIENT]: { scopes: ['files:read', 'files:write'] } }
  const t = await listenGate(() => ({ now: Date.now, pollSeconds: 1, clients }), mount)
  open.push(t)
  const { base } = t
  const person = createBrowser((path, init) => fetch(new URL(path, base), init), new URL(base).origin)
  await person.post(`${mount}/sign-in/dev`, { username: 'alice' })
  return { base, t, person }
}

async function whoAmI(base: string, token: string): Promise<Response> {
  const headers = { authorization: `Bearer ${token}`, accept: 'application/json' }
  return await fetch(`${base}/secured`, { headers })
}

describe('openid-client', () => {
  const discover = (url: string) =>
    client.discovery(new URL(url), CLIENT, undefined, client.None(), {
      execute: [client.allowInsecureRequests],
      algorithm: 'oauth2',
    })

  const urls = [
    ['the issuer', '', (base: string) => base],
    ['the issuer under a path', '/auth', (base: string) => base],
    ['the well-known URL', '', (base: string) => base + WELL_KNOWN],
    [
      'the path-inserted well-known URL',
      '/auth',
      (base: string) => base.replace('/auth', `${WELL_KNOWN}/auth`),
    ],
  ] as const
  test.each(urls)('DF-01 openid-client signs in and out, given %s', async (_, mount, url) => {
    const { base, t, person } = await start(mount)
    const config = await discover(url(base))
    expect(config.serverMetadata().issuer).toBe(base)
    const started = await client.initiateDeviceAuthorization(config, { scope: 'files:read' })
    expect(started).toMatchObject({ verification_uri: `${base}/device`, expires_in: 600, interval: 1 })
    await person.decide(started.verification_uri_complete ?? '', 'allow')
    const tokens = await client.pollDeviceAuthorizationGrant(config, started)
    expect(tokens).toMatchObject({ token_type: 'bearer', expires_in: 86_400, scope: 'files:read' })
    expect(await (await whoAmI(base, tokens.access_token)).json()).toMatchObject({
      subject: 'alice',
      client_id: CLIENT,
      scope: 'files:read',
    })
    await client.tokenRevocation(config, tokens.access_token)
    expect((await whoAmI(base, tokens.access_token)).status).toBe(401)
    expect(t.rows('SELECT revoked_at IS NULL AS live FROM credentials WHERE kind = ?', 'api_key')).toEqual([
      { live: 0 },
    ])
  })

  test('DF-01 openid-client waits while the person decides, without scope', async () => {
    const { base, t, person } = await start()
    const config = await discover(base)
    const started = await client.initiateDeviceAuthorization(config, {})
    // the first poll is answered authorization_pending; only then does the person decide
    config[client.customFetch] = async (...request: Parameters<client.CustomFetch>) => {
      const response = await fetch(...(request as unknown as Parameters<typeof fetch>))
      if (response.status === 400) {
        expect(await response.clone().json()).toMatchObject({ error: 'authorization_pending', interval: 1 })
        await person.decide(started.verification_uri_complete ?? '', 'allow')
      }
      return response
    }
    const tokens = await client.pollDeviceAuthorizationGrant(config, started)
    expect(tokens.scope).toBeUndefined()
    expect((await whoAmI(base, tokens.access_token)).status).toBe(200)
    expect(t.rows('SELECT poll_interval FROM grants')).toEqual([{ poll_interval: 1 }])
  })

  test('DF-01 DF-13 openid-client is told that the person denied', async () => {
    const { base, person } = await start()
    const config = await discover(base)
    const started = await client.initiateDeviceAuthorization(config, {})
    await person.decide(started.verification_uri_complete ?? '', 'deny')
    await expect(client.pollDeviceAuthorizationGrant(config, started)).rejects.toMatchObject({
      name: 'ResponseBodyError',
      status: 400,
      error: 'access_denied',
    })
  })

  test('DF-01 openid-client is told that a client, a scope or a code is unknown', async () => {
    const { base } = await start()
    const config = await discover(base)
    await expect(client.initiateDeviceAuthorization(config, { scope: 'nope' })).rejects.toMatchObject({
      error: 'invalid_scope',
    })
    const stranger = new client.Configuration(config.serverMetadata(), 'stranger', undefined, client.None())
    client.allowInsecureRequests(stranger)
    await expect(client.initiateDeviceAuthorization(stranger, {})).rejects.toMatchObject({
      error: 'invalid_client',
    })
    const made = {
      device_code: 'a'.repeat(43),
      user_code: '',
      verification_uri: '',
      expires_in: 9,
      interval: 1,
    }
    await expect(client.pollDeviceAuthorizationGrant(config, made)).rejects.toMatchObject({
      error: 'invalid_grant',
    })
  })

  test('DF-01 a wrong issuer is refused: the metadata names the configured one only', async () => {
    const { base } = await start('/auth')
    await expect(discover(`${base}/other`)).rejects.toThrow()
    await expect(discover(base.replace('/auth', ''))).rejects.toThrow()
  })
})

describe('oauth4webapi', () => {
  const insecure = { [oauth.allowInsecureRequests]: true }
  const app: oauth.Client = { client_id: CLIENT }

  async function discover(base: string): Promise<oauth.AuthorizationServer> {
    const issuer = new URL(base)
    const response = await oauth.discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' })
    return await oauth.processDiscoveryResponse(issuer, response)
  }

  async function authorize(as: oauth.AuthorizationServer, parameters: Record<string, string>) {
    const response = await oauth.deviceAuthorizationRequest(as, app, oauth.None(), parameters, insecure)
    return await oauth.processDeviceAuthorizationResponse(as, app, response)
  }

  async function poll(as: oauth.AuthorizationServer, deviceCode: string) {
    const response = await oauth.deviceCodeGrantRequest(as, app, oauth.None(), deviceCode, insecure)
    return await oauth.processDeviceCodeResponse(as, app, response)
  }

  test.each(['', '/auth'])('DF-01 oauth4webapi signs in and out, mounted at "%s"', async (mount) => {
    const { base, person } = await start(mount)
    const as = await discover(base)
    const started = await authorize(as, { scope: 'files:read files:write' })
    await expect(poll(as, started.device_code)).rejects.toMatchObject({ error: 'authorization_pending' })
    const ticked = { 'scope:files:read': 'on', 'scope:files:write': 'on' }
    await person.decide(started.verification_uri_complete ?? '', 'allow', ticked)
    const tokens = await poll(as, started.device_code)
    expect(tokens).toMatchObject({ token_type: 'bearer', scope: 'files:read files:write' })
    expect((await whoAmI(base, tokens.access_token)).status).toBe(200)
    await expect(poll(as, started.device_code)).rejects.toMatchObject({ error: 'invalid_grant' })
    const revoked = await oauth.revocationRequest(as, app, oauth.None(), tokens.access_token, insecure)
    expect(await oauth.processRevocationResponse(revoked)).toBeUndefined()
    expect((await whoAmI(base, tokens.access_token)).status).toBe(401)
  })

  test('DF-01 DF-13 oauth4webapi is told that the person denied', async () => {
    const { base, person } = await start()
    const as = await discover(base)
    const started = await authorize(as, {})
    await person.decide(started.verification_uri_complete ?? '', 'deny')
    await expect(poll(as, started.device_code)).rejects.toMatchObject({ error: 'access_denied', status: 400 })
  })

  test('DF-07 oauth4webapi as HTTP Basic client with an empty password, form-urlencoded', async () => {
    const { base } = await start()
    const as = await discover(base)
    const response = await oauth.deviceAuthorizationRequest(
      as,
      app,
      oauth.ClientSecretBasic('x'),
      {},
      insecure,
    )
    await expect(oauth.processDeviceAuthorizationResponse(as, app, response)).rejects.toMatchObject({
      name: 'WWWAuthenticateChallengeError',
    })
    const basic: oauth.ClientAuth = (_as, { client_id }, _body, headers) =>
      headers.set('authorization', `Basic ${btoa(`${client_id.replaceAll('t', '%74')}:`)}`)
    const allowed = await oauth.deviceAuthorizationRequest(as, app, basic, {}, insecure)
    expect(await oauth.processDeviceAuthorizationResponse(as, app, allowed)).toMatchObject({ interval: 1 })
  })
})
