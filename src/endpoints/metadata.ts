/** What the server says of itself to OAuth clients (RFC 8414). @module */

import { OFFLINE_SCOPE } from '../config.ts'
import type { Deps } from '../flows/deps.ts'
import type { Handler } from './route.ts'

/** RFC 8414 section 3: below the base URL, and between its origin and its path. */
export const WELL_KNOWN = '/.well-known/oauth-authorization-server'
/** Where the keys of assertions are, below the base URL. */
export const JWKS_PATH = '/.well-known/jwks.json'
/** How long a key set may be kept; seconds. A key is published thirty days before it signs. */
const JWKS_SECONDS = 3600

/** RFC 8628 section 3.4. */
export const DEVICE_GRANT = 'urn:ietf:params:oauth:grant-type:device_code'
/** RFC 6749 section 6. */
export const REFRESH_GRANT = 'refresh_token'

/** RFC 8414 section 2. */
export function metadata(deps: Deps): Handler {
  const { baseUrl, clients, resourceServers } = deps.config
  const all = [...clients.values()]
  const scopes = [...new Set(all.flatMap((client) => client.scopes))]
  const hasDevice = all.some((client) => client.flows.includes('device'))
  const hasRefresh = all.some((client) => client.refresh || client.scopes.includes(OFFLINE_SCOPE))
  const body = {
    issuer: baseUrl,
    token_endpoint: `${baseUrl}/oauth/token`,
    ...(hasDevice && { device_authorization_endpoint: `${baseUrl}/oauth/device/authorize` }),
    jwks_uri: `${baseUrl}${JWKS_PATH}`,
    revocation_endpoint: `${baseUrl}/oauth/revoke`,
    ...(resourceServers.size > 0 && {
      introspection_endpoint: `${baseUrl}/oauth/introspect`,
      introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    }),
    grant_types_supported: [...(hasDevice ? [DEVICE_GRANT] : []), ...(hasRefresh ? [REFRESH_GRANT] : [])],
    response_types_supported: [],
    token_endpoint_auth_methods_supported: ['none'],
    revocation_endpoint_auth_methods_supported: ['none'],
    ...(scopes.length > 0 && { scopes_supported: scopes }),
  }
  return (c) => c.json(body)
}

/** The keys that verify assertions, as a JWK Set (RFC 7517 section 5). Nobody's secret, so it may be cached. */
export function jwks(deps: Deps): Handler {
  return async (c) => {
    const keys = await deps.signer.keys(deps.now())
    // not before there are any: a failure must not be kept for an hour
    c.header('Cache-Control', `public, max-age=${JWKS_SECONDS}`)
    return c.json({ keys })
  }
}
