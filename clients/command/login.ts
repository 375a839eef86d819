/** `pairgate login`: signs a person in and keeps the login. @module */

import process from 'node:process'
import type { Login } from '../client.ts'
import { LoginError } from '../errors.ts'
import { isSameAccount, type ListedLogin } from '../store.ts'
import { assertStored, loginsAt } from './accounts.ts'
import { CommandError, type Context, EXIT, type Result } from './context.ts'
import { isTwoStep } from './modes.ts'
import type { LoginCommand } from './options.ts'
import { usage } from './problem.ts'
import { bold, date, duration, mark, printable, say, whole } from './terminal.ts'
import { secondsUntil } from './times.ts'
import { commandLine, person, place } from './words.ts'

/** What is the same however somebody signs in. */
interface Kept {
  readonly login: Login
  /** Who was signed in at that server before. */
  readonly before: readonly ListedLogin[]
  /** Keep nothing: print the token. */
  readonly isEphemeral: boolean
  readonly refreshable: boolean
}

function sayLifetime({ login, isEphemeral, refreshable }: Kept): void {
  const lifetime = duration(secondsUntil(login.expires_at))
  const renews = refreshable && !isEphemeral
  say(
    renews ? `  Renews itself; the access token of now is good for ${lifetime}` : `  Expires in ${lifetime}`,
  )
}

/** Says what became of the login before, of the same account or another one. */
function sayBefore({ login, before }: Kept): void {
  const own = before.find((one) => isSameAccount(one, login))
  if (own && login.replaced === 'revoked') say(`  Replaces the login as ${person(own)}, which was revoked`)
  if (own && login.replaced === 'not_revoked') {
    say(`${mark('warning')} The login before could not be revoked`)
    say(`  It is good until ${date(own.expires_at * 1000)}; it can be ended at ${login.server}/account`)
  }
  const active = before.find((one) => one.active)
  if (active && active !== own) {
    const back = whole(commandLine('switch', active.subject))
    say(`  ${person(active)} stays signed in; to switch back, run: ${back}`)
  }
}

function sayKept(kept: Kept): void {
  const { login, isEphemeral } = kept
  say(`${mark('done')} Signed in as ${bold(person(login))} at ${place(login.server)}`)
  if (login.scope) say(`  Scope ${printable(login.scope)}`)
  say(isEphemeral ? '  Kept nowhere: the token is printed this once' : `  Stored in ${login.place}`)
  sayLifetime(kept)
  if (login.notice && !isEphemeral) say(`${mark('warning')} ${printable(login.notice)}`)
  sayBefore(kept)
}

/** Says who is signed in now, and makes the result of it. */
async function report(
  context: Context,
  login: Login,
  { before, isEphemeral }: Pick<Kept, 'before' | 'isEphemeral'>,
): Promise<Result> {
  const stored = await context.store.find(login.server, login)
  const refreshable = Boolean(stored?.refresh_token)
  if (!context.json) sayKept({ login, before, isEphemeral, refreshable })
  const { replaced, notice, place: kept, ...entry } = login
  const where = isEphemeral ? { place: null, notice: null } : { place: kept, notice }
  const json = { status: 'signed_in', ...entry, refreshable, ...where, replaced }
  if (!isEphemeral || !stored) return { exit: EXIT.ok, json, lines: [] }
  const { access_token } = stored
  return { exit: EXIT.ok, json: { ...json, access_token, token_type: 'Bearer' }, lines: [access_token] }
}

/** Reads a key that somebody pipes in. */
async function readToken(signal: AbortSignal): Promise<string> {
  const { stdin } = process
  if (stdin.isTTY) {
    const command = `${commandLine('login', '--with-token')} < key.txt`
    throw usage('--with-token reads the key from stdin, not from the keyboard, where it would be seen', [
      { command, when: 'with the key in a file' },
    ])
  }
  const stop = () => void stdin.destroy()
  signal.addEventListener('abort', stop, { once: true })
  let text = ''
  for await (const chunk of stdin) text += chunk
  signal.throwIfAborted()
  signal.removeEventListener('abort', stop)
  const token = text.trim()
  if (!token) throw usage('--with-token found nothing on stdin')
  if (/\s/.test(token)) throw usage('--with-token wants one key on stdin, and nothing else')
  return token
}

async function adopt({ client, signal, server }: Context): Promise<Login> {
  const token = await readToken(signal)
  try {
    return await client.adopt(token)
  } catch (error) {
    if (!(error instanceof LoginError) || error.code !== 'not_signed_in') throw error
    const message = `${place(server)} does not know this key: it has ended, or is of another gateway`
    throw new CommandError(
      { code: 'refused', message, hint: `A new one can be made at ${server}/account` },
      EXIT.failure,
      { cause: error },
    )
  }
}

/** Ways that exclude each other, beyond what the grammar says. */
function assertOneWay({ via, qr, withToken, nonInteractive, complete }: LoginCommand): void {
  const ways = [
    ...(via && via !== 'device' ? [`--${via}`] : []),
    ...(withToken ? ['--with-token'] : []),
    ...(nonInteractive ? ['--non-interactive'] : []),
    ...(complete ? ['--complete'] : []),
  ]
  if (ways.length > 1) throw usage(`${ways.join(' and ')} cannot be used together`)
  if (qr && via === 'loopback') {
    throw usage('--qr and --loopback cannot be used together: that link is good on this machine only')
  }
}

/** `login` */
export async function runLogin(context: Context, options: LoginCommand): Promise<Result> {
  assertOneWay(options)
  assertStored(context)
  const { env } = context.where
  const isEphemeral = (options.storage ?? env.PAIRGATE_CREDENTIAL_STORE) === 'ephemeral'
  const before = await loginsAt(context.store, context.server)
  const around = { before, isEphemeral }
  if (options.complete || isTwoStep(options, env)) {
    const { completeLogin, startLogin } = await import('./two_step.ts')
    if (!options.complete) return await startLogin(context, options)
    return await report(context, await completeLogin(context), around)
  }
  const login = options.withToken
    ? await adopt(context)
    : await (await import('./screen.ts')).loginOnScreen(context, options)
  return await report(context, login, around)
}
