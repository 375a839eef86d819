/** `pairgate switch`: chooses whose login is used, everywhere or in one directory. @module */

import process from 'node:process'
import type { ListedLogin } from '../store.ts'
import { assertStored, findAccount, loginsAt } from './accounts.ts'
import { type Context, EXIT, type Result } from './context.ts'
import type { SwitchCommand } from './options.ts'
import { notSignedIn, usage } from './problem.ts'
import { bold, mark, say } from './terminal.ts'
import { accountName, commandLine, person, place } from './words.ts'

/** The other one of two; where there are more, somebody has to say. */
function findOther(logins: readonly ListedLogin[], server: string): ListedLogin {
  const [first, ...more] = logins
  if (!first) throw notSignedIn(`Not signed in at ${place(server)}`, server)
  if (more.length === 0) return first
  const others = logins.filter(({ active }) => !active)
  const [other] = others
  if (other && others.length === 1) return other
  const isAlone = (login: ListedLogin) =>
    logins.filter(({ subject }) => subject === login.subject).length === 1
  const next = others.map((login) => ({
    command: commandLine('switch', isAlone(login) ? login.subject : accountName(login), '--server', server),
    when: `to use the login as ${person(login)}`,
  }))
  throw usage(`${logins.length} people are signed in at ${place(server)}: say whom to switch to`, next)
}

/** `switch` */
export async function runSwitch(context: Context, { to, here }: SwitchCommand): Promise<Result> {
  assertStored(context)
  const { server, store, account, json } = context
  const logins = await loginsAt(store, server)
  const named = to ?? (account && accountName(account))
  const login = named ? await findAccount(store, server, named, 'switch') : findOther(logins, server)
  const directory = here ? process.cwd() : null
  await store.activate(server, login, directory === null ? {} : { directory })
  const where = directory === null ? '' : ` in ${directory} and below`
  if (!json) {
    say(`${mark('done')} Now ${bold(person(login))} at ${place(server)}${where}`)
    if (logins.length === 1) say('  Nobody else is signed in there')
  }
  const { active: _, ...entry } = login
  return { exit: EXIT.ok, json: { status: 'switched', ...entry, directory }, lines: [] }
}
