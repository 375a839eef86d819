/** pairgate in a SvelteKit application: what its hook and its endpoints are. @module */

import type { Pairgate } from 'pairgate'

/** The part of SvelteKit's `RequestEvent` that is used here. */
interface RequestEvent {
  readonly request: Request
  getClientAddress(): string
}

/** What SvelteKit hands to a hook. */
interface HookInput<Event> {
  readonly event: Event
  resolve(event: Event): Response | Promise<Response>
}

/** What SvelteKit looks at by itself, unless `csrf.trustedOrigins` is `['*']`. */
function isForeignForm({ method, headers, url }: Request): boolean {
  const isForm = /^(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)\b/i
  const isWrite = !['GET', 'HEAD', 'OPTIONS'].includes(method)
  return (
    isWrite && isForm.test(headers.get('content-type') ?? '') && headers.get('origin') !== new URL(url).origin
  )
}

/** Makes the hook that pairgate is mounted by. */
export function createHandle(gate: Pairgate) {
  return <Event extends RequestEvent>({ event, resolve }: HookInput<Event>) => {
    const { request } = event
    if (gate.handles(request)) return gate.fetch(request, { remoteAddress: event.getClientAddress() })
    return isForeignForm(request) ? new Response('Forbidden', { status: 403 }) : resolve(event)
  }
}

/** Makes the handler of an endpoint that takes a credential. */
export function createHello(gate: Pairgate) {
  const guard = gate.guard({ scopes: ['read'] })
  return async ({ request, getClientAddress }: RequestEvent) => {
    const who = await guard.check(request, { remoteAddress: getClientAddress() })
    if (who instanceof Response) return who
    return Response.json({ hello: who.user.subject })
  }
}
