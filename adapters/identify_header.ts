/** Who is signed in, by a plain header of a gateway that proves itself by a secret and by its address. @module */

import { isInRanges, parseRange, sameSecret } from '../src/internal.ts'
import type { Identify } from '../src/mod.ts'
import { checkHeaderName, checkKeys, checkText, refuseOption, refuseWith } from './identify_options.ts'

/** Which headers are believed, and from whom. */
export interface TrustedHeaderOptions {
  /** The header that holds the stable id of the person: printable ASCII, no comma. */
  readonly user: string
  /** The header with their name, for show. */
  readonly name?: string | undefined
  /** The header with their e-mail address. */
  readonly email?: string | undefined
  /** The header that holds the secret. */
  readonly secretHeader: string
  /** What only the gateway and pairgate know: at least 32 bytes. An undefined one, as from an unset variable, is refused. */
  readonly secret: string | undefined
  /** Where the gateway's connections come from, as CIDRs: the other end of the socket, whatever `trustedProxies` says. */
  readonly from: readonly string[]
  /** Who vouches for people. Default: the base URL. */
  readonly issuer?: string | undefined
}

const OPTIONS = 'user name email secretHeader secret from issuer'.split(' ')
const LEAST_SECRET = 32

function checkSecret(value: unknown): string {
  const secret = checkText('secret', value)
  if (secret.length < LEAST_SECRET) refuseOption('secret', `must have at least ${LEAST_SECRET} bytes`)
  // a header cannot hold anything else, and what came twice is told by its comma
  if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(secret))
    refuseOption('secret', 'must be printable ASCII without spaces and commas')
  return secret
}

function checkRanges(value: unknown) {
  if (!Array.isArray(value) || value.length === 0)
    return refuseOption('from', 'must hold at least one address or CIDR')
  return value.map((one) => {
    const range = typeof one === 'string' ? parseRange(one) : null
    if (!range) return refuseOption('from', `must hold addresses or CIDRs, got "${one}"`)
    return range.bits > 0 ? range : refuseOption('from', `must not name every address, got "${one}"`)
  })
}

/**
 * What proxies send when they know nobody: the text of a placeholder that has no value (Caddy), `(null)` (Apache), or what
 * an empty value is called in the language of a script. All who are not signed in would be one person.
 */
const NOBODY = /[{}]|^[$%]|^(\(?null\)?|undefined|none|nil|-)$/i

/** Programs on the way take names that differ in such characters for one. */
const plainName = (name: string) => name.replace(/[^a-z0-9]/g, '-')

function checkOptions(options: TrustedHeaderOptions) {
  checkKeys(options, OPTIONS)
  const optional = (option: 'name' | 'email') =>
    options[option] === undefined ? undefined : checkHeaderName(option, options[option])
  const names = {
    user: checkHeaderName('user', options.user),
    name: optional('name'),
    email: optional('email'),
    secret: checkHeaderName('secretHeader', options.secretHeader),
  }
  const all = Object.values(names).filter((name) => name !== undefined)
  if (new Set(all).size < all.length) refuseOption('secretHeader', 'and the other headers must differ')
  return {
    names,
    all,
    secret: checkSecret(options.secret),
    ranges: checkRanges(options.from),
    issuer: options.issuer === undefined ? undefined : checkText('issuer', options.issuer),
  }
}

/** Reads UTF-8 in a header, where most runtimes make a character of each byte; what is none stays as it came. */
function decode(value: string | null): string | undefined {
  if (!value || /[^ -\xff]/.test(value)) return value ?? undefined
  try {
    const bytes = Uint8Array.from(value, (char) => char.charCodeAt(0))
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return value
  }
}

/**
 * Believes a header that names the person, when it comes with the secret, from one of these addresses, once, and under no
 * other spelling. Otherwise nobody is signed in; why is logged as `debug`. The gateway has to remove what clients send
 * under these names.
 *
 * @throws {PairgateError} `ERR_PAIRGATE_OPTION` when an option is wrong.
 * @example
 * ```ts
 * identify: trustedHeader({
 *   user: 'X-Auth-User',
 *   secretHeader: 'X-Auth-Secret',
 *   secret: process.env.GATEWAY_SECRET,
 *   from: ['10.0.0.5'],
 * })
 * ```
 */
export function trustedHeader(options: TrustedHeaderOptions): Identify {
  const { names, all, secret, ranges, issuer } = checkOptions(options)
  const identify: Identify = ({ headers }, { remoteAddress, log }) => {
    const refuse = refuseWith(log, names.user)
    const get = (name: string | undefined) => (name === undefined ? null : headers.get(name))
    const [user, email] = [get(names.user), get(names.email)]
    if (remoteAddress === undefined) return refuse('the address of the peer is not known')
    if (!isInRanges(remoteAddress, ranges)) return refuse('the peer is not in "from"')
    if (!sameSecret(get(names.secret) ?? '', secret)) return refuse('the secret is wrong or missing')
    const isAlias = (name: string) => !all.includes(name) && all.includes(plainName(name))
    if ([...headers.keys()].some(isAlias)) return refuse('a header came under another spelling too')
    if (!user) return refuse('no user')
    // Headers joins what came more than once by commas
    if (user.includes(',') || email?.includes(',')) return refuse('a header came more than once')
    if (!/^[\x20-\x7e]+$/.test(user)) return refuse('the user is not printable ASCII')
    if (NOBODY.test(user)) return refuse('the user is a placeholder that got no value')
    return {
      subject: user,
      name: decode(get(names.name)),
      email: decode(email),
      ...(issuer !== undefined && { issuer }),
    }
  }
  return Object.assign(identify, { issuer })
}
