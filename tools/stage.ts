/** A real gate, asked by the operations of a document; everything that is asked and answered is noted. @module */

import { createHash } from 'node:crypto'
import { createPairgate, type Pairgate, PairgateError, type PairgateOptions, type Store } from '../src/mod.ts'
import type { Place } from './openapi_types.ts'

/** The base URL of the gates. */
export const BASE = 'http://127.0.0.1:8787'
/** Who the resource server is. */
export const RESOURCE_SERVER = { id: 'api', secret: 'not-a-secret-not-a-secret-not-a-1' }

/** A request and its answer. */
export interface Exchange {
  readonly operation: string
  /** What it shows, if it is to be shown. */
  readonly name: string | null
  readonly input: Input | undefined
  readonly status: number
  readonly headers: Headers
  /** Media type; empty when there is no body. */
  readonly type: string
  /** Parsed when it is JSON. */
  readonly body: unknown
}

/** The fields of an input or a form. */
export type Input = Readonly<Record<string, unknown>>

/** How something is asked. */
export interface Asked {
  readonly input?: Input
  readonly name?: string
  /** The same, if it is refused. */
  readonly refusal?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Of the socket's peer. */
  readonly address?: string
  /** Replaces the body. */
  readonly body?: BodyInit
  /** Replaces the origin. */
  readonly origin?: string
}

/** Where scenes are played. */
export interface Theatre {
  readonly places: readonly Place[]
  createStore(): Store
  /** Epoch milliseconds at which the clocks start. */
  readonly start: number
  note(exchange: Exchange): void
}

/** The database is away. */
export const AWAY = new PairgateError('ERR_PAIRGATE_STORE_UNAVAILABLE', 'The database is away')

function encode(body: string, input: Input): BodyInit {
  if (body === 'application/json') return JSON.stringify(input)
  return new URLSearchParams(Object.entries(input).map(([name, value]) => [name, String(value)]))
}

async function read(response: Response): Promise<Pick<Exchange, 'type' | 'body'>> {
  const text = await response.text()
  const [type = ''] = (response.headers.get('content-type') ?? '').split(';')
  return { type: text ? type : '', body: type === 'application/json' ? JSON.parse(text) : text }
}

/** One gate. */
export class Stage {
  readonly #gate: Pairgate
  readonly #theatre: Theatre
  #now: number
  /** What every call of the store fails with. */
  failure: Error | null = null

  constructor(theatre: Theatre, options: Partial<PairgateOptions> = {}) {
    this.#theatre = theatre
    this.#now = theatre.start
    const silent = { debug() {}, info() {}, warn() {}, error() {} }
    this.#gate = createPairgate({
      baseUrl: BASE,
      secrets: ['not-a-secret-not-a-secret-not-a-0'],
      database: this.#breakable(theatre.createStore()),
      devSignIn: !options.identify,
      log: silent,
      now: () => this.#now,
      resourceServers: { [RESOURCE_SERVER.id]: { secret: RESOURCE_SERVER.secret } },
      ...options,
    })
  }

  #breakable(store: Store): Store {
    return new Proxy(store, {
      get: (target, name: string & keyof Store) => {
        const method = target[name] as (...args: unknown[]) => unknown
        return async (...args: unknown[]) => {
          if (this.failure) throw this.failure
          return await method.apply(target, args)
        }
      },
    })
  }

  /** Moves the clock on; seconds. */
  advance(seconds: number): void {
    this.#now += seconds * 1000
  }

  /** Asks, and notes the answer. */
  async ask(operation: string, asked: Asked = {}): Promise<Exchange> {
    const place = this.#theatre.places.find(({ id }) => id === operation)
    if (!place) throw new Error(`The document has no operation ${operation}`)
    const { input = {}, headers = {}, address = '127.0.0.1', origin = BASE } = asked
    const { path, method } = place
    const query = method === 'GET' && asked.input ? `?input=${encodeURIComponent(JSON.stringify(input))}` : ''
    const body = asked.body ?? (place.body === null ? null : encode(place.body, input))
    const request = new Request(origin + path + query, {
      method,
      ...(method === 'POST' && { body, duplex: 'half' }),
      headers: { ...(place.body && { 'content-type': place.body }), ...headers },
    } as RequestInit)
    const response = await this.#gate.fetch(request, { remoteAddress: address })
    const { status, headers: told } = response
    const name = asked.name ?? (status < 400 ? null : (asked.refusal ?? null))
    const exchange = { operation, name, input: asked.input, status, headers: told, ...(await read(response)) }
    this.#theatre.note(exchange)
    return exchange
  }

  /** Asks a procedure or an endpoint, and takes what it answers on success. */
  async take(operation: string, input: Input, asked: Asked = {}): Promise<Record<string, string>> {
    const { status, body } = await this.ask(operation, { ...asked, input })
    if (status !== 200) throw new Error(`${operation}: ${status} ${JSON.stringify(body)}`)
    const { result } = body as { result?: { data: Record<string, string> } }
    return result?.data ?? (body as Record<string, string>)
  }

  /** Signs somebody in at a browser; what its pages send along. */
  async signIn(username: string): Promise<Record<string, string>> {
    const request = new Request(`${BASE}/sign-in/dev`, {
      method: 'POST',
      body: new URLSearchParams({ username }),
      headers: { origin: BASE, 'sec-fetch-site': 'same-origin', accept: 'text/html' },
    })
    const response = await this.#gate.fetch(request, { remoteAddress: '127.0.0.1' })
    const [cookie = ''] = (response.headers.get('set-cookie') ?? '').split(';')
    return { cookie, origin: BASE, 'sec-fetch-site': 'same-origin' }
  }
}

/** A verifier and its paircode. */
export function createPaircode(): { verifier: string; paircode: string } {
  const verifier = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString('base64url')
  return { verifier, paircode: createHash('sha256').update(verifier).digest('base64url') }
}

/** What a program sends that has a credential. */
export const bearer = (token: string | undefined): Record<string, string> => ({
  authorization: `Bearer ${token}`,
})
