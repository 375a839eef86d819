/** Upstream sign-in over real sockets: a real issuer, a GitHub, and an issuer that lies. @module */

import { createHash, createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, describe, expect, test, vi } from 'vitest'
import type { PairgateError } from '../src/errors.ts'
import { github, google, oidc, type Provider, type Transaction } from '../src/providers.ts'
import { OCTOCAT, startGitHub } from './support/github.ts'
import { type OidcServerOptions, startOidc } from './support/oidc.ts'

const REDIRECT_URI = 'https://gateway.example/auth/sign-in/callback/oidc'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  await Promise.all(closers.splice(0).map((close) => close()))
})

function transaction(redirectUri = REDIRECT_URI): Transaction {
  const secret = () => randomBytes(32).toString('base64url')
  return { redirectUri, state: secret(), nonce: secret(), codeVerifier: secret() }
}

/** Waits for the failure of a sign-in. */
async function failure(step: Promise<unknown>): Promise<PairgateError & { cause: Error }> {
  const error = await step.then(
    (value) => expect.fail(`did not fail, but gave ${inspect(value)}`),
    (error) => error,
  )
  expect(error).toMatchObject({ name: 'PairgateError', code: 'ERR_PAIRGATE_SIGN_IN' })
  return error
}

async function issuer(options: Partial<OidcServerOptions> = {}) {
  const server = await startOidc({ redirectUris: [REDIRECT_URI], ...options })
  closers.push(server.close)
  return { server, provider: oidc(server) }
}

async function hub(options: Partial<Parameters<typeof startGitHub>[0]> = {}) {
  const server = await startGitHub({ redirectUris: [REDIRECT_URI], ...options })
  closers.push(server.close)
  return { server, provider: github(server) }
}

/** What the lying issuer says; every part may be replaced. */
interface Lies {
  metadata?: object
  header?: { alg?: string; kid?: string }
  claims?: object
  /** Signs with a key that it does not publish. */
  otherKey?: boolean
  token?: object
  /** Paths that answer with a redirect to /trap. */
  redirects?: string[]
  /** Paths that answer with 2 MB. */
  floods?: string[]
  /** Paths that never answer. */
  hangs?: string[]
}

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

function idToken(
  payload: object,
  { header, otherKey }: Lies,
  privateKey: ReturnType<typeof keyPair>['privateKey'],
): string {
  const { alg = 'ES256' } = header ?? {}
  const input = `${base64url({ alg, kid: 'one', ...header })}.${base64url(payload)}`
  if (alg === 'none') return `${input}.`
  if (alg === 'HS256') return `${input}.${createHmac('sha256', 'secret').update(input).digest('base64url')}`
  const key = otherKey ? keyPair().privateKey : privateKey
  const signature = sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
  return `${input}.${signature.toString('base64url')}`
}

const keyPair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** Starts the lying issuer; `lies` may be changed while it runs. */
async function liar(lies: Lies = {}) {
  const { privateKey, publicKey } = keyPair()
  const requests: string[] = []
  const authentications: string[] = []
  const expected = transaction()
  let origin = ''
  const answers: Record<string, () => object> = {
    '/.well-known/openid-configuration': () => ({
      issuer: origin,
      authorization_endpoint: `${origin}/authorize`,
      token_endpoint: `${origin}/token`,
      jwks_uri: `${origin}/jwks`,
      id_token_signing_alg_values_supported: ['ES256'],
      authorization_response_iss_parameter_supported: true,
      ...lies.metadata,
    }),
    '/jwks': () => ({
      keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'ES256', use: 'sig' }],
    }),
    '/token': () => {
      const now = Math.floor(Date.now() / 1000)
      const times = { iat: now, exp: now + 60 }
      const claims = {
        iss: origin,
        sub: 'ann',
        aud: 'client',
        nonce: expected.nonce,
        ...times,
        ...lies.claims,
      }
      return {
        access_token: 'at-secret',
        token_type: 'Bearer',
        id_token: idToken(claims, lies, privateKey),
        ...lies.token,
      }
    },
  }
  const server = createServer((request, response) => {
    const path = request.url?.replace(/\?.*/, '') ?? ''
    requests.push(path)
    if (path === '/token') authentications.push(request.headers.authorization?.replace(/ .*/, '') ?? 'none')
    if (lies.hangs?.includes(path)) return
    if (lies.redirects?.includes(path)) return response.writeHead(307, { location: '/trap' }).end()
    const body = JSON.stringify(answers[path]?.() ?? {})
    const padding = lies.floods?.includes(path) ? ' '.repeat(2_000_000) : ''
    return response.writeHead(200, { 'content-type': 'application/json' }).end(padding + body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  closers.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  const provider = oidc({ issuer: origin, clientId: 'client', clientSecret: 'secret' })
  const answer = (query: Record<string, string> = {}) => {
    const url = new URL(REDIRECT_URI)
    url.search = new URLSearchParams({
      code: 'code-secret',
      state: expected.state,
      iss: origin,
      ...query,
    }).toString()
    return url
  }
  return {
    origin,
    provider,
    expected,
    answer,
    requests,
    authentications,
    signIn: () => provider.callback(answer(), expected),
  }
}

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

describe('identity', () => {
  test('UP-05 identity is (issuer, subject); an e-mail only when the issuer has verified it', async () => {
    const { server, provider } = await issuer({
      claims: (login) => ({ name: 'Ann', email: 'ann@example.com', email_verified: login === 'verified' }),
    })
    for (const login of ['verified', 'unverified']) {
      const sent = transaction()
      const identity = await provider.callback(
        await server.visit(await provider.authorize(sent), login),
        sent,
      )
      const email = login === 'verified' ? 'ann@example.com' : undefined
      expect(identity).toEqual({ issuer: server.issuer, subject: `sub-${login}`, name: 'Ann', email })
    }
  })

  test('UP-05 a profile of another subject is refused', async () => {
    const lies: Lies = { metadata: {} }
    const { origin, signIn, requests } = await liar(lies)
    lies.metadata = { userinfo_endpoint: `${origin}/userinfo` }
    expect((await failure(signIn())).cause.message).toMatch(/"sub"/)
    expect(requests).toContain('/userinfo')
  })

  test('UP-05 a complete ID token needs no profile', async () => {
    const lies: Lies = { claims: { name: 'Ann', email: 'ann@example.com', email_verified: true } }
    const { origin, signIn, requests } = await liar(lies)
    lies.metadata = { userinfo_endpoint: `${origin}/userinfo` }
    expect(await signIn()).toEqual({ issuer: origin, subject: 'ann', name: 'Ann', email: 'ann@example.com' })
    expect(requests).not.toContain('/userinfo')
  })

  test('UP-05 GitHub: the numeric id, e-mail only when primary and verified', async () => {
    const { server, provider } = await hub()
    const signIn = async (account: Partial<typeof OCTOCAT>) => {
      server.account = { ...OCTOCAT, ...account }
      const sent = transaction()
      return provider.callback(await server.visit(await provider.authorize(sent)), sent)
    }
    const octocat = {
      issuer: server.url,
      subject: '583231',
      name: 'The Octocat',
      email: 'octocat@example.com',
    }
    expect(await signIn({})).toEqual(octocat)
    expect(await signIn({ login: 'renamed', name: null })).toEqual({ ...octocat, name: 'renamed' })
    const [old, primary] = OCTOCAT.emails
    const nobody = { ...octocat, email: undefined }
    expect(await signIn({ emails: [old!, { ...primary!, verified: false }] })).toEqual(nobody)
    expect(await signIn({ emails: [old!], email: 'public@example.com' })).toEqual(nobody)
    expect((await signIn({ id: 2 })).subject).toBe('2')
    await failure(signIn({ id: '583231' as unknown as number }))
    await failure(signIn({ id: null as unknown as number }))
  })

  test('UP-05 GitHub: addresses that were not granted are none', async () => {
    const { server, provider } = await hub()
    const sent = transaction()
    const url = await provider.authorize(sent)
    url.searchParams.set('scope', '')
    expect(await provider.callback(await server.visit(url), sent)).toMatchObject({
      subject: '583231',
      email: undefined,
    })
  })
})

describe('tokens', () => {
  test('UP-06 no token, code or secret is in an error', async () => {
    const failing: Lies[] = [
      { token: { token_type: 'other' } },
      { token: { token_type: undefined } },
      { token: { id_token: 'at-secret' } },
      { token: { error: 'at-secret', access_token: undefined } },
      { claims: { aud: 'other' } },
      { otherKey: true },
    ]
    for (const lies of failing) {
      const { provider, expected, answer } = await liar(lies)
      const said = inspect(await failure(provider.callback(answer(), expected)), {
        depth: 10,
        showHidden: true,
      })
      for (const secret of [
        'at-secret',
        'code-secret',
        expected.codeVerifier,
        expected.nonce,
        expected.state,
        'eyJ',
      ]) {
        expect(said).not.toContain(secret)
      }
    }
    const lies: Lies = { token: { access_token: 'at-secret\nx' } }
    const { origin, signIn } = await liar(lies)
    lies.metadata = { userinfo_endpoint: `${origin}/userinfo` }
    expect(inspect(await failure(signIn()), { depth: 10, showHidden: true })).not.toContain('at-secret')
    const refused = await liar()
    const answer = refused.answer({ error: 'code-secret\n<b>', code: '' })
    expect(inspect(await failure(refused.provider.callback(answer, refused.expected)))).not.toContain(
      'code-secret',
    )
  })

  test('UP-06 tokens are used once and dropped', async () => {
    const { server, provider } = await hub()
    const sent = transaction()
    const identity = await provider.callback(await server.visit(await provider.authorize(sent)), sent)
    const held = inspect([identity, provider], { depth: 10, showHidden: true })
    expect(server.tokens).toHaveLength(1)
    expect(held).not.toContain(server.tokens[0])
    expect(Object.keys(identity).sort()).toEqual(['email', 'issuer', 'name', 'subject'])
  })
})
