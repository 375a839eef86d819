/** The floor in the process of a gateway. @module */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { JOB } from '../figures.ts'
import { authenticateAt, openFloor } from '../floor.ts'
import type { InProcessJobs } from '../in_process.ts'

/** Opens it, with credentials. */
export async function open(folder: string): Promise<InProcessJobs> {
  const floor = openFloor(join(folder, 'floor.db'))
  const session = floor.signIn('a person of the bench')
  const tokens = Array.from({ length: 300 }, () => {
    const { device_code, user_code } = floor.authorize('bench')
    floor.approve(session, user_code)
    const answer = floor.poll('bench', device_code)
    return 'access_token' in answer ? String(answer.access_token) : ''
  })
  const verify = (request: Request) => authenticateAt(floor, request) !== undefined
  const unknown = tokens.map(() => randomBytes(32).toString('base64url'))
  const refuse = { tokens: unknown, isKnown: false, verify }
  return {
    [JOB.key]: { tokens, isKnown: true, verify },
    [JOB.session]: { tokens, isKnown: true, verify },
    [JOB.malformed]: refuse,
    [JOB.unknown]: refuse,
  }
}
