/** The standalone server's settings: environment variables and a configuration file become options. @module */

import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import {
  github,
  google,
  isLoopbackHost,
  oidc,
  PairgateError,
  type PairgateOptions,
  type Provider,
} from '../src/mod.ts'
import { sqlite } from './sqlite.ts'

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>

/** What the standalone server needs to start. */
export interface Standalone {
  readonly options: PairgateOptions
  /** Address to listen on. */
  readonly hostname: string
  readonly port: number
  /** Where everything is kept, without passwords; for the greeting. */
  readonly storage: string
}

function refuse(message: string): never {
  throw new PairgateError('ERR_PAIRGATE_ENVIRONMENT', message)
}

function readPort(text = '8787'): number {
  const port = Number(text)
  // 0 would leave the base URL without the port that people can reach
  return /^\d{1,5}$/.test(text) && port > 0 && port < 65_536
    ? port
    : refuse(`PORT must be 1 to 65535, got "${text}"`)
}

function readSwitch(env: Environment, name: string): boolean | undefined {
  const value = env[name]
  if (value === undefined || value === '') return undefined
  return value === '1' ? true : value === '0' ? false : refuse(`${name} must be 1 or 0, got "${value}"`)
}

function readSqliteFile(url = 'sqlite:pairgate.db'): string {
  const [, file] = /^sqlite:(?:\/\/(?=\/))?(.+)$/.exec(url) ?? []
  if (!file) refuse('DATABASE_URL must be sqlite:FILE')
  if (!existsSync(dirname(file))) refuse(`DATABASE_URL names a folder that is not there: "${dirname(file)}"`)
  return file
}

/** The signing secrets; on loopback one is made and kept beside the database. */
function readSecrets(env: Environment, file: string, mayCreate: boolean): string[] {
  const given = env.PAIRGATE_SECRETS ?? env.PAIRGATE_SECRET
  if (given) return given.split(',').map((secret) => secret.trim())
  if (!mayCreate)
    refuse(
      'PAIRGATE_SECRET is missing: set it to at least 32 random bytes, for example from "openssl rand -base64 32"',
    )
  if (file === ':memory:') return [randomBytes(32).toString('base64url')]
  const path = `${file}.secret`
  try {
    writeFileSync(path, randomBytes(32).toString('base64url'), { mode: 0o600, flag: 'wx' })
  } catch (error) {
    // there already, perhaps since this moment: another process that starts made it
    if (!existsSync(path)) throw error
  }
  return [readFileSync(path, 'utf8').trim()]
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

/** Further options from a file: `PAIRGATE_CONFIG`, or `pairgate.config.ts`, `.js` or `.json` when one is there. */
async function readConfigFile(env: Environment): Promise<Partial<PairgateOptions>> {
  const names = ['pairgate.config.ts', 'pairgate.config.js', 'pairgate.config.json']
  const name = env.PAIRGATE_CONFIG || names.find((file) => existsSync(file))
  if (!name) return {}
  const path = resolve(name)
  if (!existsSync(path)) refuse(`PAIRGATE_CONFIG names a file that is not there: "${path}"`)
  try {
    if (path.endsWith('.json')) return JSON.parse(readFileSync(path, 'utf8'))
    const module = await import(pathToFileURL(path).href)
    return module.default ?? { ...module }
  } catch (error) {
    throw new PairgateError(
      'ERR_PAIRGATE_ENVIRONMENT',
      `The configuration file "${path}" cannot be read`,
      error,
    )
  }
}

/** The dev sign-in is on when nothing else is configured and nobody else can reach it. */
function readDevSignIn(env: Environment, isLoopback: boolean, hasOther: boolean): boolean {
  const wanted = readSwitch(env, 'PAIRGATE_DEV_SIGN_IN')
  const isSafe = isLoopback && env.NODE_ENV !== 'production'
  if (wanted && !isSafe) {
    refuse('PAIRGATE_DEV_SIGN_IN signs in any name: it is refused off loopback and with NODE_ENV=production')
  }
  return wanted ?? (isSafe && !hasOther)
}

/**
 * Reads the environment contract of the standalone server.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_ENVIRONMENT`, naming the variable and what it must be.
 */
export async function readEnvironment(env: Environment): Promise<Standalone> {
  const hostname = env.HOST || '127.0.0.1'
  const port = readPort(env.PORT || undefined)
  const file = readSqliteFile(env.DATABASE_URL || undefined)
  const shown = hostname.includes(':') ? `[${hostname}]` : hostname
  const isLoopback = isLoopbackHost(shown)
  const baseUrl =
    env.PAIRGATE_BASE_URL ||
    (isLoopback
      ? `http://${shown}:${port}`
      : refuse('PAIRGATE_BASE_URL is missing: off loopback the public URL must be set'))
  const further = await readConfigFile(env)
  const signIn = [...(further.signIn ?? []), ...readProviders(env)]
  const seedCompat = readSwitch(env, 'PAIRGATE_SEED_COMPAT') ?? further.seedCompat
  const trustedProxies = env.PAIRGATE_TRUSTED_PROXIES?.split(',')
    .map((range) => range.trim())
    .filter(Boolean)
  const isLocal = isLoopback && URL.canParse(baseUrl) && isLoopbackHost(new URL(baseUrl).hostname)
  return {
    hostname,
    port,
    storage: `sqlite:${file}`,
    options: {
      ...further,
      baseUrl,
      secrets:
        further.secrets && !env.PAIRGATE_SECRET && !env.PAIRGATE_SECRETS
          ? further.secrets
          : readSecrets(env, file, isLocal),
      database: sqlite(file),
      signIn,
      devSignIn: readDevSignIn(env, isLoopback, signIn.length > 0 || further.identify !== undefined),
      ...(seedCompat !== undefined && { seedCompat }),
      ...(trustedProxies && { trustedProxies }),
    },
  }
}
