/** The endpoints that proxies ask on real sockets, on each runtime: bodies that never come, paths that climb, odd hosts. @module */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { createClient, loginWithDevice } from './support/kit.ts'
import { demand } from './support/matrix.ts'
import { whyNot } from './support/runtimes.ts'
import {
  SERVERS,
  type ServerRuntime,
  type StandaloneServer,
  signInAt,
  startStandalone,
} from './support/standalone.ts'

const folder = mkdtempSync(join(tmpdir(), 'pairgate-authz-'))
const PAIRGATE_CONFIG = join(folder, 'config.json')
const policies = { write: { scopes: ['write'] } }
writeFileSync(PAIRGATE_CONFIG, JSON.stringify({ clients: { tool: { scopes: ['write'] } }, policies }))
afterAll(() => rmSync(folder, { recursive: true }))

/** What came back on a socket: of each answer the head, in lower case. */
interface Exchange {
  readonly heads: readonly string[]
  readonly statuses: readonly number[]
}

function readHeads(text: string): Exchange {
  const heads = text
    .split(/(?=HTTP\/1\.[01] \d)/)
    .filter((part) => part.includes('\r\n\r\n'))
    .map((part) => part.slice(0, part.indexOf('\r\n\r\n')).toLowerCase())
  return { heads, statuses: heads.map((head) => Number(head.slice(9, 12))) }
}

/** Sends bytes; `after` is sent when an answer has come. Reads until the other end closes, or as many answers are there. */
function exchange(port: number, text: string, { after = '', answers = 0 } = {}): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(text, 'latin1'))
    let received = ''
    let rest = after
    socket.setEncoding('latin1').on('data', (part: string) => {
      received += part
      const { heads } = readHeads(received)
      if (rest && heads.length > 0) {
        socket.write(rest, 'latin1')
        rest = ''
      } else if (answers > 0 && heads.length >= answers) socket.destroy()
    })
    socket.on('error', (error) => (received ? undefined : reject(error)))
    socket.on('close', () => resolve(readHeads(received)))
  })
}

describe.each<ServerRuntime>(['node', 'deno', 'bun'])('%s', (runtime) => {
  let server: StandaloneServer | undefined
  let port = 0
  let key = ''

  beforeAll(async () => {
    if (whyNot(SERVERS[runtime]) !== null) return
    server = await startStandalone({ PAIRGATE_CONFIG }, '', runtime)
    port = Number(new URL(server.base).port)
    const person = await signInAt(server, 'alice')
    let allowed: Promise<Response> | undefined
    const token = await loginWithDevice(createClient({ server: server.base, clientId: 'tool' }), {
      onPrompt: ({ url }) => {
        allowed = person.decide(new URL(url).pathname + new URL(url).search, 'allow')
      },
      wait: async () => void (await allowed),
    })
    key = token.access_token
  })
  afterAll(async () => {
    await server?.stop()
    server?.remove()
  })
  beforeEach((context) => demand(context, whyNot(SERVERS[runtime])))

  const credential = () => `Authorization: Bearer ${key}\r\n`
  const request = (target: string, headers = '', method = 'GET', host = 'app.example') =>
    `${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${headers}\r\n`
  const once = 'Connection: close\r\n'

  test('the head of a good answer has each identity header, also those that are empty', async () => {
    const { heads } = await exchange(port, request('/authz/nginx', credential() + once))
    const names = [
      'remote-user: alice',
      'remote-name: alice',
      'remote-email:',
      'remote-groups:',
      'x-pairgate-scope:',
    ]
    for (const line of [...names, 'x-pairgate-client: tool', 'x-pairgate-id: ', 'x-pairgate-assertion: ey'])
      expect(heads[0]).toMatch(new RegExp(`\r\n${line}`))
  })

  test.each([
    ['GET', 'Content-Length: 11'],
    ['POST', 'Content-Length: 11'],
    ['PUT', 'Transfer-Encoding: chunked'],
  ])(
    'OPS-02 %s with %s and no body is answered at once, and nothing after it on that connection',
    async (method, framing) => {
      const stale = request('/authz/nginx', `${credential()}${framing}\r\n`, method)
      const alone = await exchange(port, stale, { answers: 1 })
      expect(alone.statuses).toEqual([200])
      // whoever reads this sends nothing more (RFC 9112 section 9.6)
      expect(alone.heads[0]).toMatch(/\r\nconnection: close/)
      const next = request('/authz/nginx', credential())
      const { statuses } = await exchange(port, stale, { after: next, answers: 2 })
      expect(statuses.slice(1)).toEqual(statuses.length === 1 ? [] : [400])
    },
  )

  test('a connection without such a body is kept', async () => {
    const [one, other] = [request('/authz/nginx', credential()), request('/authz/nginx/write', credential())]
    const { statuses, heads } = await exchange(port, one, { after: other, answers: 2 })
    expect(statuses).toEqual([200, 403])
    expect(heads[0]).not.toContain('connection: close')
  })

  const CLIMBING = [
    '/authz/ext/write/../any',
    '/authz/ext/write/../../healthz',
    '/authz/ext/write/../../../healthz',
    '/authz/ext/write/%2e%2e/any',
    '/authz/ext/write/.%2E/%2e./%2E%2e/healthz',
    '/authz/ext/write/..\\any',
    '/authz/ext/write\\..\\any',
    '/authz/ext/write/x/..\\..\\any',
    '/authz/ext/write/./x',
    '/authz/ext/write/..',
    '/authz/nginx/write/../any',
    'http://app.example/authz/ext/write/../any',
  ]

  test.each(CLIMBING)('GW-03 %s climbs nowhere', async (target) => {
    for (const headers of [credential(), ''])
      expect((await exchange(port, request(target, headers + once))).statuses).toEqual([400])
  })

  test.each([
    '/authz/ext/write/..;/any',
    '/authz/ext/write/%252e%252e/any',
    '/authz/ext/write/%2e%2e%2fany',
    '/authz/ext/write/%5c..%5cany',
    '/authz/ext/write/...',
    '/authz/ext/write/a..b',
    '/authz/ext/write//any',
    '/authz/ext/write?/../any',
    '/authz/nginx/write?x=/../any',
  ])('GW-03 %s is a path below the policy', async (target) => {
    expect((await exchange(port, request(target, credential() + once))).statuses).toEqual([403])
    expect((await exchange(port, request(target, once))).statuses).toEqual([401])
  })

  test.each([
    'app_1.internal:8080',
    'APP.Example',
    '[::1]:99',
    '_',
    'xn--bcher-kva.example',
    '10.1',
    'x'.repeat(250),
  ])('GW-01 for the host %s a proxy may ask', async (host) => {
    const ask = (path: string) => exchange(port, request(path, credential() + once, 'GET', host))
    expect((await ask('/authz/nginx')).statuses).toEqual([200])
    expect((await ask('/authz/nginx/write')).statuses).toEqual([403])
  })

  test.each([
    ...[
      'x/healthz?',
      'x/healthz#',
      'x\\healthz?',
      'x/authz/nginx?',
      'x?',
      'x#',
      'x@y',
      'x:99999',
      '[',
      'ex ample',
    ],
    'x/authz/ext/any/',
  ])('GW-01 GW-03 the header Host is no part of the path: %s lets nobody on', async (host) => {
    for (const headers of [credential(), '']) {
      const { statuses } = await exchange(port, request('/authz/nginx/write', headers + once, 'GET', host))
      expect(statuses).toEqual([expect.toSatisfy((status) => status >= 400)])
    }
  })

  test('HTTP/1.0 without any host, as health checks and old proxies speak it', async () => {
    const { statuses } = await exchange(port, `GET /authz/nginx HTTP/1.0\r\n${credential()}\r\n`)
    expect(statuses).toEqual([200])
  })
})
