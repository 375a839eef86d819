/**
 * Runs the Worker on this machine: workerd with a D1 database in a folder, behind an edge that says who makes a request.
 * Settings: see "Configuration" in the README.
 *
 * @module
 */

import { existsSync, mkdirSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { stop as stopBundler } from 'esbuild'
import { Miniflare, NoOpLog, type WorkerdStructuredLog } from 'miniflare'
import { d1 } from '../../adapters/d1.ts'
import { type Environment, refuse } from '../../adapters/environment.ts'
import {
  type Address,
  findConfigFile,
  findSecrets,
  type NewSecret,
  readCommonSettings,
  saveSecret,
} from '../../adapters/settings.ts'
import { explainStartFailure, greet, refuseAddress } from '../../adapters/standalone.ts'
import { createPairgate, PairgateError, type PairgateOptions } from '../../src/mod.ts'
import { bundleWorker, COMPATIBILITY } from './bundle.ts'
import { serveEdge } from './edge.ts'

interface Settings extends Address {
  /** Where the D1 database and the signing secret are kept. */
  readonly folder: string
  readonly configFile: string | null
  /** What the Worker will make of its bindings. */
  readonly options: PairgateOptions
  readonly newSecret?: NewSecret
}

function readFolder(url = 'd1:pairgate-d1'): string {
  const [, kind = '', folder = ''] = /^([\w+.-]{1,32}):(.*)$/.exec(url) ?? []
  if (kind !== 'd1' || !folder) {
    const got = kind && kind !== 'd1' ? `the kind "${kind}"` : 'no folder'
    refuse(`DATABASE_URL must be d1:FOLDER on Workers, got ${got}`)
  }
  if (!existsSync(dirname(folder)))
    refuse(`DATABASE_URL names a folder that is not there: "${dirname(folder)}"`)
  if (existsSync(folder) && !statSync(folder).isDirectory())
    refuse(`DATABASE_URL must name a folder: "${folder}" is none`)
  return folder
}

/** Reads and checks everything that the Worker would trip over later. Writes nothing. */
async function readSettings(env: Environment): Promise<Settings> {
  const folder = readFolder(env.DATABASE_URL || undefined)
  const configFile = findConfigFile(env)
  const { address, options: common, isLocal } = await readCommonSettings(env)
  const { secrets, newSecret } = findSecrets(env, common, isLocal, join(folder, 'secret'))
  const notYet = () => refuse('The database is not open yet')
  const database = d1({ prepare: notYet, batch: notYet })
  const options = { ...common, secrets, database }
  // checks the options; nothing else comes of it
  createPairgate(options)
  return { ...address, folder, configFile, options, ...(newSecret && { newSecret }) }
}

/** The Worker's bindings that are text: all variables of pairgate's, with what was made up for missing ones. */
function textBindings(env: Environment, { options }: Settings, isTerminal: boolean): Record<string, string> {
  const own = Object.entries(env).filter(([name]) => name.startsWith('PAIRGATE_') || name === 'NODE_ENV')
  const variables = Object.fromEntries(own) as Record<string, string>
  // tables are made below, not by a request
  delete variables.PAIRGATE_MIGRATE
  return {
    ...variables,
    PAIRGATE_BASE_URL: options.baseUrl,
    PAIRGATE_SECRETS: options.secrets.join(),
    PAIRGATE_DEV_SIGN_IN: options.devSignIn ? '1' : '0',
    ...(isTerminal && { PAIRGATE_LOG: `pretty ${env.PAIRGATE_LOG ?? ''}` }),
  }
}

async function bundle({ configFile }: Settings): Promise<string> {
  try {
    const { code } = await bundleWorker({ configFile, minify: false })
    await stopBundler()
    return code
  } catch (error) {
    const { errors = [] } = error as { errors?: { text: string }[] }
    const reason = errors[0] ? new Error(errors[0].text) : error
    const what = configFile ? `The configuration file "${configFile}"` : 'The Worker'
    throw new PairgateError('ERR_PAIRGATE_ENVIRONMENT', `${what} cannot be bundled for Workers`, reason)
  }
}

/** What the Worker logs goes where `console` on other runtimes puts it. */
function print({ level, message }: WorkerdStructuredLog): void {
  const stream = level === 'error' || level === 'warn' ? process.stderr : process.stdout
  // workerd adds addresses in its own code, which help nobody here
  stream.write(`${message.replace(/\s*stack: \/.*$/s, '')}\n`)
}

/** Makes or upgrades the tables, or only checks them. */
async function prepareTables(miniflare: Miniflare, { options, folder }: Settings): Promise<void> {
  const database = d1(await miniflare.getD1Database('DB'))
  try {
    await (options.autoMigrate === false ? database.checkSchema() : database.migrate())
  } catch (error) {
    if (!(error instanceof PairgateError)) {
      const message = `The D1 database in "${folder}" cannot be used`
      throw new PairgateError('ERR_PAIRGATE_STORE_UNAVAILABLE', message, error)
    }
    throw / (no tables of|an older) pairgate/.test(error.message) ? noTables(folder) : error
  }
}

const noTables = (folder: string) =>
  new PairgateError(
    'ERR_PAIRGATE_SCHEMA',
    `The tables in "${folder}" are missing or older than this version: start once with PAIRGATE_MIGRATE=1`,
  )

/**
 * Starts the server that the environment describes.
 *
 * @returns The server's end: resolves once everything is closed.
 */
async function serve(env: Environment, isTerminal: boolean): Promise<() => Promise<void>> {
  const settings = await readSettings(env)
  const { hostname, port, options, folder, newSecret } = settings
  // workerd makes what is missing as soon as it is asked anything
  if (options.autoMigrate === false && !existsSync(join(folder, 'miniflare-D1DatabaseObject')))
    throw noTables(folder)
  const script = await bundle(settings)
  // workerd would make it readable for everybody
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    throw new PairgateError('ERR_PAIRGATE_ENVIRONMENT', `The folder "${folder}" cannot be made`, error)
  }
  let worker: URL
  const miniflare = new Miniflare({
    modules: true,
    script,
    ...COMPATIBILITY,
    bindings: textBindings(env, settings, isTerminal),
    d1Databases: { DB: 'pairgate' },
    d1Persist: folder,
    unsafeDirectSockets: [{ host: '127.0.0.1', port: 0 }],
    // asks nobody on the internet where this machine is
    cf: false,
    log: new NoOpLog(),
    structuredWorkerdLogs: true,
    handleStructuredLogs: print,
    telemetry: { enabled: false },
    unsafeHandleRuntimeRestart: async () => {
      worker = await miniflare.unsafeGetDirectURL()
      console.error('workerd ended of itself, and was started again')
    },
  })
  try {
    await prepareTables(miniflare, settings)
    if (newSecret && !saveSecret(newSecret)) {
      await miniflare.dispose()
      return await serve(env, isTerminal)
    }
    worker = await miniflare.unsafeGetDirectURL()
    const edge = await serveEdge(() => worker, { hostname, port }).catch(refuseAddress(settings))
    greet({ options, storage: `d1:${folder}` })
    return async () => {
      await edge.close()
      await miniflare.dispose()
    }
  } catch (error) {
    await miniflare.dispose()
    throw error
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const
const others = SIGNALS.map((signal) => process.listeners(signal))
try {
  const close = await serve(process.env, process.stdout.isTTY)
  let isClosing = false
  for (const [i, signal] of SIGNALS.entries()) {
    // Miniflare would end this process there and then
    for (const listener of process.listeners(signal))
      if (!others[i]?.includes(listener)) process.off(signal, listener)
    process.on(signal, () => {
      if (!isClosing) close().then(() => process.exit(0))
      isClosing = true
    })
  }
} catch (error) {
  explainStartFailure(error)
  process.exitCode = 1
}
