/** The types of pairgate's router in a host's: what must not compile is marked so, and `tsc` holds it to that. @module */

import { safe } from '@trpc/client'
import { initTRPC } from '@trpc/server'
import superjson from 'superjson'
import * as v from 'valibot'
import { describe, expect, expectTypeOf, test } from 'vitest'
import type { LoginTarget } from '../clients/login.ts'
import { BASE, createTestGate } from './support/gate.ts'
import { createClient } from './support/kit.ts'
import { createHostClient, createHostRouter, type HostContext } from './support/trpc_host.ts'

const { gate } = createTestGate()
const context: HostContext = { web: new Request(BASE), ip: '192.0.2.1', at: new Date(0) }
const t = initTRPC.context<HostContext>().meta<{ isOpen: boolean }>().create({ transformer: superjson })

/** Code that is compiled and not run. */
const compiled = (_: () => unknown) => {}

describe('the router', () => {
  test('its context is that of the host’s procedure', async () => {
    const router = gate.router({
      procedure: t.procedure,
      resolve(ctx) {
        expectTypeOf(ctx).toEqualTypeOf<HostContext>()
        return { request: ctx.web, remoteAddress: ctx.ip }
      },
    })
    await expect(router.createCaller(context).session.whoami()).rejects.toThrow('Nobody is signed in')
    compiled(() => {
      // @ts-expect-error a part of the context is missing
      router.createCaller({ web: context.web, ip: '192.0.2.1' })
      // @ts-expect-error somebody else's context
      router.createCaller({ request: context.web })
      // @ts-expect-error the context has no such thing
      gate.router({ procedure: t.procedure, resolve: (ctx) => ({ request: ctx.req }) })
      // @ts-expect-error resolve is for another context than the procedure
      gate.router({ procedure: t.procedure, resolve: (ctx: { req: Request }) => ({ request: ctx.req }) })
      // @ts-expect-error an address is text
      gate.router({ procedure: t.procedure, resolve: (ctx) => ({ request: ctx.web, remoteAddress: ctx.at }) })
      // @ts-expect-error there has to be a request
      gate.router({ procedure: t.procedure, resolve: (ctx) => ({ remoteAddress: ctx.ip }) })
      // @ts-expect-error the root's context, not the nested one's, is what a caller is given
      createHostRouter(createTestGate()).createCaller({ request: context.web })
    })
  })

  test('without a procedure its context is what resolve takes', async () => {
    const router = gate.router({ resolve: ({ web }: { web: Request }) => ({ request: web }) })
    await expect(router.createCaller({ web: context.web }).session.whoami()).rejects.toThrow('Nobody')
    compiled(() => {
      // @ts-expect-error not what resolve takes
      router.createCaller({ request: context.web })
      // @ts-expect-error a context is an object
      gate.router({ resolve: (ctx: string) => ({ request: new Request(ctx) }) })
    })
  })

  test('a procedure may have meta, middleware and errors of its own, and no input', async () => {
    const resolve = ({ web }: HostContext) => ({ request: web })
    const procedures = [
      t.procedure.meta({ isOpen: true }),
      t.procedure.use(({ next }) => next({ ctx: { user: 'alice' } })),
      t.procedure.use(({ next }) => next({ ctx: { ip: '192.0.2.7' } })),
    ]
    for (const procedure of procedures) {
      const router = gate.router({ procedure, resolve })
      await expect(router.createCaller(context).session.whoami()).rejects.toThrow('Nobody is signed in')
    }
    gate.router({ procedure: t.procedure.errors(({ shape }) => ({ ...shape, data: {} })), resolve })
    const changed = t.procedure.use(({ next }) => next({ ctx: { web: 'a page' } }))
    // @ts-expect-error middleware makes of the request what resolve cannot take
    compiled(() => gate.router({ procedure: changed, resolve }))
    // @ts-expect-error pairgate's inputs are its own
    compiled(() => gate.router({ procedure: t.procedure.input(v.object({ tenant: v.string() })), resolve }))
    // @ts-expect-error a procedure of another root with another context
    compiled(() => gate.router({ procedure: initTRPC.context<{ a: 1 }>().create().procedure, resolve }))
  })
})

describe('the host’s client', () => {
  const { cli, clock } = createHostClient(`${BASE}/api`)

  test('inputs and outputs of nested procedures are typed', () => {
    type Start = Awaited<ReturnType<typeof cli.device.authorize.mutate>>
    expectTypeOf<Start>().toExtend<{ device_code: string; user_code: string; expires_in: number }>()
    expectTypeOf<Awaited<ReturnType<typeof clock.query>>>().toEqualTypeOf<Date>()
    compiled(async () => {
      const token = await cli.device.token.mutate({ client_id: 'mytool', device_code: 'x' })
      // @ts-expect-error there is a token only when it is issued
      token.access_token
      if (token.status === 'issued') expectTypeOf(token.access_token).toEqualTypeOf<string>()
      // @ts-expect-error a wrong field
      await cli.device.authorize.mutate({ client_id: 'mytool', scopes: 'read' })
      // @ts-expect-error a field is missing
      await cli.device.authorize.mutate({})
      // @ts-expect-error a field of another type
      await cli.keys.create.mutate({ name: 'nightly', expires_in: '60' })
      // @ts-expect-error what writes is no query
      await cli.device.authorize.query({ client_id: 'mytool' })
      // @ts-expect-error no such procedure
      await cli.device.start.mutate({ client_id: 'mytool' })
    })
    expect(cli).toBeDefined()
  })

  test('errors have the host’s shape', () => {
    compiled(async () => {
      const [, error] = await safe(cli.session.whoami.query())
      expectTypeOf(error?.data?.where).toEqualTypeOf<string | null | undefined>()
      // @ts-expect-error the host's formatter leaves this out
      error?.data?.httpStatus
    })
    expect(cli).toBeDefined()
  })

  test('logins take its part that is pairgate’s, or a client of the kit’s, and nothing else', () => {
    const mine: LoginTarget = { server: `${BASE}/auth`, clientId: 'mytool', api: cli }
    const own: LoginTarget = createClient({ server: BASE })
    // @ts-expect-error this is the whole of the host
    const whole: LoginTarget = { server: BASE, clientId: 'mytool', api: createHostClient(`${BASE}/api`) }
    // @ts-expect-error a login shows pages of one origin: which?
    const nowhere: LoginTarget = { clientId: 'mytool', api: cli }
    expect([mine, own, whole, nowhere].map(({ clientId }) => clientId)).toEqual([
      'mytool',
      'pairgate-cli',
      'mytool',
      'mytool',
    ])
  })
})
