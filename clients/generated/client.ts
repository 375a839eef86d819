/** A typed client of a pairgate. Made by "npm run generate" of the router: do not edit. @module */

import type { ApiErrorData, CallOptions, Mutation, PairgateApi, Query } from './contract.ts'

/** What `createApi` takes. */
export interface ApiOptions {
  /** Base URL of the pairgate, path included. */
  readonly server: string
  /** The credential, sent as `Authorization: Bearer`; asked for at each call when it is a function. Signing in takes none. */
  readonly token?: string | (() => Promise<string | null>) | undefined
  /** Replaces the global `fetch`. */
  readonly fetch?: typeof fetch | undefined
}

/** What a call rejects with when it was answered, but not with a result. Without an answer it is what `fetch` rejects with. */
export class ApiError extends Error {
  override readonly name = 'ApiError'
  /** What the server says of its refusal; undefined when the answer was not of a procedure. */
  readonly data: ApiErrorData | undefined
  /** Its body was read; headers such as `Retry-After` are there. */
  readonly response: Response
  /** The whole answer, if it was JSON. */
  readonly body: unknown

  constructor(response: Response, body: unknown, refusal?: Refusal) {
    super(refusal?.message ?? `No pairgate answers at ${response.url} (HTTP ${response.status})`)
    this.data = refusal?.data
    this.response = response
    this.body = body
  }
}

interface Refusal {
  readonly message: string
  readonly data: ApiErrorData
}

/** What tRPC answers over HTTP (https://trpc.io/docs/rpc). */
interface Answer {
  readonly result?: { readonly data: unknown }
  readonly error?: Refusal
}

/** One call: inputs of mutations sit in bodies, those of queries in the URL. */
async function call<Output>(
  { server, token, fetch = globalThis.fetch }: ApiOptions,
  [method, path]: readonly ['GET' | 'POST', path: string],
  input: unknown,
  { signal }: CallOptions = {},
): Promise<Output> {
  const credential = typeof token === 'function' ? await token() : token
  const text = JSON.stringify(input)
  const query = method === 'GET' && text ? `?input=${encodeURIComponent(text)}` : ''
  const response = await fetch(`${server.replace(/\/+$/, '')}/trpc/${path}${query}`, {
    method,
    headers: {
      'Content-Type': 'application/json',
      ...(credential && { Authorization: `Bearer ${credential}` }),
    },
    // following a redirect would hand the secret in the body to whoever it names
    redirect: 'manual',
    ...(method === 'POST' && { body: text }),
    ...(signal && { signal }),
  })
  const body: Answer | undefined = await response.json().catch(() => signal?.throwIfAborted())
  if (body?.result) return body.result.data as Output
  throw new ApiError(response, body, body?.error?.data && body.error)
}

/**
 * Connects to a pairgate. Makes no request yet.
 *
 * @example
 * ```ts
 * const api = createApi({ server: 'https://gateway.example/auth' })
 * const start = await api.device.authorize.mutate({ client_id: 'mytool' })
 * ```
 */
export function createApi(options: ApiOptions): PairgateApi {
  const mutation = <Input, Output>(path: string): Mutation<Input, Output> => ({
    mutate: (input, how) => call(options, ['POST', path], input, how),
  })
  const query = <Input, Output>(path: string): Query<Input, Output> => ({
    query: (input, how) => call(options, ['GET', path], input, how),
  })
  return {
    device: {
      authorize: mutation('device.authorize'),
      token: mutation('device.token'),
      review: mutation('device.review'),
      approve: mutation('device.approve'),
      deny: mutation('device.deny'),
    },
    pair: {
      start: mutation('pair.start'),
      token: mutation('pair.token'),
      review: mutation('pair.review'),
      approve: mutation('pair.approve'),
      deny: mutation('pair.deny'),
    },
    session: {
      list: query('session.list'),
      revoke: mutation('session.revoke'),
      revokeOthers: mutation('session.revokeOthers'),
      revokeAll: mutation('session.revokeAll'),
      whoami: query('session.whoami'),
      refresh: mutation('session.refresh'),
      signOut: mutation('session.signOut'),
    },
    keys: {
      list: query('keys.list'),
      revoke: mutation('keys.revoke'),
      revokeOthers: mutation('keys.revokeOthers'),
      revokeAll: mutation('keys.revokeAll'),
      create: mutation('keys.create'),
      rotate: mutation('keys.rotate'),
    },
  }
}
