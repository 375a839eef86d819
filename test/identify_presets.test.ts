/** The identity-aware proxies that there are presets for: the forms of their assertions, and where their keys are. @module */

import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { cloudflareAccess, googleIap, pomerium } from '../adapters/gateway.ts'
import { loginAs } from './support/credentials.ts'
import { browserBehind, gateWith, type Key, makeKey, seconds, signWith } from './support/identify.ts'

const [one, rsa] = [await makeKey('one'), await makeKey('rsa', 'RS256')]

/** Lets the key sets of others be ours; tells where they were looked for. */
function answerFor(...keys: Key[]): string[] {
  const urls: string[] = []
  vi.stubGlobal('fetch', async (url: string | URL) => {
    urls.push(String(url))
    return Response.json({ keys: keys.map(({ jwk }) => jwk) })
  })
  onTestFinished(() => void vi.unstubAllGlobals())
  return urls
}

describe('presets', () => {
  // the forms of claims are those of the documentation, and for Pomerium of its source
  test('GW-02 Cloudflare Access: people are signed in, service tokens are nobody', async () => {
    const urls = answerFor(rsa, one)
    const t = gateWith(cloudflareAccess({ team: 'Acme', audience: '32eafc' }))
    const iss = 'https://acme.cloudflareaccess.com'
    const now = seconds()
    const claims = { iss, aud: ['32eafc'], type: 'app', iat: now, nbf: now, exp: now + 60 }
    const sub = '7335d417-61da-459d-899c-0a01c76a2f94'
    const person = { ...claims, sub, email: 'user@example.com', identity_nonce: '6ei6', country: 'US' }
    const header = 'cf-access-jwt-assertion'
    expect((await t.as({ [header]: await signWith(rsa, person, { typ: 'JWT' }) })).status).toBe(200)
    expect((await t.as({ [header]: await signWith(one, person) })).status).toBe(401)
    const machine = { ...claims, sub: '', common_name: 'e367826f.access' }
    expect((await t.as({ [header]: await signWith(rsa, machine) })).status).toBe(401)
    expect((await t.as({ [header]: await signWith(rsa, { ...person, aud: ['other'] }) })).status).toBe(401)
    await loginAs(
      t,
      browserBehind(t, async () => ({ [header]: await signWith(rsa, person) })),
      'pair',
    )
    expect(t.rows('SELECT issuer, subject, email FROM users')).toEqual([
      { issuer: iss, subject: sub, email: 'user@example.com' },
    ])
    expect(urls).toEqual([`${iss}/cdn-cgi/access/certs`])
  })

  test('GW-02 Google IAP: with half a minute for clocks', async () => {
    const urls = answerFor(one)
    const audience = '/projects/1234/global/backendServices/5678'
    const t = gateWith(googleIap({ audience }))
    const sub = 'accounts.google.com:1122'
    const issuer = 'https://cloud.google.com/iap'
    const claims = { iss: issuer, aud: audience, sub, email: 'user@example.com', hd: 'example.com' }
    const header = 'x-goog-iap-jwt-assertion'
    expect((await t.as({ [header]: await signWith(one, { ...claims, exp: seconds() - 25 }) })).status).toBe(
      200,
    )
    expect((await t.as({ [header]: await signWith(one, { ...claims, exp: seconds() - 31 }) })).status).toBe(
      401,
    )
    const elsewhere = { ...claims, aud: '/projects/1234/apps/acme', exp: seconds() + 60 }
    expect((await t.as({ [header]: await signWith(one, elsewhere) })).status).toBe(401)
    const unsigned = { 'x-goog-authenticated-user-email': 'accounts.google.com:user@example.com' }
    expect((await t.fetch('/secured', { headers: unsigned })).status).toBe(401)
    await loginAs(
      t,
      browserBehind(t, async () => ({ [header]: await signWith(one, { ...claims, exp: seconds() + 60 }) })),
      'pair',
    )
    expect(t.rows('SELECT issuer, subject FROM users')).toEqual([{ issuer, subject: sub }])
    expect(urls).toEqual(['https://www.gstatic.com/iap/verify/public_key-jwk'])
  })

  test('GW-02 Pomerium: a person is the same under both forms of the issuer', async () => {
    const urls = answerFor(one)
    const tenants = [{ id: 'acme' }]
    const t = gateWith(
      pomerium({
        url: 'https://gateway.example:8443',
        toIdentity: (_, identity) => ({ ...identity, tenants }),
      }),
    )
    const claims = (iss: string, aud = 'gateway.example') => ({
      ...{ iss, aud, sub: 'u1', user: 'u1', sid: 's1', jti: 'j1', groups: [], name: '' },
      ...{ email: 'user@example.com', iat: seconds(), exp: seconds() + 300 },
    })
    const header = 'x-pomerium-jwt-assertion'
    for (const iss of ['gateway.example', 'https://gateway.example/'])
      await loginAs(
        t,
        browserBehind(t, async () => ({ [header]: await signWith(one, claims(iss)) })),
        'pair',
      )
    expect(t.rows('SELECT issuer, subject, name FROM users')).toEqual([
      { issuer: 'gateway.example', subject: 'u1', name: null },
    ])
    expect(t.rows('SELECT DISTINCT tenant FROM credentials')).toEqual([{ tenant: 'acme' }])
    const other = await signWith(one, claims('gateway.example', 'wiki.example'))
    expect((await t.as({ [header]: other })).status).toBe(401)
    const nobody = await signWith(one, { ...claims('gateway.example'), sub: '' })
    expect((await t.as({ [header]: nobody })).status).toBe(401)
    expect(urls).toEqual(['https://gateway.example:8443/.well-known/pomerium/jwks.json'])
  })

  test('GW-02 wrong options are refused', () => {
    const team = () => cloudflareAccess({ team: 'evil.example/x', audience: 'a' })
    expect(team).toThrow(/"team" must be the name alone/)
    const noAudience = { team: 'acme' } as { team: string; audience: string }
    expect(() => cloudflareAccess(noAudience)).toThrow(/"audience" is not set/)
    expect(() => googleIap({ audience: '' })).toThrow(/"audience" is not set/)
    expect(() => pomerium({ url: 'https://gateway.example/auth' })).toThrow(/"url" must be an origin/)
    expect(() => pomerium({ url: 'http://gateway.example' })).toThrow(/"url" must be https/)
    const stray = { audience: 'a', issuer: 'b' } as { audience: string }
    expect(() => googleIap(stray)).toThrow(/"issuer" is unknown/)
  })
})
