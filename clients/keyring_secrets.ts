/**
 * How the tokens of a login are written into a keyring: one entry for each login, with a name that no other login has.
 *
 * @module
 */

import { realpath } from 'node:fs/promises'
import type { Choice } from './credential_content.ts'
import type { Keyring } from './keyring.ts'
import type { StoredLogin } from './store.ts'

/** What must not be read by others. */
export type Tokens = Pick<StoredLogin, 'access_token' | 'refresh_token'>

/** The tokens of logins in the keyring. */
export interface Secrets {
  /** Null when the keyring has none, or what it has is none. */
  get(choice: Choice): Promise<Tokens | null>
  set(choice: Choice, tokens: Tokens): Promise<void>
  remove(choice: Choice): Promise<void>
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
 * Makes them of a keyring. Whatever that rejects with comes out.
 *
 * @param folder Where the file is.
 * @param usual Where it usually is; logins of other folders are kept apart from those.
 */
export function keyringSecrets(name: string, folder: string, usual: string, keyring: Keyring): Secrets {
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
