/** The other side of a sign-in: a real issuer, a GitHub, and an issuer that lies. All stop after each test. @module */

import { createHmac, generateKeyPairSync, randomBytes, sign } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, expect, vi } from 'vitest'
import type { PairgateError } from '../../src/errors.ts'
import { github, oidc, type Transaction } from '../../src/providers.ts'
import { startGitHub } from './github.ts'
import { type OidcServerOptions, startOidc } from './oidc.ts'

/** Where the test providers send people back to. */
export const REDIRECT_URI = 'https://gateway.example/auth/sign-in/callback/oidc'

/** What to stop after each test. */
export const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  await Promise.all(closers.splice(0).map((close) => close()))
})

/** A fresh transaction. */
export function transaction(redirectUri = REDIRECT_URI): Transaction {
  const secret = () => randomBytes(32).toString('base64url')
  return { redirectUri, state: secret(), nonce: secret(), codeVerifier: secret() }
}

/** Waits for the failure of a sign-in. */
export async function failure(step: Promise<unknown>): Promise<PairgateError & { cause: Error }> {
  const error = await step.then(
    (value) => expect.fail(`did not fail, but gave ${inspect(value)}`),
    (error) => error,
  )
  expect(error).toMatchObject({
    name: 'PairgateError',
    code: error.message.includes('cancelled') ? 'ERR_PAIRGATE_SIGN_IN_CANCELLED' : 'ERR_PAIRGATE_SIGN_IN',
  })
  return error
}

/** A real issuer and a provider for it. */
export async function issuer(options: Partial<OidcServerOptions> = {}) {
  const server = await startOidc({ redirectUris: [REDIRECT_URI], ...options })
  closers.push(server.close)
  return { server, provider: oidc(server) }
}

/** A GitHub and a provider for it. */
export async function hub(options: Partial<Parameters<typeof startGitHub>[0]> = {}) {
  const server = await startGitHub({ redirectUris: [REDIRECT_URI], ...options })
  closers.push(server.close)
  return { server, provider: github(server) }
}

/** What the lying issuer says; every part may be replaced. */
export interface Lies {
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

/** JSON as one part of a JWT. */
export const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

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

/** A key pair for ES256. */
export const keyPair = () => generateKeyPairSync('ec', { namedCurve: 'P-256' })

/** Starts the lying issuer; `lies` may be changed while it runs. */
export async function liar(lies: Lies = {}) {
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
