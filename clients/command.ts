/**
 * The `pairgate` command: login, status, token, logout. Results go to stdout, everything else to stderr.
 *
 * @module
 */

import { homedir, hostname, userInfo } from 'node:os'
import {
  command,
  constant,
  flag,
  lineBreak,
  map,
  message,
  object,
  option,
  optional,
  or,
  string,
} from '@optique/core'
import { runSync } from '@optique/run'
import manifest from '../package.json' with { type: 'json' }
import { createClient, LoginError, type LoginErrorCode, parseServer, toLoginError } from './client.ts'
import {
  type CredentialStore,
  configDirectory,
  credentialFile,
  type StoredCredential,
} from './credential_file.ts'
import type { LoginFlow, LoginToken } from './login.ts'
import {
  bold,
  canOpenBrowser,
  chooseFlow,
  date,
  duration,
  loginOnScreen,
  mark,
  printable,
  say,
} from './terminal.ts'

/** What a command works with. */
interface Context {
  readonly server: string
  readonly store: CredentialStore
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal
}

/** Exit codes, as gh has them. */
const EXIT = { ok: 0, failure: 1, usage: 2, denied: 2, signInRequired: 4 } as const
const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

const server = optional(
  option('--server', string({ metavar: 'URL' }), {
    description: message`Base URL of the gateway's pairgate.`,
  }),
)

const parser = or(
  command(
    'login',
    object('Options', {
      command: constant('login'),
      flow: optional(
        or(
          map(
            flag('--device', {
              description: message`Sign in by a short code; ends in an API key. Default without a browser.`,
            }),
            () => 'device' as const,
          ),
          map(
            flag('--pair', {
              description: message`Sign in by a link; ends in a session. Default with a browser.`,
            }),
            () => 'pair' as const,
          ),
        ),
      ),
      server,
      scope: optional(
        option('--scope', string({ metavar: 'SCOPES' }), {
          description: message`What the login is to be good for, as the gateway names it; separated by spaces.`,
        }),
      ),
      noBrowser: option('--no-browser', { description: message`Only print the link, do not open it.` }),
    }),
    { description: message`Sign in at a gateway, in a browser here or on any other device.` },
  ),
  command('status', object('Options', { command: constant('status'), server }), {
    description: message`Show who is signed in, where, and until when.`,
  }),
  command('token', object('Options', { command: constant('token'), server }), {
    description: message`Print the access token, and nothing else, to stdout.`,
  }),
  command('logout', object('Options', { command: constant('logout'), server }), {
    description: message`Sign out: revoke the credential at the gateway and forget it here.`,
  }),
)

const footer = message`Without --server: $PAIRGATE_SERVER, else the gateway of the last login, else http://127.0.0.1:8787.${lineBreak()}Credentials: $PAIRGATE_CONFIG_DIR, else $XDG_CONFIG_HOME/pairgate, else ~/.config/pairgate.${lineBreak()}Exit codes: 0 done, 1 failed, 2 wrong usage or denied, 4 sign-in required, 130 interrupted by Ctrl-C.`

function parse(args: readonly string[]) {
  return runSync(parser, {
    programName: 'pairgate',
    args: args.length > 0 ? args : ['--help'],
    brief: message`Sign in at a gateway from the command line.`,
    footer,
    help: { option: { names: ['--help', '-h'] } },
    version: { value: manifest.version, option: true },
    errorExitCode: EXIT.usage,
  })
}

const place = (server: string) => server.replace(/^https?:\/\//, '')

function person({ name, subject }: { name: string | null; subject: string }): string {
  return printable(name && name !== subject ? `${name} (${subject})` : subject)
}

/** How this command is called here. */
const NAME = process.env.npm_command === 'exec' ? 'npx pairgate' : 'pairgate'

const nextLogin = (server: string) => say(`To sign in, run: ${bold(`${NAME} login --server ${server}`)}`)

function deviceName(): string {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    return hostname()
  }
}

/** Revokes a credential. One that has ended already is as good as revoked. */
async function revoke(server: string, token: string): Promise<LoginError | null> {
  try {
    await createClient({ server, token }).api.session.signOut.mutate({})
    return null
  } catch (error) {
    const failure = toLoginError(error)
    return failure.code === 'not_signed_in' ? null : failure
  }
}

/** Asks whose the new credential is and keeps it. If either fails, it is revoked rather than left lying about. */
async function keep({ server, store }: Context, token: LoginToken): Promise<StoredCredential> {
  const { access_token, token_type, expires_in } = token
  try {
    const who = await createClient({ server, token: access_token }).api.session.whoami.query()
    const { issuer, subject, name, kind } = who
    const expires_at = Math.floor(Date.now() / 1000) + expires_in
    const credential = { access_token, token_type, expires_at, issuer, subject, name, kind }
    await store.save(server, credential)
    return credential
  } catch (error) {
    await revoke(server, access_token)
    throw toLoginError(error)
  }
}

async function login(
  context: Context,
  options: { flow: LoginFlow | undefined; scope: string | undefined; noBrowser: boolean },
): Promise<number> {
  const { server, store, signal } = context
  // a damaged file shows here, before anybody signs in for nothing
  const previous = await store.find(server)
  const browser = !options.noBrowser && canOpenBrowser(process.env, process.platform, process.stderr.isTTY)
  const token = await loginOnScreen(createClient({ server }), {
    flow: chooseFlow(options.flow, browser),
    browser,
    scope: options.scope,
    deviceName: deviceName(),
    signal,
  })
  const credential = await keep(context, token)
  say(`${mark('done')} Signed in as ${bold(person(credential))} at ${place(server)}`)
  if (token.scope) say(`  Scope ${printable(token.scope)}`)
  say(`  Stored in ${store.place}`)
  say(`  Expires in ${duration(token.expires_in)}`)
  if (!previous) return EXIT.ok
  const failure = await revoke(server, previous.access_token)
  if (failure) {
    say(`${mark('warning')} The login before could not be revoked (${printable(failure.message)})`)
    say(`  It is good until ${date(previous.expires_at * 1000)}`)
  } else {
    say(`  Replaces the login as ${person(previous)}, which was revoked`)
  }
  return EXIT.ok
}

async function status({ server, store, signal }: Context): Promise<number> {
  const stored = await store.find(server)
  if (!stored) return notSignedIn(server)
  const api = createClient({ server, token: stored.access_token }).api
  const who = await api.session.whoami.query(undefined, { signal }).catch((error) => {
    signal.throwIfAborted()
    const failure = toLoginError(error)
    if (failure.code !== 'not_signed_in') throw failure
  })
  if (!who) return notSignedIn(server, stored)
  const kind = who.kind === 'api_key' ? 'API key' : 'session'
  const lines = [
    `Signed in as ${person(who)} at ${place(server)}`,
    `  Kind     ${kind}`,
    ...(who.scope ? [`  Scope    ${printable(who.scope)}`] : []),
    `  Expires  in ${duration(who.expires_in)} (${date(Date.now() + who.expires_in * 1000)})`,
    `  Stored   ${store.place}`,
  ]
  process.stdout.write(`${lines.join('\n')}\n`)
  return EXIT.ok
}

function notSignedIn(server: string, stored?: StoredCredential): number {
  const ended = stored && stored.expires_at * 1000 <= Date.now() ? 'has expired' : 'was revoked'
  say(
    stored
      ? `The login as ${person(stored)} at ${place(server)} ${ended}`
      : `Not signed in at ${place(server)}`,
  )
  nextLogin(server)
  return EXIT.signInRequired
}

async function token({ server, store }: Context): Promise<number> {
  const stored = await store.find(server)
  if (!stored || stored.expires_at * 1000 <= Date.now()) return notSignedIn(server, stored ?? undefined)
  process.stdout.write(`${stored.access_token}\n`)
  return EXIT.ok
}

async function logout({ server, store }: Context): Promise<number> {
  const stored = await store.find(server)
  if (!stored) {
    say(`Not signed in at ${place(server)}, nothing to do`)
    return EXIT.ok
  }
  const failure = await revoke(server, stored.access_token)
  await store.remove(server)
  say(`${mark('done')} Signed out ${person(stored)} at ${place(server)}`)
  if (failure) {
    say(
      `${mark('warning')} Only on this machine: the server could not be told (${printable(failure.message)})`,
    )
    say(`  It is good until ${date(stored.expires_at * 1000)}`)
  }
  return EXIT.ok
}

const ADVICE: { readonly [code in LoginErrorCode]?: string } = {
  access_denied: 'Nothing was changed.',
  expired_token: 'To try again, run the same command once more.',
  invalid_grant: 'To try again, run the same command once more.',
  unreachable: 'Check the address (--server). Nothing was changed.',
  not_pairgate: 'Check the address (--server). Nothing was changed.',
}

function explain(error: unknown): number {
  say(`Error: ${printable(error instanceof Error ? error.message : String(error))}`)
  if (!(error instanceof LoginError)) return EXIT.failure
  const advice = ADVICE[error.code]
  if (advice) say(advice)
  if (error.code === 'access_denied') return EXIT.denied
  return error.code === 'bad_server' ? EXIT.usage : EXIT.failure
}

/**
 * Runs the command.
 *
 * @param args Default: those of the process. Help, version and wrong usage end the process at once.
 * @returns The exit code.
 */
export async function main(args: readonly string[] = process.argv.slice(2)): Promise<number> {
  const options = parse(args)
  const interrupted = new AbortController()
  const { signal } = interrupted
  let interruption: number = EXIT.failure
  for (const [name, code] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      interruption = code
      interrupted.abort()
    })
  }
  try {
    const store = credentialFile(configDirectory(process.env, process.platform, homedir()))
    const named = options.server ?? (process.env.PAIRGATE_SERVER || (await store.defaultServer()))
    const context = { server: parseServer(named ?? 'http://127.0.0.1:8787'), store, signal }
    switch (options.command) {
      case 'login':
        return await login(context, options)
      case 'status':
        return await status(context)
      case 'token':
        return await token(context)
      case 'logout':
        return await logout(context)
    }
  } catch (error) {
    if (error !== signal.reason) return explain(error)
    say('Cancelled, nothing was changed')
    return interruption
  }
}
