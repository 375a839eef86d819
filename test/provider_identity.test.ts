/** What comes of an upstream sign-in: an identity and nothing else. @module */

import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { OCTOCAT } from './support/github.ts'
import { failure, hub, issuer, type Lies, liar, transaction } from './support/upstream.ts'

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
