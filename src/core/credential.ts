/** How long a credential is good for, and by which of its secrets. @module */

/** The times and secrets of a credential, as the store keeps them. Epoch milliseconds; hashes are hex SHA-256. */
export interface CredentialLife {
  readonly secret_hash: string
  readonly previous_hash: string | null
  readonly previous_until: number | null
  readonly access_expires_at: number | null
  readonly expires_at: number
  readonly last_used_at: number
  readonly revoked_at: number | null
}

/** Where a credential stands, as lists say it. */
export type CredentialStatus = 'active' | 'expired' | 'revoked'

/**
 * Tells where a credential stands at `now` (epoch ms).
 *
 * @param idle How long it may be unused, in milliseconds.
 */
export function credentialStatus(credential: CredentialLife, now: number, idle: number): CredentialStatus {
  if (credential.revoked_at !== null) return 'revoked'
  return credential.expires_at > now && now - credential.last_used_at < idle ? 'active' : 'expired'
}

/** When the secret with this hash ends, while the credential itself lasts; null when it is none of its secrets. */
function secretEnd(credential: CredentialLife, hash: string): number | null {
  if (credential.secret_hash === hash) return credential.access_expires_at ?? credential.expires_at
  return credential.previous_hash === hash ? credential.previous_until : null
}

/** The whole seconds that the secret with this hash, by default the present one, is good for from `now` on. */
export function secondsLeft(credential: CredentialLife, now: number, hash = credential.secret_hash): number {
  const end = Math.min(credential.expires_at, secretEnd(credential, hash) ?? 0)
  return Math.max(0, Math.floor((end - now) / 1000))
}

/** Tells whether the secret with this hash opens anything at `now`. */
export function isSecretGood(credential: CredentialLife, hash: string, now: number, idle: number): boolean {
  return credentialStatus(credential, now, idle) === 'active' && (secretEnd(credential, hash) ?? 0) > now
}
