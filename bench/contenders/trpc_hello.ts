/** What tRPC itself takes: a mutation that does nothing, through its fetch adapter on @hono/node-server. @module */

import { createServer } from 'node:http'
import process from 'node:process'
import { getRequestListener } from '@hono/node-server'
import { initTRPC } from '@trpc/server'
import { fetchRequestHandler } from '@trpc/server/adapters/fetch'
import * as v from 'valibot'
import { type Contender, check, readJson } from '../contender.ts'
import { pathOf, startServer } from '../servers.ts'

const t = initTRPC.create({ isDev: false })

const router = t.router({
  device: t.router({
    token: t.procedure
      .input(v.strictObject({ client_id: v.string(), device_code: v.string() }))
      .mutation(() => ({ status: 'authorization_pending', interval: 5 })),
  }),
})

/** The same request as a poll at pairgate's tRPC door. */
export const trpcHello: Contender = {
  name: 'tRPC hello',
  start: () =>
    startServer('trpc hello', (port) => ({
      command: [process.execPath, pathOf('contenders/trpc_hello.ts')],
      env: { PORT: String(port) },
    })),
  moves: (wire) => ({
    async pollPendingTrpc(send, { deviceCode: device_code }) {
      const answer = await send(wire.json('/trpc/device.token', { client_id: 'bench', device_code }))
      check(readJson('poll', answer).result !== undefined, 'poll', answer)
    },
  }),
}

if (import.meta.main) {
  const answer = (req: Request) => fetchRequestHandler({ endpoint: '/trpc', req, router })
  createServer(getRequestListener(answer, { overrideGlobalObjects: false })).listen(
    Number(process.env.PORT),
    '127.0.0.1',
  )
}
