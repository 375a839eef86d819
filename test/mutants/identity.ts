/** Mutants of the ways to tell who is signed in: assertions, headers, sessions. @module */

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of programs

import type { Mutant } from './mutant.ts'

const ASSERTION = {
  id: 'GW-02',
  file: 'adapters/identify_assertion.ts',
  test: 'test/identify_assertion.test.ts',
}
const HEADER = { id: 'GW-02', file: 'adapters/identify_header.ts', test: 'test/identify_header.test.ts' }
const SESSION = { id: 'GW-02', file: 'adapters/identify_session.ts', test: 'test/identify_session.test.ts' }

/** The mutants. */
export const identityMutants: readonly Mutant[] = [
  { ...ASSERTION, from: '      algorithms,\n      issuer:', to: '      issuer:' },
  { ...ASSERTION, from: "issuer: checkTexts('issuer', options.issuer),", to: '' },
  { ...ASSERTION, from: "audience: checkTexts('audience', options.audience),", to: '' },
  { ...ASSERTION, from: "requiredClaims: ['exp'],", to: '' },
  { ...ASSERTION, from: 'if (!text(payload.sub))', to: "if (!('sub' in payload))" },
  { ...ASSERTION, from: 'clockTolerance = 5,', to: 'clockTolerance = 90,' },
  { ...ASSERTION, from: "token.includes(',')", to: "token.includes(';')" },
  { ...ASSERTION, from: '/^((RS|PS|ES)', to: '/^((RS|PS|ES|HS)' },
  {
    ...ASSERTION,
    from: "throw new PairgateError('ERR_PAIRGATE_SIGN_IN', `The keys at ${url.href} are out of reach`, error)",
    to: 'throw new JWKSNoMatchingKey()',
  },
  {
    ...ASSERTION,
    from: 'return refuse(error.message)',
    to: 'return refuse(`${error.message} ${token}`)',
  },
  {
    ...ASSERTION,
    test: 'test/identify_presets.test.ts',
    from: 'const known = { ...identity, issuer: hostname }',
    to: 'const known = { ...identity, issuer: _ ?? hostname }',
  },
  {
    ...ASSERTION,
    test: 'test/identify_presets.test.ts',
    from: 'clockTolerance: options.clockTolerance ?? 30,',
    to: '',
  },
  {
    ...HEADER,
    from: '!isInRanges(remoteAddress, ranges)',
    to: '!isInRanges(remoteAddress, ranges) && false',
  },
  {
    ...HEADER,
    from: 'if (remoteAddress === undefined) return',
    to: "if (remoteAddress === undefined && headers.has('x')) return",
  },
  {
    ...HEADER,
    from: "sameSecret(get(names.secret) ?? '', secret)",
    to: 'sameSecret(get(names.secret) ?? secret, secret)',
  },
  {
    ...HEADER,
    from: "sameSecret(get(names.secret) ?? '', secret)",
    to: "secret.endsWith(get(names.secret) ?? '-')",
  },
  { ...HEADER, from: 'const LEAST_SECRET = 32', to: 'const LEAST_SECRET = 31' },
  { ...HEADER, from: '/[^a-z0-9]/g', to: '/_/g' },
  { ...HEADER, from: '/[^a-z0-9]/g', to: '/[.]/g' },
  { ...HEADER, from: '/[{}]|^[$%]|', to: '/' },
  { ...HEADER, from: "user.includes(',')", to: "user.includes(';')" },
  { ...HEADER, from: "email?.includes(',')", to: "email?.includes(';')" },
  { ...HEADER, from: 'if (!Array.isArray(value) || value.length === 0)', to: 'if (!Array.isArray(value))' },
  { ...HEADER, from: 'range.bits > 0 ?', to: 'range.bits >= 0 ?' },
  {
    ...SESSION,
    from: 'disableCookieCache: Boolean(database ?? secondaryStorage),',
    to: 'disableCookieCache: false,',
  },
  {
    ...SESSION,
    from: "const SESSION_HEADERS = ['cookie',",
    to: "const SESSION_HEADERS = ['cookie', 'authorization',",
  },
  { ...SESSION, from: "!= null) return refuse('impersonated')", to: "=== '') return refuse('impersonated')" },
  { ...SESSION, from: 'text(id) ?? fail(NO_USER_ID)', to: 'text(id) ?? text(email) ?? fail(NO_USER_ID)' },
]
