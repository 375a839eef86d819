/** Random requests: those that work, spoiled in random ways, with secrets of the wrong kinds and people mixed in. @module */

import { BASE } from './gate.ts'

/** Draws numbers; the same ones for the same seed. */
export interface Dice {
  /** A whole number below `n`. */
  below(n: number): number
  /** True once in `n` times. */
  oneIn(n: number): boolean
  pick<T>(list: readonly T[]): T
}

/** Makes dice (mulberry32). */
export function createDice(seed: number): Dice {
  let state = seed >>> 0
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (n: number) => Math.floor(next() * n)
  return {
    below,
    oneIn: (n) => below(n) === 0,
    pick: <T>(list: readonly T[]) => list[below(list.length)] as T,
  }
}

/** A request, before it is sent. */
export interface Draft {
  method: string
  /** With its query. */
  path: string
  /** Of the URL, where another than our own may stand. */
  origin: string
  headers: Record<string, string>
  /** How the fields are sent. */
  kind: 'form' | 'json' | 'none'
  fields: [name: string, value: unknown][]
  /** Instead of the fields. */
  raw?: string | undefined
}

/** A draft that posts a form. */
export function form(
  path: string,
  fields: Record<string, string>,
  headers: Record<string, string> = {},
): Draft {
  return { method: 'POST', path, origin: BASE, headers, kind: 'form', fields: Object.entries(fields) }
}

/** A draft that gets. */
export function get(path: string, headers: Record<string, string> = {}): Draft {
  return { method: 'GET', path, origin: BASE, headers, kind: 'none', fields: [] }
}

/** A draft that calls a tRPC mutation. */
export function mutation(path: string, input: object, headers: Record<string, string> = {}): Draft {
  return { ...form(`/trpc/${path}`, {}, headers), kind: 'json', fields: Object.entries(input) }
}

const TYPES = { form: 'application/x-www-form-urlencoded', json: 'application/json', none: '' }

function writeBody({ kind, fields, raw }: Draft): string | null {
  if (raw !== undefined) return raw
  if (kind === 'none') return null
  if (kind === 'json')
    return `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join()}}`
  const encode = (text: unknown) => encodeURIComponent(String(text).toWellFormed())
  return fields.map(([name, value]) => `${encode(name)}=${encode(value)}`).join('&')
}

const isSendable = (unit: number) => unit > 0 && unit < 256 && unit !== 10 && unit !== 13

/** A draft as a request, and all that it says in one text. */
export function toRequest(draft: Draft): { request: Request; text: string } {
  const isBodiless = draft.method === 'GET' || draft.method === 'HEAD'
  const body = isBodiless ? null : writeBody(draft)
  const headers = new Headers()
  const type = TYPES[draft.kind]
  for (const [name, value] of Object.entries({ ...(type && { 'content-type': type }), ...draft.headers })) {
    // what no server ever gets to see
    const sent = [...value].map((one) => (isSendable(one.charCodeAt(0)) ? one : '?')).join('')
    if (sent !== '') headers.set(name, sent)
  }
  const url = URL.canParse(draft.path, draft.origin)
    ? new URL(draft.path, draft.origin)
    : new URL(draft.origin)
  const text = [draft.method, url.href, ...[...headers].map((pair) => pair.join(': ')), '', body ?? ''].join(
    '\n',
  )
  const bytes = body === null ? null : new TextEncoder().encode(body)
  return {
    request: new Request(url, { method: draft.method, headers, body: bytes, redirect: 'manual' }),
    text,
  }
}

const ODD = [
  ...[
    '',
    ' ',
    '\0',
    '%',
    '%00',
    '%zz',
    '%ff%fe',
    '\r\nx: y',
    '../..',
    '\\',
    '//evil.example',
    'https://evil.example/',
  ],
  ...[
    "' OR 1=1 --",
    '"><script>x</script>',
    '\u202eabc',
    '\ud800',
    '\u{1f600}',
    'ＢＣＤＦ',
    '__proto__',
    'constructor',
  ],
  ...['null', 'true', '0', '-1', '1e99', 'NaN', '[]', '{}', '{"$gt":""}', 'x'.repeat(300), 'é'.repeat(3_000)],
]
const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  1e21,
  0.5,
  [],
  {},
  ['x'],
  { length: 1 },
  [[[]]],
  { id: 'x' },
]
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']
const HEADERS: readonly [string, readonly string[]][] = [
  [
    'content-type',
    [
      ...Object.values(TYPES),
      'text/plain',
      'multipart/form-data; boundary=x',
      'application/json; charset=utf-16',
      'a'.repeat(500),
    ],
  ],
  ['origin', ['https://evil.example', 'null', `${BASE}0`, '', BASE.toUpperCase()]],
  ['sec-fetch-site', ['cross-site', 'same-site', 'none', 'same-origin', 'x']],
  ['accept', ['text/html', 'application/json', '*/*', 'x'.repeat(9_000)]],
  ['x-forwarded-for', ['1.2.3.4', '::1, 10.0.0.1', 'garbage,,', '%00', '999.1.1.1, ::ffff:1.2.3.4']],
  ['host', ['evil.example', '127.0.0.1', '']],
  ['x-http-method-override', ['DELETE', 'GET']],
  ['trpc-accept', ['application/jsonl', 'x']],
  ['last-event-id', ['1']],
  ['x-huge', ['h'.repeat(60_000)]],
]

/** Changes a draft, or says what to change of it. */
type Change = (draft: Draft, dice: Dice, secrets: readonly string[]) => Partial<Draft> | undefined

const anyField = (draft: Draft, dice: Dice) => dice.below(Math.max(1, draft.fields.length))
const setField = (draft: Draft, at: number, value: unknown): undefined => {
  const [name] = draft.fields[at] ?? ['x']
  draft.fields[at] = [name, value]
}
const cut = (value: unknown, dice: Dice) => {
  const text = String(value)
  return dice.oneIn(2)
    ? text.slice(0, dice.below(text.length + 1))
    : `${text}${dice.pick(['x', ' ', '\0', '0', '\u200b'])}`
}

const CHANGES: readonly Change[] = [
  (draft, dice) => void draft.fields.splice(anyField(draft, dice), 1),
  (draft, dice) => void draft.fields.push(draft.fields[anyField(draft, dice)] ?? ['x', 'x']),
  (draft, dice) => setField(draft, anyField(draft, dice), dice.pick(ODD)),
  (draft, dice, secrets) => setField(draft, anyField(draft, dice), dice.pick(secrets)),
  (draft, dice) =>
    setField(draft, anyField(draft, dice), draft.kind === 'json' ? dice.pick(VALUES) : 'x'.repeat(70_000)),
  (draft, dice) => {
    const at = anyField(draft, dice)
    return setField(draft, at, cut(draft.fields[at]?.[1], dice))
  },
  (draft, dice) =>
    void draft.fields.push([
      dice.pick(['x', '', '__proto__', 'client_id', 'id', 'user_code', 'code']),
      dice.pick(ODD),
    ]),
  (draft, dice) => ({
    raw: dice.pick([
      '',
      '{',
      '[1',
      '&&=&',
      '%',
      'null',
      '[]',
      '"x"',
      `${writeBody(draft)}%`,
      '['.repeat(20_000),
    ]),
  }),
  (_draft, dice) => ({ kind: dice.pick(['form', 'json', 'none']) }),
  (_draft, dice) => ({ method: dice.pick(METHODS) }),
  (draft, dice) => ({
    path:
      draft.path + dice.pick(['/', '?x', '?x=1&x=2', '%00', '/..', '//', '#x', '%2e%2e/', '?batch=1', ';x']),
  }),
  (draft, dice) => ({ path: dice.pick(['/', '//', '/\\', '/%2e']) + draft.path }),
  (draft, dice) => ({
    path: dice.pick([
      draft.path.toUpperCase(),
      draft.path.replace(/\w/, encodeURIComponent),
      draft.path.slice(0, -1),
    ]),
  }),
  (_draft, dice) => ({
    origin: dice.pick(['http://evil.example', 'http://127.0.0.1:1', 'http://localhost:8787']),
  }),
  (draft, dice) => {
    const [name, values] = dice.pick(HEADERS)
    return { headers: { ...draft.headers, [name]: dice.pick(values) } }
  },
  (draft, dice, secrets) => {
    const scheme = dice.pick(['Bearer', 'bearer', 'Basic', 'Bearer  ', 'Token', ''])
    return {
      headers: {
        ...draft.headers,
        authorization: `${scheme} ${dice.pick([...secrets, ...ODD, btoa('pairgate-cli:')])}`,
      },
    }
  },
  (draft, dice, secrets) => {
    const name = dice.pick(['pairgate-session', 'pairgate-form', 'pairgate-seed', 'pairgate-sign-in', 'x'])
    const cookie = `${name}=${dice.pick(dice.oneIn(2) ? secrets : ODD)}`
    return {
      headers: {
        ...draft.headers,
        cookie: dice.oneIn(2) ? cookie : `${draft.headers.cookie ?? ''}; ${cookie}`,
      },
    }
  },
  (draft) => ({ headers: { ...draft.headers, cookie: '' } }),
  (draft) => ({ headers: { ...draft.headers, origin: '' } }),
]

/** Spoils a draft, once, a few times, or not at all. */
export function spoil(draft: Draft, dice: Dice, secrets: readonly string[]): Draft {
  const spoiled: Draft = {
    ...draft,
    headers: { ...draft.headers },
    fields: draft.fields.map(([name, value]) => [name, value]),
  }
  const times = dice.pick([0, 0, 1, 1, 1, 2, 3])
  for (let i = 0; i < times; i++) Object.assign(spoiled, dice.pick(CHANGES)(spoiled, dice, secrets))
  return spoiled
}

/** Several mutations in one request. */
export function batch(drafts: readonly Draft[], headers: Record<string, string>): Draft {
  const paths = drafts.map(({ path }) => path.slice('/trpc/'.length)).join(',')
  const fields = drafts.map((draft, i): [string, unknown] => [String(i), Object.fromEntries(draft.fields)])
  return { ...mutation(`${paths}?batch=1`, {}, headers), fields }
}
