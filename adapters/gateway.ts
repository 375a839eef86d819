/** Ways to tell who is signed in, for the option `identify`: signed assertions, sessions, headers. @module */

export {
  type AssertionClaims,
  type AssertionOptions,
  type CloudflareAccessOptions,
  cloudflareAccess,
  type GoogleIapOptions,
  googleIap,
  type PomeriumOptions,
  pomerium,
  type SignedAssertionOptions,
  signedAssertion,
} from './identify_assertion.ts'
export { type TrustedHeaderOptions, trustedHeader } from './identify_header.ts'
export type { ToIdentity } from './identify_options.ts'
export {
  type AuthJsOptions,
  type AuthJsSession,
  authJsSession,
  type BetterAuth,
  type BetterAuthQuery,
  type BetterAuthSession,
  betterAuthSession,
} from './identify_session.ts'
