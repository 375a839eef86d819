/** pairgate as a server of its own: settings from the environment, a greeting, a clean end. @module */

import { createGate, isPublicHost, PRIVATE_NETWORKS } from '../src/internal.ts'
import { type Pairgate, PairgateError } from '../src/mod.ts'
import { type Environment, refuse } from './environment.ts'
import { consoleLog, explain } from './log.ts'
import { readSettings, type Settings, saveSecret } from './settings.ts'

/** A listening server. */
export interface Listening {
  /** The port in use; another than asked for when that was 0. */
  readonly port: number
  /** Takes no new requests, finishes those under way. */
  close(): Promise<void>
}

/** Longer than any answer takes: a credential is looked for during 15 s while the database comes back. Milliseconds. */
const LONGEST_ANSWER = 16_000

/**
 * Waits for the requests under way, but not for whoever stalls.
 *
 * @param done Resolves when the last socket is closed.
 * @param cutOff Closes those that are left after 16 s.
 */
export async function endInTime(done: Promise<unknown>, cutOff: () => unknown): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(() => {
      cutOff()
      resolve()
    }, LONGEST_ANSWER)
  })
  await Promise.race([done, late])
  clearTimeout(timer)
}

/** Where to listen. */
export interface Address {
  readonly hostname: string
  readonly port: number
  /** Proxies, as CIDRs, that may have more sockets than others. */
  readonly trustedProxies?: readonly string[] | undefined
}

/** Who has everybody's sockets: the proxies. At a public URL a private address is one that nobody named. */
function proxiesOf({ baseUrl, trustedProxies = [] }: Settings['options']): readonly string[] {
  const isPublic = isPublicHost(new URL(baseUrl).hostname)
  return isPublic ? [...PRIVATE_NETWORKS, ...trustedProxies] : trustedProxies
}

/** What a runtime adds: a listening socket. */
export type Listen = (gate: Pairgate, address: Address) => Promise<Listening>

/** Says on stdout where the server listens, and what to do next. */
export function greet({ options, storage }: Pick<Settings, 'options' | 'storage'>): void {
  const { baseUrl } = options
  const server = baseUrl === 'http://127.0.0.1:8787' ? '' : ` --server ${baseUrl}`
  const lines = [
    `pairgate listens on ${baseUrl}`,
    `  stores in     ${storage}`,
    ...(options.devSignIn ? ['  sign-in       any name (development, this machine only)'] : []),
    ...(options.signIn ?? []).map(({ name }) => `  sign-in       ${name}`),
    '',
    'Next, in a second terminal:',
    `  npx pairgate login${server}`,
    `  npx pairgate login --device${server}`,
    '',
  ]
  if (options.seedCompat) {
    lines.push(
      'Weaker: PAIRGATE_SEED_COMPAT is on. Clients without a client_id are served, GET /cli_login and GET /token take a',
      'secret in the URL, and POST /oauth/device/verify-authenticated needs no form token. See SECURITY.md.',
      '',
    )
  }
  console.log(lines.join('\n'))
}

/** Says why a server cannot listen: mostly because another one does. */
export const refuseAddress =
  ({ hostname, port }: Pick<Settings, 'hostname' | 'port'>) =>
  (error: Error): never =>
    refuse(`Cannot listen on ${hostname}:${port} (HOST, PORT): ${error.message}`)

/**
 * Starts the server that the environment describes.
 *
 * @param listen The runtime's way to listen.
 * @returns The server's end: resolves once everything is closed.
 * @throws {PairgateError} When a setting is wrong or the port is taken.
 */
export async function serveStandalone(
  env: Environment,
  listen: Listen,
  isTerminal: boolean,
): Promise<() => Promise<void>> {
  const log = consoleLog(env.PAIRGATE_LOG, isTerminal)
  const settings = await readSettings(env)
  const { hostname, port, newSecret } = settings
  const gate = createGate(settings.options, log)
  try {
    await (settings.options.autoMigrate === false ? gate.checkSchema() : gate.migrate())
    if (newSecret && !saveSecret(newSecret)) {
      await gate.close()
      return await serveStandalone(env, listen, isTerminal)
    }
    const trustedProxies = proxiesOf(settings.options)
    const server = await listen(gate, { hostname, port, trustedProxies }).catch(refuseAddress(settings))
    greet(settings)
    return async () => {
      // a poll that is held would keep the server from closing
      await Promise.all([gate.drain(), server.close()])
      await gate.close()
    }
  } catch (error) {
    await gate.close()
    throw error
  }
}

/** Prints why the server cannot start, in one line for what the operator can mend. */
export function explainStartFailure(error: unknown): void {
  if (error instanceof PairgateError) {
    console.error(`pairgate cannot start: ${explain(error)}`)
  } else if (error instanceof Error && error.name === 'NotCapable') {
    // Deno's: it names the permission and the place; which folders the task allows is a setting
    const said = error.message.replace(
      /^(.* (?:read|write) access to .*), run again.*/,
      '$1: name its folder in PAIRGATE_DATA',
    )
    console.error(`pairgate cannot start: ${said}`)
  } else {
    console.error(error)
  }
}
