/** The cookies of pairgate: one name and one set of attributes each. @module */

import { readCookie, writeCookie } from '../core/cookie.ts'
import type { Deps } from './deps.ts'

/** What each cookie is for: a browser's sign-in, a sign-in under way, the nonce of forms, the first seed's session. */
export type CookieUse = 'session' | 'sign-in' | 'form' | 'seed'

/** The name of one of our cookies; `__Host-` wherever the base URL is https. */
function cookieName(deps: Deps, use: CookieUse): string {
  return `${deps.config.isSecure ? '__Host-' : ''}pairgate-${use}`
}

/** Writes one of our cookies; `maxAge` in seconds, 0 deletes. */
export function setCookie(deps: Deps, use: CookieUse, value: string, maxAge: number): string {
  return writeCookie(cookieName(deps, use), value, { maxAge, secure: deps.config.isSecure })
}

/** Reads one of our cookies; null when absent or given twice. */
export function getCookie(deps: Deps, request: Request, use: CookieUse): string | null {
  return readCookie(request.headers.get('cookie'), cookieName(deps, use))
}
