/** A keyring as a host may bring its own, in memory, and stores over it. @module */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CredentialStoreOptions, credentialStore } from '../../clients/credential_store.ts'
import { type Keyring, KeyringError } from '../../clients/keyring.ts'
import { testFolder } from './login_entries.ts'

/** A host's own keyring, which may fail. */
export interface MapKeyring extends Keyring {
  readonly secrets: Map<string, string>
  failure: Error | null
  asked: number
}

/** Makes one that is empty. */
export function mapKeyring(): MapKeyring {
  const secrets = new Map<string, string>()
  const ask = <T>(answer: () => T): Promise<T> => {
    keyring.asked++
    return keyring.failure ? Promise.reject(keyring.failure) : Promise.resolve(answer())
  }
  const key = (service: string, account: string) => JSON.stringify([service, account])
  const keyring: MapKeyring = {
    secrets,
    failure: null,
    asked: 0,
    get: (service, account) => ask(() => secrets.get(key(service, account)) ?? null),
    set: (service, account, secret) => ask(() => void secrets.set(key(service, account), secret)),
    remove: (service, account) => ask(() => void secrets.delete(key(service, account))),
  }
  return keyring
}

/** It is there, and may have done what it was asked. */
export const locked = new KeyringError('the keyring is locked', { wasAsked: true })
/** It is not there. */
export const missing = new KeyringError('there is no keyring')
/** Opens a store in a folder of its own, with a keyring of its own, unless said otherwise. */
export function open(options: Partial<CredentialStoreOptions> = {}) {
  const { directory = testFolder(), keyring = mapKeyring() } = options
  const all = { name: 'mytool', directory, keyring, env: {}, ...options }
  const file = join(directory, 'credentials.json')
  return { store: credentialStore(all), file, keyring: keyring as MapKeyring, options: all }
}
/** Reads a file. */
export const textOf = (file: string) => readFileSync(file, 'utf8')
