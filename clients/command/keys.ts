/** `pairgate keys`: API keys are listed, made, given a new secret and ended. Secrets go to stdout, alone. @module */

import { toLoginError } from '../errors.ts'
import type { KeySecret } from '../generated/contract.ts'
import { CommandError, type Context, EXIT, type Result } from './context.ts'
import { ask, find, findKept, listOwn, type RevokeOptions, runList, runRevoke } from './own.ts'
import { usage } from './problem.ts'
import { bold, date, duration, mark, printable, say } from './terminal.ts'
import { parseDuration, parseExpiry, secondsUntil } from './times.ts'

/** `keys list` */
export async function runKeysList(context: Context): Promise<Result> {
  return await runList(context, 'keys')
}

/** `keys revoke` */
export async function runKeysRevoke(context: Context, options: RevokeOptions): Promise<Result> {
  return await runRevoke(context, 'keys', options)
}

function sayEnd({ expires_at }: KeySecret): void {
  say(`  It expires in ${duration(secondsUntil(expires_at))} (${date(expires_at * 1000)})`)
}

/** What `keys create` is called with. */
export interface CreateOptions {
  readonly name: string
  /** Separated by spaces. Default: none. */
  readonly scope?: string | undefined
  /** A lifetime or an end, as in `30d`, `12h` or `2026-12-31`. Default: the server's. */
  readonly expires?: string | undefined
  /** The organisation that it is for. */
  readonly tenant?: string | undefined
}

function readExpiry(text: string): number {
  const seconds = parseExpiry(text, Date.now())
  if (seconds === null) throw usage(`--expires takes something like 12h, 30d or 2026-12-31, not "${text}"`)
  if (seconds < 60) throw usage('--expires: a key lives for a minute at least')
  return seconds
}

/** The longest lifetime is the server's to say; it does so in the words of its schema. */
function explainLifetime(error: unknown): never {
  const [, most] = /^expires_in: expected <=(\d+)$/.exec(toLoginError(error).message) ?? []
  throw most ? usage(`--expires: this server lets a key live for ${duration(Number(most))} at most`) : error
}

/** `keys create` */
export async function runKeysCreate(context: Context, options: CreateOptions): Promise<Result> {
  const { client, signal, json } = context
  const { name, scope = '', expires, tenant } = options
  const expires_in = expires === undefined ? undefined : readExpiry(expires)
  const input = { name, scope, expires_in, tenant }
  const create = () => client.api.keys.create.mutate(input, { signal }).catch(explainLifetime)
  const { status: _, ...key } = await ask(context, create, scope)
  if (!json) {
    say(`${mark('done')} Made the key ${bold(printable(name))} (${key.id})`)
    if (scope) say(`  Scope ${printable(scope)}`)
    sayEnd(key)
    say('  Its secret is shown this once:')
  }
  return { exit: EXIT.ok, json: key, lines: [key.secret] }
}

const LONGEST_OVERLAP = 604_800

function readOverlap(text: string): number {
  const seconds = parseDuration(text)
  if (seconds !== null && seconds <= LONGEST_OVERLAP) return seconds
  throw usage(`--overlap takes something like 10m or 1h, at most 7d, not "${text}"`)
}

/** The logins here that are this key go on with its new secret. What is in the way of that is no reason to lose it. */
async function keepSecret(context: Context, key: KeySecret, kept: Awaited<ReturnType<typeof findKept>>) {
  const { store, json } = context
  for (const login of kept) {
    const person = printable(login.subject)
    try {
      await store.lock(() => store.save({ ...login, access_token: key.secret, expires_at: key.expires_at }))
      if (!json) say(`  It is the login here as ${person}, which goes on with the new secret`)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      say(
        `${mark('warning')} It is the login here as ${person}, which could not be changed (${printable(why)})`,
      )
    }
  }
}

/** What `keys rotate` is called with. */
export interface RotateOptions {
  /** An id, the start of one, or a name. */
  readonly key: string
  /** How long the old secret stays good, as in `10m` or `7d`, the most. Default: not at all. */
  readonly overlap?: string | undefined
}

/** `keys rotate` */
export async function runKeysRotate(context: Context, options: RotateOptions): Promise<Result> {
  const { client, signal, json } = context
  const overlap_seconds = options.overlap === undefined ? 0 : readOverlap(options.overlap)
  const summary = find(await listOwn(context, 'keys'), options.key, 'keys')
  const { id, name, scope, status, can_rotate } = summary
  const refused = (message: string) => new CommandError({ code: 'refused', message }, EXIT.failure)
  const called = `The key "${printable(name)}"`
  if (status !== 'active') throw refused(`${called} has ended: it gets no new secret`)
  if (!can_rotate) throw refused(`${called} is a login that renews itself: it gets no new secret by hand`)
  const kept = await findKept(context, [summary])
  const rotate = () => client.api.keys.rotate.mutate({ id, overlap_seconds }, { signal })
  const answer = await ask(context, rotate, scope)
  if (answer.status === 'not_found') throw refused(`${called} has ended meanwhile`)
  const { status: _, ...key } = answer
  if (!json) {
    say(`${mark('done')} The key ${bold(printable(name))} (${id}) has a new secret`)
    say(
      overlap_seconds > 0
        ? `  The old one is good for another ${duration(overlap_seconds)}`
        : '  The old one is no good any more',
    )
    sayEnd(key)
  }
  await keepSecret(context, key, kept)
  if (!json) say('  Its secret is shown this once:')
  return { exit: EXIT.ok, json: key, lines: [key.secret] }
}
