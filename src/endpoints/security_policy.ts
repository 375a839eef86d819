/** What a page may load, and where its forms may go: the Content-Security-Policy. @module */

import { loopbackOrigin } from '../core/loopback.ts'
import type { Deps } from '../flows/deps.ts'
import { STYLE_HASH } from '../pages/layout.tsx'

/**
 * The policy of every answer. Chromium holds the redirect after a form against `form-action` too, so whatever a form of
 * ours may lead to is named there: the gateway's sign-in, and on one page the CLI's own listener.
 *
 * @param port Where that listens; null on every other page.
 */
export function contentSecurityPolicy({ config }: Deps, port: number | null): string {
  const { baseUrl, origin, signInUrl } = config
  const signIn = signInUrl ? new URL(signInUrl(baseUrl), origin).origin : origin
  const others = (signIn === origin ? '' : ` ${signIn}`) + (port === null ? '' : ` ${loopbackOrigin(port)}`)
  return `default-src 'none'; style-src ${STYLE_HASH}; form-action 'self'${others}; frame-ancestors 'none'; base-uri 'none'`
}
