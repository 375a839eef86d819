/**
 * What is written down of logins: which there are, and which of them is used where. Plain values and functions of them.
 *
 * @module
 */

import { type Account, isSameAccount, type LoginEntry } from './store.ts'

/** An account at a server. */
export interface Choice extends Account {
  readonly server: string
}

/** The account that is used in a directory and below. */
export interface Binding extends Choice {
  /** Its real path. */
  readonly directory: string
}

/** A login whose secrets are in the keyring. */
export interface LoginInKeyring extends LoginEntry {
  readonly place: 'keyring'
}

/** A login with its secrets beside it. */
export interface LoginInFile extends LoginEntry {
  readonly place: 'file'
  readonly access_token: string
  readonly refresh_token: string | null
  /** The keyring may have old secrets of this login, that could not be deleted. */
  readonly left_in_keyring?: true | undefined
}

/** A login, as it is written down. */
export type KeptLogin = LoginInKeyring | LoginInFile

/** Everything that is written down. */
export interface Content {
  readonly version: 2
  readonly default_server: string | null
  /** The account that is used, one for each server that has any. */
  readonly active: readonly Choice[]
  /** One for each directory and server; of those of one directory the last one's server is the default there. */
  readonly directories: readonly Binding[]
  readonly logins: readonly KeptLogin[]
}

/** Before the first login. */
export const EMPTY: Content = { version: 2, default_server: null, active: [], directories: [], logins: [] }

const compare = (a: string, b: string) => (a < b ? -1 : Number(a > b))

const isSame = (a: Choice, b: Choice) => a.server === b.server && isSameAccount(a, b)

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const areTexts = (value: Record<string, unknown>, ...names: string[]) =>
  names.every((name) => typeof value[name] === 'string')

const isTextOrNull = (value: unknown) => value === null || typeof value === 'string'

function isChoice(value: unknown): value is Choice {
  return isObject(value) && areTexts(value, 'server', 'issuer', 'subject')
}

function isBinding(value: unknown): value is Binding {
  return isChoice(value) && areTexts({ ...value }, 'directory')
}

/** Tells whether this is a login as it is written down. */
export function isLogin(value: unknown): value is KeptLogin {
  if (!isObject(value) || !isChoice(value)) return false
  const { name, kind, expires_at, place, access_token, refresh_token } = value as Record<string, unknown>
  const isEntry =
    areTexts({ ...value }, 'client_id', 'scope') &&
    isTextOrNull(name) &&
    (kind === 'session' || kind === 'api_key') &&
    Number.isFinite(expires_at)
  if (!isEntry) return false
  return (
    place === 'keyring' ||
    (place === 'file' && typeof access_token === 'string' && isTextOrNull(refresh_token))
  )
}

const areAll = <T>(value: unknown, isOne: (one: unknown) => one is T): value is T[] =>
  Array.isArray(value) && value.every(isOne)

/**
 * Reads what was written down.
 *
 * @returns Null when it is damaged, `other version` when another version of this program wrote it.
 */
export function parseContent(text: string): Content | 'other version' | null {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // what JSON.parse says quotes the text, and that holds tokens
    return null
  }
  if (!isObject(value)) return null
  const { version, default_server, active, directories, logins } = value
  if (version !== 2) return Number.isInteger(version) ? 'other version' : null
  return isTextOrNull(default_server) &&
    areAll(active, isChoice) &&
    areAll(directories, isBinding) &&
    areAll(logins, isLogin)
    ? { version, default_server: default_server as string | null, active, directories, logins }
    : null
}

/** Finds one login. */
export function findLogin({ logins }: Content, choice: Choice): KeptLogin | undefined {
  return logins.find((one) => isSame(one, choice))
}

/** Takes a server and an account for a choice; what else they have is left out. */
export function toChoice(server: string, { issuer, subject }: Account): Choice {
  return { server, issuer, subject }
}

/** Keeps a login in place of the one before. The first one of a server is the active one there. */
export function putLogin(content: Content, login: KeptLogin): Content {
  const choice = toChoice(login.server, login)
  const logins = [...content.logins.filter((one) => !isSame(one, login)), login]
  const isFirst = !content.active.some(({ server }) => server === login.server)
  return { ...content, logins, active: isFirst ? [...content.active, choice] : content.active }
}

/** Forgets a login, and where it is used. Another one of its server takes its place as the active one. */
export function dropLogin(content: Content, choice: Choice): Content {
  const logins = content.logins.filter((one) => !isSame(one, choice))
  const [next] = sortLogins(
    logins.filter(({ server }) => server === choice.server),
    null,
  )
  const instead = next ? [toChoice(next.server, next)] : []
  return {
    ...content,
    logins,
    active: content.active.flatMap((one) => (isSame(one, choice) ? instead : [one])),
    directories: content.directories.filter((one) => !isSame(one, choice)),
  }
}

/** Makes an account the active one of its server, and that server the default. */
export function activate(content: Content, choice: Choice): Content {
  const others = content.active.filter(({ server }) => server !== choice.server)
  return { ...content, default_server: choice.server, active: [...others, choice] }
}

/** The same for one directory and below. */
export function bind(content: Content, directory: string, choice: Choice): Content {
  const others = content.directories.filter(
    (one) => one.directory !== directory || one.server !== choice.server,
  )
  return { ...content, directories: [...others, { ...choice, directory }] }
}

/**
 * Finds what is bound to the nearest directory.
 *
 * @param directories A directory and its parents, the nearest first.
 * @param server What it has to be for, if that matters.
 */
export function findBinding(
  content: Content,
  directories: readonly string[],
  server?: string,
): Binding | undefined {
  const wanted = content.directories.filter((one) => server === undefined || one.server === server)
  for (const directory of directories) {
    const binding = wanted.findLast((one) => one.directory === directory)
    if (binding) return binding
  }
  return undefined
}

/** Finds the account that is used at a server; directories as for {@link findBinding}. */
export function findActive(
  content: Content,
  directories: readonly string[],
  server: string,
): Choice | undefined {
  return findBinding(content, directories, server) ?? content.active.find((one) => one.server === server)
}

/** Those of the server named first, then by server, subject and issuer. */
export function sortLogins(logins: readonly KeptLogin[], first: string | null): KeptLogin[] {
  return [...logins].sort(
    (a, b) =>
      Number(b.server === first) - Number(a.server === first) ||
      compare(a.server, b.server) ||
      compare(a.subject, b.subject) ||
      compare(a.issuer, b.issuer),
  )
}
