/**
 * Keeps logins in the system's keyring, in a file, or in memory. Which logins there are is in the file in any case, so
 * that they can be listed; their secrets are in the keyring where there is one.
 *
 * @module
 */

import { realpath, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import process from 'node:process'
import {
  activate,
  bind,
  type Choice,
  type Content,
  dropLogin,
  EMPTY,
  findActive,
  findBinding,
  findLogin,
  type KeptLogin,
  putLogin,
  sortLogins,
  toChoice,
} from './credential_content.ts'
import {
  badPlace,
  configDirectory,
  type Environment,
  type FileRead,
  lockOf,
  readFileContent,
  writeFileContent,
} from './credential_file.ts'
import { LoginError } from './errors.ts'
import { type Keyring, KeyringError, sharedKeyring } from './keyring.ts'
import { createFileLock, createLocalLock, type Lock } from './lock.ts'
import type { CredentialStore, ListedLogin, LoginEntry, StoredLogin } from './store.ts'
import { variablePrefix } from './surroundings.ts'

/** What can be chosen. */
const MODES = ['auto', 'keyring', 'file', 'ephemeral'] as const

/**
 * Where the secrets of a login that is saved go; one that was saved before is found wherever it is.
 *
 * - `auto`: the keyring, or the file where there is no keyring that answers. `keyring`: the keyring, or an error.
 * - `file`: the file. `ephemeral`: the memory of this store, which neither reads nor writes anything.
 */
export type CredentialMode = (typeof MODES)[number]

/** What `credentialStore` takes. */
export interface CredentialStoreOptions {
  /** The program's: letters, digits, `.`, `_` and `-`. Names the folder, the keyring's entries and the variables. */
  readonly name: string
  /** Default: `$NAME_CREDENTIAL_STORE`, or `auto`. */
  readonly mode?: CredentialMode | undefined
  /** Where `credentials.json` is. Default: that of `configDirectory`. */
  readonly directory?: string | undefined
  /** Where the program runs, for logins that are bound to directories. Default: the working directory. */
  readonly cwd?: string | undefined
  /** Default: that of the process. */
  readonly env?: Environment | undefined
  /** Replaces the system's. */
  readonly keyring?: Keyring | undefined
}

/** Longest secrets of a login, in characters of JSON. */
const MAX_SECRETS = 16_384

/** Where the file's content is: a real one, or memory. */
interface Shelf {
  /** For people. */
  readonly place: string
  readonly lock: Lock
  read(): Promise<FileRead>
  /** With the lock. Returns whether others may write there. */
  write(content: Content): Promise<boolean>
}

/** What the parts of a store share. */
interface Parts {
  readonly mode: CredentialMode
  readonly shelf: Shelf
  readonly cwd: string | undefined
  readonly secrets: Secrets
}

type Tokens = Pick<StoredLogin, 'access_token' | 'refresh_token'>

/** The tokens of logins in the keyring. */
interface Secrets {
  get(choice: Choice): Promise<Tokens | null>
  set(choice: Choice, tokens: Tokens): Promise<void>
  remove(choice: Choice): Promise<void>
}

function fileShelf(path: string): Shelf {
  return {
    place: path,
    lock: createFileLock(lockOf(path)),
    read: () => readFileContent(path),
    write: (content) => writeFileContent(path, content),
  }
}

function memoryShelf(): Shelf {
  let content = EMPTY
  return {
    place: 'memory',
    lock: createLocalLock(),
    read: async () => ({ content, isOpen: false }),
    async write(next) {
      content = next
      return false
    },
  }
}

/** Makes a text one word, so that several can be joined without doubt about which is which. */
const toWord = (text: string) => text.replace(/[%\s\p{Cc}]/gu, (sign) => encodeURIComponent(sign))

function readTokens(text: string): Tokens | null {
  try {
    const { access_token, refresh_token } = JSON.parse(text)
    const isGood =
      typeof access_token === 'string' && (refresh_token === null || typeof refresh_token === 'string')
    return isGood ? { access_token, refresh_token } : null
  } catch {
    // what JSON.parse says quotes the text
    return null
  }
}

/**
 * @param folder Where the file is.
 * @param usual Where it usually is; logins of other folders are kept apart from those.
 */
function keyringSecrets(name: string, folder: string, usual: string, keyring: Keyring): Secrets {
  const real = (path: string) => realpath(path).catch(() => path)
  const nameOf = async ({ server, subject, issuer }: Choice): Promise<[string, string]> => {
    const [here, there] = await Promise.all([real(folder), real(usual)])
    const words = [subject, issuer, ...(here === there ? [] : [here])]
    return [`${name}:${server}`, words.map(toWord).join(' ')]
  }
  return {
    async get(choice) {
      const text = await keyring.get(...(await nameOf(choice)))
      return text === null ? null : readTokens(text)
    },
    set: async (choice, tokens) => await keyring.set(...(await nameOf(choice)), JSON.stringify(tokens)),
    remove: async (choice) => await keyring.remove(...(await nameOf(choice))),
  }
}

const whyOf = (error: unknown) => (error instanceof Error ? error.message : 'it cannot be used')

/** The entry alone, of whatever has one. */
function toEntry({
  server,
  issuer,
  subject,
  client_id,
  name,
  kind,
  scope,
  expires_at,
}: LoginEntry): LoginEntry {
  return { server, issuer, subject, client_id, name, kind, scope, expires_at }
}

/** The working directory and its parents, the nearest first; none when it is gone. */
async function directoriesOf(cwd: string | undefined): Promise<string[]> {
  try {
    const all = [await realpath(cwd ?? process.cwd())]
    for (let last = all[0] ?? ''; dirname(last) !== last; last = dirname(last)) all.push(dirname(last))
    return all
  } catch {
    return []
  }
}

/** Reads everything, and where that is used. */
async function look({ shelf, cwd }: Parts) {
  const { content, isOpen } = await shelf.read()
  const directories = content.directories.length > 0 ? await directoriesOf(cwd) : []
  return { content, isOpen, directories }
}

const defaultOf = ({ content, directories }: Awaited<ReturnType<typeof look>>) =>
  findBinding(content, directories)?.server ?? content.default_server

async function list(parts: Parts): Promise<ListedLogin[]> {
  const seen = await look(parts)
  return sortLogins(seen.content.logins, defaultOf(seen)).map((login) => {
    const active = findActive(seen.content, seen.directories, login.server)
    return {
      ...toEntry(login),
      active: active?.issuer === login.issuer && active.subject === login.subject,
      place: login.place === 'keyring' ? 'keyring' : parts.shelf.place,
    }
  })
}

/** @param again Whether to look once more when the keyring lacks what was just written down to be there. */
async function find(
  parts: Parts,
  server: string,
  account: Parameters<CredentialStore['find']>[1],
  again = true,
): Promise<StoredLogin | null> {
  const { content, directories } = await look(parts)
  const choice = account ? toChoice(server, account) : findActive(content, directories, server)
  const login = choice && findLogin(content, choice)
  if (!login) return null
  if (login.place === 'file') {
    const { access_token, refresh_token } = login
    return { ...toEntry(login), access_token, refresh_token }
  }
  const tokens = await parts.secrets.get(login).catch((error) => {
    const advice =
      'Unlock it, or run this where it can be reached, or sign in again to keep the login in a file'
    const words = `The login of ${login.subject} is in the system keyring, which is not available (${whyOf(error)})`
    throw badPlace(`${words}. ${advice}`, error)
  })
  if (tokens) return { ...toEntry(login), ...tokens }
  // another process may just have moved it to the file, or removed it
  return again ? await find(parts, server, account, false) : null
}

/** A login that was put somewhere: how it is written down, and what the person should know. */
interface Put {
  readonly login: KeptLogin
  readonly notices: string[]
}

/** Puts the secrets where they belong; those for the file are not written yet. */
async function putSecrets(parts: Parts, login: StoredLogin, before: KeptLogin | undefined): Promise<Put> {
  const { mode, secrets, shelf } = parts
  const { access_token, refresh_token } = login
  const tokens = { access_token, refresh_token }
  if (JSON.stringify(tokens).length > MAX_SECRETS) throw badPlace('The credential is too large to be kept')
  const isLeft = before?.place === 'keyring' || before?.left_in_keyring === true
  const inFile = (left: boolean): KeptLogin => ({
    ...toEntry(login),
    place: 'file',
    ...tokens,
    ...(left && { left_in_keyring: true }),
  })
  if (mode === 'file' || mode === 'ephemeral') return { login: inFile(isLeft), notices: [] }
  try {
    await secrets.set(login, tokens)
    return { login: { ...toEntry(login), place: 'keyring' }, notices: [] }
  } catch (error) {
    const words = `The system keyring is not available (${whyOf(error)})`
    if (mode === 'keyring') {
      throw badPlace(`${words}. Make it available, or choose the file as the place for logins`, error)
    }
    const wasAsked = !(error instanceof KeyringError) || error.wasAsked
    const notice = `${words}; the login is stored unencrypted in ${shelf.place}, readable by you alone`
    return { login: inFile(isLeft || wasAsked), notices: [notice] }
  }
}

/** Deletes what the keyring still has of a login that is in the file now; if that fails, the next save or removal does. */
async function tidy({ mode, secrets, shelf }: Parts, content: Content, login: KeptLogin): Promise<void> {
  // with `auto` it is in the file because the keyring has just failed
  if (login.place !== 'file' || !login.left_in_keyring || mode !== 'file') return
  const { left_in_keyring: _left, ...tidied } = login
  try {
    await secrets.remove(login)
  } catch {
    return
  }
  await shelf.write(putLogin(content, tidied))
}

async function save(
  parts: Parts,
  login: StoredLogin,
  isActive: boolean,
): Promise<{ place: string; notice: string | null }> {
  const { shelf, secrets } = parts
  const { content, isOpen, directories } = await look(parts)
  const choice = toChoice(login.server, login)
  const before = findLogin(content, choice)
  const { login: kept, notices } = await putSecrets(parts, login, before)
  const added = putLogin(content, kept)
  const next = isActive ? activate(added, choice) : added
  let isFolderOpen: boolean
  try {
    isFolderOpen = await shelf.write(next)
  } catch (error) {
    // nobody would ever find it
    if (kept.place === 'keyring' && !before) await secrets.remove(choice).catch(() => {})
    throw error
  }
  await tidy(parts, next, kept)
  if (isOpen) notices.push(`Others could read or write ${shelf.place}; they no longer can`)
  if (isFolderOpen) notices.push(`Others can write to ${dirname(shelf.place)}: run chmod go-w on it`)
  const bound = isActive ? findBinding(next, directories, login.server) : undefined
  if (bound && (bound.subject !== login.subject || bound.issuer !== login.issuer)) {
    notices.push(`In ${bound.directory} the login of ${bound.subject} is used: that directory is bound to it`)
  }
  return {
    place: kept.place === 'keyring' ? 'keyring' : shelf.place,
    notice: notices.length > 0 ? notices.join('. ') : null,
  }
}

async function remove({ shelf, secrets }: Parts, choice: Choice): Promise<void> {
  const { content } = await shelf.read()
  const login = findLogin(content, choice)
  if (!login) return
  if (login.place === 'keyring') {
    await secrets.remove(choice).catch((error) => {
      const words = `The login of ${login.subject} stays: it is in the system keyring, which is not available`
      throw badPlace(`${words} (${whyOf(error)}). Unlock it, or run this where it can be reached`, error)
    })
  } else if (login.left_in_keyring) {
    await secrets.remove(choice).catch(() => {})
  }
  await shelf.write(dropLogin(content, choice))
}

async function realDirectory(directory: string): Promise<string> {
  try {
    const found = await realpath(directory)
    if ((await stat(found)).isDirectory()) return found
  } catch (error) {
    throw badPlace(`Cannot bind a login to ${directory}: ${(error as Error).message}`, error)
  }
  throw badPlace(`Cannot bind a login to ${directory}: it is not a directory`)
}

async function choose({ shelf }: Parts, choice: Choice, directory: string | undefined): Promise<void> {
  const real = directory === undefined ? undefined : await realDirectory(directory)
  const { content } = await shelf.read()
  if (!findLogin(content, choice)) {
    throw new LoginError('not_signed_in', `${choice.subject} is not signed in at ${choice.server}`)
  }
  await shelf.write(real === undefined ? activate(content, choice) : bind(content, real, choice))
}

function readMode({ name, mode, env = process.env }: CredentialStoreOptions): CredentialMode {
  const variable = `${variablePrefix(name)}_CREDENTIAL_STORE`
  const wanted = mode ?? (env[variable] || 'auto')
  const found = MODES.find((one) => one === wanted)
  if (found) return found
  const source = mode === undefined ? `The variable ${variable}` : 'The option "mode"'
  throw badPlace(`${source} must be one of ${MODES.join(', ')}`)
}

function openParts(options: CredentialStoreOptions): Parts {
  const { name, env = process.env, cwd, keyring = sharedKeyring() } = options
  // it becomes a folder's name
  if (!/^[A-Za-z0-9._-]+$/.test(name) || /^\.+$/.test(name)) {
    throw new TypeError('A program’s name consists of letters, digits, ".", "_" and "-"')
  }
  const mode = readMode(options)
  const usual = configDirectory(name, { APPDATA: env.APPDATA }, process.platform, homedir())
  const folder = resolve(options.directory ?? configDirectory(name, env, process.platform, homedir()))
  const shelf = mode === 'ephemeral' ? memoryShelf() : fileShelf(join(folder, 'credentials.json'))
  return { mode, cwd, shelf, secrets: keyringSecrets(name, folder, usual, keyring) }
}

/**
 * Makes a place for a program's logins. All processes of this user that name it alike share it, and take turns.
 *
 * A login that the keyring has lost is not found, though it is listed: whoever it was is not signed in. That the keyring
 * cannot be reached is an error instead, as the login is there: of `find` and `remove`, and of `save` in the mode
 * `keyring`; in the mode `auto` it goes to the file then, and the notice says so.
 *
 * @throws {LoginError} `bad_credential_file` for a mode that there is not; the message names the variable.
 * @throws {TypeError} For a name with other characters.
 * @example
 * ```ts
 * const store = credentialStore({ name: 'mytool' })
 * for (const { server, subject, place } of await store.list()) console.log(server, subject, place)
 * ```
 */
export function credentialStore(options: CredentialStoreOptions): CredentialStore {
  const parts = openParts(options)
  const { lock } = parts.shelf
  return {
    list: () => list(parts),
    defaultServer: async () => defaultOf(await look(parts)),
    find: (server, account) => find(parts, server, account),
    save: (login, { activate: isActive = false } = {}) => lock.run(() => save(parts, login, isActive)),
    remove: (server, account) => lock.run(() => remove(parts, toChoice(server, account))),
    activate: (server, account, { directory } = {}) =>
      lock.run(() => choose(parts, toChoice(server, account), directory)),
    lock: (work, signal) => lock.run(work, signal),
  }
}
