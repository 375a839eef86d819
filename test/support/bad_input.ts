/** A gate in which everything is ready to happen, to send bad input to, and a look at whether anything did. @module */

import type { PairgateOptions } from '../../src/mod.ts'
import {
  createPaircode,
  createTestGate,
  DEVICE_GRANT,
  pollDevice,
  startDevice,
  startPair,
  type TestBrowser,
  type TestGate,
} from './gate.ts'

/** The built-in client. */
export const CLIENT = 'pairgate-cli'
/** The media type of forms. */
export const FORM = 'application/x-www-form-urlencoded'
/** Parameters of a form. */
export type Form = Record<string, string>

/** What {@link createFixture} makes. */
export interface Fixture {
  readonly t: TestGate
  /** Signed in as alice, with the cookie of the consent form. */
  readonly person: TestBrowser
  /** For each endpoint a form that works, once. */
  readonly forms: Record<(typeof DOORS)[number], Form>
  readonly userCode: string
  readonly paircode: string
}

/** The form endpoints. */
export const DOORS = [
  '/oauth/device/authorize',
  '/oauth/device/token',
  '/oauth/token',
  '/oauth/revoke',
  '/cli_login',
  '/token',
] as const

/** A gate in which everything is ready to happen: two logins allowed, two pending, a key in use. */
export async function createFixture(options: Partial<PairgateOptions> = {}): Promise<Fixture> {
  const t = createTestGate({
    ...options,
    clients: { other: {}, 'pair-only': { flows: ['pair'] }, 'device-only': { flows: ['device'] } },
  })
  const person = t.browser()
  await person.signIn('alice')
  const [device, used, pending] = [await startDevice(t), await startDevice(t), await startDevice(t)]
  for (const one of [device, used]) await person.decide(one.verification_uri_complete, 'allow')
  const key = String((await pollDevice(t, used.device_code)).body.access_token)
  const pair = await startPair(t)
  await person.decide(pair.login_url, 'allow')
  const { paircode } = await startPair(t)
  const token = { grant_type: DEVICE_GRANT, client_id: CLIENT, device_code: device.device_code }
  return {
    t,
    person,
    userCode: pending.user_code,
    paircode,
    forms: {
      '/oauth/device/authorize': { client_id: CLIENT },
      '/oauth/device/token': token,
      '/oauth/token': token,
      '/oauth/revoke': { client_id: CLIENT, token: key },
      '/cli_login': { client_id: CLIENT, paircode: createPaircode().paircode },
      '/token': { client_id: CLIENT, verifier: pair.verifier },
    },
  }
}

/** Every row of every table; without the ledgers of tries where those may grow. */
export function dump(t: TestGate, except: readonly string[] = []): [string, Record<string, unknown>[]][] {
  const tables = t.rows("SELECT name FROM sqlite_master WHERE type = 'table'").map(({ name }) => String(name))
  return tables
    .filter((name) => !except.includes(name))
    .map((name) => [name, t.rows(`SELECT * FROM ${name}`)])
}

/** A body that tells its length to nobody. */
export function chunked(text: string): ReadableStream<Uint8Array> {
  const pieces = text.match(/.{1,16384}/gs) ?? []
  return new ReadableStream({
    pull(controller) {
      const piece = pieces.shift()
      if (piece === undefined) controller.close()
      else controller.enqueue(new TextEncoder().encode(piece))
    },
  })
}

/** Sends any request at all as a person's browser would: with the cookies, asking for a page. */
export function sendAs(t: TestGate, person: TestBrowser): TestGate['fetch'] {
  return (path, init) => {
    const headers = new Headers(init?.headers)
    headers.set('accept', 'text/html')
    headers.set('cookie', [...person.cookies].map((pair) => pair.join('=')).join('; '))
    return t.fetch(path, { ...init, headers })
  }
}
