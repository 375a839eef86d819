/**
 * Files that hold secrets: of JSON, and only their owner can read them. Written whole and renamed into place, so that a
 * crash leaves the old one.
 *
 * @module
 */

import { constants, open, rename, rm } from 'node:fs/promises'
import process from 'node:process'
import { LoginError } from './errors.ts'

/** Longest file that is read or written, in characters. */
const MAX_LENGTH = 4_000_000

/** What to do about a file that makes no sense. */
export const DAMAGED = 'it was left as it is; repair it, or delete it and sign in again'

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
async function readRegular(path: string) {
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

/** What was read. */
export interface PrivateText {
  readonly text: string
  /** Others than the owner may read or write the file. */
  readonly isOpen: boolean
}

/**
 * Reads a file; null when there is none.
 *
 * Who owns it matters, as ssh has it for its own: root or this user. Another user's file is one that they gave us to use,
 * and one that root would replace by a file that they cannot read.
 *
 * @throws {LoginError} `bad_credential_file`
 */
export async function readPrivateFile(path: string): Promise<PrivateText | null> {
  const found = await readRegular(path).catch((error) => {
    throw error instanceof LoginError ? error : badPlace(`Cannot read ${path}: ${error.message}`, error)
  })
  if (!found) return null
  const { text, mode, uid } = found
  const me = ownUser()
  if (me !== null && uid !== me && uid !== 0) {
    throw badPlace(`${path} belongs to another user (${uid}): run this as that user, or delete the file`)
  }
  return { text, isOpen: process.platform !== 'win32' && (mode & 0o077) !== 0 }
}

/**
 * Replaces a file, whose folder is there.
 *
 * @throws {LoginError} `bad_credential_file`
 */
export async function writePrivateFile(path: string, content: object): Promise<void> {
  const text = `${JSON.stringify(content, null, 2)}\n`
  if (text.length > MAX_LENGTH) throw badPlace(`${path} would be too large: remove logins first`)
  const temporary = `${path}.${crypto.randomUUID()}.tmp`
  try {
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw badPlace(`Cannot write ${path}: ${(error as Error).message}`, error)
  }
}
