/** The generated client alone, as somebody uses it who has no use for the login kit: `pairgate/api`. @module */

import { describe, expect, test } from 'vitest'
import { ApiError, type ApiErrorData, type ApiOptions, createApi, type PairgateApi } from '../clients/api.ts'
import { BASE, createTestGate, type TestGate } from './support/gate.ts'

/** A client of a test gate. */
const connect = (t: TestGate, options: Partial<ApiOptions> = {}) =>
  createApi({ server: BASE, fetch: (url, init) => t.fetch(String(url), init), ...options })

/** A login by code that somebody allows. */
async function logIn(t: TestGate): Promise<string> {
  const api = connect(t)
  const start = await api.device.authorize.mutate({ client_id: 'pairgate-cli' })
  const person = t.browser()
  await person.signIn('ada')
  await person.decide(start.verification_uri_complete, 'allow')
  const token = await api.device.token.mutate({ client_id: 'pairgate-cli', device_code: start.device_code })
  if (token.status !== 'issued') throw new Error(token.status)
  return token.access_token
}

async function refusal(call: Promise<unknown>): Promise<ApiErrorData> {
  const error = await call.catch((reason: unknown) => reason)
  if (!(error instanceof ApiError && error.data)) throw new Error('It was not refused')
  return error.data
}

describe('the generated client', () => {
  test('has every procedure of the router, each called as it has to be', () => {
    const { gate } = createTestGate()
    const { procedures } = gate.router({ resolve: (context: { request: Request }) => context })._def
    const wanted = Object.entries(procedures as unknown as Record<string, { _def: { type: string } }>)
    const api = Object.entries(
      createApi({ server: BASE }) as unknown as Record<string, Record<string, object>>,
    )
    const found = api.flatMap(([group, all]) =>
      Object.entries(all).map(([name, one]) => [`${group}.${name}`, 'query' in one ? 'query' : 'mutation']),
    )
    expect(found.toSorted()).toEqual(wanted.map(([path, { _def }]) => [path, _def.type]).toSorted())
  })

  test('signs in, and is asked for its credential at each call', async () => {
    const t = createTestGate()
    const tokens = ['pgk_wrong', await logIn(t), null]
    const api = connect(t, { token: async () => tokens.shift() ?? null })
    expect(await refusal(api.session.whoami.query())).toEqual({
      code: 'UNAUTHORIZED',
      httpStatus: 401,
      path: 'session.whoami',
    })
    expect(await api.session.whoami.query({})).toMatchObject({ subject: 'ada', kind: 'api_key' })
    expect((await refusal(api.session.whoami.query())).code).toBe('UNAUTHORIZED')
    const token = await logIn(t)
    expect(await connect(t, { token }).session.signOut.mutate({})).toEqual({ status: 'signed_out' })
  })

  test('a path and a slash at the end of the base URL are heeded', async () => {
    const asked: string[] = []
    const fetch = async (url: unknown) => {
      asked.push(String(url))
      return Response.json({ result: { data: [] } })
    }
    for (const server of ['https://gateway.example/auth', 'https://gateway.example/auth/'])
      await createApi({ server, fetch }).keys.list.query()
    expect(asked).toEqual(Array(2).fill('https://gateway.example/auth/trpc/keys.list'))
  })

  test('follows no redirect, which would take the secret in the body along', async () => {
    const asked: [string, RequestInit | undefined][] = []
    const fetch = async (url: unknown, init?: RequestInit) => {
      asked.push([String(url), init])
      return Response.redirect('https://evil.example/', 307)
    }
    const api: PairgateApi = createApi({ server: BASE, fetch })
    const call = api.device.token.mutate({ client_id: 'mytool', device_code: 'secret' })
    await expect(call).rejects.toThrow('No pairgate answers')
    expect(asked.map(([url, init]) => [url, init?.redirect])).toEqual([
      [`${BASE}/trpc/device.token`, 'manual'],
    ])
  })

  test('a signal gives the call up', async () => {
    const controller = new AbortController()
    const fetch = (_: unknown, init?: RequestInit) =>
      new Promise<Response>((_resolve, reject) => {
        init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))
        controller.abort(new Error('enough'))
      })
    const call = createApi({ server: BASE, fetch }).session.whoami.query({}, { signal: controller.signal })
    await expect(call).rejects.toThrow('enough')
    expect(controller.signal.aborted).toBe(true)
  })
})
