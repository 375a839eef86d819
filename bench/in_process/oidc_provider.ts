/** oidc-provider in the process of a gateway: the access token that its model finds. @module */

import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { openOidcProvider } from '../contenders/oidc_provider_server.ts'
import { JOB } from '../figures.ts'
import type { InProcessJobs } from '../in_process.ts'

const TOKENS = 300

/** Opens it, with tokens. */
export async function open(folder: string): Promise<InProcessJobs> {
  const { AccessToken, Client } = openOidcProvider(join(folder, 'oidc-provider.db'), 8787)
  const client = await Client.find('bench')
  const tokens: string[] = []
  for (let i = 0; i < TOKENS; i++) {
    const token = new AccessToken({ client, accountId: `person-${i}`, scope: 'api', expiresIn: 86_400 })
    tokens.push(await token.save())
  }
  const unknown = tokens.map(() => randomBytes(32).toString('base64url'))
  const verify = async ({ headers }: Request) => {
    const token = await AccessToken.find((headers.get('authorization') ?? '').slice('Bearer '.length))
    return token?.isValid === true
  }
  return {
    [JOB.key]: { tokens, isKnown: true, verify },
    [JOB.malformed]: { tokens: unknown, isKnown: false, verify },
    [JOB.unknown]: { tokens: unknown, isKnown: false, verify },
  }
}
