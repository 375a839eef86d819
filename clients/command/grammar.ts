/** What can be typed after `pairgate`: commands, options, and what their help says. @module */

import { object, or } from '@optique/core/constructs'
import { lineBreak, type Message, message, text } from '@optique/core/message'
import { map, multiple, optional } from '@optique/core/modifiers'
import type { InferValue } from '@optique/core/parser'
import { argument, command, constant, flag, option } from '@optique/core/primitives'
import { choice, string } from '@optique/core/valueparser'

/** A line of the examples under a command's help. */
const examples = (...lines: readonly string[]): Message => [
  ...message`Examples:`,
  ...lines.flatMap((line) => [lineBreak(), ...message`  ${text(line)}`]),
]

const common = {
  server: optional(
    option('--server', string({ metavar: 'URL' }), {
      hidden: 'usage',
      description: message`Base URL of the gateway's pairgate.`,
    }),
  ),
  account: optional(
    option('--account', string({ metavar: 'SUBJECT' }), {
      hidden: 'usage',
      description: message`Whose login, where several people are signed in.`,
    }),
  ),
  json: option('--json', { hidden: 'usage', description: message`Print one JSON object to stdout.` }),
}

const via = optional(
  or(
    map(
      flag('--device', { description: message`By a short code, good on any device; ends in an API key.` }),
      () => 'device' as const,
    ),
    map(
      flag('--link', { description: message`By a link, good on any device; ends in a session.` }),
      () => 'link' as const,
    ),
    map(
      flag('--loopback', {
        description: message`By a link for a browser on this machine; ends in a session.`,
      }),
      () => 'loopback' as const,
    ),
  ),
)

const login = command(
  'login',
  object('Options', {
    command: constant('login'),
    via,
    scope: optional(
      option('--scope', string({ metavar: 'SCOPES' }), {
        description: message`What the login is to be good for, as the gateway names it; separated by spaces.`,
      }),
    ),
    name: optional(
      option('--name', string({ metavar: 'NAME' }), {
        description: message`What the page calls this machine. Default: user@host.`,
      }),
    ),
    noBrowser: option('--no-browser', { description: message`Only print the link, do not open it.` }),
    qr: option('--qr', { description: message`Draw the link as a QR code too.` }),
    withToken: option('--with-token', { description: message`Read an API key from stdin and keep it.` }),
    nonInteractive: option('--non-interactive', {
      description: message`Start, print what to do as JSON, and end. Default where a coding agent runs this.`,
    }),
    complete: option('--complete', { description: message`Wait for what --non-interactive has started.` }),
    storage: optional(
      option('--storage', choice(['auto', 'keyring', 'file', 'ephemeral'], { metavar: 'MODE' }), {
        description: message`Where to keep it; ephemeral prints the token and keeps nothing. Default: auto.`,
      }),
    ),
    clientId: optional(
      option('--client-id', string({ metavar: 'ID' }), {
        description: message`What the gateway knows this command by. Default: $PAIRGATE_CLIENT_ID or pairgate-cli.`,
      }),
    ),
    ...common,
  }),
  {
    description: message`Sign in at a gateway, in a browser here or on any other device.`,
    usageLine: [{ type: 'optional', terms: [{ type: 'argument', metavar: 'OPTIONS' }] }],
    footer: examples(
      'pairgate login --server https://gateway.example/auth',
      'pairgate login --device --name build-server',
      'pairgate login --with-token < key.txt',
    ),
  },
)

const all = option('--all', { description: message`All accounts at all gateways.` })

const logout = command(
  'logout',
  object('Options', {
    command: constant('logout'),
    all,
    ...common,
  }),
  { description: message`Sign out: revoke the login at the gateway and forget it here.` },
)

const status = command(
  'status',
  object('Options', {
    command: constant('status'),
    all,
    ...common,
  }),
  { description: message`Show who is signed in, where, and until when.` },
)

const token = command('token', object('Options', { command: constant('token'), ...common }), {
  description: message`Print the access token, and nothing else, to stdout.`,
  footer: examples('curl -H "Authorization: Bearer $(pairgate token)" https://gateway.example/api'),
})

const refresh = command('refresh', object('Options', { command: constant('refresh'), ...common }), {
  description: message`Get a new access token now; in the browser where there is no refresh token.`,
})

const switchAccount = command(
  'switch',
  object('Options', {
    command: constant('switch'),
    to: optional(argument(string({ metavar: 'ACCOUNT' }), { description: message`Whom to switch to.` })),
    here: option('--here', { description: message`Only in this directory and below.` }),
    ...common,
  }),
  { description: message`Use another account's login from now on; of two, the other one.` },
)

const which = argument(string({ metavar: 'ID' }), {
  description: message`As the list shows it, or the name.`,
})

const revoke = (name: 'keys revoke' | 'sessions revoke', what: Message) =>
  command(
    'revoke',
    object('Options', {
      command: constant(name),
      ids: multiple(which),
      others: option('--others', { description: message`All but the one that this command uses.` }),
      all: option('--all', { description: message`All of them.` }),
      yes: option('--yes', '-y', { description: message`Do not ask whether you mean it.` }),
      ...common,
    }),
    { description: what },
  )

const list = (name: 'keys list' | 'sessions list', what: Message) =>
  command('list', object('Options', { command: constant(name), ...common }), { description: what })

const keys = command(
  'keys',
  or(
    list('keys list', message`List your API keys.`),
    command(
      'create',
      object('Options', {
        command: constant('keys create'),
        name: argument(string({ metavar: 'NAME' }), { description: message`What you want to know it by.` }),
        scope: optional(
          option('--scope', string({ metavar: 'SCOPES' }), {
            description: message`What it is to be good for; separated by spaces.`,
          }),
        ),
        expires: optional(
          option('--expires', string({ metavar: 'WHEN' }), {
            description: message`When it ends, as in 30d or 2027-01-31.`,
          }),
        ),
        tenant: optional(
          option('--tenant', string({ metavar: 'ID' }), {
            description: message`The organisation that it is for.`,
          }),
        ),
        ...common,
      }),
      {
        description: message`Make an API key; its secret is printed this once.`,
        footer: examples('pairgate keys create ci --scope read --expires 30d'),
      },
    ),
    command(
      'rotate',
      object('Options', {
        command: constant('keys rotate'),
        key: which,
        overlap: optional(
          option('--overlap', string({ metavar: 'TIME' }), {
            description: message`How long the old secret stays good. Default: not at all.`,
          }),
        ),
        ...common,
      }),
      { description: message`Give a key a new secret; its name, scope and end stay.` },
    ),
    revoke('keys revoke', message`End an API key, at once.`),
    { errors: { noMatch: message`Say what to do with keys: list, create, rotate or revoke.` } },
  ),
  { description: message`List, make, rotate and revoke API keys.` },
)

const sessions = command(
  'sessions',
  or(
    list('sessions list', message`List your sessions, those of browsers too.`),
    revoke('sessions revoke', message`End a session, at once.`),
    { errors: { noMatch: message`Say what to do with sessions: list or revoke.` } },
  ),
  { description: message`List and revoke sessions.` },
)

const gitCredential = command(
  'git-credential',
  object('Options', {
    command: constant('git-credential'),
    operation: argument(choice(['get', 'store', 'erase'], { metavar: 'OPERATION' })),
    ...common,
    // what git reads is of git's making
    json: constant(false),
  }),
  {
    description: message`Give git the login, as a credential helper.`,
    footer: examples(`git config --global credential.https://git.example.helper '!pairgate git-credential'`),
  },
)

const kubectlCredential = command(
  'kubectl-credential',
  object('Options', { command: constant('kubectl-credential'), ...common }),
  { description: message`Give kubectl the login, as an exec credential plugin.` },
)

/** Everything that can be typed. */
export const grammar = or(
  login,
  logout,
  status,
  token,
  refresh,
  switchAccount,
  keys,
  sessions,
  gitCredential,
  kubectlCredential,
)

/** One command, as it was typed. */
export type Typed = InferValue<typeof grammar>

/** Texts around the list of commands. */
export const ABOUT = {
  brief: message`Sign in at a gateway from the command line.`,
  footer: message`Without --server: $PAIRGATE_SERVER, else the gateway of the last login, else http://127.0.0.1:8787.${lineBreak()}With $PAIRGATE_TOKEN set, that token is used and no login.${lineBreak()}Exit codes: 0 done, 1 failed, 2 wrong usage or denied, 4 sign-in required, 130 interrupted by Ctrl-C.`,
}
