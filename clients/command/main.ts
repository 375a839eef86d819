/**
 * The `pairgate` command. Results go to stdout, everything else to stderr. What a command needs is loaded when it runs:
 * most of the time of `pairgate status` is then that of Node itself.
 *
 * @module
 */

import process from 'node:process'
import { parseSync } from '@optique/core/parser'
import { createClient } from '../client.ts'
import { credentialStore } from '../credential_store.ts'
import { parseServer } from '../errors.ts'
import { surroundings } from '../surroundings.ts'
import { findAccount } from './accounts.ts'
import { CommandError, type Context, EXIT, type Result } from './context.ts'
import { grammar, type Typed } from './grammar.ts'
import { isTwoStep } from './modes.ts'
import { useProxyAndCertificates } from './network.ts'
import { explain, sayProblem } from './problem.ts'
import { commandLine } from './words.ts'

const SIGNALS = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const

/** Whether results and failures are JSON: where that is asked for, and in the two steps that programs take. */
function forPrograms(typed: Typed): boolean {
  return typed.json || (typed.command === 'login' && (typed.complete || isTwoStep(typed, process.env)))
}

/** The command that tries once more what was typed; a login that was started before is to be started anew. */
const tryAgain = (args: readonly string[]) =>
  commandLine(...args.map((word) => (word === '--complete' ? '--non-interactive' : word)))

/** Loads a command and runs it. */
async function run(context: Context, typed: Typed): Promise<Result> {
  switch (typed.command) {
    case 'login':
      return await (await import('./login.ts')).runLogin(context, typed)
    case 'logout':
      return await (await import('./logout.ts')).runLogout(context, typed)
    case 'status':
      return await (await import('./status.ts')).runStatus(context, typed)
    case 'token':
      return await (await import('./token.ts')).runToken(context)
    case 'refresh':
      return await (await import('./refresh.ts')).runRefresh(context)
    case 'switch':
      return await (await import('./switch.ts')).runSwitch(context, typed)
    case 'keys list':
      return await (await import('./keys.ts')).runKeysList(context)
    case 'keys create':
      return await (await import('./keys.ts')).runKeysCreate(context, typed)
    case 'keys rotate':
      return await (await import('./keys.ts')).runKeysRotate(context, typed)
    case 'keys revoke':
      return await (await import('./keys.ts')).runKeysRevoke(context, typed)
    case 'sessions list':
      return await (await import('./sessions.ts')).runSessionsList(context)
    case 'sessions revoke':
      return await (await import('./sessions.ts')).runSessionsRevoke(context, typed)
    case 'git-credential':
      return await (await import('./git_credential.ts')).runGitCredential(context, typed)
    case 'kubectl-credential':
      return await (await import('./kubectl_credential.ts')).runKubectlCredential(context)
  }
}

/** Finds out what a command is about: which server, whose login. */
async function prepare(typed: Typed, signal: AbortSignal): Promise<Context> {
  const where = surroundings()
  const { env } = where
  const kept = credentialStore({ name: 'pairgate' })
  const named = typed.server ?? (env.PAIRGATE_SERVER || (await kept.defaultServer()))
  const server = parseServer(named ?? 'http://127.0.0.1:8787')
  await useProxyAndCertificates(env, server)
  const { storage = undefined, clientId = undefined } = typed.command === 'login' ? typed : {}
  const store = storage ? credentialStore({ name: 'pairgate', mode: storage }) : kept
  const ownId = clientId ?? (env.PAIRGATE_CLIENT_ID || undefined)
  const settings = { store, name: 'pairgate', clientId: ownId }
  // a login that is named is meant, whatever the environment holds
  const connect: Context['connect'] = (server, account, clientId = ownId) =>
    createClient({ ...settings, server, account, clientId, ...(account && { token: null }) })
  const account = typed.account === undefined ? undefined : await findAccount(kept, server, typed.account)
  const client = createClient({ ...settings, server, account })
  return { server, account, client, connect, store, where, signal, json: forPrograms(typed) }
}

function print({ exit, json, lines }: Result, isJson: boolean): number {
  const all = isJson ? [JSON.stringify(json)] : lines
  if (all.length > 0) process.stdout.write(`${all.join('\n')}\n`)
  return exit
}

function fail({ problem, exit }: CommandError, isJson: boolean): number {
  if (isJson) process.stdout.write(`${JSON.stringify({ error: problem })}\n`)
  else sayProblem(problem)
  return exit
}

/** Ctrl-C and its kin: what runs is told, and the exit code says which it was. */
function watchSignals(): {
  readonly signal: AbortSignal
  readonly stopped: () => CommandError | null
} {
  const interrupted = new AbortController()
  const { signal } = interrupted
  let exit: number = EXIT.failure
  for (const [name, code] of Object.entries(SIGNALS)) {
    process.on(name, () => {
      // whoever asks twice does not want to wait for an answer
      if (signal.aborted) process.exit(code)
      exit = code
      interrupted.abort()
    })
  }
  const problem = { code: 'cancelled', message: 'Cancelled, nothing was changed' } as const
  return { signal, stopped: () => (signal.aborted ? new CommandError(problem, exit) : null) }
}

/**
 * Runs the command.
 *
 * @param args Default: those of the process.
 * @returns The exit code.
 */
export async function main(args: readonly string[] = process.argv.slice(2)): Promise<number> {
  const { signal, stopped } = watchSignals()
  let isJson = args.includes('--json')
  let context: Context | undefined
  try {
    const parsed = parseSync(grammar, args)
    if (!parsed.success) return await (await import('./help.ts')).runHelp(args)
    isJson = forPrograms(parsed.value)
    context = await prepare(parsed.value, signal)
    return print(await run(context, parsed.value), isJson)
  } catch (error) {
    const around = { server: context?.server ?? null, env: process.env, again: tryAgain(args) }
    return fail(stopped() ?? explain(error, around), isJson)
  }
}
