/** pairgate in a Worker of your own. @module */

import type { Pairgate } from 'pairgate'

/**
 * Makes the Worker.
 *
 * @param openGate Makes the gate of the bindings: they come with the first request.
 */
export function createWorker<Env>(openGate: (env: Env) => Pairgate) {
  let gate: Pairgate | undefined
  return {
    async fetch(request: Request, env: Env): Promise<Response> {
      gate ??= openGate(env)
      const remoteAddress = request.headers.get('cf-connecting-ip') ?? undefined
      if (gate.handles(request)) return await gate.fetch(request, { remoteAddress })

      if (new URL(request.url).pathname !== '/api/hello') return new Response('Not found', { status: 404 })
      const who = await gate.guard({ scopes: ['read'] }).check(request, { remoteAddress })
      return who instanceof Response ? who : Response.json({ hello: who.user.subject })
    },
  }
}
