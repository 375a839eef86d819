/** `pairgate logout`: revokes logins at the server and forgets them here. @module */

import type { Logout } from '../client.ts'
import { isSameAccount } from '../store.ts'
import { assertStored, loginsAt } from './accounts.ts'
import { type Context, EXIT, type Result } from './context.ts'
import type { LogoutCommand } from './options.ts'
import { date, mark, printable, say } from './terminal.ts'
import { person, place } from './words.ts'

function sayLogout({ login, error }: Logout): void {
  const { server, expires_at } = login
  say(`${mark('done')} Signed out ${person(login)} at ${place(server)}`)
  if (!error) return
  say(`${mark('warning')} Only on this machine: the server could not be told (${printable(error.message)})`)
  say(`  It is good until ${date(expires_at * 1000)}; it can be ended at ${server}/account`)
}

/** Ends one login, or all. */
async function endLogins({ client, connect, store }: Context, all: boolean): Promise<readonly Logout[]> {
  const logouts: (Logout | null)[] = []
  if (all) {
    for (const login of await store.list()) {
      logouts.push(await connect(login.server, login, login.client_id).logout())
    }
  } else logouts.push(await client.logout())
  return logouts.filter((logout) => logout !== null)
}

/** Who is used from now on, where others are signed in too. */
async function sayRemaining({ store, server }: Context, { login }: Logout): Promise<void> {
  const active = (await loginsAt(store, server)).find((other) => other.active)
  if (active && !isSameAccount(active, login))
    say(`  ${person(active)} is signed in there still, and active now`)
}

async function sayEnded(context: Context, ended: readonly Logout[], all: boolean): Promise<void> {
  for (const logout of ended) sayLogout(logout)
  const [first] = ended
  if (!first) say(`Not signed in ${all ? 'anywhere' : `at ${place(context.server)}`}, nothing to do`)
  else if (!all) await sayRemaining(context, first)
}

/** `logout` */
export async function runLogout(context: Context, { all }: LogoutCommand): Promise<Result> {
  assertStored(context)
  const ended = await endLogins(context, all)
  if (!context.json) await sayEnded(context, ended, all)
  const logins = ended.map(({ login, error }) => ({
    ...login,
    revoked: error === null,
    error: error && { code: error.code, message: error.message },
  }))
  return { exit: EXIT.ok, json: { status: 'signed_out', logins }, lines: [] }
}
