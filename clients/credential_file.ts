/**
 * The file that logins are written down in: one of JSON that only its owner can read. Written whole and renamed into
 * place, so that a crash leaves the old one.
 *
 * @module
 */

import { readdir, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import process from 'node:process'
import { type Content, EMPTY, parseContent } from './credential_content.ts'
import { LoginError } from './errors.ts'
import { sweepLocks } from './lock.ts'
import { badPlace, DAMAGED, readPrivateFile, writePrivateFile } from './private_file.ts'
import { variablePrefix } from './surroundings.ts'

/** Variables of the environment. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What was read. */
export interface FileRead {
  readonly content: Content
  /** Others than the owner may read or write the file. */
  readonly isOpen: boolean
}

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

/**
 * Reads the file. One that is not there is empty.
 *
 * @throws {LoginError} `bad_credential_file`
 */
export async function readFileContent(path: string): Promise<FileRead> {
  const found = await readPrivateFile(path)
  if (!found) return { content: EMPTY, isOpen: false }
  const content = parseContent(found.text)
  if (content === 'other version') {
    const advice = 'it was left as it is; use that version, or delete it and sign in again'
    throw badPlace(`${path} was written by another version of this program: ${advice}`)
  }
  if (!content) throw badPlace(`${path} is damaged: ${DAMAGED}`)
  return { content, isOpen: found.isOpen }
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
  try {
    await sweep(path)
    await writePrivateFile(path, content)
    const { mode } = await stat(dirname(path))
    return process.platform !== 'win32' && (mode & 0o022) !== 0 && (mode & 0o1000) === 0
  } catch (error) {
    if (error instanceof LoginError) throw error
    throw badPlace(`Cannot write ${path}: ${(error as Error).message}`, error)
  }
}
