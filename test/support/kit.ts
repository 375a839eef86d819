/**
 * The login kit as tests use it: nothing of this machine's environment, no logins on its disk, no browser. Runs wherever
 * the kit does.
 *
 * @module
 */

import {
  type Client,
  type ClientOptions,
  createClient as create,
  credentialStore,
  type LoginTarget,
  type LoginToken,
  type SignInOptions,
  signIn,
} from '../../clients/mod.ts'

/** A client that keeps its logins in memory, and takes no token from the environment. */
export function createClient(options: ClientOptions): Client {
  const store = credentialStore({ name: 'test', mode: 'ephemeral' })
  return create({ store, ...options, token: options.token ?? null })
}

/** Signs in by the device flow. */
export const loginWithDevice = (target: LoginTarget, options: SignInOptions): Promise<LoginToken> =>
  signIn(target, { via: 'device', browser: false, ...options })

/** Signs in by a link that holds the paircode. */
export const loginWithPaircode = (target: LoginTarget, options: SignInOptions): Promise<LoginToken> =>
  signIn(target, { via: 'link', browser: false, ...options })
