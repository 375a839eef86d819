/**
 * What pairgate promises, by id, and which tests show it: the list, a scanner of test titles, and the page
 * docs/requirements.md that is made of both.
 *
 * @module
 */

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** How much a requirement matters: P0 always holds, P1 before a release, P2 is good to have. */
export type Priority = 'P0' | 'P1' | 'P2'

/** One thing that is promised. */
export interface Requirement {
  readonly id: string
  readonly priority: Priority
  readonly statement: string
}

/** A test whose title names requirements. */
export interface Shown {
  readonly ids: readonly string[]
  /** Path from the root. */
  readonly file: string
  readonly title: string
}

/** The prefixes of the ids, and what they are about. */
export const SECTIONS: Readonly<Record<string, string>> = {
  DF: 'Device flow',
  PC: 'Paircode flow',
  KEY: 'Credentials',
  SES: 'Browser sessions and cookies',
  WEB: 'Web pages',
  UP: 'Upstream sign-in',
  GW: 'Gateway and proxies',
  RPC: 'tRPC',
  STO: 'Storage',
  OPS: 'Operations',
}

/** Requirements whose whole matter comes with a later issue, and why; they need neither a test nor a mutant yet. */
export const LATER: Readonly<Record<string, string>> = {}

/** What else there is to say of a requirement. */
export const NOTES: Readonly<Record<string, string>> = {
  'GW-02': 'sessions, assertions and headers are ways of `pairgate/gateway`; none is on by default',
}

/** Why a requirement of the lowest priority has no test. */
export const UNTESTED: Readonly<Record<string, string>> = {
  'KEY-12': 'not built: Bearer credentials are worth stealing, SECURITY.md says so',
}

// a line that is set in goes on with the row above it
const ROWS = `
DF-01 P1 Metadata (RFC 8414), path-inserted too, name the configured issuer exactly, the endpoints and the grants
DF-02 P0 The authorization answer has the RFC's fields, no-store; verification_uri does not hold the user code
DF-03 P0 Both endpoints take POST and form bodies only; parameters in the query are not read
DF-04 P0 A missing grant_type is invalid_request, any but the device grant unsupported_grant_type
DF-05 P1 A parameter given twice is invalid_request, an empty one counts as omitted, unknown ones are ignored
DF-06 P0 An unknown, foreign or used code is 400 invalid_grant as JSON, no-store; never 404 or 500
DF-07 P0 client_id is required and registered; a code is bound to its client, another neither collects nor consumes
DF-08 P0 A user code is 8 unbiased letters of BCDFGHJKLMNPQRSTVWXZ, unique among codes that are kept
DF-09 P0 A device code has 256 random bits that have nothing to do with the user code
DF-10 P0 The two codes are not interchangeable; the device code never reaches a browser
DF-11 P2 A typed user code is read in any case, with spaces and dashes
DF-12 P0 slow_down adds 5 s for all later polls, up to 60, stored and told; never at the first poll, nor once decided
DF-13 P0 A denied code is access_denied for good
DF-14 P0 Allow and Deny take a signed-in browser; anybody else is sent to sign in and comes back with the code
DF-15 P0 A collected code is invalid_grant ever after
DF-16 P0 However many polls and decisions come at once: one credential and one answer that has it
DF-17 P0 The first decision wins; nothing binds anew, flips or comes back
DF-18 P0 Wrong codes are limited per account and address (IPv6 /64); over a common budget new codes get longer and an
  alarm is written, nobody is locked out; a right code resets nothing, anonymous visitors learn nothing
DF-19 P0 Codes live 600 s (5-1800); an expired one is expired_token however fast the poll, allowed or not, and cannot
  be allowed any more; the server's clock alone counts
DF-20 P1 The scope is fixed at the decision; the token endpoint cannot raise it
DF-21 P0 Success is 200 with access_token, Bearer, expires_in and the scope, no-store
DF-22 P0 The complete link only fills in: the page shows code, client, account, device name marked unverified, address,
  time, scopes and lifetime, and says who should go on; Deny is as big as Allow, and both are a POST
DF-23 P0 Starts are limited per address, waiting ones per address and in all: 429 or 503 with Retry-After; live logins
  go on, ended ones are purged
DF-24 P1 Each flow can be switched off, for all and for one client, or kept to trusted networks
DF-25 P1 Unless terminal and browser are surely on one network the page warns, and Allow takes the code, typed
DF-26 P1 Whether the person may still sign in is asked again when the credential is issued
DF-27 P2 Allowing may ask for a fresh sign-in; the person is told of what was allowed
PC-01 P0 Start, open the link, sign in, one click, done
PC-02 P0 Opening the link, signed in or not, completes nothing
PC-03 P0 The page tells what the device flow's page tells
PC-04 P1 A match code is shown in the terminal, and shown or asked for on the page
PC-05 P0 Collecting takes a verifier that is not in the link, which holds only its S256; wrong tries consume nothing
PC-06 P0 A paircode is exactly 43 base64url characters (the seed's 22 only under seedCompat)
PC-07 P0 Starting a known paircode is 409; nothing is reset or labelled anew
PC-08 P1 Polling or opening an unknown paircode creates nothing
PC-09 P0 One collection, also when many come at once
PC-10 P0 The first decision wins; Deny is final
PC-11 P0 Loopback delivery goes to 127.0.0.1 or [::1] and a port number, never to a URL that was sent
PC-12 P0 The session is in no URL, page or log; the verifier travels in POST bodies only
PC-13 P1 Link pages are no-store and keep the referrer to their own origin
PC-14 P1 The command says who is signed in where, keeps the token 0600 in a 0700 folder; logout revokes it
KEY-01 P1 Credentials have a prefix that can be chosen, 43 base62 characters and a checksum: a published pattern finds
  them, a typo is refused before the database is asked
KEY-02 P0 A credential comes in a Bearer header, whose scheme is read in any case
KEY-03 P0 Everything else is 401 with WWW-Authenticate: Bearer, and invalid_token when a credential was sent
KEY-04 P1 A credential in a query, a body or a cookie is nobody's
KEY-05 P0 A CLI's credential can allow nothing and not extend itself, and makes or lists keys only with the scope for it
KEY-06 P0 Revocation (RFC 7009) is a POST, immediate, 200 for what is unknown, and bound to the client
KEY-07 P0 Introspection (RFC 7662) is authenticated; what is not active is {"active":false} and no more
KEY-08 P0 A secret is shown once; lists show name, hint, times, start address and client
KEY-09 P0 Every read and revocation is held to its owner in the same statement
KEY-10 P0 Credentials are kept as SHA-256 of the whole, found by equality on a unique index
KEY-11 P1 Keys live a day and have a longest life; a disabled person's end at once; each person may have so many
KEY-12 P2 Sender-constrained credentials (DPoP) may be added
SES-01 P0 Cookies are __Host-, Secure, HttpOnly, SameSite=Lax, Path=/ and without Domain (plain names on http loopback)
SES-02 P0 Each sign-in makes a new 256-bit id and ends the old one; made-up ids are nobody
SES-03 P0 Nothing unsigned is in cookies; of the signing secrets the first signs and all verify
SES-04 P0 Sign-out (a POST of our own pages) and disabling end sessions on the server; idle and absolute limits do too
SES-05 P1 A cookie given twice or with odd white space does not win
SES-06 P0 Browser sessions, CLI sessions and keys are kinds, and the kind is checked
SES-07 P1 Scripts see no session
WEB-01 P0 What a cookie changes takes same-origin headers and a form token; without the headers the token alone
WEB-02 P0 GET, HEAD, prefetch and method overrides change nothing
WEB-03 P0 No page can be framed; windows of other origins are cut off
WEB-04 P1 A Content-Security-Policy lets in one style sheet by its hash, and forms to this origin; a loopback review page adds the CLI’s
WEB-05 P0 no-store, nosniff, Referrer-Policy same-origin, a charset, HSTS on https
WEB-06 P1 Pages load nothing from others
WEB-07 P0 All output is escaped; labels lose controls and direction marks and end after 64 characters
WEB-08 P0 No line break reaches a header
WEB-09 P0 After sign-in only a path of this mount is followed
WEB-10 P1 What was shown is what is allowed: the form names its request, and doubled parameters are refused
UP-01 P0 Code flow with fresh state, PKCE S256, nonce and the exact redirect_uri
UP-02 P0 A sign-in under way belongs to one browser, once, for ten minutes
UP-03 P0 An answer of another provider is refused: redirect_uri and iss; ID token's iss, aud, exp, nonce, alg; metadata
UP-04 P1 Issuers come from the configuration, by https, without redirects, with a timeout and a longest answer
UP-05 P0 A person is (issuer, subject), at GitHub the number; e-mail links nobody and counts only when verified
UP-06 P1 Upstream tokens are dropped after sign-in, never stored or logged
GW-01 P0 The base URL makes links, issuer and cookies, never Host or X-Forwarded-*; a page asked for under another Host is
  redirected, all else answered 421, health checks apart
GW-02 P0 Who is signed in at the gateway is what its hook says, and no header of the request but a signed assertion whose
  issuer, audience, end and algorithm are right, or one with a shared secret from the gateway's own address, once and
  under one name
GW-03 P0 Nothing is let in for its path; under a mount odd paths lead nowhere
GW-04 P0 The client's address is the socket's, or behind trusted proxies the right-most hop that is none of them
GW-05 P2 Cookies of the host application are neither read nor set
RPC-01 P0 What writes or carries a secret is a mutation; by GET it is 405
RPC-02 P0 Errors carry no stack or cause in any mode; unknown ones are an id
RPC-03 P0 A batch holds ten calls, and limits count calls
RPC-04 P0 A cookie's caller comes from a page of this origin; bodies are application/json
RPC-05 P0 No CORS
RPC-06 P0 Inputs are strict: unknown keys, long strings and prototype tricks are refused
RPC-07 P0 Bodies over 64 KB are 413 before they are parsed, chunked too; broken or deep ones 400
RPC-08 P1 There are no subscriptions; polls that are held are bounded per address and in all, end in time, and share one query
RPC-09 P0 Form endpoints and tRPC are one: same logins, limits and checks
STO-01 P0 Only bound parameters reach the database
STO-02 P0 What things are found by is compared byte for byte on every database
STO-03 P0 No secret is kept in clear
STO-04 P0 Each transition is one guarded statement whose affected rows are the answer; a crash leaves nothing half done
STO-05 P1 Times are whole milliseconds of the app's clock, one in a statement
STO-06 P1 Purging is bounded, and keeps what ended for a day, so that a replay is recognised
OPS-01 P0 Bodies, parameters and headers have limits, and odd requests are refused
OPS-02 P0 Slow clients are cut off, sockets are bounded
OPS-03 P0 Logs hold no code, verifier, credential, cookie, header or query, and no control characters of strangers
OPS-04 P0 A failure is quiet: an id, and nothing half done
OPS-05 P1 Each step leaves an audit row and a line: who, which client, which request, from where
OPS-06 P0 A start without base URL or secret, or with anything unsafe, is refused and says why
OPS-07 P1 Few dependencies, exact and above the floors of their advisories, locked with hashes, without install scripts
OPS-08 P1 SECURITY.md has the risk assessment of BCP 247, the threat model, and what is not covered
`

/** The list. */
export const REQUIREMENTS: readonly Requirement[] = ROWS.trim()
  .replaceAll('\n  ', ' ')
  .split('\n')
  .map((row) => {
    const [, id, priority, statement] = /^(\S+) (P\d) (.+)$/.exec(row) ?? []
    if (!id || !statement) throw new Error(`Not a requirement: ${row}`)
    return { id, priority: priority as Priority, statement }
  })

const IDS = `(?:(?:${Object.keys(SECTIONS).join('|')})-\\d{2}(?:/\\d{2})* )+`
/** A text that begins with ids: a title, or a row's name in a table of cases. */
const TITLE = new RegExp(`(['"\`])(${IDS}.*?)(?<!\\\\)\\1`, 'g')
/** How cases of both flows are written, see test/matrix/world.ts. */
const FOR_FLOWS = /\{ device: '([^']+)', pair: '([^']+)' \},\s*(['"`])(.*?)(?<!\\)\3/g
// they name ids, and show nothing
const NOT_TESTS = /^test\/(mutants\/|requirements\.test\.ts|support\/(generate_)?requirements\.ts)/

/** The ids that a title begins with; `KEY-02/03` is two. */
export function idsOf(title: string): string[] {
  const [named = ''] = new RegExp(`^${IDS}`).exec(title) ?? []
  return [...named.matchAll(/([A-Z]+)-([\d/]+)/g)].flatMap(([, prefix, numbers = '']) =>
    numbers.split('/').map((number) => `${prefix}-${number}`),
  )
}

/** Finds the tests in a file's text. */
export function scan(file: string, source: string): Shown[] {
  const plain = [...source.matchAll(TITLE)].map(([, , title = '']) => title)
  const both = [...source.matchAll(FOR_FLOWS)].flatMap(([, device, pair, , title]) => [
    `${device} device: ${title}`,
    `${pair} pair: ${title}`,
  ])
  return [...plain, ...both].map((title) => ({
    ids: idsOf(title),
    file,
    title: title.replaceAll(/\\(['"`])/g, '$1'),
  }))
}

/** Finds every test that names a requirement, in the order of the files' names. */
export function findTests(): Shown[] {
  return readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.tsx?$/.test(name))
    .map((name) => `test/${name.replaceAll('\\', '/')}`)
    .filter((file) => !NOT_TESTS.test(file))
    .toSorted()
    .flatMap((file) => scan(file, readFileSync(join(root, file), 'utf8')))
}

/** So many titles of one file are written out. */
const SHOWN = 3

const markdown = (text: string) => text.replaceAll(/[|<>*_`\\[\]]/g, '\\$&')

function cell({ id }: Requirement, tests: readonly Shown[]): string {
  const mine = tests.filter(({ ids }) => ids.includes(id))
  const files = [...new Set(mine.map(({ file }) => file))]
  const lines = files.flatMap((file) => {
    const titles = mine.filter((test) => test.file === file).map(({ title }) => title)
    const rest = titles.length - SHOWN
    return [
      ...titles.slice(0, SHOWN).map((title) => `${markdown(file)}: ${markdown(title)}`),
      ...(rest > 0 ? [`${markdown(file)}: and ${rest} more`] : []),
    ]
  })
  const later = LATER[id] && `*Later: ${LATER[id]}.*`
  const note = NOTES[id] && `*${NOTES[id]}.*`
  const none = lines.length === 0 && UNTESTED[id] && `*No test: ${UNTESTED[id]}.*`
  return [later, note, none, ...lines].filter(Boolean).join('<br>') || '**nothing**'
}

/** Writes the page. */
export function renderRequirements(tests: readonly Shown[]): string {
  const sections = Object.entries(SECTIONS).map(([prefix, name]) => {
    const rows = REQUIREMENTS.filter(({ id }) => id.startsWith(`${prefix}-`)).map(
      (row) => `| ${row.id} | ${row.priority} | ${markdown(row.statement)} | ${cell(row, tests)} |`,
    )
    return [`## ${name}`, '', '| id | | what holds | shown by |', '|---|---|---|---|', ...rows].join('\n')
  })
  const intro = [
    '# Requirements',
    '',
    'What pairgate promises, and the tests that show it. P0 always holds, P1 before a release, P2 is good to have. Titles of',
    'tests begin with the ids of what they show; `npx vitest run FILE -t ID` runs them. That each can fail is shown by',
    '`npm run test:mutants ID`, which breaks the code in the way that the row rules out.',
    '',
    'Written by `npm run generate` from `test/support/requirements.ts` and the titles of the tests: do not edit.',
  ].join('\n')
  return `${[intro, ...sections].join('\n\n')}\n`
}
