/**
 * pairgate as people run it: the standalone server, with its usual settings but for limits that one machine's load would
 * reach. Its log is as it is by default, a line for each event of the audit trail, and goes to `/dev/null`.
 *
 * @module
 */

import { randomBytes } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { createSecret } from '../../src/core/secret.ts'
import { DEVICE_GRANT } from '../../test/support/gate.ts'
import { BUN, DENO } from '../../test/support/runtimes.ts'
import { type Contender, check, type Moves, readCookies, readError, readJson } from '../contender.ts'
import type { Answer, Wire } from '../driver.ts'
import { NODE, startServer } from '../servers.ts'

const CLIENT = { client_id: 'pairgate-cli' }
const RESOURCE_SERVER = { id: 'bench', secret: 'a-secret-of-the-bench-that-is-long-enough' }
const MANY = 1_000_000_000

/** The options that differ from the defaults. */
export const OPTIONS = {
  deviceCodeSeconds: 1800,
  limits: {
    startPerMinute: MANY,
    pendingPerAddress: MANY,
    pendingTotal: MANY,
    keysPerUser: MANY,
    // a code counts as wrong until it is found: over a network 32 are looked for at once
    wrongCodesPerAddress: MANY,
  },
  resourceServers: { [RESOURCE_SERVER.id]: { secret: RESOURCE_SERVER.secret } },
}

/** What `npm run build` makes, and people install: `pairgate-server`. */
export const BUILT = [process.execPath, 'dist/server.js'] as const

/** How each runtime starts it. */
export const COMMANDS = {
  Node: BUILT,
  Deno: [DENO, 'task', 'serve'],
  Bun: [BUN, 'examples/serve.ts'],
  workerd: [...NODE, 'examples/workers/serve.ts'],
} as const

/** What pairgate runs on. */
export type Runtime = keyof typeof COMMANDS

const unknownToken = createSecret((length) => new Uint8Array(randomBytes(length)), 'pg', 'api_key')

function trpcData(what: string, answer: Answer): Record<string, unknown> {
  const { result } = readJson(what, answer) as { result?: { data: Record<string, unknown> } }
  check(result !== undefined, what, answer)
  return result.data
}

/** How the CLI, the person and the proxy ask. */
function createMoves(wire: Wire, origin: string): Moves {
  const samePage = { Origin: origin, 'Sec-Fetch-Site': 'same-origin' }
  const poll = (device_code: string, headers = {}) =>
    wire.form('/oauth/device/token', { grant_type: DEVICE_GRANT, ...CLIENT, device_code }, headers)
  const basic = { Authorization: `Basic ${btoa(`${RESOURCE_SERVER.id}:${RESOURCE_SERVER.secret}`)}` }
  return {
    async signIn(send, username) {
      const answer = await send(wire.form('/sign-in/dev', { username }, samePage))
      check(answer.status === 303, 'sign-in', answer)
      return readCookies(answer)
    },
    async authorize(send) {
      const answer = await send(wire.form('/oauth/device/authorize', CLIENT))
      const { device_code, user_code } = readJson('authorize', answer)
      return { deviceCode: String(device_code), userCode: String(user_code) }
    },
    async pollPending(send, { deviceCode }) {
      const answer = await send(poll(deviceCode))
      check(readError('poll', answer) === 'authorization_pending', 'poll', answer)
    },
    async pollPendingTrpc(send, { deviceCode: device_code }) {
      const answer = await send(wire.json('/trpc/device.token', { ...CLIENT, device_code }))
      check(trpcData('poll by tRPC', answer).status === 'authorization_pending', 'poll by tRPC', answer)
    },
    async pollSlowDown(send, { deviceCode }) {
      const answer = await send(poll(deviceCode))
      check(readError('poll', answer) === 'slow_down', 'poll', answer)
    },
    async approve(send, cookies, { userCode: user_code }) {
      const answer = await send(
        wire.json('/trpc/device.approve', { user_code }, { ...samePage, Cookie: cookies }),
      )
      check(trpcData('approve', answer).status === 'approved', 'approve', answer)
    },
    async collect(send, { deviceCode }, wait) {
      const answer = await send(poll(deviceCode, wait ? { Prefer: `wait=${wait}` } : {}))
      if (answer.status === 400 && readError('collect', answer) === 'authorization_pending') return null
      return String(readJson('collect', answer).access_token)
    },
    async forward(send, token) {
      const answer = await send(
        wire.get('/authz/forward', { Authorization: `Bearer ${token ?? unknownToken}` }),
      )
      const isRight = token
        ? /\r\nx-pairgate-/i.test(answer.head) && answer.status === 200
        : answer.status === 401
      check(isRight, 'forward', answer)
    },
    async introspect(send, token) {
      const answer = await send(wire.form('/oauth/introspect', { token: token ?? unknownToken }, basic))
      check(readJson('introspect', answer).active === (token !== null), 'introspect', answer)
    },
  }
}

/**
 * A pairgate to be measured.
 *
 * @param databaseUrl Makes the `DATABASE_URL`, for the folder of the server. Default: SQLite, on workerd D1.
 */
export function pairgate(
  name: string,
  runtime: Runtime = 'Node',
  databaseUrl?: (folder: string) => Promise<string> | string,
): Contender {
  let base = ''
  return {
    name,
    ...(runtime !== 'workerd' && !databaseUrl && { stored: { file: 'pairgate.db', table: 'grants' } }),
    async start() {
      const kind = runtime === 'workerd' ? 'd1' : 'sqlite'
      const server = await startServer(`pairgate ${name}`, async (port, folder) => {
        base = `http://127.0.0.1:${port}`
        const config = join(folder, 'config.json')
        writeFileSync(config, JSON.stringify(OPTIONS))
        return {
          command: COMMANDS[runtime],
          env: {
            PORT: String(port),
            DATABASE_URL: databaseUrl ? await databaseUrl(folder) : `${kind}:${join(folder, 'pairgate.db')}`,
            PAIRGATE_CONFIG: config,
            PAIRGATE_SECRET: randomBytes(32).toString('base64url'),
            PAIRGATE_LOG: process.env.PAIRGATE_LOG ?? '',
          },
        }
      })
      return server
    },
    moves: (wire) => createMoves(wire, base),
  }
}
