/**
 * `pairgate/client`: sign a command-line app in, in a few lines, on any runtime.
 *
 * @module
 */

export {
  type Client,
  type ClientOptions,
  createClient,
  LoginError,
  type LoginErrorCode,
  parseServer,
  toLoginError,
} from './client.ts'
export {
  type LoginClient,
  type LoginFlow,
  type LoginOptions,
  type LoginPrompt,
  type LoginToken,
  loginWithDevice,
  loginWithPaircode,
} from './login.ts'
