/** Which of the logins that are kept here somebody means. @module */

import { LoginError } from '../errors.ts'
import type { CredentialStore, ListedLogin } from '../store.ts'
import { CommandError, type Context, EXIT } from './context.ts'
import { loginNext, usage } from './problem.ts'
import { printable } from './terminal.ts'
import { accountName, commandLine, person, place, TOKEN_VARIABLE } from './words.ts'

/** The logins at one server. */
export async function loginsAt(store: CredentialStore, server: string): Promise<readonly ListedLogin[]> {
  return (await store.list()).filter((login) => login.server === server)
}

/**
 * Refuses what is about logins that are kept, where a token in the environment stands above them.
 *
 * @throws {LoginError} `environment_token`
 */
export function assertStored({ where: { env } }: Context): void {
  if (env[TOKEN_VARIABLE])
    throw new LoginError('environment_token', `${TOKEN_VARIABLE} is set and stands above all logins`)
}

/**
 * Finds the login that a name stands for: a subject, or `ISSUER#SUBJECT` where two issuers have that subject.
 *
 * @param command What was run, for the advice: `switch`, or a command that takes `--account`.
 * @throws {CommandError} When there is none, or more than one.
 */
export async function findAccount(
  store: CredentialStore,
  server: string,
  name: string,
  command?: 'switch',
): Promise<ListedLogin> {
  const logins = await loginsAt(store, server)
  const found = logins.filter((login) => login.subject === name || accountName(login) === name)
  const [first, ...others] = found
  if (!first) {
    const names = logins.map(person).join(', ')
    const hint = names ? `Signed in there: ${names}` : ''
    const message = `Not signed in as ${printable(name)} at ${place(server)}`
    throw new CommandError(
      { code: 'not_signed_in', message, ...(hint && { hint }), next: loginNext(server) },
      EXIT.signInRequired,
    )
  }
  if (others.length === 0) return first
  const message = `Several people at ${place(server)} are called ${printable(name)}, by different issuers`
  const next = found.map((login) => ({
    command: command
      ? commandLine('switch', accountName(login))
      : `--account ${commandLine(accountName(login)).split(' ').slice(1).join(' ')}`,
    when: `for the one that ${printable(login.issuer)} vouches for`,
  }))
  throw usage(message, next)
}
