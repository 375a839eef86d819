/** Logins to keep, and secrets to look for where they must not be. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { StoredLogin } from '../../clients/store.ts'

/** Two servers. */
export const A = 'https://a.example/auth'
export const B = 'https://b.example'

/** Starts all secrets here, so that a text can be searched for them. */
export const SECRET = 'pgs_Secret'

/** Makes a login, of alice at {@link A} unless said otherwise. */
export function loginOf(changes: Partial<StoredLogin> = {}): StoredLogin {
  const { subject = 'alice', server = A } = changes
  return {
    server,
    issuer: 'https://id.example',
    subject,
    client_id: 'mytool',
    name: 'ada@laptop',
    kind: 'session',
    scope: 'read write',
    expires_at: 1_800_000_000,
    access_token: `${SECRET}-access-${subject}`,
    refresh_token: `${SECRET}-refresh-${subject}`,
    ...changes,
  }
}

/** Makes a folder that goes away with the test. */
export function testFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-logins-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
