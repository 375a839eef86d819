/** pairgate on Cloudflare Workers: settings from the bindings, one gate for each isolate. @module */

import { createGate } from '../src/internal.ts'
import type { Pairgate, PairgateOptions } from '../src/mod.ts'
import { type D1Database, d1 } from './d1.ts'
import { type Environment, isLoopbackUrl, readOptions, readSecrets, refuse } from './environment.ts'
import { consoleLog, explain } from './log.ts'

/** A Worker's default export. */
export interface PairgateWorker<Env extends object> {
  /** Answers a request. Never rejects. */
  fetch(request: Request, env: Env): Promise<Response>
}

/** The part of the runtime's own module that is used here. */
interface Runtime {
  waitUntil(work: Promise<unknown>): void
}

/** Bindings that are text are what environment variables are elsewhere. */
const readVariables = (env: object): Environment =>
  Object.fromEntries(Object.entries(env).filter(([, value]) => typeof value === 'string'))

function openGate(env: object, further: Partial<PairgateOptions>, runtime: Runtime): Pairgate {
  const variables = readVariables(env)
  const { DB } = env as { DB?: D1Database }
  const baseUrl =
    variables.PAIRGATE_BASE_URL ||
    further.baseUrl ||
    refuse('PAIRGATE_BASE_URL is missing: set it to the public URL, under "vars" in wrangler.jsonc')
  const secrets =
    readSecrets(variables) ??
    further.secrets ??
    refuse('PAIRGATE_SECRET is missing: run "npx wrangler secret put PAIRGATE_SECRET"')
  const database = further.database ?? d1(DB ?? refuse('The binding DB is missing: it must be a D1 database'))
  const options: PairgateOptions = {
    // tables are not made while somebody waits for an answer: "wrangler d1 migrations apply" does it
    autoMigrate: false,
    waitUntil: (work) => runtime.waitUntil(work),
    ...further,
    ...readOptions(variables, further, isLoopbackUrl(baseUrl)),
    baseUrl,
    secrets,
    database,
  }
  return createGate(options, consoleLog(variables.PAIRGATE_LOG, false))
}

/**
 * Makes a Worker that is a pairgate. It reads the same variables as the standalone server, and keeps everything in the
 * D1 database that is bound as `DB`. To mount pairgate in a Worker of your own, call `createPairgate` there instead.
 *
 * @param options Further options, given the bindings; asked once, at the first request. Variables win over them.
 * @example
 * ```ts
 * export default createWorker(() => ({ clients: { mytool: { name: 'My Tool' } } }))
 * ```
 */
export function createWorker<Env extends object = object>(
  options: (env: Env) => Partial<PairgateOptions> = () => ({}),
): PairgateWorker<Env> {
  let gate: Pairgate | undefined
  return {
    async fetch(request, env) {
      try {
        // only the runtime has this module, and bundlers leave it alone; `string` keeps type checkers from looking for it
        const runtime: Runtime = await import('cloudflare:workers' as string)
        gate ??= openGate(env, options(env), runtime)
      } catch (error) {
        console.error(`pairgate cannot start: ${explain(error)}`)
        const error_description = 'This service is not set up: its log says what is missing'
        return Response.json({ error: 'server_error', error_description }, { status: 500 })
      }
      return await gate.fetch(request, {
        remoteAddress: request.headers.get('cf-connecting-ip') ?? undefined,
      })
    },
  }
}
