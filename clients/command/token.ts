/** `pairgate token`: prints the access token, for scripts. @module */

import type { Access } from '../session.ts'
import { type Context, EXIT, type Result } from './context.ts'
import { notSignedIn } from './problem.ts'
import { person, place } from './words.ts'

/** The credential to use now, refreshed if it is due. Ends with `not_signed_in` where there is none that is good. */
export async function accessNow({ client, server }: Context): Promise<Access> {
  const access = await client.access()
  if (!access) throw notSignedIn(`Not signed in at ${place(server)}`, server)
  const { login } = access
  if (login && login.expires_at * 1000 <= Date.now()) {
    throw notSignedIn(`The login as ${person(login)} at ${place(server)} has expired`, server)
  }
  return access
}

/** `token` */
export async function runToken(context: Context): Promise<Result> {
  const { access_token, login } = await accessNow(context)
  const json = { access_token, token_type: 'Bearer', expires_at: login?.expires_at ?? null }
  return { exit: EXIT.ok, json, lines: [access_token] }
}
