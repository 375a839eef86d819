/** What a CLI may say of the delivery that it wants, through both doors; and what is made of it. @module */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { callbackUrl, readDelivery } from '../src/core/loopback.ts'
import { BASE, createPaircode, createTestGate } from './support/gate.ts'
import { callProcedure, LOOPBACK, personNamed, readCallback, startLoopback } from './support/loopback.ts'

const CLIENT = 'pairgate-cli'

describe('what is asked for', () => {
  const GOOD = { delivery: 'loopback', port: 4_000, state: 's' }
  /** What is wrong, and the parameter that the answer has to name. */
  const WRONG: readonly [what: object, names: string][] = [
    ...[undefined, 0, 80, 1_023, 65_536, -4_000, 4_000.5, 1e5].map((port): [object, string] => [
      { ...GOOD, port },
      'port',
    ]),
    ...[undefined, ' ', 'a b', 'é', 'a/b', 'a&b', '%', 's\n', 'x'.repeat(129)].map(
      (state): [object, string] => [{ ...GOOD, state }, 'state'],
    ),
    ...['loopback2', 'http://evil.example', '__proto__', 'LOOPBACK'].map((delivery): [object, string] => [
      { ...GOOD, delivery },
      'delivery',
    ]),
    ...[undefined, 'poll'].flatMap((delivery): [object, string][] => [
      [{ delivery, port: 4_000 }, 'port'],
      [{ delivery, state: 's' }, 'state'],
    ]),
  ]
  /** Ports that only a form can say. */
  const PORTS = [
    '0x1000',
    '4e3',
    '+4000',
    '4000.0',
    ' 4000',
    '4000 ',
    '٤٠٠٠',
    '127.0.0.1:4000',
    '4000@evil.example',
    '004000',
  ]

  /** The fields that are there, as text. */
  const toForm = (fields: object): Record<string, string> =>
    Object.fromEntries(
      Object.entries(fields).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
    )

  test('PC-11 form: anything else is invalid_request, says what, and stores nothing', async () => {
    const t = createTestGate()
    const wrong: [object, string][] = [
      ...WRONG,
      ...PORTS.map((port): [object, string] => [{ ...GOOD, port }, 'port']),
    ]
    for (const [fields, names] of wrong) {
      const { paircode } = createPaircode()
      const response = await t.post('/cli_login', { client_id: CLIENT, paircode, ...toForm(fields) })
      expect([fields, response.status, await response.json()]).toEqual([
        fields,
        400,
        { error: 'invalid_request', error_description: expect.stringContaining(`The parameter ${names} `) },
      ])
    }
    expect(t.rows('SELECT id FROM grants')).toEqual([])
    expect(t.rows('SELECT id FROM events')).toEqual([])
  })

  test('PC-11 tRPC: anything else is BAD_REQUEST, says what, and stores nothing', async () => {
    const t = createTestGate()
    const wrong: [object, string][] = [
      ...WRONG,
      ...['4000', null, true, [4_000]].map((port): [object, string] => [{ ...GOOD, port }, 'port']),
      ...['', null, 7].map((state): [object, string] => [{ ...GOOD, state }, 'state']),
      ...[null, ''].map((delivery): [object, string] => [{ ...GOOD, delivery }, 'delivery']),
      [{ ...GOOD, redirect_uri: 'http://127.0.0.1:4000/' }, 'redirect_uri'],
      [{ ...GOOD, host: 'evil.example' }, 'host'],
    ]
    for (const [fields, names] of wrong) {
      const { paircode } = createPaircode()
      const { http, text } = await callProcedure(t, 'pair.start', { client_id: CLIENT, paircode, ...fields })
      const { message, data } = JSON.parse(text).error
      expect([fields, http, data.code]).toEqual([fields, 400, 'BAD_REQUEST'])
      expect(message).toMatch(new RegExp(`\\b${names}\\b`))
    }
    expect(t.rows('SELECT id FROM grants')).toEqual([])
  })

  test('PC-11 the ends of the ranges are good', async () => {
    const t = createTestGate()
    const form = { client_id: CLIENT, delivery: 'loopback' }
    for (const [port, state] of [
      ['1024', 'x'.repeat(128)],
      ['65535', '.'],
    ] as const) {
      const { paircode } = createPaircode()
      expect((await t.post('/cli_login', { ...form, paircode, port, state })).status).toBe(200)
      expect(
        t.rows('SELECT loopback_port, loopback_state FROM grants WHERE loopback_port = ?', port),
      ).toEqual([{ loopback_port: Number(port), loopback_state: state }])
    }
  })

  test('PC-11 the address is made of the number: a URL, a host or a path that are sent make no difference', async () => {
    const t = createTestGate()
    const { login_url } = await startLoopback(t, {
      ...{
        redirect_uri: 'https://evil.example/',
        host: 'evil.example',
        path: '/x',
        callback: '//evil.example',
      },
    })
    const alice = await personNamed(t, 'alice')
    const html = await (await alice.get(`${login_url}?port=1&redirect_uri=//evil.example`)).text()
    const spoiled = { decision: 'allow', port: '1', state: 'other', redirect_to: '//evil.example' }
    const response = await alice.submit(html, spoiled)
    expect(response.status).toBe(303)
    expect(readCallback(response.headers.get('location'))).toMatchObject({ state: LOOPBACK.state })
  })
})

describe('properties', () => {
  const anything = fc.oneof(fc.double(), fc.integer({ min: 1_000, max: 66_000 }))

  test('PC-11 whatever is sent, the browser goes to a port of 127.0.0.1 and nowhere else, or nothing is stored', () => {
    const states = fc.oneof(fc.string({ unit: 'binary' }), fc.stringMatching(/^[A-Za-z0-9._~-]{1,128}$/))
    fc.assert(
      fc.property(anything, states, fc.base64String(), (port, state, code) => {
        const to = readDelivery({ delivery: 'loopback', port, state })
        const isGood =
          Number.isInteger(port) && port >= 1_024 && port <= 65_535 && /^[\w.~-]{1,128}$/.test(state)
        expect(typeof to).toBe(isGood ? 'object' : 'string')
        if (typeof to === 'string') return
        for (const result of [code, null]) {
          const url = new URL(callbackUrl(to, { code: result, iss: BASE }) ?? '')
          expect([url.protocol, url.hostname, url.pathname]).toEqual(['http:', '127.0.0.1', '/callback'])
          expect([url.port, url.username, url.password, url.hash]).toEqual([String(port), '', '', ''])
          const said = result === null ? { error: 'access_denied' } : { code: result }
          expect(Object.fromEntries(url.searchParams)).toEqual({ ...said, state, iss: BASE })
        }
      }),
      { numRuns: 2_000 },
    )
  })

  test('PC-11 with any other delivery a port or a state is refused', () => {
    fc.assert(
      fc.property(
        fc.option(fc.string(), { nil: undefined }),
        anything,
        fc.string(),
        (delivery, port, state) => {
          fc.pre(delivery !== 'loopback')
          for (const more of [{ port }, { state }, { port, state }])
            expect(typeof readDelivery({ delivery, ...more })).toBe('string')
        },
      ),
    )
  })
})
