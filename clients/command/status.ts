/** `pairgate status`: says who is signed in, as the server knows it. @module */

import { toLoginError } from '../errors.ts'
import type { Whoami } from '../generated/contract.ts'
import type { Access } from '../session.ts'
import { isSameAccount, type ListedLogin } from '../store.ts'
import { loginsAt } from './accounts.ts'
import { type Context, EXIT, type Result } from './context.ts'
import type { StatusCommand } from './options.ts'
import { explain, notSignedIn, unsetNext } from './problem.ts'
import { date, duration, printable } from './terminal.ts'
import { secondsUntil } from './times.ts'
import { accessNow } from './token.ts'
import { masked, person, place, TOKEN_VARIABLE } from './words.ts'

/** Asks the server whose credential it is. */
async function ask({ client, server, signal }: Context, { login }: Access): Promise<Whoami> {
  try {
    return await client.api.session.whoami.query(undefined, { signal })
  } catch (error) {
    signal.throwIfAborted()
    const failure = toLoginError(error)
    if (failure.code !== 'not_signed_in') throw failure
    if (login) throw notSignedIn(`The login as ${person(login)} at ${place(server)} was revoked`, server)
    throw notSignedIn(`The token in ${TOKEN_VARIABLE} is not valid at ${place(server)}`, server, unsetNext)
  }
}

/** Who is signed in, by which login. */
async function statusOf(context: Context) {
  const { server, store } = context
  const access = await accessNow(context)
  const who = await ask(context, access)
  const { expires_in, ...rest } = who
  const logins = access.login ? await loginsAt(store, server) : []
  const own = logins.find((login) => isSameAccount(login, who))
  return {
    others: logins.filter((login) => login !== own),
    json: {
      status: 'signed_in',
      server,
      ...rest,
      expires_at: Math.floor(Date.now() / 1000) + expires_in,
      refreshable: Boolean(access.login?.refresh_token),
      source: access.login ? 'login' : TOKEN_VARIABLE,
      place: own?.place ?? null,
      token: masked(access.access_token),
    },
  }
}

type Status = Awaited<ReturnType<typeof statusOf>>

function untilWhen({
  expires_at,
  refreshable,
}: {
  readonly expires_at: number
  readonly refreshable?: boolean
}) {
  return refreshable ? 'renews itself' : `expires in ${duration(secondsUntil(expires_at))}`
}

function toLines({ json, others }: Status): string[] {
  const { kind, scope, tenant, token, expires_at, refreshable, source, server } = json
  const kinds = { api_key: 'API key', session: 'session', browser: 'browser' }
  return [
    `Signed in as ${person(json)} at ${place(server)}`,
    `  Kind     ${kinds[kind]}`,
    ...(scope ? [`  Scope    ${printable(scope)}`] : []),
    ...(tenant ? [`  Tenant   ${printable(tenant)}`] : []),
    `  Token    ${printable(token)}`,
    `  Expires  in ${duration(secondsUntil(expires_at))} (${date(expires_at * 1000)})${refreshable ? ', renews itself' : ''}`,
    source === 'login' ? `  Stored   ${json.place}` : `  From     ${source}, which stands above all logins`,
    ...(others.length > 0 ? [`  Others   ${others.map(person).join(', ')}`] : []),
  ]
}

/** One login of `status --all`. */
async function checkOne(context: Context, listed: ListedLogin) {
  const { server } = listed
  try {
    const client = context.connect(server, listed, listed.client_id)
    const { json } = await statusOf({ ...context, server, client })
    return { ...json, active: listed.active, error: null }
  } catch (error) {
    context.signal.throwIfAborted()
    const { code, message } = explain(error, { server, env: context.where.env, again: '' }).problem
    const status = code === 'not_signed_in' ? 'ended' : 'unknown'
    return { ...listed, status, error: { code, message } }
  }
}

type Checked = Awaited<ReturnType<typeof checkOne>>

const EXIT_FOR: Readonly<Record<string, number>> = {
  signed_in: EXIT.ok,
  ended: EXIT.signInRequired,
  unknown: EXIT.failure,
}

/** The exit code for all: the first that is not good decides, and the default server's come first. */
function exitFor(logins: readonly Checked[]): number {
  const codes = logins.map(({ status }) => EXIT_FOR[status] ?? EXIT.failure)
  return codes.find((code) => code !== EXIT.ok) ?? EXIT.ok
}

async function statusOfAll(context: Context): Promise<Result> {
  const listed = await context.store.list()
  if (listed.length === 0) throw notSignedIn('Not signed in anywhere', context.server)
  const logins = await Promise.all(listed.map((login) => checkOne(context, login)))
  const lines = logins.map((login) => {
    const state = login.error ? printable(login.error.message) : `signed in, ${untilWhen(login)}`
    return `${login.active ? '*' : ' '} ${person(login)} at ${place(login.server)}: ${state}`
  })
  return { exit: exitFor(logins), json: { logins }, lines }
}

/** `status` */
export async function runStatus(context: Context, { all }: StatusCommand): Promise<Result> {
  if (all) return await statusOfAll(context)
  const status = await statusOf(context)
  return { exit: EXIT.ok, json: status.json, lines: toLines(status) }
}
