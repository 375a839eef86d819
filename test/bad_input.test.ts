/** Malformed, oversized, doubled and foreign input at every form endpoint: refused, and nothing changed. @module */

import { describe, expect, test } from 'vitest'
import { CLIENT, chunked, createFixture, DOORS, dump, FORM, type Form } from './support/bad_input.ts'
import { createPaircode, DEVICE_GRANT, type TestGate } from './support/gate.ts'

const encode = (form: Form) => new URLSearchParams(form).toString()
const bytes = (text: string) => Uint8Array.from(text, (letter) => letter.charCodeAt(0))
const basic = (text: string) => `Basic ${btoa(text)}`

interface Bad {
  /** The body, and headers beside the form's media type. */
  readonly body: BodyInit | null
  readonly headers?: Record<string, string>
  readonly query?: string
  readonly status?: number
  readonly error?: string
}

/** A row of a table: ids and a name, and how a form that works is spoiled. */
type Row = readonly [name: string, spoil: (form: Form, path: string) => Bad]

const more = (text: string) => (form: Form) => ({ body: `${encode(form)}&${text}` })
const typed = (type: string, body: (form: Form) => BodyInit) => (form: Form) => ({
  body: body(form),
  headers: { 'content-type': type },
})
const as = (clientId: string, error: string) => (form: Form) => ({
  body: encode({ ...form, client_id: clientId }),
  error,
})
const withBasic = (authorization: string, clientId?: string) => (form: Form) => {
  const { client_id, ...rest } = form
  return {
    body: encode({ ...rest, ...(clientId !== undefined && { client_id: clientId }) }),
    headers: { authorization },
    status: 401,
    error: 'invalid_client',
  }
}

const BAD_FORMS: readonly Row[] = [
  ['DF-05 client_id twice', more(`client_id=${CLIENT}`)],
  ['DF-05 client_id twice, the second one empty', more('client_id=')],
  ['DF-05 client_id twice, one of them escaped', more(`client%5Fid=${CLIENT}`)],
  ['DF-05 an unknown parameter twice', more('x=1&x=2')],
  ['DF-05 __proto__ twice', more('__proto__=1&__proto__=2')],
  ['DF-05 a lone percent sign', more('x=%')],
  ['DF-05 a broken escape', more('x=%zz')],
  ['DF-05 a broken escape in a name', more('%f=1')],
  ['DF-05 escaped bytes that are not UTF-8', more('x=%ff')],
  ['DF-05 an overlong escape', more('x=%c0%80')],
  ['DF-05 an escaped surrogate', more('x=%ed%a0%80')],
  ['DF-05 an escaped NUL', more('x=%00')],
  ['DF-05 a NUL', more('x=\0')],
  ['DF-05 a NUL in a name', more('%00=1')],
  ['DF-05 bytes that are not UTF-8', (form) => ({ body: bytes(`${encode(form)}&x=\xff\xfe`) })],
  ['DF-05 no parameters', () => ({ body: '' })],
  ['DF-05 only separators', () => ({ body: '&&&==&' })],
  ['DF-03 no body', () => ({ body: null })],
  ['DF-03 no media type', (form) => ({ body: encode(form), headers: { 'content-type': '' } })],
  ['DF-03 plain text', typed('text/plain', encode)],
  ['DF-03 JSON', typed('application/json', JSON.stringify)],
  ['DF-03 JSON {}', typed('application/json', () => '{}')],
  ['DF-03 a form said to be JSON', typed('application/json', encode)],
  [
    'DF-03 multipart',
    typed('multipart/form-data; boundary=x', (form) =>
      [
        ...Object.entries(form).map(
          ([name, value]) => `--x\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
        ),
        '--x--\r\n',
      ].join(''),
    ),
  ],
  ['DF-03 a Latin-1 form', typed(`${FORM}; charset=iso-8859-1`, encode)],
  ['DF-03 a UTF-16 form', typed(`${FORM}; charset="utf-16"`, encode)],
  ['DF-03 two media types', typed(`${FORM}, text/plain`, encode)],
  ['DF-03 parameters in the query only', (form) => ({ body: '', query: `?${encode(form)}` })],
  [
    'DF-03 the client in the query',
    ({ client_id = '', ...form }) => ({ body: encode(form), query: `?client_id=${client_id}` }),
  ],
  ['DF-07 an unknown client', as('nobody', 'invalid_client')],
  ['DF-07 a client called __proto__', as('__proto__', 'invalid_client')],
  ['DF-07 a client called constructor', as('constructor', 'invalid_client')],
  ['DF-07 the client of the seeds, switched off', as('seed', 'invalid_client')],
  ['DF-07 a client of 32 KB', as('x'.repeat(32_768), 'invalid_client')],
  ['DF-07 a client with a line break', as(`${CLIENT}\r\nx: y`, 'invalid_client')],
  ['DF-07 no client', ({ client_id: _, ...form }) => ({ body: encode(form) })],
  ['DF-07 an empty client', (form) => ({ body: encode({ ...form, client_id: '' }) })],
  ['DF-07 Basic with a password', withBasic(basic(`${CLIENT}:secret`))],
  ['DF-07 Basic with a password of colons', withBasic(basic(`${CLIENT}::`))],
  ['DF-07 Basic with a password after an empty one', withBasic(basic(`${CLIENT}::secret`))],
  ['DF-07 Basic without a colon', withBasic(basic(CLIENT))],
  ['DF-07 Basic that differs from the body', withBasic(basic(`${CLIENT}:`), 'other')],
  ['DF-07 Basic with an unknown client', withBasic(basic('nobody:'))],
  ['DF-07 Basic with nobody', withBasic(basic(':'))],
  ['DF-07 Basic with a broken escape', withBasic(basic(`${CLIENT}%:`))],
  ['DF-07 Basic with bytes that are not UTF-8', withBasic(basic(`${CLIENT}%ff:`))],
  ['DF-07 Basic that is not base64', withBasic('Basic !!!', CLIENT)],
  ['DF-07 Basic of a wrong length', withBasic('Basic a', CLIENT)],
  ['DF-07 Basic with nothing', withBasic('Basic', CLIENT)],
  [
    'OPS-01 RPC-07 a body over 64 KB',
    (form) => ({ body: `${encode(form)}&x=${'x'.repeat(65_536)}`, status: 413 }),
  ],
  [
    'OPS-01 RPC-07 a body over 64 KB that announces less',
    (form) => ({
      headers: { 'content-length': '10' },
      body: `${encode(form)}&x=${'x'.repeat(65_536)}`,
      status: 413,
    }),
  ],
  [
    'OPS-01 RPC-07 a chunked body over 64 KB',
    (form) => ({ body: chunked(`${encode(form)}&x=${'x'.repeat(65_536)}`), status: 413 }),
  ],
]

/** Sends a form that was spoiled. */
function send(t: TestGate, path: string, bad: Bad): Promise<Response> {
  const headers = new Headers({ 'content-type': FORM, ...bad.headers })
  if (headers.get('content-type') === '') headers.delete('content-type')
  const body = typeof bad.body === 'string' ? new TextEncoder().encode(bad.body) : bad.body
  return t.fetch(path + (bad.query ?? ''), { method: 'POST', headers, body, duplex: 'half' } as RequestInit)
}

/** What every refusal of an OAuth endpoint looks like (RFC 6749 section 5.2). */
async function expectRefusal(response: Response, { status = 400, error = 'invalid_request' }: Partial<Bad>) {
  const body = (await response.json()) as Record<string, unknown>
  expect([response.status, body]).toEqual([status, { error, error_description: expect.any(String) }])
  expect(body.error_description).toMatch(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/)
  expect(response.headers.get('content-type')).toBe('application/json')
  expect(response.headers.get('cache-control')).toBe('no-store')
  expect(response.headers.get('www-authenticate')).toBe(status === 401 ? 'Basic realm="pairgate"' : null)
  expect([...response.headers.keys()].filter((name) => name.startsWith('access-control-'))).toEqual([])
  expect(response.headers.getSetCookie()).toEqual([])
}

describe.each(DOORS)('POST %s', (path) => {
  test.each(BAD_FORMS)('%s', async (_, spoil) => {
    const { t, forms } = await createFixture()
    const bad = spoil(forms[path], path)
    const before = dump(t)
    await expectRefusal(await send(t, path, bad), bad)
    expect(dump(t)).toEqual(before)
    // and the form itself was fine
    expect((await t.post(path, forms[path])).status).toBe(200)
    expect(dump(t)).not.toEqual(before)
  })

  test('DF-05 each parameter left out, empty, or twice', async () => {
    const { t, forms } = await createFixture()
    const before = dump(t)
    for (const [name, value] of Object.entries(forms[path])) {
      const { [name]: _, ...rest } = forms[path]
      await expectRefusal(await send(t, path, { body: encode(rest) }), {})
      await expectRefusal(await send(t, path, { body: encode({ ...rest, [name]: '' }) }), {})
      await expectRefusal(await send(t, path, { body: `${name}&${encode(rest)}` }), {})
      await expectRefusal(await send(t, path, more(`${name}=${encodeURIComponent(value)}`)(forms[path])), {})
    }
    expect(dump(t)).toEqual(before)
  })

  const GOOD: readonly Row[] = [
    ['unknown parameters, the empty one and __proto__ too', more('x=1&y&__proto__=1&constructor=&=')],
    ['a media type in capitals with a charset', typed(`${FORM.toUpperCase()}; Charset="UTF-8"`, encode)],
    [
      'another client in the query',
      (form) => ({ body: encode(form), query: '?client_id=other&client_id=%zz' }),
    ],
    ['Basic with an empty password', withBasic(basic(`${CLIENT}:`))],
    ['Basic beside the same client_id', withBasic(basic(`${CLIENT}:`), CLIENT)],
    ['Basic, form-urlencoded', withBasic(basic('pairgate%2dcli:'))],
    ['basic in small letters', withBasic(basic(`${CLIENT}:`).replace('Basic', 'basic'))],
    ['a body of exactly 64 KB', (form) => ({ body: `${encode(form)}&x=`.padEnd(65_536, 'x') })],
    [
      'a chunked body of exactly 64 KB',
      (form) => ({ body: chunked(`${encode(form)}&x=`.padEnd(65_536, 'x')) }),
    ],
  ]
  test.each(GOOD)('DF-05 DF-07 not refused: %s', async (_, spoil) => {
    const { t, forms } = await createFixture()
    expect((await send(t, path, spoil(forms[path], path))).status).toBe(200)
  })
})

describe('codes', () => {
  test('DF-06 DF-07 no code of another kind, client or shape collects, and none is used up', async () => {
    const { t, forms, userCode, paircode } = await createFixture()
    const before = dump(t)
    const device = forms['/oauth/token']
    const pair = forms['/token']
    const unknown = createPaircode().verifier
    const wrong: [string, Form][] = [
      ...[
        unknown,
        userCode,
        paircode,
        pair.verifier,
        'x',
        'x'.repeat(60_000),
        ' ',
        `${device.device_code} `,
        "' OR 1=1 --",
      ].map((code): [string, Form] => ['/oauth/token', { ...device, device_code: code ?? '' }]),
      ...[
        unknown,
        userCode,
        paircode,
        device.device_code,
        'x',
        'x'.repeat(60_000),
        `${pair.verifier}x`,
        '%00',
      ].map((code): [string, Form] => ['/token', { ...pair, verifier: code ?? '' }]),
      ['/oauth/token', { ...device, client_id: 'other' }],
      ['/oauth/token', { ...device, client_id: 'device-only' }],
      ['/token', { ...pair, client_id: 'other' }],
      ['/token', { ...pair, client_id: 'pair-only' }],
    ]
    for (const [path, form] of wrong)
      await expectRefusal(await t.post(path, form), { error: 'invalid_grant' })
    expect(dump(t)).toEqual(before)
    for (const path of ['/oauth/token', '/token'] as const) {
      expect((await t.post(path, forms[path])).status).toBe(200)
      const after = dump(t, ['events'])
      await expectRefusal(await t.post(path, forms[path]), { error: 'invalid_grant' })
      expect(dump(t, ['events'])).toEqual(after)
    }
  })

  test('DF-04 DF-07 PC-06 wrong grant types, flows, scopes, paircodes and deliveries', async () => {
    const { t, forms } = await createFixture()
    const before = dump(t)
    const wrong: [string, Form, string][] = [
      ...['password', 'device_code', DEVICE_GRANT.toUpperCase(), `${DEVICE_GRANT} `, '__proto__'].map(
        (type): [string, Form, string] => [
          '/oauth/token',
          { ...forms['/oauth/token'], grant_type: type },
          'unsupported_grant_type',
        ],
      ),
      ['/oauth/device/authorize', { client_id: 'pair-only' }, 'unauthorized_client'],
      ['/oauth/token', { ...forms['/oauth/token'], client_id: 'pair-only' }, 'unauthorized_client'],
      ['/cli_login', { ...forms['/cli_login'], client_id: 'device-only' }, 'unauthorized_client'],
      ['/token', { ...forms['/token'], client_id: 'device-only' }, 'unauthorized_client'],
      ...['files', 'a b', '"', 'constructor', 'x'.repeat(60_000)].flatMap(
        (scope): [string, Form, string][] => [
          ['/oauth/device/authorize', { client_id: CLIENT, scope }, 'invalid_scope'],
          ['/cli_login', { ...forms['/cli_login'], scope }, 'invalid_scope'],
        ],
      ),
      ...[
        'x',
        'a'.repeat(22),
        'A'.repeat(42),
        'A'.repeat(44),
        `${'A'.repeat(42)}=`,
        `${'A'.repeat(42)}+`,
      ].map((paircode): [string, Form, string] => [
        '/cli_login',
        { client_id: CLIENT, paircode },
        'invalid_request',
      ]),
      ...['loopback2', 'http://evil.example', '__proto__'].map((delivery): [string, Form, string] => [
        '/cli_login',
        { ...forms['/cli_login'], delivery },
        'invalid_request',
      ]),
    ]
    for (const [path, form, error] of wrong) {
      await expectRefusal(await t.post(path, form), { error })
    }
    expect(dump(t)).toEqual(before)
  })

  test('KEY-06 revoking what is unknown, malformed or of another client is 200 and changes nothing', async () => {
    const { t, forms, person } = await createFixture()
    const { token = '' } = forms['/oauth/revoke']
    const before = dump(t)
    const browser = person.cookies.get('pairgate-session') ?? ''
    for (const form of [
      ...['x', `${token}x`, token.toLowerCase(), `pgk_${'a'.repeat(49)}`, browser].map((one) => ({
        client_id: CLIENT,
        token: one,
      })),
      { client_id: 'other', token },
    ])
      expect((await t.post('/oauth/revoke', form)).status).toBe(200)
    expect(dump(t)).toEqual(before)
  })
})
