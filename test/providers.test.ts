/** Upstream sign-in over real sockets: a real issuer, a GitHub, and an issuer that lies. @module */

import { createHash } from 'node:crypto'
import { describe, expect, test, vi } from 'vitest'
import { github, google, oidc, type Provider } from '../src/providers.ts'
import { failure, hub, issuer, type Lies, liar, REDIRECT_URI, transaction } from './support/upstream.ts'

describe('the flow', () => {
  test('UP-01 code flow with state, PKCE S256 and nonce', async () => {
    const { server, provider } = await issuer()
    const sent = transaction()
    const url = await provider.authorize(sent)
    expect(url.origin).toBe(server.issuer)
    expect(Object.fromEntries(url.searchParams)).toEqual({
      response_type: 'code',
      client_id: server.clientId,
      redirect_uri: REDIRECT_URI,
      scope: 'openid profile email',
      state: sent.state,
      nonce: sent.nonce,
      code_challenge: createHash('sha256').update(sent.codeVerifier).digest('base64url'),
      code_challenge_method: 'S256',
    })
    const answer = await server.visit(url, 'ann')
    expect(answer.href.startsWith(`${REDIRECT_URI}?`)).toBe(true)
    expect(await provider.callback(answer, sent)).toEqual({
      issuer: server.issuer,
      subject: 'sub-ann',
      name: 'ann',
      email: 'ann@example.com',
    })
  })

  test('UP-01 an answer fits one transaction only: its state, nonce and PKCE verifier', async () => {
    const { server, provider } = await issuer()
    for (const key of ['state', 'nonce', 'codeVerifier'] as const) {
      const sent = transaction()
      const answer = await server.visit(await provider.authorize(sent), 'ann')
      await failure(provider.callback(answer, { ...sent, [key]: transaction()[key] }))
    }
    const tokenRequests = server.requests.filter((path) => path === '/token')
    expect(tokenRequests, 'a wrong state never reaches the token endpoint').toHaveLength(2)
  })

  test('UP-01 the exact registered redirect_uri is used, wherever the request seemed to go', async () => {
    const { server, provider } = await issuer()
    const sent = transaction()
    const { search } = await server.visit(await provider.authorize(sent), 'ann')
    const elsewhere = new URL(`http://localhost:8787/other${search}`)
    expect(await provider.callback(elsewhere, sent)).toMatchObject({ subject: 'sub-ann' })
  })

  test('UP-01 GitHub: code flow with state and PKCE S256', async () => {
    const { server, provider } = await hub({ page: true })
    const sent = transaction()
    const url = await provider.authorize(sent)
    expect(url.href.startsWith(`${server.url}/login/oauth/authorize?`)).toBe(true)
    expect(Object.fromEntries(url.searchParams)).toEqual({
      response_type: 'code',
      client_id: server.clientId,
      redirect_uri: REDIRECT_URI,
      scope: 'user:email',
      state: sent.state,
      code_challenge: createHash('sha256').update(sent.codeVerifier).digest('base64url'),
      code_challenge_method: 'S256',
    })
    expect(await provider.callback(await server.visit(url), sent)).toMatchObject({ subject: '583231' })
    for (const key of ['state', 'codeVerifier'] as const) {
      const answer = await server.visit(await provider.authorize(sent))
      await failure(provider.callback(answer, { ...sent, [key]: transaction()[key] }))
    }
  })

  test('UP-01 a code works once', async () => {
    for (const { server, provider } of [await issuer(), await hub()]) {
      const sent = transaction()
      const url = await provider.authorize(sent)
      const answer = await ('issuer' in server ? server.visit(url, 'ann') : server.visit(url))
      await provider.callback(answer, sent)
      const { cause } = await failure(provider.callback(answer, sent))
      expect(cause.message).toMatch(/invalid_grant|bad_verification_code/)
    }
  })

  test('UP-01 a cancel is told from a failure', async () => {
    const real = await issuer()
    const sent = transaction()
    const answer = await real.server.visit(await real.provider.authorize(sent), null)
    const name = new URL(real.server.issuer).host
    expect((await failure(real.provider.callback(answer, sent))).message).toBe(
      `Sign-in was cancelled at ${name}`,
    )

    const { server, provider } = await hub({ page: true })
    const denied = await server.visit(await provider.authorize(sent), 'cancel')
    expect((await failure(provider.callback(denied, sent))).message).toBe('Sign-in was cancelled at GitHub')
    denied.searchParams.set('state', 'other')
    expect((await failure(provider.callback(denied, sent))).message).toBe('Sign-in at GitHub did not work')
  })

  test('UP-01 the client secret goes the way the issuer lists first', async () => {
    for (const [methods, authentication] of [
      [undefined, 'Basic'],
      [['private_key_jwt', 'client_secret_basic', 'client_secret_post'], 'Basic'],
      [['client_secret_post', 'private_key_jwt', 'client_secret_basic'], 'none'],
    ]) {
      const { signIn, authentications } = await liar({
        metadata: { token_endpoint_auth_methods_supported: methods },
      })
      await signIn()
      expect(authentications).toEqual([authentication])
    }
  })

  test('UP-01 a wrong client secret is told to the operator', async () => {
    const { server } = await issuer()
    const wrong = oidc({ ...server, clientSecret: 'wrong' })
    const sent = transaction()
    const answer = await server.visit(await wrong.authorize(sent), 'ann')
    expect((await failure(wrong.callback(answer, sent))).cause.message).toMatch(
      /invalid_client|WWW-Authenticate/,
    )
    const gitHub = await hub()
    const other = github({ ...gitHub.server, clientSecret: 'wrong' })
    const { cause } = await failure(
      other.callback(await gitHub.server.visit(await other.authorize(sent)), sent),
    )
    expect(cause.message).toContain('incorrect_client_credentials')
  })
})

describe('an answer of another issuer is refused', () => {
  test('UP-03 the lying issuer is believed when it does not lie', async () => {
    const { origin, signIn } = await liar()
    expect(await signIn()).toEqual({ issuer: origin, subject: 'ann', name: undefined, email: undefined })
  })

  const inAMinute = Math.floor(Date.now() / 1000) + 60
  test.for<[string, Lies, RegExp]>([
    ['id_token iss', { claims: { iss: 'https://other.example' } }, /"iss"/],
    ['id_token aud', { claims: { aud: 'other' } }, /"aud"/],
    ['id_token azp', { claims: { aud: ['client', 'other'], azp: 'other' } }, /"azp"/],
    ['id_token nonce', { claims: { nonce: 'other' } }, /"nonce"/],
    ['id_token without nonce', { claims: { nonce: undefined } }, /"nonce"/],
    ['id_token exp', { claims: { exp: inAMinute - 3600 } }, /"exp"/],
    ['id_token without sub', { claims: { sub: undefined } }, /"sub"/],
    ['no id_token', { token: { id_token: undefined } }, /"id_token"/],
    ['alg not listed', { header: { alg: 'HS256' } }, /"alg"/],
    [
      'alg none, though listed',
      { header: { alg: 'none' }, metadata: { id_token_signing_alg_values_supported: ['none'] } },
      /alg/,
    ],
    [
      'alg HS256, though listed',
      { header: { alg: 'HS256' }, metadata: { id_token_signing_alg_values_supported: ['ES256', 'HS256'] } },
      /unsupported/,
    ],
    ['signature of another key', { otherKey: true }, /signature/],
    ['kid of no key', { header: { kid: 'two' } }, /no applicable keys/],
    ['metadata of another issuer', { metadata: { issuer: 'https://other.example' } }, /issuer/],
  ])('UP-03 an answer of another issuer is refused (%s)', async ([, lies, reason]) => {
    const { signIn } = await liar(lies)
    expect((await failure(signIn())).cause.message).toMatch(reason)
  })

  test('UP-03 an answer of another issuer is refused (RFC 9207 iss)', async () => {
    const { provider, expected, answer, requests } = await liar()
    const other = answer({ iss: 'https://other.example' })
    expect((await failure(provider.callback(other, expected))).cause.message).toMatch(/"iss"/)
    const without = answer()
    without.searchParams.delete('iss')
    expect((await failure(provider.callback(without, expected))).cause.message).toMatch(/"iss".*missing/)
    const twice = answer()
    twice.searchParams.append('iss', 'https://other.example')
    await failure(provider.callback(twice, expected))
    expect(requests).not.toContain('/token')
  })

  test('UP-03 GitHub: iss is checked when it comes (github.com), and may be missing (Enterprise Server)', async () => {
    const { server, provider } = await hub()
    const sent = transaction()
    const answer = await server.visit(await provider.authorize(sent))
    expect(answer.searchParams.get('iss')).toBe(`${server.url}/login/oauth`)
    const mixedUp = new URL(answer)
    mixedUp.searchParams.set('iss', 'https://github.com/login/oauth')
    expect((await failure(provider.callback(mixedUp, sent))).cause.message).toMatch(/"iss"/)
    expect(server.requests).not.toContain('/login/oauth/access_token')
    expect(await provider.callback(answer, sent)).toMatchObject({ subject: '583231' })

    const silent = await hub({ iss: false })
    const plain = await silent.server.visit(await silent.provider.authorize(sent))
    expect(plain.searchParams.has('iss')).toBe(false)
    expect(await silent.provider.callback(plain, sent)).toMatchObject({ subject: '583231' })
  })
})

describe('what is reached', () => {
  const client = { clientId: 'client', clientSecret: 'secret' }

  test.for<[string, () => Provider]>([
    ['http off loopback', () => oidc({ ...client, issuer: 'http://id.example' })],
    ['another scheme', () => oidc({ ...client, issuer: 'file:///etc/passwd' })],
    ['no URL', () => oidc({ ...client, issuer: 'id.example' })],
    ['a query', () => oidc({ ...client, issuer: 'https://id.example?x=1' })],
    ['a password', () => oidc({ ...client, issuer: 'https://ann:pw@id.example' })],
    [
      'a well-known URL',
      () => oidc({ ...client, issuer: 'https://id.example/.well-known/openid-configuration' }),
    ],
    ['no client id', () => oidc({ issuer: 'https://id.example', clientId: '' })],
    ['an empty secret', () => oidc({ issuer: 'https://id.example', clientId: 'client', clientSecret: '' })],
    ['no openid scope', () => oidc({ ...client, issuer: 'https://id.example', scope: 'profile' })],
    ['id with a slash', () => oidc({ ...client, issuer: 'https://id.example', id: 'a/b' })],
    ['id that is too long', () => oidc({ ...client, issuer: 'https://id.example', id: 'a'.repeat(33) })],
    ['id dev', () => oidc({ ...client, issuer: 'https://id.example', id: 'dev' })],
    ['id callback', () => oidc({ ...client, issuer: 'https://id.example', id: 'callback' })],
    ['Google without a secret', () => google({ clientId: 'client', clientSecret: '' })],
    [
      'Google with an unset secret',
      () => google({ clientId: 'client' } as { clientId: string; clientSecret: string }),
    ],
    ['GitHub without a secret', () => github({ clientId: 'client', clientSecret: '' })],
    ['GitHub by http', () => github({ ...client, url: 'http://github.example' })],
    ['GitHub under a path', () => github({ ...client, url: 'https://github.example/api/v3' })],
  ])('UP-04 only what the configuration may name: refused %s', ([, make]) => {
    expect(make).toThrowError(expect.objectContaining({ code: 'ERR_PAIRGATE_OPTION' }))
  })

  test('UP-04 ids, names and hosts', async () => {
    const two = oidc({ ...client, issuer: 'https://id.example/tenant', id: 'work-2', name: 'Work' })
    expect(two).toMatchObject({ id: 'work-2', name: 'Work' })
    expect(oidc({ ...client, issuer: 'https://id.example/tenant' })).toMatchObject({
      id: 'oidc',
      name: 'id.example',
    })
    expect(google(client)).toMatchObject({ id: 'google', name: 'Google' })
    expect(github(client)).toMatchObject({ id: 'github', name: 'GitHub' })
    expect((await github(client).authorize(transaction())).href).toMatch(
      /^https:\/\/github\.com\/login\/oauth\/authorize\?/,
    )
  })

  test('UP-04 no redirect is followed', async () => {
    for (const path of ['/.well-known/openid-configuration', '/token', '/jwks']) {
      const { signIn, requests } = await liar({ redirects: [path] })
      await failure(signIn())
      expect(requests).toContain(path)
      expect(requests).not.toContain('/trap')
    }
  })

  test('UP-04 an answer of more than 1 MB is not read', async () => {
    for (const path of ['/.well-known/openid-configuration', '/token', '/jwks']) {
      const { signIn } = await liar({ floods: [path] })
      expect((await failure(signIn())).cause.message).toMatch(/larger than 1 MB/)
    }
  })

  test('UP-04 nothing is waited for longer than 10 seconds', async () => {
    const timeout = AbortSignal.timeout
    const asked: number[] = []
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((milliseconds) => {
      asked.push(milliseconds)
      return timeout(milliseconds / 100)
    })
    for (const path of ['/.well-known/openid-configuration', '/token', '/jwks']) {
      const { signIn } = await liar({ hangs: [path] })
      expect((await failure(signIn())).cause.message).toMatch(/timed out/)
    }
    const { server, provider } = await hub()
    const sent = transaction()
    await provider.callback(await server.visit(await provider.authorize(sent)), sent)
    expect(new Set(asked)).toEqual(new Set([10_000]))
  })

  test('UP-04 discovery is asked for once, but again after a failure', async () => {
    const lies: Lies = { redirects: ['/.well-known/openid-configuration'] }
    const { provider, requests } = await liar(lies)
    await failure(provider.authorize(transaction()))
    lies.redirects = []
    await provider.authorize(transaction())
    await provider.authorize(transaction())
    expect(requests).toEqual(['/.well-known/openid-configuration', '/.well-known/openid-configuration'])
  })
})
