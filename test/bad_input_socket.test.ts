/** Bad input on real sockets, through the adapter for Node: an answer arrives, and the server stays. @module */

import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import {
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
} from 'node:http'
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CLIENT, dump, FORM } from './support/bad_input.ts'
import { type LiveGate, listenGate } from './support/listen.ts'

let t: LiveGate
beforeAll(async () => {
  t = await listenGate(() => ({ seedCompat: true }))
})
afterAll(() => t.close())
// whatever came before: the server is there, and nothing was stored
beforeEach(async () => {
  expect(await (await fetch(`${t.base}/readyz`)).text()).toBe('ok')
})

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly text: string
}

/** Writes a whole request before it looks at the answer; rejects when the connection is reset. */
function upload(path: string, type: string, body: Buffer, isChunked: boolean): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = isChunked ? { 'transfer-encoding': 'chunked' } : { 'content-length': body.length }
    const headers = { 'content-type': type, ...length }
    const request = httpRequest(t.base + path, { method: 'POST', headers, agent: false })
    let flushed = false
    request.on('error', reject)
    request.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part) => {
        text += part
      })
      response.on('error', reject)
      response.on('end', () => {
        expect(flushed, 'the whole body was taken').toBe(true)
        resolve({ status: response.statusCode ?? 0, headers: response.headers, text })
      })
    })
    for (let at = 0; at < body.length; at += 32_768) request.write(body.subarray(at, at + 32_768))
    request.end(() => {
      flushed = true
    })
  })
}

/** Sends bytes and reads until the server closes. */
function exchange(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(t.port, '127.0.0.1', () => socket.write(text, 'latin1'))
    let answer = ''
    socket.setEncoding('latin1').on('data', (part: string) => {
      answer += part
    })
    socket.on('error', reject)
    socket.on('end', () => resolve(answer))
  })
}

const SIZES = [
  ['200 KB', 200 * 1024],
  ['5 MB', 5 * 1024 * 1024],
] as const
const TARGETS = [
  ['/oauth/device/authorize', FORM],
  ['/oauth/token', FORM],
  ['/trpc/device.authorize', 'application/json'],
  ['/sign-in/dev', FORM],
  ['/nowhere', 'application/octet-stream'],
] as const

describe.each(SIZES)('a body of %s', (_, size) => {
  describe.each([
    ['Content-Length', false],
    ['chunked', true],
  ])('sent with %s', (_, isChunked) => {
    test.each(TARGETS)('OPS-01 RPC-07 POST %s is answered 413, not reset', async (path, type) => {
      await t.gate.migrate()
      const before = dump(t)
      const start = path.startsWith('/trpc') ? `{"client_id":"${CLIENT}","x":"` : `client_id=${CLIENT}&x=`
      const body = Buffer.alloc(size, 'x')
      body.write(start)
      const { status, headers, text } = await upload(path, type, body, isChunked)
      expect([status, JSON.parse(text)]).toMatchObject([413, { error: 'invalid_request' }])
      expect(headers).toMatchObject({ 'cache-control': 'no-store', 'content-type': 'application/json' })
      expect(dump(t)).toEqual(before)
    })
  })
})

test('OPS-01 a body of 64 KB is taken, chunked or not', async () => {
  for (const isChunked of [false, true]) {
    const body = Buffer.from(`client_id=${CLIENT}&x=`.padEnd(65_536, 'x'))
    expect((await upload('/oauth/device/authorize', FORM, body, isChunked)).status).toBe(200)
  }
})

/** What the server sees of the next request. */
function nextRequest(): Promise<{ request: IncomingMessage; server: Server }> {
  return new Promise((resolve) => {
    const note = (message: unknown) => {
      unsubscribe('http.server.request.start', note)
      resolve(message as { request: IncomingMessage; server: Server })
    }
    subscribe('http.server.request.start', note)
  })
}

test('OPS-01 a body that breaks off changes nothing, and is nobody else’s problem', async () => {
  const before = dump(t)
  const seen = nextRequest()
  const host = `Host: 127.0.0.1:${t.port}`
  const head = `POST /oauth/device/authorize HTTP/1.1\r\n${host}\r\nContent-Type: ${FORM}\r\nContent-Length: 100`
  const socket = connect(t.port, '127.0.0.1', () => socket.write(`${head}\r\n\r\nclient_id=${CLIENT}`))
  const { request } = await seen
  socket.destroy()
  await new Promise((resolve) => request.once('close', resolve))
  expect((await fetch(`${t.base}/healthz`)).status).toBe(200)
  expect(dump(t)).toEqual(before)
})

describe('empty bodies', () => {
  const post = (path: string, init: RequestInit) => fetch(t.base + path, { method: 'POST', ...init })
  const json = { 'content-type': 'application/json' }

  test.each([
    ['/oauth/revoke', { body: '', headers: { 'content-type': FORM } }, 400, /client_id is missing/],
    ['/cli_login', { body: '', headers: { 'content-type': FORM } }, 400, /client_id is missing/],
    ['/cli_login', {}, 400, /x-www-form-urlencoded/],
    ['/trpc/device.authorize', { body: '', headers: json }, 400, /BAD_REQUEST/],
    ['/trpc/session.signOut', { headers: json }, 400, /BAD_REQUEST/],
    ['/oauth/device/authorize', {}, 200, /device_code/],
    ['/oauth/device/authorize', { body: '', headers: { 'content-type': FORM } }, 200, /device_code/],
    ['/oauth/device/authorize', { body: '', headers: json }, 200, /device_code/],
  ])('DF-03 POST %s %j is answered %i', async (path, init, status, text) => {
    const response = await post(path, init)
    expect([response.status, await response.text()]).toEqual([status, expect.stringMatching(text)])
  })
})

describe('requests that HTTP libraries do not send', () => {
  const host = () => `Host: 127.0.0.1:${t.port}\r\nConnection: close\r\n`
  const form = `Content-Type: ${FORM}\r\n`
  const CASES: [string, () => string, number][] = [
    ['TRACE', () => `TRACE /oauth/token HTTP/1.1\r\n${host()}\r\n`, 405],
    [
      'an unusual method with a body',
      () => `PROPFIND /device HTTP/1.1\r\n${host()}Content-Length: 1\r\n\r\nx`,
      405,
    ],
    ['GET with a body', () => `GET /device HTTP/1.1\r\n${host()}${form}Content-Length: 1\r\n\r\nx`, 303],
    ['OPTIONS *', () => `OPTIONS * HTTP/1.1\r\n${host()}\r\n`, 400],
    [
      'another host',
      () => 'POST /oauth/token HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n',
      421,
    ],
    ['no host', () => 'POST /oauth/token HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    [
      'a host that is none',
      () => 'POST /oauth/token HTTP/1.1\r\nHost: a b/c\r\nConnection: close\r\n\r\n',
      400,
    ],
    [
      'a foreign absolute target',
      () => `POST http://evil.example/oauth/token HTTP/1.1\r\n${host()}\r\n`,
      421,
    ],
    ['a broken escape in the path', () => `GET /%zz%ff HTTP/1.1\r\n${host()}\r\n`, 404],
    [
      'two lengths',
      () => `POST /token HTTP/1.1\r\n${host()}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx`,
      400,
    ],
    [
      'a length and chunks',
      () =>
        `POST /token HTTP/1.1\r\n${host()}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
    ],
    [
      'a chunk of no size',
      () => `POST /token HTTP/1.1\r\n${host()}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
      400,
    ],
    [
      'a header line of 20 KB',
      () => `GET /secured HTTP/1.1\r\n${host()}Cookie: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
    ],
    ['a header with a NUL', () => `GET /secured HTTP/1.1\r\n${host()}Cookie: a=\0\r\n\r\n`, 400],
    [
      'cookies and a token that are not ASCII',
      () =>
        `GET /secured HTTP/1.1\r\n${host()}Cookie: pairgate-session=\xff\r\nAuthorization: Bearer \xfe\r\n\r\n`,
      401,
    ],
    [
      'Basic that is not ASCII',
      () => `POST /token HTTP/1.1\r\n${host()}${form}Authorization: Basic \xff\r\nContent-Length: 0\r\n\r\n`,
      401,
    ],
    ['no HTTP', () => 'hello\r\n\r\n', 400],
  ]
  test.each(CASES)('WEB-08 OPS-01 %s', async (_, text, status) => {
    await t.gate.migrate()
    const before = dump(t)
    expect(await exchange(text())).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
    expect(dump(t)).toEqual(before)
  })
})

test('OPS-01 OPS-02 slow clients are cut off, sockets are bounded', async () => {
  const seen = nextRequest()
  await fetch(`${t.base}/healthz`)
  const { server } = await seen
  expect(server).toMatchObject({
    headersTimeout: 10_000,
    requestTimeout: 30_000,
    keepAliveTimeout: 5_000,
    maxConnections: 20_000,
    maxRequestsPerSocket: 1_000,
  })
})
