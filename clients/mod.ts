/**
 * `pairgate/client`: sign people in to a command-line app, in a few lines, on Node, Deno and Bun.
 *
 * @module
 */

export { openBrowser } from './browser.ts'
export {
  type Client,
  type ClientOptions,
  type CompleteOptions,
  createClient,
  type Login,
  type LoginOptions,
  type Logout,
  type PendingLogin,
} from './client.ts'
export { type CredentialMode, type CredentialStoreOptions, credentialStore } from './credential_store.ts'
export { LoginError, type LoginErrorCode, parseServer, toLoginError } from './errors.ts'
export type { PairgateApi } from './generated/contract.ts'
export { type Keyring, KeyringError } from './keyring.ts'
export {
  type LoginPrompt,
  type LoginTarget,
  type SignInOptions,
  signIn,
} from './login.ts'
export type { LoginToken, WaitOptions } from './poll.ts'
export type { Access } from './session.ts'
export type { Account, CredentialStore, ListedLogin, LoginEntry, StoredLogin } from './store.ts'
export { surroundings } from './surroundings.ts'
export { type Choice, chooseTransport, findAgent, type Surroundings, type Transport } from './transport.ts'
