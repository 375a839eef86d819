/**
 * The system's keyring: Keychain on macOS, the Credential Manager on Windows, the Secret Service on Linux. Through the
 * package `@napi-rs/keyring`, which is loaded when it is needed and may be missing.
 *
 * @module
 */

import { connect } from 'node:net'
import { join } from 'node:path'
import process from 'node:process'
import { isWSL } from './surroundings.ts'

/** Small secrets by service and account. Every method rejects with a `KeyringError`. */
export interface Keyring {
  get(service: string, account: string): Promise<string | null>
  set(service: string, account: string, secret: string): Promise<void>
  /** Deletes it, if it is there. */
  remove(service: string, account: string): Promise<void>
}

/** Why the keyring cannot be used; `message` is part of a sentence, and never holds a secret. */
export class KeyringError extends Error {
  override readonly name = 'KeyringError'
  /** Whether it got as far as to ask the keyring: what was asked for may have happened, or may happen yet. */
  readonly wasAsked: boolean

  constructor(message: string, options?: ErrorOptions & { wasAsked?: boolean }) {
    super(message, options)
    this.wasAsked = options?.wasAsked ?? false
  }
}

/** Settings of a keyring, for tests. */
export interface KeyringOptions {
  /** How long it may take to answer, in milliseconds. Default 3000. */
  readonly timeout?: number | undefined
}

/** What is used of the package. */
interface Entry {
  getPassword(): Promise<string | null | undefined>
  setPassword(secret: string): Promise<void>
  deleteCredential(): Promise<boolean>
}

/** The package's other store on Linux, the kernel's, forgets everything at a restart: never fall back to it. */
const PLACE = { linux: { store: 'secret-service' } } as const

/** Longest text of the system's that is quoted. */
const MAX_REASON = 200

/** Waits for an answer for so long at most, in milliseconds. What comes later changes nothing. */
async function inTime<T>(answer: Promise<T>, timeout: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new KeyringError(`it does not answer within ${timeout / 1000} seconds`)
    timer = setTimeout(() => reject(error), timeout)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}

/** The socket of the session's D-Bus, which the Secret Service is on; null where that is no plain path. */
function findBus(): string | null {
  const { DBUS_SESSION_BUS_ADDRESS: address, XDG_RUNTIME_DIR: folder } = process.env
  if (address) {
    const path = /^unix:(?:[^;]*?,)?path=([^,;]+)/.exec(address)?.[1]
    return path ? decodeURIComponent(path) : null
  }
  if (folder) return join(folder, 'bus')
  throw new KeyringError('there is no D-Bus session')
}

/** The package waits for a silent bus forever, and the whole program with it. So ask it for a first word here. */
async function assertBusAnswers(timeout: number): Promise<void> {
  const path = findBus()
  if (!path) return
  const socket = connect(path)
  try {
    const answer = new Promise<void>((resolve, reject) => {
      socket.once('data', () => resolve())
      socket.once('close', () => reject(new KeyringError('D-Bus hangs up')))
      socket.once('error', (cause) => reject(new KeyringError('there is no D-Bus session', { cause })))
    })
    // the D-Bus specification, "Authentication Protocol": a nul byte, then a question for the mechanisms there are
    socket.write('\0AUTH\r\n')
    await inTime(answer, timeout)
  } finally {
    socket.destroy()
  }
}

async function loadPackage(): Promise<typeof import('@napi-rs/keyring')> {
  try {
    return await import('@napi-rs/keyring')
  } catch (cause) {
    throw new KeyringError('the package @napi-rs/keyring is not installed', { cause })
  }
}

function explain(cause: unknown, wasAsked: boolean): KeyringError {
  const message = cause instanceof Error ? cause.message : ''
  const [reason = ''] = message.split(/\n|\. /)
  return new KeyringError(reason.slice(0, MAX_REASON) || 'it cannot be used', { cause, wasAsked })
}

/**
 * Opens the system's keyring; asks nothing of it yet. After its first failure it is not asked again, and everything fails
 * for the same reason.
 *
 * A call that was given up goes on in a thread of the system's, and the process does not end before that does: as long as
 * a person is asked for the keyring's password, say.
 */
export function systemKeyring({ timeout = 3_000 }: KeyringOptions = {}): Keyring {
  let failure: KeyringError | undefined
  let loaded: ReturnType<typeof loadPackage> | undefined
  const load = async () => {
    if (isWSL()) throw new KeyringError('it is not used on WSL')
    if (process.platform === 'linux') await assertBusAnswers(timeout)
    return await loadPackage()
  }
  const ask = async <T>(service: string, account: string, question: (entry: Entry) => Promise<T>) => {
    if (failure) throw failure
    let wasAsked = false
    try {
      loaded ??= load()
      const { AsyncEntry } = await loaded
      wasAsked = true
      return await inTime(question(new AsyncEntry(service, account, PLACE)), timeout)
    } catch (error) {
      failure ??= explain(error, wasAsked)
      throw failure
    }
  }
  return {
    get: async (service, account) => (await ask(service, account, (entry) => entry.getPassword())) ?? null,
    set: (service, account, secret) => ask(service, account, (entry) => entry.setPassword(secret)),
    async remove(service, account) {
      await ask(service, account, (entry) => entry.deleteCredential())
    },
  }
}

let shared: Keyring | undefined

/** The system's keyring that all stores of this process share: once it has failed, none of them asks it again. */
export function sharedKeyring(): Keyring {
  shared ??= systemKeyring()
  return shared
}
