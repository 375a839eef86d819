/** pairgate in a Next application: what its route handlers are. @module */

import type { Pairgate } from 'pairgate'

/** Makes the handlers of the two routes that pairgate is mounted by. */
export function createHandlers(gate: Pairgate) {
  const handler = (request: Request) => gate.fetch(request)
  return { GET: handler, POST: handler }
}

/** Makes the handler of a route that takes a credential. */
export function createHello(gate: Pairgate) {
  const guard = gate.guard({ scopes: ['read'] })
  return async (request: Request) => {
    const who = await guard.check(request)
    if (who instanceof Response) return who
    return Response.json({ hello: who.user.subject })
  }
}
