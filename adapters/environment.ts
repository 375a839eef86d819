/** Environment variables that mean the same everywhere, on Workers too, become options. Nothing here touches files. @module */

import { isLoopbackHost } from '../src/internal.ts'
import { github, google, oidc, PairgateError, type PairgateOptions, type Provider } from '../src/mod.ts'

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>

/** Throws `ERR_PAIRGATE_ENVIRONMENT`; the message names the variable and what it must be. */
export function refuse(message: string): never {
  throw new PairgateError('ERR_PAIRGATE_ENVIRONMENT', message)
}

/** Reads a variable that is `1`, `0` or not set. */
export function readSwitch(env: Environment, name: string): boolean | undefined {
  const value = env[name]
  if (value === undefined || value === '') return undefined
  return value === '1' ? true : value === '0' ? false : refuse(`${name} must be 1 or 0, got "${value}"`)
}

/** Reads the signing secrets; undefined when none is given. */
export function readSecrets(env: Environment): string[] | undefined {
  const given = env.PAIRGATE_SECRETS || env.PAIRGATE_SECRET
  return given ? given.split(',').map((secret) => secret.trim()) : undefined
}

/** An id and a secret that only make sense together. */
function readPair(
  env: Environment,
  id: string,
  secret: string,
): { clientId: string; clientSecret: string } | null {
  const clientId = env[id]
  const clientSecret = env[secret]
  if (!clientId && !clientSecret) return null
  return clientId && clientSecret
    ? { clientId, clientSecret }
    : refuse(`${id} and ${secret} must be set together`)
}

function readProviders(env: Environment): Provider[] {
  const providers: Provider[] = []
  const issuer = env.PAIRGATE_OIDC_ISSUER
  if (issuer) {
    const clientId =
      env.PAIRGATE_OIDC_CLIENT_ID || refuse('PAIRGATE_OIDC_CLIENT_ID must be set with PAIRGATE_OIDC_ISSUER')
    const clientSecret = env.PAIRGATE_OIDC_CLIENT_SECRET
    providers.push(oidc({ issuer, clientId, ...(clientSecret && { clientSecret }) }))
  }
  const forGoogle = readPair(env, 'PAIRGATE_GOOGLE_CLIENT_ID', 'PAIRGATE_GOOGLE_CLIENT_SECRET')
  if (forGoogle) providers.push(google(forGoogle))
  const forGithub = readPair(env, 'PAIRGATE_GITHUB_CLIENT_ID', 'PAIRGATE_GITHUB_CLIENT_SECRET')
  if (forGithub) providers.push(github(forGithub))
  return providers
}

/** The dev sign-in is on when nothing else is configured and nobody else can reach it. */
function readDevSignIn(
  env: Environment,
  further: Partial<PairgateOptions>,
  isLoopback: boolean,
  hasOther: boolean,
): boolean {
  const wanted = readSwitch(env, 'PAIRGATE_DEV_SIGN_IN') ?? further.devSignIn
  const isSafe = isLoopback && env.NODE_ENV !== 'production'
  if (wanted && !isSafe) {
    refuse('PAIRGATE_DEV_SIGN_IN signs in any name: it is refused off loopback and with NODE_ENV=production')
  }
  return wanted ?? (isSafe && !hasOther)
}

/** Tells whether only this machine can reach a URL. */
export const isLoopbackUrl = (url: string) => URL.canParse(url) && isLoopbackHost(new URL(url).hostname)

/**
 * Reads the variables that every runtime has.
 *
 * @param further Options from elsewhere; a variable wins over them.
 * @param isLoopback Whether the server listens for this machine only.
 * @throws {PairgateError} `ERR_PAIRGATE_ENVIRONMENT`.
 */
export function readOptions(
  env: Environment,
  further: Partial<PairgateOptions>,
  isLoopback: boolean,
): Pick<PairgateOptions, 'signIn' | 'devSignIn' | 'seedCompat' | 'trustedProxies' | 'autoMigrate'> {
  if (further.signIn !== undefined && !Array.isArray(further.signIn))
    refuse(
      'Option "signIn" is wrong: must be a list of providers, for example [google({ clientId, clientSecret })]',
    )
  const signIn = [...(further.signIn ?? []), ...readProviders(env)]
  const hasOther = signIn.length > 0 || further.identify !== undefined
  const seedCompat = readSwitch(env, 'PAIRGATE_SEED_COMPAT') ?? further.seedCompat
  const autoMigrate = readSwitch(env, 'PAIRGATE_MIGRATE') ?? further.autoMigrate
  const trustedProxies = env.PAIRGATE_TRUSTED_PROXIES?.split(',')
    .map((range) => range.trim())
    .filter(Boolean)
  return {
    signIn,
    devSignIn: readDevSignIn(env, further, isLoopback, hasOther),
    ...(seedCompat !== undefined && { seedCompat }),
    ...(autoMigrate !== undefined && { autoMigrate }),
    ...(trustedProxies && { trustedProxies }),
  }
}
