/** What went wrong, in words for people and in JSON for programs; always with what to do next. @module */

import { LoginError, type LoginErrorCode, toLoginError } from '../errors.ts'
import { CommandError, EXIT, type Next, type Problem } from './context.ts'
import { networkHint } from './network.ts'
import { bold, duration, printable, say, whole } from './terminal.ts'
import { commandLine, TOKEN_VARIABLE } from './words.ts'

/** What is known where a failure is explained. */
export interface Surrounding {
  /** Null when it failed before there was one. */
  readonly server: string | null
  readonly env: Readonly<Record<string, string | undefined>>
  /** The command that tries once more. */
  readonly again: string
}

type Advice = Pick<Problem, 'hint' | 'next'>

const ADDRESS = 'Check the address (--server). Nothing was changed.'

const login = (server: string | null, ...options: string[]) =>
  commandLine('login', ...options, ...(server ? ['--server', server] : []))

/** What to do about a token in the environment. */
export const unsetNext: readonly Next[] = [
  { command: `unset ${TOKEN_VARIABLE}`, when: 'to use logins that are kept here' },
]

/** What to do when nobody is signed in. */
export function loginNext(server: string | null): readonly Next[] {
  return [{ command: login(server), when: 'to sign in' }]
}

const tryAgain = ({ again }: Surrounding): readonly Next[] => [{ command: again, when: 'to try again' }]

const ADVICE: { readonly [code in LoginErrorCode]?: (where: Surrounding, error: LoginError) => Advice } = {
  access_denied: (where) => ({ hint: 'Nothing was changed.', next: tryAgain(where) }),
  expired_token: (where) => ({ next: tryAgain(where) }),
  invalid_grant: (where) => ({ next: tryAgain(where) }),
  not_signed_in: ({ server }) => ({ next: loginNext(server) }),
  wrong_account: (where) => ({ hint: 'The new login was ended at once.', next: tryAgain(where) }),
  environment_token: () => ({
    hint: 'It is used as it is; logins that are kept here do not count as long as it is set.',
    next: unsetNext,
  }),
  busy: (_, { retryAfter }) => ({
    hint: retryAfter === undefined ? 'Try again later.' : `Try again in ${duration(retryAfter)}.`,
  }),
  bad_server: () => ({ hint: 'Check the address (--server).' }),
  unreachable: () => ({ hint: ADDRESS }),
  not_pairgate: () => ({ hint: ADDRESS }),
  bad_credential_file: () => ({
    hint: 'Name another folder by PAIRGATE_CONFIG_DIR, or sign in with --storage ephemeral, which keeps nothing.',
  }),
  untrusted_url: () => ({ hint: 'Tell whoever runs the gateway. Nothing was changed.' }),
}

const EXIT_OF: { readonly [code in LoginErrorCode]?: number } = {
  access_denied: EXIT.denied,
  bad_server: EXIT.usage,
  not_signed_in: EXIT.signInRequired,
}

/** Wrong usage that the grammar cannot know of. */
export function usage(message: string, next: readonly Next[] = []): CommandError {
  return new CommandError({ code: 'usage', message, ...(next.length > 0 && { next }) }, EXIT.usage)
}

/** Nobody is signed in, with the words for it. */
export function notSignedIn(message: string, server: string, next = loginNext(server)): CommandError {
  return new CommandError({ code: 'not_signed_in', message, next }, EXIT.signInRequired)
}

/** Explains whatever was thrown. */
export function explain(error: unknown, where: Surrounding): CommandError {
  if (error instanceof CommandError) return error
  const isOurs = error instanceof LoginError || Object(error).name === 'ApiError'
  if (!isOurs) {
    const message = error instanceof Error ? error.message : String(error)
    return new CommandError({ code: 'failure', message }, EXIT.failure, { cause: error })
  }
  const failure = toLoginError(error)
  const { code, message } = failure
  const hint = networkHint(failure, where.env)
  const advice = { ...ADVICE[code]?.(where, failure), ...(hint && { hint }) }
  return new CommandError({ code, message, ...advice }, EXIT_OF[code] ?? EXIT.failure, { cause: error })
}

/** Says a failure to the person. */
export function sayProblem({ code, message, hint, next = [] }: Problem): void {
  // being signed out, or stopped by oneself, is no error
  const isState = code === 'not_signed_in' || code === 'cancelled'
  say(`${isState ? '' : 'Error: '}${printable(message)}`)
  for (const line of hint?.split('\n') ?? []) say(printable(line))
  for (const { command, when } of next) {
    say(`${when.slice(0, 1).toUpperCase()}${when.slice(1)}, run: ${bold(whole(printable(command)))}`)
  }
}
