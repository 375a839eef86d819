/**
 * Where logins are kept between two runs of a program: what such a place has to do. `credentialStore` makes one of a
 * keyring or a file; anything else with these methods will do as well.
 *
 * @module
 */

/** Whose login it is, at one server. */
export interface Account {
  /** Who vouches for `subject`. */
  readonly issuer: string
  readonly subject: string
}

/** Whether both are of one person. */
export function isSameAccount(a: Account, b: Account): boolean {
  return a.issuer === b.issuer && a.subject === b.subject
}

/** One login, as it is kept: all but its secrets. */
export interface LoginEntry extends Account {
  /** Base URL of the pairgate, without a trailing slash. */
  readonly server: string
  readonly client_id: string
  readonly name: string | null
  readonly kind: 'session' | 'api_key'
  /** Space-separated; empty when there is none. */
  readonly scope: string
  /** When the access token ends, in epoch seconds. */
  readonly expires_at: number
}

/** One login with its secrets. */
export interface StoredLogin extends LoginEntry {
  readonly access_token: string
  /** Good once, for the next access token; null when the access token lives as long as the login. */
  readonly refresh_token: string | null
}

/** A login in a list. */
export interface ListedLogin extends LoginEntry {
  /** The one that is used at its server, in the directory that the program runs in. */
  readonly active: boolean
  /** Where its secrets are, for people: `keyring`, `memory`, or the path of a file. */
  readonly place: string
}

/**
 * Keeps logins by server and account. Every method rejects with a `LoginError` `bad_credential_file` when the place
 * cannot be read or written; what is damaged is never overwritten.
 */
export interface CredentialStore {
  /** All of them: those of the default server first, then by server and subject. */
  list(): Promise<readonly ListedLogin[]>
  /** The server to use when none is named: the one bound to this directory or a parent, else that of the last login. */
  defaultServer(): Promise<string | null>
  /** Reads one login, by default that of the active account: the one bound to this directory, else the last chosen. */
  find(server: string, account?: Account): Promise<StoredLogin | null>
  /**
   * Keeps a login in place of the one before of the same server and account.
   *
   * @param options.activate Also make it the active one, and its server the default. Default false.
   * @returns Where its secrets are now, and what the person should know about that, if anything.
   */
  save(
    login: StoredLogin,
    options?: { readonly activate?: boolean },
  ): Promise<{ readonly place: string; readonly notice: string | null }>
  /** Forgets a login; its server stays the default. If it was active, another account there becomes so. */
  remove(server: string, account: Account): Promise<void>
  /** Makes an account the active one of its server, and that server the default; for one directory and below, or everywhere. */
  activate(server: string, account: Account, options?: { readonly directory?: string }): Promise<void>
  /**
   * Does something that no other process on this machine does to this store at the same time, such as a refresh.
   *
   * @param signal Stops waiting; rejects with its reason.
   */
  lock<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>
}
