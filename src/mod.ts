/** pairgate: gives a gateway that already knows its users a login for command-line apps. @module */

export { PairgateError, type PairgateErrorCode } from './errors.ts'
export type { Authenticated, CredentialSummary } from './flows/account.ts'
export type { EventFilter, EventPage } from './flows/events.ts'
export type { Guard, GuardContext, GuardOptions, GuardVariables } from './guard.ts'
export type * from './options.ts'
export { createPairgate, type Pairgate } from './pairgate.ts'
export {
  type GitHubOptions,
  type GoogleOptions,
  github,
  google,
  type OidcOptions,
  oidc,
  type Provider,
  type ProviderIdentity,
  type Transaction,
} from './providers.ts'
export type { HostProcedure, PairgateRouter, RouterContext } from './router_type.ts'
export type * from './store.ts'
