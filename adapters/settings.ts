/** The standalone server's settings: where it listens, what it stores in, and the files that it reads and makes. @module */

import { randomBytes } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isLoopbackHost } from '../src/internal.ts'
import { PairgateError, type PairgateOptions, type Store } from '../src/mod.ts'
import { type Environment, isLoopbackUrl, readOptions, readSecrets, refuse } from './environment.ts'
import { sqlite } from './sqlite.ts'

/** Where a server listens and how it is reached. */
export interface Address {
  /** Address to listen on. */
  readonly hostname: string
  readonly port: number
  readonly baseUrl: string
  /** Whether it listens for this machine only. */
  readonly isLoopback: boolean
}

/** What the standalone server needs to start. */
export interface Settings extends Address {
  readonly options: PairgateOptions
  /** Where everything is kept, without passwords; for the greeting. */
  readonly storage: string
  /** To be saved once the database answers, so that a start that fails leaves nothing behind. */
  readonly newSecret?: NewSecret
}

function readPort(text = '8787'): number {
  const port = Number(text)
  // 0 would leave the base URL without the port that people can reach
  return /^\d{1,5}$/.test(text) && port > 0 && port < 65_536
    ? port
    : refuse(`PORT must be 1 to 65535, got "${text}"`)
}

/**
 * Reads `HOST`, `PORT` and `PAIRGATE_BASE_URL`.
 *
 * @param configured The base URL of the configuration file, if it has one.
 */
function readAddress(env: Environment, configured?: string): Address {
  const hostname = (env.HOST || '127.0.0.1').replace(/^\[(.*)\]$/, '$1')
  const port = readPort(env.PORT || undefined)
  const shown = hostname.includes(':') ? `[${hostname}]` : hostname
  const isLoopback = isLoopbackHost(shown)
  const baseUrl =
    env.PAIRGATE_BASE_URL ||
    configured ||
    (isLoopback
      ? `http://${shown}:${port}`
      : refuse('PAIRGATE_BASE_URL is missing: off loopback the public URL must be set'))
  return { hostname, port, baseUrl, isLoopback }
}

interface Database {
  readonly store: Store
  /** Where it is, without passwords. */
  readonly storage: string
  /** The file that the signing secret is kept in when none is given. */
  readonly secretFile?: string
}

function openSqlite(url: string, mayCreate: boolean): Database {
  const [, file] = /^sqlite:(?:\/\/(?=\/))?(.+)$/.exec(url) ?? []
  if (!file) refuse('DATABASE_URL must name a file: sqlite:FILE')
  if (!existsSync(dirname(file))) refuse(`DATABASE_URL names a folder that is not there: "${dirname(file)}"`)
  if (!mayCreate && file !== ':memory:' && !existsSync(file))
    refuse(`DATABASE_URL names a file that is not there, and PAIRGATE_MIGRATE=0 makes none: "${file}"`)
  return {
    store: sqlite(file),
    storage: `sqlite:${file}`,
    ...(file !== ':memory:' && { secretFile: `${file}.secret` }),
  }
}

async function openMysql(url: string): Promise<Database> {
  const { mysql } = await import('./mysql.ts').catch((error: { code?: string }) => {
    if (error.code === 'ERR_MODULE_NOT_FOUND')
      refuse('DATABASE_URL is a MySQL one: run "npm install mysql2" first')
    throw error
  })
  const [, place] = /@([^?]*)/.exec(url) ?? []
  return { store: mysql(url), storage: `mysql://${place}` }
}

/** Opens what `DATABASE_URL` names. A message never quotes it, since it may hold a password. */
async function openDatabase(mayCreate: boolean, url = 'sqlite:pairgate.db'): Promise<Database> {
  const [, kind] = /^([\w+.-]{1,32}):/.exec(url) ?? []
  if (kind === 'sqlite') return openSqlite(url, mayCreate)
  if (kind === 'mysql') return await openMysql(url)
  return refuse(
    `DATABASE_URL must be sqlite:FILE or mysql://USER:PASSWORD@HOST:PORT/DATABASE, got ${kind ? `the kind "${kind}"` : 'none of these'}`,
  )
}

/** A signing secret that was made up, and is not in its file yet. */
export interface NewSecret {
  readonly file: string
  readonly secret: string
}

/**
 * Finds the signing secrets; on loopback one is made when there is none.
 *
 * @param further Options from elsewhere; a variable wins over them.
 * @param file Where a made one is kept; without it it is for this run alone.
 */
export function findSecrets(
  env: Environment,
  further: Partial<PairgateOptions>,
  mayCreate: boolean,
  file?: string,
): Pick<PairgateOptions, 'secrets'> & { newSecret?: NewSecret } {
  const given = readSecrets(env) ?? further.secrets
  if (given) return { secrets: given }
  if (!mayCreate)
    refuse(
      'PAIRGATE_SECRET is missing: set it to at least 32 random bytes, for example from "openssl rand -base64 32"',
    )
  if (file && existsSync(file)) return { secrets: [readFileSync(file, 'utf8').trim()] }
  const secret = randomBytes(32).toString('base64url')
  return { secrets: [secret], ...(file && { newSecret: { file, secret } }) }
}

/** Keeps a new secret. False: another process that starts made one this moment. */
export function saveSecret({ file, secret }: NewSecret): boolean {
  try {
    writeFileSync(file, secret, { mode: 0o600, flag: 'wx' })
    return true
  } catch (error) {
    if (!existsSync(file)) throw error
    return false
  }
}

/** The file that further options are in: `PAIRGATE_CONFIG`, or `pairgate.config.ts`, `.js` or `.json` when one is there. */
export function findConfigFile(env: Environment): string | null {
  const names = ['pairgate.config.ts', 'pairgate.config.js', 'pairgate.config.json']
  const name = env.PAIRGATE_CONFIG || names.find((file) => existsSync(file))
  if (!name) return null
  const path = resolve(name)
  if (!existsSync(path)) refuse(`PAIRGATE_CONFIG names a file that is not there: "${path}"`)
  return path
}

/** Reads the further options of the configuration file; none when there is no file. */
async function readConfigFile(env: Environment): Promise<Partial<PairgateOptions>> {
  const path = findConfigFile(env)
  if (!path) return {}
  let options: unknown
  try {
    const module = path.endsWith('.json')
      ? { default: JSON.parse(readFileSync(path, 'utf8')) }
      : await import(pathToFileURL(path).href)
    options = 'default' in module ? module.default : { ...module }
  } catch (error) {
    throw new PairgateError(
      'ERR_PAIRGATE_ENVIRONMENT',
      `The configuration file "${path}" cannot be read`,
      error,
    )
  }
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    refuse(`The configuration file "${path}" must export an object of options`)
  if ('database' in options)
    refuse(`The configuration file "${path}" sets "database": name it by DATABASE_URL instead`)
  return options
}

/** What every standalone server reads, whatever it stores in. */
export interface CommonSettings {
  readonly address: Address
  /** The options that are known so far: those of the configuration file, and the variables, which win. */
  readonly options: Partial<PairgateOptions> & { readonly baseUrl: string }
  /** Whether nobody but this machine can reach it: it listens here, and the base URL says so. */
  readonly isLocal: boolean
}

/**
 * Reads the configuration file and the variables that have nothing to do with storage.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_ENVIRONMENT`, naming the variable and what it must be.
 */
export async function readCommonSettings(env: Environment): Promise<CommonSettings> {
  const further = await readConfigFile(env)
  const address = readAddress(env, further.baseUrl)
  const { baseUrl, isLoopback } = address
  const isLocal = isLoopback && isLoopbackUrl(baseUrl)
  return { address, options: { ...further, ...readOptions(env, further, isLocal), baseUrl }, isLocal }
}

/**
 * Reads the environment contract of the standalone server.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_ENVIRONMENT`, naming the variable and what it must be.
 */
export async function readSettings(env: Environment): Promise<Settings> {
  const { address, options, isLocal } = await readCommonSettings(env)
  const { store, storage, secretFile } = await openDatabase(
    options.autoMigrate !== false,
    env.DATABASE_URL || undefined,
  )
  // a secret that several machines must share is not made up by one of them
  const mayCreate = isLocal && storage.startsWith('sqlite:')
  const { secrets, newSecret } = findSecrets(env, options, mayCreate, secretFile)
  return {
    ...address,
    storage,
    options: { ...options, secrets, database: store },
    ...(newSecret && { newSecret }),
  }
}
