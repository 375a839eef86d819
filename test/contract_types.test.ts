/** The generated contract says what the router is, no more and no less; `tsc` holds it to that. @module */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { TRPCClient } from '@trpc/client'
import { describe, expect, expectTypeOf, test } from 'vitest'
import {
  type ApiErrorData,
  createApi,
  type DecideOutcome,
  type DeviceAuthorizationResponse,
  type Mutation,
  type PairgateApi,
  type Query,
  type TokenOutcome,
  type Whoami,
} from '../clients/api.ts'
import type { PairgateRouter } from '../src/mod.ts'
import { createHostClient } from './support/trpc_host.ts'

/** Code that is compiled and not run. */
const compiled = (_: () => unknown) => {}

/** What the contract says of each procedure: how it is called, what it takes and what it answers. */
type Told<Procedure> =
  Procedure extends Query<infer Input, infer Output>
    ? { type: 'query'; input: Input | undefined; output: Output }
    : Procedure extends Mutation<infer Input, infer Output>
      ? { type: 'mutation'; input: Input; output: Output }
      : never
type ToldOf<Api> = { -readonly [G in keyof Api]: { -readonly [P in keyof Api[G]]: Told<Api[G][P]> } }

/** The same as the router has it. */
type Real<Procedure> = Procedure extends {
  _def: { type: infer Type; $types: { input: infer Input; output: infer Output } }
}
  ? { type: Type; input: Input; output: Output }
  : never
type RealOf<Record> = {
  -readonly [G in keyof Record]: { -readonly [P in keyof Record[G]]: Real<Record[G][P]> }
}

describe('the contract', () => {
  test('its inputs, outputs and kinds are those of the router', () => {
    expectTypeOf<ToldOf<PairgateApi>>().toEqualTypeOf<RealOf<PairgateRouter['_def']['record']>>()
    // so that two times nothing is not taken for equal
    expectTypeOf<ToldOf<PairgateApi>['session']['whoami']['output']>().toEqualTypeOf<Whoami>()
    expectTypeOf<ToldOf<PairgateApi>['device']['token']['type']>().toEqualTypeOf<'mutation'>()
  })

  test('a client that is typed by the router can be taken for it, a host’s too', () => {
    expectTypeOf<TRPCClient<PairgateRouter>>().toExtend<PairgateApi>()
    const { cli } = createHostClient('http://127.0.0.1:8787/api')
    compiled((): PairgateApi => cli)
    // @ts-expect-error this is the whole of the host
    compiled((): PairgateApi => createHostClient('http://127.0.0.1:8787/api'))
  })

  test('answers are told apart by their status', () => {
    compiled(async () => {
      const api = createApi({ server: 'http://127.0.0.1:8787' })
      const start = await api.device.authorize.mutate(
        { client_id: 'mytool' },
        { signal: AbortSignal.abort() },
      )
      expectTypeOf(start).toEqualTypeOf<DeviceAuthorizationResponse>()
      const token = await api.device.token.mutate({ client_id: 'mytool', device_code: start.device_code })
      expectTypeOf(token).toEqualTypeOf<TokenOutcome>()
      // @ts-expect-error there is a token only when it is issued
      token.access_token
      if (token.status === 'issued') expectTypeOf(token.access_token).toEqualTypeOf<string>()
      if (token.status === 'slow_down') expectTypeOf(token.interval).toEqualTypeOf<number>()
      expectTypeOf(await api.session.whoami.query()).toEqualTypeOf<Whoami>()
      expectTypeOf<'approved'>().toExtend<DecideOutcome['status']>()
      expectTypeOf<'UNAUTHORIZED'>().toExtend<ApiErrorData['code']>()
    })
  })

  test('what is wrong does not compile', () => {
    compiled(async () => {
      const api = createApi({ server: 'http://127.0.0.1:8787', token: async () => null })
      // @ts-expect-error no such procedure
      await api.device.start.mutate({ client_id: 'mytool' })
      // @ts-expect-error no such group
      await api.devices.authorize.mutate({ client_id: 'mytool' })
      // @ts-expect-error a wrong field
      await api.device.authorize.mutate({ client_id: 'mytool', scopes: 'read' })
      // @ts-expect-error a field is missing
      await api.device.authorize.mutate({})
      // @ts-expect-error a field of another type
      await api.keys.create.mutate({ name: 'nightly', expires_in: '60' })
      // @ts-expect-error a word that there is not
      await api.pair.start.mutate({ client_id: 'mytool', paircode: 'x', delivery: 'post' })
      // @ts-expect-error what reads is called by query
      await api.session.whoami.mutate({})
      // @ts-expect-error what writes is no query
      await api.device.authorize.query({ client_id: 'mytool' })
      // @ts-expect-error the server is missing
      createApi({})
      // @ts-expect-error a token is text, or is asked for
      createApi({ server: 'http://127.0.0.1:8787', token: 1 })
    })
  })
})

describe('the generated files', () => {
  const read = (file: string) => readFileSync(join(import.meta.dirname, '../clients', file), 'utf8')
  const importsOf = (file: string) =>
    [...read(file).matchAll(/\b(?:from|import|require)\b\s*\(?\s*'([^']+)'/g)].map(([, from]) => from)

  test('the contract imports nothing, the client only the contract', () => {
    expect(importsOf('generated/contract.ts')).toEqual([])
    expect(importsOf('generated/client.ts')).toEqual(['./contract.ts'])
    expect(importsOf('api.ts')).toEqual(['./generated/client.ts', './generated/contract.ts'])
  })

  test.each(['contract', 'client'])('%s says on its first line that it is generated', (file) => {
    expect(read(`generated/${file}.ts`).split('\n')[0]).toMatch(/Made by "npm run generate".*do not edit/)
  })
})
