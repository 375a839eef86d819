/** A backend behind a proxy that believes the signed assertion alone, while keys and secrets are changed. @module */

import { createRemoteJWKSet, type JWTPayload, jwtVerify } from 'jose'
import { describe, expect, test } from 'vitest'
import { toNodeHandler } from '../adapters/node.ts'
import { sqlite } from '../adapters/sqlite.ts'
import { createTestGate, SECRET } from './support/gate.ts'
import { PROXIES } from './support/proxies.ts'
import { POLICIES, type ProxyWorld, useProxyWorld } from './support/proxy_world.ts'

const HOUR = 3600
const DAY = 24 * HOUR
const NEW_SECRET = 'another-secret-another-secret-an'

/** Checks assertions with the JWK Set, which it fetches when its own is older than so many seconds, never for a key it lacks. */
function createVerifier(base: string, maxAge: number) {
  let fetchedAt = Number.NEGATIVE_INFINITY
  let keys: ReturnType<typeof createRemoteJWKSet>
  return async (
    assertion: string,
    now: number,
    audience = base,
  ): Promise<{ kid: string; payload: JWTPayload }> => {
    if (now - fetchedAt > maxAge * 1000) {
      const url = new URL(`${base}/.well-known/jwks.json`)
      keys = createRemoteJWKSet(url, {
        cacheMaxAge: Number.POSITIVE_INFINITY,
        cooldownDuration: Number.POSITIVE_INFINITY,
      })
      await keys.reload()
      fetchedAt = now
    }
    const { payload, protectedHeader } = await jwtVerify(assertion, keys, {
      issuer: base,
      audience,
      typ: 'pairgate+jwt',
      algorithms: ['ES256'],
      currentDate: new Date(now),
    })
    return { kid: String(protectedHeader.kid), payload }
  }
}

async function assertionFor(world: ProxyWorld, token: string, path: string): Promise<string> {
  const { status, seen } = await world.sendAs(token, { path })
  expect(status).toBe(200)
  return seen?.headers.find(([one]) => one.toLowerCase() === 'x-pairgate-assertion')?.[1] ?? ''
}

describe.each(PROXIES)('%s', (name) => {
  let now = Date.now()
  const options = { now: () => now, keySeconds: 365 * DAY, secrets: [SECRET] }
  const start = useProxyWorld(name, options)

  test('GW-02 each assertion is good under a key set that was fetched up to 29 days before, through three changes of the key', async (context) => {
    const world = start(context)
    const base = `http://127.0.0.1:${world.pairgate.port}`
    const token = await world.login({ subject: 'alice' }, 'device', 'read write')
    const verifiers = [createVerifier(base, 29 * DAY), createVerifier(base, HOUR)]
    const kids = new Set<string>()
    for (const end = now + 95 * DAY * 1000; now < end; now += 35 * HOUR * 1000) {
      for (const verify of verifiers) {
        const general = await verify(await assertionFor(world, token, '/'), now)
        const special = await verify(await assertionFor(world, token, '/write'), now, 'https://write.example')
        expect([general, special].map(({ payload }) => payload.sub_id)).toEqual(
          Array(2).fill({ format: 'iss_sub', iss: base, sub: 'alice' }),
        )
        kids.add(general.kid)
      }
    }
    expect(kids.size).toBeGreaterThanOrEqual(4)
  })

  test('GW-02 an assertion is good for a minute, for its own audience, and unchanged', async (context) => {
    const world = start(context)
    const base = `http://127.0.0.1:${world.pairgate.port}`
    const verify = createVerifier(base, HOUR)
    const token = await world.login({ subject: 'alice' }, 'device', 'read write')
    const assertion = await assertionFor(world, token, '/')
    expect((await verify(assertion, now + 59_000)).payload).toMatchObject({
      client_id: 'tool',
      scope: 'read write',
    })
    await expect(verify(assertion, now + 61_000)).rejects.toThrow('"exp" claim timestamp check failed')
    await expect(verify(assertion, now, 'https://write.example')).rejects.toThrow('"aud"')
    const [head, , signature] = assertion.split('.')
    const [, claims] = (await assertionFor(world, token, '/write')).split('.')
    await expect(verify([head, claims, signature].join('.'), now)).rejects.toThrow(
      'signature verification failed',
    )
  })

  test('GW-02 a change of the signing secret in steps, over two instances, fails nobody', async (context) => {
    const world = start(context)
    const base = `http://127.0.0.1:${world.pairgate.port}`
    const token = await world.login({ subject: 'alice' }, 'device', 'read write')
    const instance = (secrets: readonly string[]) => {
      const shared = { baseUrl: base, identify: () => null, policies: POLICIES, now: () => now }
      return toNodeHandler(createTestGate({ ...shared, secrets, database: sqlite(world.t.database) }).gate)
    }
    const verifiers = [createVerifier(base, HOUR)]
    let kid = ''
    const use = async () => {
      // each instance is asked by the proxy, and for the key set
      for (let i = 0; i < 3; i++)
        for (const verify of verifiers) ({ kid } = await verify(await assertionFor(world, token, '/'), now))
      // a backend that starts at this very moment
      verifiers.push(createVerifier(base, HOUR))
    }
    const wait = async (seconds: number) => {
      now += seconds * 1000
      await use()
    }
    const serve = async (...secrets: readonly (readonly string[])[]) => {
      const handlers = secrets.map(instance)
      let turn = 0
      world.pairgate.handler = (...args) => handlers[turn++ % handlers.length]?.(...args)
      await use()
    }
    const [old, both, turned, fresh] = [[SECRET], [SECRET, NEW_SECRET], [NEW_SECRET, SECRET], [NEW_SECRET]]
    await serve(old, old)
    const first = kid
    await serve(both, old)
    await serve(both, both)
    // until nobody has a key set of before
    await wait(HOUR / 2)
    await wait(HOUR / 2 + 1)
    expect(kid).toBe(first)
    await serve(turned, both)
    await serve(turned, turned)
    expect(kid).not.toBe(first)
    // until no assertion of before is good
    await wait(61)
    await serve(fresh, turned)
    await serve(fresh, fresh)
    await wait(HOUR + 1)
    // the steps are needed: a secret that nobody has been told of makes assertions that nobody believes
    await expect(serve([`${SECRET}-at-once`])).rejects.toThrow('no applicable key found')
  })
})
