/**
 * The file that logins are written down in: one of JSON that only its owner can read. Written whole and renamed into
 * place, so that a crash leaves the old one.
 *
 * @module
 */

import { constants, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import process from 'node:process'
import { type Content, EMPTY, parseContent } from './credential_content.ts'
import { LoginError } from './errors.ts'
import { sweepLocks } from './lock.ts'
import { variablePrefix } from './surroundings.ts'

/** Variables of the environment. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What was read. */
export interface FileRead {
  readonly content: Content
  /** Others than the owner may read or write the file. */
  readonly isOpen: boolean
}

/** Longest file that is read or written, in characters. */
const MAX_LENGTH = 4_000_000

/**
 * The directory that a program's files are in: `$NAME_CONFIG_DIR`, `$XDG_CONFIG_HOME/name`, `%AppData%\name` on Windows,
 * or `~/.config/name`; the first that is set. Empty counts as not set.
 *
 * @param name The program's.
 * @param home The home directory; null where there is none.
 * @throws {LoginError} `bad_credential_file` where it would be in the home directory that there is not.
 */
export function configDirectory(
  name: string,
  env: Environment,
  platform: string,
  home: string | null,
): string {
  const own = env[`${variablePrefix(name)}_CONFIG_DIR`]
  if (own) return own
  if (env.XDG_CONFIG_HOME) return join(env.XDG_CONFIG_HOME, name)
  if (platform === 'win32' && env.APPDATA) return join(env.APPDATA, name)
  if (home) return join(home, '.config', name)
  const variable = `${variablePrefix(name)}_CONFIG_DIR`
  throw badPlace(`There is no home directory to keep logins in: name a directory in ${variable}`)
}

/** Says what is wrong with the place for logins. */
export function badPlace(message: string, cause?: unknown): LoginError {
  return new LoginError('bad_credential_file', message, cause === undefined ? {} : { cause })
}

/** This process's user; null where there are none, or Deno does not tell. */
function ownUser(): number | null {
  try {
    return process.getuid?.() ?? null
  } catch {
    return null
  }
}

/**
 * Opens the file and no other: a link leads to where somebody else may have put something, and reading a pipe never ends.
 */
async function readRegular(path: string): Promise<{ text: string; mode: number; uid: number } | null> {
  const flags = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)
  let file: Awaited<ReturnType<typeof open>>
  try {
    file = await open(path, flags)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return null
    if (code === 'ELOOP') throw badPlace(`${path} is a link, not a file: put the file itself there`, error)
    throw error
  }
  try {
    const found = await file.stat()
    if (!found.isFile()) throw badPlace(`${path} is not a file: remove it`)
    if (found.size > MAX_LENGTH) throw badPlace(`${path} is too large: ${DAMAGED}`)
    return { text: await file.readFile('utf8'), mode: found.mode, uid: found.uid }
  } finally {
    await file.close()
  }
}

const DAMAGED = 'it was left as it is; repair it, or delete it and sign in again'

/**
 * Reads the file. One that is not there is empty.
 *
 * Who owns it matters, as ssh has it for its own: root or this user. Another user's file is one that they gave us to use,
 * and one that root would replace by a file that they cannot read.
 *
 * @throws {LoginError} `bad_credential_file`
 */
export async function readFileContent(path: string): Promise<FileRead> {
  const found = await readRegular(path).catch((error) => {
    throw error instanceof LoginError ? error : badPlace(`Cannot read ${path}: ${error.message}`, error)
  })
  if (!found) return { content: EMPTY, isOpen: false }
  const { text, mode, uid } = found
  const me = ownUser()
  if (me !== null && uid !== me && uid !== 0) {
    throw badPlace(`${path} belongs to another user (${uid}): run this as that user, or delete the file`)
  }
  const content = parseContent(text)
  if (content === 'other version') {
    const advice = 'it was left as it is; use that version, or delete it and sign in again'
    throw badPlace(`${path} was written by another version of this program: ${advice}`)
  }
  if (!content) throw badPlace(`${path} is damaged: ${DAMAGED}`)
  return { content, isOpen: process.platform !== 'win32' && (mode & 0o077) !== 0 }
}

/** Deletes what processes left behind that ended in the middle. They have the lock while they write. */
async function sweep(path: string): Promise<void> {
  const folder = dirname(path)
  const prefix = `${basename(path)}.`
  for (const name of await readdir(folder)) {
    if (name.startsWith(prefix) && name.endsWith('.tmp')) await rm(join(folder, name), { force: true })
  }
  await sweepLocks(lockOf(path))
}

/** Where the lock of a file is. */
export function lockOf(path: string): string {
  return `${path}.lock`
}

/**
 * Replaces the file; with the lock, which has made its folder if that was missing. Another folder is left as it is: it may
 * be one that others have to reach, and the file is closed to them all the same.
 *
 * @returns Whether others may write to the folder, and so put a file of theirs in place of this one.
 * @throws {LoginError} `bad_credential_file`
 */
export async function writeFileContent(path: string, content: Content): Promise<boolean> {
  const text = `${JSON.stringify(content, null, 2)}\n`
  if (text.length > MAX_LENGTH) throw badPlace(`${path} would be too large: remove logins first`)
  const folder = dirname(path)
  const temporary = `${path}.${crypto.randomUUID()}.tmp`
  try {
    await sweep(path)
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    const { mode } = await stat(folder)
    return process.platform !== 'win32' && (mode & 0o022) !== 0 && (mode & 0o1000) === 0
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw badPlace(`Cannot write ${path}: ${(error as Error).message}`, error)
  }
}
