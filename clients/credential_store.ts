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
  isLogin,
  type KeptLogin,
  putLogin,
  sortLogins,
  toChoice,
} from './credential_content.ts'
import {
  configDirectory,
  type Environment,
  type FileRead,
  lockOf,
  readFileContent,
  writeFileContent,
} from './credential_file.ts'
import { LoginError } from './errors.ts'
import { type Keyring, KeyringError, sharedKeyring } from './keyring.ts'
import { keyringSecrets, type Secrets } from './keyring_secrets.ts'
import { createFileLock, createLocalLock, type Lock } from './lock.ts'
import { badPlace } from './private_file.ts'
import {
  type CredentialStore,
  isSameAccount,
  type ListedLogin,
  type LoginEntry,
  type StoredLogin,
} from './store.ts'
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
      active: active ? isSameAccount(active, login) : false,
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
  // what could not be read back would take all the other logins with it
  if (!isLogin({ ...login, place: 'file' })) throw badPlace('The login cannot be kept: it is not complete')
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
  if (bound && !isSameAccount(bound, login)) {
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

/** Null where there is none: a container may run as a number that has no name, and Deno may not tell. */
function findHome(): string | null {
  try {
    return homedir() || null
  } catch {
    return null
  }
}

function openParts(options: CredentialStoreOptions): Parts {
  const { name, env = process.env, cwd, keyring = sharedKeyring() } = options
  const mode = readMode(options)
  if (mode === 'ephemeral') {
    return { mode, cwd, shelf: memoryShelf(), secrets: keyringSecrets(name, '', '', keyring) }
  }
  const home = findHome()
  const folder = resolve(options.directory ?? configDirectory(name, env, process.platform, home))
  // what the environment sets apart stays apart in the keyring too
  const usual = home ? configDirectory(name, { APPDATA: env.APPDATA }, process.platform, home) : ''
  const shelf = fileShelf(join(folder, 'credentials.json'))
  return { mode, cwd, shelf, secrets: keyringSecrets(name, folder, usual, keyring) }
}

/**
 * Makes a place for a program's logins. All processes of this user that name it alike share it, and take turns.
 *
 * A login that the keyring has lost is not found, though it is listed: whoever it was is not signed in. That the keyring
 * cannot be reached is an error instead, as the login is there: of `find` and `remove`, and of `save` in the mode
 * `keyring`; in the mode `auto` it goes to the file then, and the notice says so.
 *
 * For a mode that there is not, and without a directory, all methods reject with `bad_credential_file`; the message names
 * the variable.
 *
 * @throws {TypeError} For a name with other characters.
 * @example
 * ```ts
 * const store = credentialStore({ name: 'mytool' })
 * for (const { server, subject, place } of await store.list()) console.log(server, subject, place)
 * ```
 */
export function credentialStore(options: CredentialStoreOptions): CredentialStore {
  // it becomes a folder's name
  if (!/^[A-Za-z0-9._-]+$/.test(options.name) || /^\.+$/.test(options.name)) {
    throw new TypeError('A program’s name consists of letters, digits, ".", "_" and "-"')
  }
  let opened: Parts | undefined
  /** At the first use: it asks for the environment, which takes a permission on Deno, and many clients never need it. */
  const open = () => {
    opened ??= openParts(options)
    return opened
  }
  const alone = async <T>(work: (parts: Parts) => Promise<T>) => {
    const parts = open()
    return await parts.shelf.lock.run(() => work(parts))
  }
  return {
    list: async () => await list(open()),
    defaultServer: async () => defaultOf(await look(open())),
    find: async (server, account) => await find(open(), server, account),
    save: (login, { activate: isActive = false } = {}) => alone((parts) => save(parts, login, isActive)),
    remove: (server, account) => alone((parts) => remove(parts, toChoice(server, account))),
    activate: (server, account, { directory } = {}) =>
      alone((parts) => choose(parts, toChoice(server, account), directory)),
    lock: async (work, signal) => await open().shelf.lock.run(work, signal),
  }
}
