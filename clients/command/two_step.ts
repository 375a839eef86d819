/**
 * A login in two steps, for programs that cannot wait until a person has decided: one run starts it and ends, another
 * collects it. In between, what it takes to collect is in a file that only its owner can read.
 *
 * @module
 */

import { mkdir, rm } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Login, PendingLogin } from '../client.ts'
import { configDirectory } from '../credential_file.ts'
import { LoginError } from '../errors.ts'
import { readPrivateFile, writePrivateFile } from '../private_file.ts'
import type { Account } from '../store.ts'
import { type Context, EXIT, type Next, type Result } from './context.ts'
import type { LoginCommand } from './options.ts'
import { usage } from './problem.ts'
import { duration, printable, startSpinner } from './terminal.ts'
import { secondsUntil } from './times.ts'
import { commandLine, place } from './words.ts'

/** What is in the file. */
interface Pending extends PendingLogin {
  /** Who has to sign in; null: anybody. */
  readonly account: Account | null
}

/** One for each server. */
async function fileOf({ server, where: { env, platform } }: Context): Promise<string> {
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(server))
  const name = Buffer.from(digest).toString('hex').slice(0, 16)
  return join(configDirectory('pairgate', env, platform, homedir()), `pending-${name}.json`)
}

async function writePending(path: string, pending: Pending): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  await writePrivateFile(path, pending)
}

/** Null when there is none, or none that makes sense: then a new one is to be started. */
async function readPending(path: string): Promise<Pending | null> {
  const found = await readPrivateFile(path)
  try {
    return found && (JSON.parse(found.text) as Pending)
  } catch {
    return null
  }
}

const startNext = (server: string): Next => ({
  command: commandLine('login', '--non-interactive', '--server', server),
  when: 'to start a new login',
})

/** The first step: starts a login, and says what the person has to do. */
export async function startLogin(context: Context, options: LoginCommand): Promise<Result> {
  const { client, server, signal, account } = context
  const { scope, name: deviceName, storage } = options
  const started = await client.start({ deviceName, scope, signal })
  const { issuer, subject } = account ?? {}
  const wanted = issuer !== undefined && subject !== undefined ? { issuer, subject } : null
  await writePending(await fileOf(context), { ...started, account: wanted })
  const { verification_uri, verification_uri_complete, user_code, expires_at } = started
  const expires_in = secondsUntil(expires_at)
  const complete = ['login', '--complete', '--server', server, ...(storage ? ['--storage', storage] : [])]
  const json = {
    status: 'authorization_pending',
    server,
    ...{ verification_uri, verification_uri_complete, user_code, expires_in },
    message: printable(
      `To sign in at ${place(server)}, open ${verification_uri_complete} in a browser within ${duration(expires_in)}, check that the page shows the code ${user_code}, and allow it. Only allow it if you asked for this login.`,
    ),
    next: [
      {
        command: commandLine(...complete),
        when: 'once the person has the link; it waits for the decision and ends with the result',
      },
    ],
  }
  return { exit: EXIT.ok, json, lines: [JSON.stringify(json)] }
}

/** The second step: waits for the decision, and keeps the login. Ctrl-C leaves it to be completed later. */
export async function completeLogin(context: Context): Promise<Login> {
  const { client, server, signal } = context
  const path = await fileOf(context)
  const pending = await readPending(path)
  if (!pending) throw usage(`No login was started at ${place(server)}`, [startNext(server)])
  const left = Math.max(0, secondsUntil(pending.expires_at))
  const spinner = startSpinner(`Waiting for the browser, ${duration(left)} at most`)
  const account = pending.account ?? context.account
  try {
    const login = await client.complete(pending, { signal, ...(account && { account }) })
    await rm(path, { force: true })
    return login
  } catch (error) {
    // whatever else it was, there is nothing left to collect
    const isLeft = signal.aborted || (error instanceof LoginError && error.code === 'environment_token')
    if (!isLeft) await rm(path, { force: true })
    throw error
  } finally {
    spinner.stop()
  }
}
