/**
 * What `keys` and `sessions` share: a person's own credentials are listed, found by what people call them, and ended;
 * and the logins that are kept here follow.
 *
 * @module
 */

import process from 'node:process'
import { toLoginError } from '../errors.ts'
import type { CredentialSummary } from '../generated/contract.ts'
import type { StoredLogin } from '../store.ts'
import { loginsAt } from './accounts.ts'
import { CommandError, type Context, EXIT, type Problem, type Result } from './context.ts'
import { usage } from './problem.ts'
import { layOut } from './table.ts'
import { bold, mark, printable, say } from './terminal.ts'
import { secondsUntil, shortDuration } from './times.ts'
import { commandLine } from './words.ts'

/** What `keys revoke` and `sessions revoke` are called with. */
export interface RevokeOptions {
  /** Ids, starts of ids, or names. */
  readonly ids: readonly string[]
  /** All but the one that asks. */
  readonly others: boolean
  readonly all: boolean
  /** Ask nothing. */
  readonly yes: boolean
}

/** What a list is of. */
export type Kind = 'keys' | 'sessions'

const one = (kind: Kind) => (kind === 'keys' ? 'key' : 'session')

const counted = (count: number, kind: Kind) => `${count} ${count === 1 ? one(kind) : kind}`

const procedures = ({ client: { api } }: Context, kind: Kind) => (kind === 'keys' ? api.keys : api.session)

const MANAGE = 'pairgate:manage'

/** What a login lacks that the server wants of it, and how to get that; null when it is something else. */
async function explainScope({ client, server }: Context, scope: string): Promise<CommandError | null> {
  const refused = (problem: Omit<Problem, 'code'>) =>
    new CommandError({ code: 'refused', ...problem }, EXIT.failure)
  const needed = [...scope.split(' ').filter(Boolean), MANAGE]
  if (needed.indexOf(MANAGE) < needed.length - 1) {
    const hint = `A person may at ${server}/account. For a new login in place of this one: ${commandLine('login')}`
    return refused({ message: `No login may make or renew a key with the scope ${MANAGE}`, hint })
  }
  const message = `This takes a login with the scope ${needed.join(' ')}`
  const login = (await client.access())?.login
  if (!login) return refused({ message, hint: 'The token in PAIRGATE_TOKEN is none.' })
  const had = login.scope.split(' ').filter(Boolean)
  const wanted = [...new Set([...had, ...needed])]
  if (wanted.length === had.length) return null
  // a default need not be said, but may be another one where the command is pasted
  const id = login.client_id === 'pairgate-cli' ? [] : ['--client-id', login.client_id]
  const command = commandLine('login', '--server', server, ...id, '--scope', wanted.join(' '))
  const when = 'to sign in with it; the gateway must have it among the scopes of this client'
  return refused({ message, hint: `The login has ${login.scope || 'no scope'}.`, next: [{ command, when }] })
}

/**
 * Makes a call to the server, and explains what it takes where the login may not.
 *
 * @param scope What the key in question may, separated by spaces.
 */
export async function ask<T>(context: Context, call: () => Promise<T>, scope = ''): Promise<T> {
  try {
    return await call()
  } catch (error) {
    context.signal.throwIfAborted()
    if (error instanceof CommandError) throw error
    const failure = toLoginError(error)
    const isScope = /^(insufficient|invalid)_scope/.test(failure.message)
    throw (isScope ? await explainScope(context, scope) : null) ?? failure
  }
}

/** Lists them all: live ones first, newest first. */
export async function listOwn(context: Context, kind: Kind): Promise<readonly CredentialSummary[]> {
  const { signal } = context
  return await ask(context, () => procedures(context, kind).list.query(undefined, { signal }))
}

/** An id without the dashes that it may start with: those would look like an option. */
const stem = (id: string) => id.replace(/^-+/, '')

const LEAST_PREFIX = 4
const USUAL_PREFIX = 6

/** How many characters of the ids tell them apart. */
function prefixLength(list: readonly CredentialSummary[]): number {
  const stems = list.map(({ id }) => stem(id))
  const longest = Math.max(USUAL_PREFIX, ...stems.map(({ length }) => length))
  let length = USUAL_PREFIX
  while (length < longest && new Set(stems.map((id) => id.slice(0, length))).size < stems.length) length++
  return length
}

/**
 * Finds those that a reference stands for: a whole id, its start (at least 4 characters), or the exact name. What is
 * live hides what is not.
 */
export function match(list: readonly CredentialSummary[], reference: string): readonly CredentialSummary[] {
  const exact = list.filter(({ id }) => id === reference)
  if (exact.length > 0) return exact
  const isPrefix = reference.length >= LEAST_PREFIX
  const fits = ({ id, name }: CredentialSummary) =>
    name === reference || (isPrefix && (id.startsWith(reference) || stem(id).startsWith(reference)))
  const found = list.filter(fits)
  const live = found.filter(({ status }) => status === 'active')
  return live.length > 0 ? live : found
}

/** Finds the one that a reference stands for; refuses when there is none, or more than one. */
export function find(list: readonly CredentialSummary[], reference: string, kind: Kind): CredentialSummary {
  const [found, ...others] = match(list, reference)
  const quoted = `"${printable(reference)}"`
  if (!found) {
    const next = [{ command: commandLine(kind, 'list'), when: 'to see them all' }]
    const hint = `Give its id, at least ${LEAST_PREFIX} characters of it, or the whole name.`
    throw new CommandError(
      { code: 'refused', message: `You have no ${one(kind)} ${quoted}`, hint, next },
      EXIT.failure,
    )
  }
  if (others.length > 0) {
    const length = prefixLength(list)
    const those = [found, ...others].map(
      ({ id, name }) => `${stem(id).slice(0, length)} (${printable(name)})`,
    )
    throw new CommandError(
      {
        code: 'refused',
        message: `${quoted} stands for several of your ${kind}`,
        hint: `Give the id of the one that you mean: ${those.join(', ')}`,
      },
      EXIT.failure,
    )
  }
  return found
}

function ends({ status, expires_at }: CredentialSummary): string {
  return status === 'active' ? `in ${shortDuration(secondsUntil(expires_at))}` : status
}

const ago = (time: number | null) => (time === null ? 'never' : `${shortDuration(-secondsUntil(time))} ago`)

/** Shows a list. On a terminal it fits; elsewhere nothing is cut. */
export async function runList(context: Context, kind: Kind): Promise<Result> {
  const list = await listOwn(context, kind)
  const length = prefixLength(list)
  const headings = ['ID', 'NAME', kind === 'keys' ? 'KEY' : 'FROM', 'SCOPE', 'CREATED', 'USED', 'EXPIRES']
  const rows = list.map((credential) => {
    const { id, name, hint, remote_address, scope, created_at, last_used_at, current } = credential
    const what = kind === 'keys' ? hint : (remote_address ?? 'unknown')
    const cells = [stem(id).slice(0, length), name, what, scope || '-']
    const times = [ago(created_at), ago(last_used_at), ends(credential)]
    return { mark: current ? '*' : '', cells: [...cells, ...times].map(printable) }
  })
  const { columns = Number.POSITIVE_INFINITY } = process.stdout
  const lines = layOut(headings, rows, { flexible: kind === 'keys' ? [1, 3] : [1, 2, 3], width: columns })
  if (!context.json && list.length === 0) say(`You have no ${kind} at ${context.server}`)
  if (!context.json && list.some(({ current }) => current)) say('* is what this command is signed in with')
  return { exit: EXIT.ok, json: { [kind]: list }, lines }
}

/** Whether a secret is the one that a list hints at. */
function fitsHint(secret: string, hint: string): boolean {
  const [start = '', end = ''] = hint.split('…')
  return end !== '' && secret.startsWith(start) && secret.endsWith(end)
}

/** The logins that are kept here and are some of these credentials. */
export async function findKept(
  { store, server }: Context,
  list: readonly CredentialSummary[],
): Promise<readonly StoredLogin[]> {
  const entries = await loginsAt(store, server)
  const logins = await Promise.all(entries.map((entry) => store.find(server, entry)))
  return logins.filter(
    (login) => login !== null && list.some(({ hint }) => fitsHint(login.access_token, hint)),
  ) as StoredLogin[]
}

/** Forgets the logins whose credentials are ended. */
async function forget(context: Context, logins: readonly StoredLogin[]): Promise<void> {
  for (const login of logins) {
    await context.store.remove(login.server, login)
    if (!context.json) say(`  That was the login here as ${printable(login.subject)}: you are signed out`)
  }
}

/** Asks yes or no. The terminal stays as it is, so that Ctrl-C is a signal as ever. */
async function isSure(question: string, signal: AbortSignal): Promise<boolean> {
  const { createInterface } = await import('node:readline')
  const lines = createInterface({ input: process.stdin })
  process.stderr.write(`${question} [y/N] `)
  const answer = await new Promise<string>((resolve) => {
    lines.once('line', resolve)
    lines.once('close', () => resolve(''))
    signal.addEventListener('abort', () => lines.close(), { once: true })
  })
  lines.close()
  signal.throwIfAborted()
  return /^y(es)?$/i.test(answer.trim())
}

async function assertSure({ json, signal }: Context, yes: boolean, question: string): Promise<void> {
  if (yes) return
  if (json || !process.stdin.isTTY || !process.stderr.isTTY) {
    throw usage('Nobody is there to be asked: --yes says that you mean it')
  }
  if (await isSure(question, signal)) return
  throw new CommandError({ code: 'cancelled', message: 'Nothing was changed' }, EXIT.denied)
}

async function revokeMany(context: Context, kind: Kind, { others, yes }: RevokeOptions): Promise<Result> {
  const { signal, json, server } = context
  const live = (await listOwn(context, kind)).filter(({ status }) => status === 'active')
  const ending = others ? live.filter(({ current }) => !current) : live
  const what = others ? 'all but the one that this command is signed in with' : 'all of them'
  await assertSure(context, yes, `End ${counted(ending.length, kind)} at ${server}, ${what}?`)
  const kept = await findKept(context, ending)
  const procedure = others ? procedures(context, kind).revokeOthers : procedures(context, kind).revokeAll
  const { count } = await ask(context, () => procedure.mutate({}, { signal }))
  if (!json) say(`${mark('done')} Ended ${counted(count, kind)}`)
  await forget(context, kept)
  return { exit: EXIT.ok, json: { count }, lines: [] }
}

async function revokeSome(context: Context, kind: Kind, references: readonly string[]): Promise<Result> {
  const { signal, json } = context
  const list = await listOwn(context, kind)
  const found = new Set(references.map((reference) => find(list, reference, kind)))
  // what this command is signed in with comes last: nothing could be done after it
  const ordered = [...found].sort((a, b) => Number(a.current) - Number(b.current))
  const revoked: string[] = []
  for (const credential of ordered) {
    const { id, name, status } = credential
    const kept = await findKept(context, [credential])
    // not found: it has ended meanwhile, as was wanted
    if (status === 'active')
      await ask(context, () => procedures(context, kind).revoke.mutate({ id }, { signal }))
    revoked.push(id)
    const said = status === 'active' ? 'Ended' : 'Ended already:'
    if (!json) say(`${mark('done')} ${said} ${bold(printable(name))} (${stem(id)})`)
    await forget(context, kept)
  }
  return { exit: EXIT.ok, json: { revoked }, lines: [] }
}

/** Ends some of them, all but the one that asks, or all. */
export async function runRevoke(context: Context, kind: Kind, options: RevokeOptions): Promise<Result> {
  const ways = [options.ids.length > 0, options.others, options.all].filter(Boolean)
  if (ways.length !== 1) {
    throw usage(`Say which ${kind} to end: their ids or names, or --others, or --all`)
  }
  if (options.ids.length > 0) return await revokeSome(context, kind, options.ids)
  return await revokeMany(context, kind, options)
}
