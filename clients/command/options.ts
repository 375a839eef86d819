/** What commands are called with, beside the options that all have (`--server`, `--account`, `--json`). @module */

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
