/**
 * `pairgate git-credential`: git asks for the password of a server, and gets the access token (git-credential(1)).
 *
 * @module
 */

import process from 'node:process'
import type { Client } from '../client.ts'
import { LoginError } from '../errors.ts'
import type { Access } from '../session.ts'
import { isSameAccount, type ListedLogin } from '../store.ts'
import { type Context, EXIT, type Result } from './context.ts'

/** What `git-credential` is called with. */
export interface GitOptions {
  readonly operation: 'get' | 'store' | 'erase'
  /** Only this server counts: the context's. Default: all that somebody is signed in at. */
  readonly server?: string | undefined
}

/** What git asks: one value a key, and lists under the keys that end in `[]`. */
interface Question {
  readonly values: ReadonlyMap<string, string>
  readonly lists: ReadonlyMap<string, readonly string[]>
}

/** Reads lines of `key=value` up to an empty one. An empty item starts its list anew. */
async function readQuestion(): Promise<Question> {
  const values = new Map<string, string>()
  const lists = new Map<string, string[]>()
  // here, because the command is one file: every other command would load it too
  const { createInterface } = await import('node:readline')
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === '') break
    const at = line.indexOf('=')
    const [key, value] = [line.slice(0, at), line.slice(at + 1)]
    if (!key.endsWith('[]')) values.set(key, value)
    else lists.set(key, value === '' ? [] : [...(lists.get(key) ?? []), value])
  }
  return { values, lists }
}

/** The origin that git is about to talk to; null when it is none that a credential is for. */
function readOrigin({ values }: Question): string | null {
  const [protocol = '', host = ''] = ['protocol', 'host'].map((key) => values.get(key))
  // nothing but a host and a port, so that git and URL cannot read it differently
  if (!/^https?$/.test(protocol) || !/^[\w.-]+(:\d+)?$|^\[[\da-f:.]+\](:\d+)?$/i.test(host)) return null
  return URL.canParse(`${protocol}://${host}`) ? new URL(`${protocol}://${host}`).origin : null
}

const isAt = (origin: string, server: string) => new URL(server).origin === origin

/** Picks the login for an origin: of the person that is named, else the one in use; the default server comes first. */
function pick(logins: readonly ListedLogin[], question: Question, origin: string, { account }: Context) {
  const username = question.values.get('username')
  const isMeant = (login: ListedLogin) => account === undefined || isSameAccount(account, login)
  const fitting = logins
    .filter((login) => isAt(origin, login.server) && isMeant(login))
    .filter((login) => username === undefined || username === usernameOf(login))
  return fitting.find(({ active }) => active) ?? fitting[0]
}

/** Basic authentication (RFC 7617) has no colons in names, and git no line breaks. */
function usernameOf(login: Pick<ListedLogin, 'subject'> | null): string {
  return login && /^[^:\p{Cc}]+$/u.test(login.subject) ? login.subject : 'pairgate'
}

/** Whether the server can be given the token as it is meant: git announces that it can, and the server takes it. */
function takesBearer({ lists }: Question): boolean {
  const challenges = lists.get('wwwauth[]') ?? []
  const isTaken = challenges.length === 0 || challenges.some((challenge) => /^bearer\b/i.test(challenge))
  return isTaken && (lists.get('capability[]') ?? []).includes('authtype')
}

function answer(question: Question, { access_token, login }: Access): string[] {
  const expiry = login ? [`password_expiry_utc=${login.expires_at}`] : []
  if (!takesBearer(question)) return [`username=${usernameOf(login)}`, `password=${access_token}`, ...expiry]
  // ephemeral: no other helper is to keep it
  const bearer = ['authtype=Bearer', `credential=${access_token}`, 'ephemeral=1']
  return ['capability[]=authtype', ...bearer, ...expiry]
}

/** The client whose credential is for an origin; null when that is for another helper to answer. */
async function findClient(
  context: Context,
  { server }: GitOptions,
  question: Question,
  origin: string,
): Promise<Client | null> {
  const { client, store, connect, where } = context
  // it stands above all logins, and is for one server alone
  if (where.env.PAIRGATE_TOKEN) return isAt(origin, context.server) ? client : null
  const logins = (await store.list()).filter((one) => server === undefined || one.server === context.server)
  const login = pick(logins, question, origin, context)
  if (login) return connect(login.server, login)
  if (server !== undefined && isAt(origin, context.server) && !question.values.has('username'))
    throw new LoginError('not_signed_in', `Nobody is signed in at ${server}`)
  return null
}

/**
 * `git-credential get`. Answers for the origins of servers that somebody is signed in at; for others it says nothing, so
 * that git asks the next helper. `store` and `erase` do nothing, as with gh: the login is kept elsewhere, and one server's
 * refusal, for whatever reason, is no reason to sign the person out.
 */
export async function runGitCredential(context: Context, options: GitOptions): Promise<Result> {
  const nothing: Result = { exit: EXIT.ok, json: {}, lines: [] }
  if (options.operation !== 'get') return nothing
  const question = await readQuestion()
  const origin = readOrigin(question)
  const client = origin && (await findClient(context, options, question, origin))
  const access = client && (await client.access())
  return access ? { ...nothing, lines: answer(question, access) } : nothing
}
