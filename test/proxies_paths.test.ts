/** nginx, Caddy and HAProxy as the documentation configures them: no path and no query is judged as another one. @module */

import fc from 'fast-check'
import { decodeJwt } from 'jose'
import { describe, expect, test } from 'vitest'
import { holdsAsync } from './support/arbitraries.ts'
import { PROXIES } from './support/proxies.ts'
import { type Outcome, type ProxyWorld, useProxyWorld } from './support/proxy_world.ts'

/** Once, as all do; what is no escape stays. */
function decode(path: string): string {
  if (/%25/.test(path)) return path
  return path.replaceAll(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/** All that backends may make of a target's path: decoded or not, tidied up in this way or another. */
function readings(target: string): string[] {
  const [whole = ''] = target.split('?', 1)
  const steps: ((path: string) => string)[] = [
    decode,
    (path) => path.replaceAll('\\', '/'),
    (path) => path.toLowerCase(),
    (path) => path.replaceAll(/;[^/]*/g, ''),
    (path) => path.replaceAll(/\/+/g, '/'),
    (path) => path.replace(/^https?:\/\/[^/]*/, ''),
    (path) => path.replace(/#.*/, ''),
    (path) => (URL.canParse(path, 'http://a') ? new URL(path, 'http://a').pathname : path),
  ]
  const found = new Set([whole])
  // a set is walked through as it grows
  for (const path of found) for (const step of steps) found.add(step(path))
  return [...found]
}

const isWrite = (target: string) => readings(target).some((path) => path.startsWith('/write'))

const audienceOf = ({ seen }: Outcome) =>
  decodeJwt(seen?.headers.find(([one]) => one.toLowerCase() === 'x-pairgate-assertion')?.[1] ?? '').aud

/** Whatever somebody gets through to the backend, no reading of it is the route with a policy, unless that has judged. */
async function expectJudged(
  world: ProxyWorld,
  reader: string,
  writer: string,
  path: string,
): Promise<number> {
  const outcome = await world.sendAs(reader, { path })
  expect([path, outcome.seen !== null && isWrite(outcome.seen.target)]).toEqual([path, false])
  expect([200, 400, 403, 404]).toContain(outcome.status)
  const other = await world.sendAs(writer, { path })
  if (other.seen && isWrite(other.seen.target))
    expect([path, audienceOf(other)]).toEqual([path, 'https://write.example'])
  return outcome.status
}

const ODD = [
  '//write',
  '//api/../write',
  '/api/../write',
  '/api/..//write',
  '/api/./../write',
  '/../write',
  '/./write',
  '/%2e%2e/write',
  '/%2E%2e/write',
  '/.%2e/write',
  '/api/%2e%2e/write',
  '/api%2f..%2fwrite',
  '/api/..%2fwrite',
  '/write%2fx',
  '/write%2F..%2Fapi',
  '/write/../api',
  '/write//../api',
  '/write/..',
  '/write/../../api?x',
  '/api\\..\\write',
  '/api/..\\write',
  '/api%5c..%5cwrite',
  '/..;/write',
  '/api/..;x=y/write',
  '/;x/write',
  '/write/..;/api',
]

describe('what backends may make of a target', () => {
  test.each([...ODD, '/%77rite', '/write;x', 'http://app.example/write', '/write#/../api'])(
    '%s',
    (target) => {
      expect(isWrite(target)).toBe(true)
    },
  )

  test.each([
    '/',
    '/api',
    '/api/write',
    '/api//write',
    '/api?x=/write',
    '/api?/../write',
    '/.well-known/x',
    '/a..b',
    '/%2577rite',
  ])('%s: not the route', (target) => {
    expect(isWrite(target)).toBe(false)
  })
})

describe.each(PROXIES)('%s', (name) => {
  const start = useProxyWorld(name)
  const people = async (world: ProxyWorld) => ({
    reader: await world.login({ subject: 'rita' }),
    writer: await world.login({ subject: 'walt' }, 'device', 'read write'),
  })

  test('GW-03 a path that can be read in two ways goes nowhere', async (context) => {
    const world = start(context)
    const { reader, writer } = await people(world)
    for (const path of ODD) {
      expect([path, await expectJudged(world, reader, writer, path)]).toEqual([path, 400])
      expect([path, (await world.sendAs(writer, { path })).seen]).toEqual([path, null])
    }
    for (const path of ['//api', '/api//write', '/api/../other', '/a%2fb', '/a%2Eb'])
      expect([path, (await world.sendAs(reader, { path })).status]).toEqual([path, 400])
  })

  test('GW-03 a path that is only written oddly is judged as what it is', async (context) => {
    const world = start(context)
    const { reader, writer } = await people(world)
    for (const path of [
      '/%77rite',
      '/%77%72ite/x',
      '/WRITE/x',
      '/%57rite',
      '/write;x',
      '/write;x/y',
      '/writer',
      '/write%20',
      '/write%00',
    ])
      expect([path, [400, 403]]).toEqual([
        path,
        expect.arrayContaining([await expectJudged(world, reader, writer, path)]),
      ])
    for (const path of [
      'http://app.example/write',
      '/write#',
      '/write#/../api',
      '/api#/../write',
      '/write?x#/api',
      '*',
      '/%2577rite',
    ])
      await expectJudged(world, reader, writer, path)
  })

  test('ordinary paths arrive as they were written', async (context) => {
    const world = start(context)
    const { reader } = await people(world)
    const paths = [
      '/',
      '/a%20b',
      '/a.b/..c/d..',
      '/.well-known/x',
      '/%C3%A9?q=%2e%2e%2f//x',
      '/a;b=c',
      '/x?/../write',
    ]
    for (const path of [...paths, '/api/write', '/x?a=1&a=2&b', '/~a/@b/(c)'])
      expect([path, (await world.sendAs(reader, { path })).seen?.target]).toEqual([path, path])
  })

  test('GW-03 whatever a path is put together from, it is judged as what the backend may make of it', async (context) => {
    const world = start(context)
    const { reader, writer } = await people(world)
    const parts = [
      '/',
      '/',
      'write',
      'api',
      '.',
      '..',
      '%2e',
      '%2f',
      '%5c',
      '\\',
      ';',
      '#',
      '%77rite',
      '%00',
      '%',
      'x',
    ]
    const path = fc
      .array(fc.constantFrom(...parts), { minLength: 1, maxLength: 9 })
      .map((all) => `/${all.join('')}`)
    await holdsAsync(
      path,
      async (one) => {
        await expectJudged(world, reader, writer, one)
      },
      150,
    )
  })

  test('GW-03 nothing in a query or a header changes what is asked of pairgate', async (context) => {
    const world = start(context)
    const { reader } = await people(world)
    const queries = [
      'scope=write',
      'scopes[]=write&policy=any',
      'policy=any%26scope%3D',
      '%26policy=any',
      'allowed_groups=admin',
      'x=/authz/forward/any',
      '/../api',
      '',
    ]
    const headers = [
      'X-Original-URI',
      'X-Original-URL',
      'X-Rewrite-URL',
      'X-Forwarded-Uri',
      'X-Forwarded-Path',
    ].map((one) => [one, '/api'] as const)
    const asked = async (path: string, status: number, policy: string) => {
      const before = world.pairgate.asked.length
      const outcome = await world.sendAs(reader, { path, headers })
      const [question, ...more] = world.pairgate.asked.slice(before)
      const pathname = question && new URL(question.target, 'http://a').pathname
      expect([path, outcome.status, more, question?.method]).toEqual([path, status, [], 'GET'])
      expect(pathname).toMatch(new RegExp(`^/authz/(nginx|forward)/${policy}$`))
    }
    for (const query of queries) {
      await asked(`/write?${query}`, 403, 'write')
      await asked(`/api?${query}`, 200, 'any')
    }
  })

  if (name !== 'nginx') return
  test('GW-03 nobody outside reaches the location that asks', async (context) => {
    const world = start(context)
    const { reader } = await people(world)
    const before = world.pairgate.asked.length
    for (const path of ['/pairgate/any', '/pairgate/write', '/pairgate/', '/%70airgate/any']) {
      const outcome = await world.sendAs(reader, { path })
      expect([path, outcome.status, outcome.seen]).toEqual([path, 404, null])
    }
    expect(world.pairgate.asked.length).toBe(before)
  })
})
