/** `pairgate refresh`: gets a new access token now. @module */

import { assertStored } from './accounts.ts'
import { type Context, EXIT, type Result } from './context.ts'
import { runLogin } from './login.ts'
import { notSignedIn } from './problem.ts'
import { duration, mark, say } from './terminal.ts'
import { secondsUntil } from './times.ts'
import { person, place } from './words.ts'

/** `refresh`. A login without a refresh token is made anew, by the same person and with the same scope. */
export async function runRefresh(context: Context): Promise<Result> {
  assertStored(context)
  const { client, connect, server, store, account, json } = context
  const login = await store.find(server, account)
  if (!login) throw notSignedIn(`Not signed in at ${place(server)}`, server)
  if (login.refresh_token === null) {
    say(`This login has no refresh token: please sign in as ${person(login)} once more\n`)
    const again = { ...context, account: login, client: connect(server, login, login.client_id) }
    return await runLogin(again, { scope: login.scope || undefined })
  }
  const entry = await client.refresh()
  if (!json) {
    say(`${mark('done')} Refreshed the login as ${person(entry)} at ${place(server)}`)
    say(`  The access token is good for ${duration(secondsUntil(entry.expires_at))}`)
  }
  return { exit: EXIT.ok, json: { status: 'refreshed', ...entry }, lines: [] }
}
