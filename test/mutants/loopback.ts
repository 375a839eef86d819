/** Mutants of the delivery `loopback`. @module */

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of programs

import type { Mutant } from './mutant.ts'

/** A mutant that the tests of the flow must notice. */
const ofFlow = (file: string, from: string, to: string): Mutant => ({
  ...{ id: 'PC-11', file, from, to },
  test: 'test/loopback.test.ts',
})

/** One of what may be asked for. */
const ofInput = (from: string, to: string): Mutant => ({
  ...ofFlow('src/core/loopback.ts', from, to),
  test: 'test/loopback_input.test.ts',
})

/** The mutants. */
export const loopbackMutants: readonly Mutant[] = [
  ofInput('port < 1024', 'port < 1023'),
  ofInput('port > 65_535', 'port > 65_536'),
  ofInput('!Number.isInteger(port) || ', ''),
  ofInput('/^\\d{1,5}$/.test(text)', 'text'),
  ofInput('._~-]{1,128}$/', '._~-]{1,129}$/'),
  ofInput('/^[A-Za-z0-9._~-]', '/^[^&]'),
  ofInput('if (port === undefined && state === undefined) ', ''),
  ofFlow('src/core/loopback.ts', '`http://127.0.0.1:${port}`', '`http://localhost:${port}`'),
  ofFlow('src/core/loopback.ts', '...answer, state, iss }', '...answer, iss }'),
  ofFlow('src/core/loopback.ts', '...answer, state, iss }', '...answer, state }'),
  ofFlow('src/core/loopback.ts', 'LOOPBACK_SECONDS = 60', 'LOOPBACK_SECONDS = 61'),
  ofFlow('src/flows/approval.ts', 'Math.min(expires_at, now + LOOPBACK', 'Math.max(0, now + LOOPBACK'),
  ofFlow('src/flows/approval.ts', 'code && sha256Hex(code)', 'code'),
  ofFlow('src/flows/approval.ts', 'grantState(grant, deps.now()) !== status', 'false'),
  ofFlow('src/flows/approval.ts', "reference.flow !== 'pair' || !isYours", "reference.flow !== 'pair'"),
  ofFlow('src/flows/approval.ts', 'grant.loopback_port === null &&\n    hasCode', 'hasCode'),
  ofFlow('src/flows/paircode.ts', '!client.deliveries.includes(delivery)', 'false'),
  ofFlow('src/flows/approval.ts', "state === 'expired' && !decided.your_decision", "state === 'expired'"),
  // without the code it waits; a wrong one is no reason to issue, nor to forget the right one
  ofFlow(
    'src/core/grant.ts',
    'if (poll.code_hash === null && grant.loopback_port !== null) return pace(grant, poll)',
    '',
  ),
  ofFlow('src/core/grant.ts', "poll.code_hash === grant.code_hash ? 'issue' : 'invalid_grant'", "'issue'"),
  ofFlow(
    'src/core/grant.ts',
    "pace(grant, poll) : { status: 'invalid_grant' }",
    'pace(grant, poll) : pace(grant, poll)',
  ),
  ofFlow('adapters/statements.ts', ".where('status', '!=', 'denied')", ".where('status', '=', 'pending')"),
  ofFlow(
    'src/endpoints/review.tsx',
    "if ('redirect_to' in outcome) return c.redirect(outcome.redirect_to, 303)",
    '',
  ),
  ofFlow(
    'src/endpoints/security_policy.ts',
    "(port === null ? '' : ` ${loopbackOrigin(port)}`)",
    "' http://127.0.0.1:49152'",
  ),
  ofFlow('src/endpoints/security_policy.ts', '${loopbackOrigin(port)}', 'http://127.0.0.1:*'),
  {
    id: 'PC-11',
    file: 'adapters/statements_credentials.ts',
    from: "            .where((eb) => eb.fn.coalesce('grants.code_hash', eb.val('')), '=', values.code_hash)\n",
    to: '',
    test: 'test/store.test.ts',
    title: 'SQLite in memory\\W+PC-11',
  },
  {
    id: 'PC-11',
    file: 'adapters/memory.ts',
    from: "if (grant.code_hash !== code_hash) return 'refused'",
    to: '',
    test: 'test/store.test.ts',
    title: 'memory\\W+PC-11',
  },
  {
    id: 'PC-11',
    file: 'adapters/sql_store.ts',
    from: ' && row.code_hash === code_hash',
    to: '',
    test: 'test/d1.test.ts',
    title: 'decideGrant',
  },
  {
    id: 'WEB-04',
    file: 'src/endpoints/review.tsx',
    from: 'contentSecurityPolicy(deps, review.loopback_port)',
    to: 'contentSecurityPolicy(deps, null)',
    test: 'test/browser_loopback.test.ts',
  },
]
