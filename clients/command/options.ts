/** What each command is called with, beside the options that all have (`--server`, `--account`, `--json`). @module */

import type { Transport } from '../transport.ts'

/** `login` */
export interface LoginCommand {
  /** Default: what the surroundings suggest. */
  readonly via?: Transport | undefined
  /** Space-separated. */
  readonly scope?: string | undefined
  /** What the person knows this machine by. Default `user@host`. */
  readonly name?: string | undefined
  readonly noBrowser?: boolean
  readonly qr?: boolean
  readonly withToken?: boolean
  readonly nonInteractive?: boolean
  readonly complete?: boolean
  /** Where to keep it; `ephemeral` prints the token instead. Default: `$PAIRGATE_CREDENTIAL_STORE`, or `auto`. */
  readonly storage?: 'auto' | 'keyring' | 'file' | 'ephemeral' | undefined
}

/** `status` */
export interface StatusCommand {
  readonly all: boolean
}

/** `logout` */
export interface LogoutCommand {
  readonly all: boolean
}

/** `switch` */
export interface SwitchCommand {
  /** A subject, or `ISSUER#SUBJECT`. Default: the other one of two. */
  readonly to?: string | undefined
  /** Only in this directory and below. */
  readonly here: boolean
}

/** `keys create` */
export interface KeysCreateCommand {
  readonly name: string
  /** Space-separated. Default: none. */
  readonly scope?: string | undefined
  /** As `keys.ts` reads it: `30d`, `12h`, `2026-12-31`. Default: the server's. */
  readonly expires?: string | undefined
  /** The organisation that it is for. */
  readonly tenant?: string | undefined
}

/** `keys rotate` */
export interface KeysRotateCommand {
  /** Its id, the start of that, or its name. */
  readonly key: string
  /** How long the old secret stays good, such as `1h`. Default: not at all. */
  readonly overlap?: string | undefined
}

/** `keys revoke` and `sessions revoke`: some, all but the one that asks, or all. */
export interface RevokeCommand {
  /** Their ids, the starts of those, or their names. */
  readonly ids: readonly string[]
  readonly others: boolean
  readonly all: boolean
  /** Ask nothing. */
  readonly yes: boolean
}

/** `git-credential` */
export interface GitCredentialCommand {
  readonly operation: 'get' | 'store' | 'erase'
  /** What `--server` says: then only that one counts. Default: every server that there is a login for. */
  readonly server?: string | undefined
}
