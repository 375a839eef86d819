/** Where a request comes from, as the browser tells: the first defence against forged forms. @module */

/**
 * Judges `Sec-Fetch-Site` and `Origin`: each that is present must say "our own origin".
 *
 * @returns `unknown` when the request carries neither, as a program's request does.
 */
export function requestSite(headers: Headers, origin: string): 'same-origin' | 'foreign' | 'unknown' {
  const site = headers.get('sec-fetch-site')
  const from = headers.get('origin')
  if ((site !== null && site !== 'same-origin') || (from !== null && from !== origin)) return 'foreign'
  return site === null && from === null ? 'unknown' : 'same-origin'
}

/**
 * A path to go back to after sign-in: only one on this origin and under the mount, anything else becomes the mount's
 * own front door.
 *
 * @param base The base URL, without a trailing slash.
 */
export function safeReturnPath(next: string | null | undefined, base: string): string {
  const { origin, pathname } = new URL(base)
  const home = `${pathname.replace(/\/$/, '')}/`
  if (!next?.startsWith('/') || next.length > 2048 || !URL.canParse(next, origin)) return home
  const url = new URL(next, origin)
  const path = url.pathname + url.search
  return url.origin === origin && path.startsWith(home) && !path.startsWith('//') ? path : home
}
