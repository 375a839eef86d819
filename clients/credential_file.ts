/**
 * Where the command keeps credentials: one JSON file that only its owner can read. Written whole and renamed into place,
 * so that a crash leaves the old one. Uses `node:fs/promises` alone, which Node, Deno and Bun all have.
 *
 * @module
 */

import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LoginError } from './client.ts'

/** One login, as it is kept. */
export interface StoredCredential {
  readonly access_token: string
  readonly token_type: string
  /** Epoch seconds. */
  readonly expires_at: number
  /** Who vouches for `subject`. */
  readonly issuer: string
  readonly subject: string
  readonly name: string | null
  /** `session` or `api_key`. */
  readonly kind: string
}

/** Credentials by server. Another place to keep them, a keyring say, is another function that returns this. */
export interface CredentialStore {
  /** Where it is, for people. */
  readonly place: string
  /** The server of the last login; null before the first. */
  defaultServer(): Promise<string | null>
  find(server: string): Promise<StoredCredential | null>
  /** Keeps a credential in place of the one before, and makes `server` the default. */
  save(server: string, credential: StoredCredential): Promise<void>
  /** Forgets the credential of `server`; it stays the default. */
  remove(server: string): Promise<void>
}

interface FileContent {
  readonly version: 1
  readonly default: string | null
  readonly servers: Readonly<Record<string, StoredCredential>>
}

type Environment = Readonly<Record<string, string | undefined>>

/**
 * The directory that pairgate's files are in: `$PAIRGATE_CONFIG_DIR`, `$XDG_CONFIG_HOME/pairgate`, `%AppData%\pairgate`
 * on Windows, or `~/.config/pairgate`; the first that is set. Empty counts as not set.
 *
 * @param home The home directory.
 */
export function configDirectory(env: Environment, platform: string, home: string): string {
  if (env.PAIRGATE_CONFIG_DIR) return env.PAIRGATE_CONFIG_DIR
  if (env.XDG_CONFIG_HOME) return join(env.XDG_CONFIG_HOME, 'pairgate')
  if (platform === 'win32' && env.APPDATA) return join(env.APPDATA, 'pairgate')
  return join(home, '.config', 'pairgate')
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isContent(value: unknown): value is FileContent {
  return (
    isObject(value) &&
    value.version === 1 &&
    (value.default === null || typeof value.default === 'string') &&
    isObject(value.servers) &&
    Object.values(value.servers).every(
      (entry) =>
        isObject(entry) && typeof entry.access_token === 'string' && typeof entry.expires_at === 'number',
    )
  )
}

async function readContent(path: string): Promise<FileContent> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { version: 1, default: null, servers: {} }
    throw new LoginError('bad_credential_file', `Cannot read ${path}: ${(error as Error).message}`, {
      cause: error,
    })
  }
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch {
    // what JSON.parse says quotes the text, and that holds tokens
  }
  if (isContent(content)) return content
  throw new LoginError('bad_credential_file', `${path} is damaged: it was left as it is, repair or delete it`)
}

async function writeContent(directory: string, path: string, content: FileContent): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}.tmp`
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(`${JSON.stringify(content, null, 2)}\n`)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => {})
    throw new LoginError('bad_credential_file', `Cannot write ${path}: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/**
 * Keeps credentials in `credentials.json` (mode 0600) in `directory` (made 0700 if missing). Every method rejects with
 * a `LoginError` `bad_credential_file` when the file cannot be read or written; a damaged one is never overwritten.
 */
export function credentialFile(directory: string): CredentialStore {
  const path = join(directory, 'credentials.json')
  return {
    place: path,
    async defaultServer() {
      return (await readContent(path)).default
    },
    async find(server) {
      return (await readContent(path)).servers[server] ?? null
    },
    async save(server, credential) {
      const { servers } = await readContent(path)
      await writeContent(directory, path, {
        version: 1,
        default: server,
        servers: { ...servers, [server]: credential },
      })
    },
    async remove(server) {
      const content = await readContent(path)
      const { [server]: removed, ...servers } = content.servers
      if (removed) await writeContent(directory, path, { ...content, servers })
    },
  }
}
