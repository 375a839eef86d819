/** better-auth in the process of a gateway: the session that the bearer plugin finds. @module */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { openBetterAuth } from '../contenders/better_auth_server.ts'
import { JOB } from '../figures.ts'
import type { InProcessJobs } from '../in_process.ts'

const SESSIONS = 300

/** Opens it, with sessions. Keys are a plugin in a package of its own, which is not measured. */
export async function open(folder: string): Promise<InProcessJobs> {
  const auth = await openBetterAuth(join(folder, 'better-auth.db'), 8787)
  const account = { name: 'a person', email: 'a.person@example.com', password: 'a-password-of-the-bench' }
  const { user } = await auth.api.signUpEmail({ body: account })
  const { internalAdapter } = await auth.$context
  const tokens: string[] = []
  for (let i = 0; i < SESSIONS; i++) tokens.push((await internalAdapter.createSession(user.id)).token)
  const unknown = tokens.map(() => randomBytes(24).toString('base64url'))
  const verify = async ({ headers }: Request) => (await auth.api.getSession({ headers })) !== null
  return {
    [JOB.session]: { tokens, isKnown: true, verify },
    [JOB.malformed]: { tokens: unknown, isKnown: false, verify },
    [JOB.unknown]: { tokens: unknown, isKnown: false, verify },
  }
}
