/** What a proxy tells a backend of whoever is there, in headers: the names that backends know, and how values are spelled. @module */

import type { User } from '../store.ts'

/** Who it is, and with what. */
export interface HeaderIdentity {
  readonly user: User
  readonly client_id: string | null
  readonly scope: string
  readonly tenant: string | null
  /** The signed assertion that says the same. */
  readonly assertion: string
}

/**
 * Printable ASCII without `%` stays as it is, all else is percent-encoded UTF-8: a header cannot hold it, and white
 * space at the ends would be lost.
 */
function spell(text: string): string {
  return text.replace(/[^\x20-\x7e]|%|^ | $/gu, (char) => (char === ' ' ? '%20' : encodeURIComponent(char)))
}

/**
 * What `Remote-User` holds: the subject, where one issuer vouches for everybody. A person of another issuer, who may
 * have the very same subject, goes by the id of both; so does a subject that looks like such an id.
 */
function remoteUser({ id, issuer, subject }: User, homeIssuer: string): string {
  const isHome = issuer.replace(/\/$/, '') === homeIssuer.replace(/\/$/, '')
  return isHome && !/^[0-9a-f]{64}$/i.test(subject) ? subject : id
}

/**
 * The identity headers. All of them, always: a proxy that copies one which is not there leaves what the client sent.
 *
 * @param homeIssuer The issuer whose subjects are shown as they are.
 */
export function identityHeaders(identity: HeaderIdentity, homeIssuer: string): Record<string, string> {
  const { user, client_id, scope, tenant, assertion } = identity
  return {
    'Remote-User': spell(remoteUser(user, homeIssuer)),
    'Remote-Name': spell(user.name ?? ''),
    'Remote-Email': spell(user.email ?? ''),
    // backends separate groups by commas
    'Remote-Groups': spell(tenant ?? '').replaceAll(',', '%2C'),
    'X-Pairgate-Id': user.id,
    'X-Pairgate-Client': client_id ?? '',
    'X-Pairgate-Scope': scope,
    'X-Pairgate-Assertion': assertion,
  }
}
