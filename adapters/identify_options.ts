/** What the ways of `pairgate/gateway` share: their options are checked, and a disbelief is told. @module */

import { type Identity, type Log, PairgateError } from '../src/mod.ts'

/** Refuses an option; the message never quotes a secret. */
export function refuseOption(option: string, problem: string): never {
  throw new PairgateError('ERR_PAIRGATE_OPTION', `Option "${option}" ${problem}`)
}

/** Refuses options that there are not: a misspelt one must not be left out in silence. */
export function checkKeys(options: object, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null) refuseOption('options', 'must be an object')
  const unknown = Object.keys(options).find((key) => !known.includes(key))
  if (unknown !== undefined) refuseOption(unknown, `is unknown; there are ${known.join(', ')}`)
}

/** Checks a text that must not be empty. An undefined one, as from an unset variable, is refused. */
export function checkText(option: string, value: unknown): string {
  if (value === undefined || value === '') return refuseOption(option, 'is not set')
  return typeof value === 'string' ? value : refuseOption(option, 'must be a string')
}

/** Checks the name of a header: letters, digits and `-`. Names with `_` or `.` are lost or rewritten on the way. */
export function checkHeaderName(option: string, value: unknown): string {
  const name = checkText(option, value).toLowerCase()
  return /^[a-z0-9-]{1,64}$/.test(name)
    ? name
    : refuseOption(option, 'must be the name of a header: letters, digits and "-"')
}

/** Checks a function that may be left out. */
export function checkFunction(option: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'function') refuseOption(option, 'must be a function')
}

/** Says why a request is nobody's, and answers so. */
export type Refuse = (reason: string) => null

/** Makes that of a log. Reasons are constant: nothing that a client sent is in them. */
export function refuseWith(log: Log, way: string): Refuse {
  return (reason) => {
    log.debug('Nobody is signed in', { way, reason })
    return null
  }
}

/** Changes what is made of a session or of claims, for example adds `tenants`; null for nobody. */
export type ToIdentity<Source> = (
  source: Source,
  identity: Identity,
) => Identity | null | undefined | Promise<Identity | null | undefined>

/** A text that is not empty. */
export function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
