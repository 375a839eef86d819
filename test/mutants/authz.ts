/** Mutants of what proxies, guarded routes and services behind the gateway rely on, and of the router inside a host’s. @module */

import type { Mutant } from './mutant.ts'

const policies: readonly Mutant[] = [
  {
    id: 'GW-03',
    file: 'src/endpoints/authz.ts',
    from: 'const policy = deps.config.policies.get(name)',
    to: 'const policy = deps.config.policies.get(name) ?? deps.config.policies.get(ANY_POLICY)',
    test: 'test/authz.test.ts',
  },
  {
    id: 'GW-03',
    file: 'src/endpoints/authz.ts',
    from: 'await authorizeAtDoor(deps, ready, caller, scopes)',
    to: 'await authorizeAtDoor(deps, ready, caller, scopes.slice(0, 1))',
    test: 'test/authz.test.ts',
  },
  {
    id: 'GW-03',
    file: 'src/endpoints/authz.ts',
    from: 'const name = policyName(deps,',
    to: "const name = new URL(request.url).searchParams.get('policy') ?? policyName(deps,",
    test: 'test/authz.test.ts',
  },
  {
    id: 'GW-03',
    file: 'src/core/path.ts',
    from: String.raw`(\.|%2e){1,2}`,
    to: String.raw`\.{1,2}`,
    test: 'test/authz_sockets.test.ts',
  },
  {
    id: 'GW-01',
    file: 'src/app.ts',
    from: 'if (isAsked) return null',
    to: '',
    test: 'test/authz.test.ts',
  },
  {
    id: 'OPS-04',
    file: 'src/endpoints/authz.ts',
    from: 'status === 401 ? 401 : 403',
    to: 'status === 401 ? 401 : 503',
    test: 'test/authz.test.ts',
  },
  {
    id: 'OPS-02',
    file: 'src/endpoints/authz.ts',
    from: 'return endsConnection(request) ?',
    to: 'return request.bodyUsed ?',
    test: 'test/authz_sockets.test.ts',
  },
]

const headers: readonly Mutant[] = [
  {
    id: 'GW-02',
    file: 'src/core/identity_headers.ts',
    from: "'Remote-Email': spell(user.email ?? ''),",
    to: "...(user.email !== null && { 'Remote-Email': spell(user.email) }),",
    test: 'test/authz_headers.test.ts',
  },
  {
    id: 'GW-02',
    file: 'src/core/identity_headers.ts',
    from: 'return isHome && ',
    to: 'return ',
    test: 'test/authz_headers.test.ts',
  },
  {
    id: 'GW-02',
    file: 'src/core/identity_headers.ts',
    from: '!/^[0-9a-f]{64}$/i.test(subject)',
    to: 'subject',
    test: 'test/authz_headers.test.ts',
  },
  {
    id: 'GW-02',
    file: 'src/core/identity_headers.ts',
    from: '|%|',
    to: '|',
    test: 'test/authz_headers.test.ts',
  },
]

const assertions: readonly Mutant[] = [
  {
    id: 'GW-02',
    file: 'src/flows/authorization.ts',
    from: 'aud: audience,',
    to: 'aud: deps.config.baseUrl,',
    test: 'test/signing.test.ts',
  },
  {
    id: 'GW-02',
    file: 'src/flows/authorization.ts',
    from: 'Math.min(ASSERTION_SECONDS, Math.max(1, who.expires_in))',
    to: 'ASSERTION_SECONDS',
    test: 'test/signing.test.ts',
  },
  {
    id: 'GW-02',
    file: 'src/signing.ts',
    from: 'JSON.stringify([typ, claims, seconds])',
    to: 'typ',
    test: 'test/signing.test.ts',
  },
  {
    id: 'GW-02',
    file: 'src/signing.ts',
    from: ' && iat < before.iat + seconds / 3',
    to: '',
    test: 'test/signing.test.ts',
  },
  {
    id: 'GW-02',
    file: 'src/signing.ts',
    from: 'before.iat <= iat && ',
    to: '',
    test: 'test/signing.test.ts',
  },
  {
    id: 'GW-02',
    file: 'src/signing.ts',
    from: '[-1, 0, 1].map((step)',
    to: '[-1, 0].map((step)',
    test: 'test/signing.test.ts',
  },
  {
    id: 'SES-03',
    file: 'src/signing.ts',
    from: 'await find(0, periodOf(now))',
    to: 'await find(secrets.length - 1, periodOf(now))',
    test: 'test/signing.test.ts',
  },
]

const doors: readonly Mutant[] = [
  {
    id: 'KEY-03',
    file: 'src/guard.ts',
    from: 'toCaller(deps, request, remoteAddress), scopes)',
    to: 'toCaller(deps, request, remoteAddress), [])',
    test: 'test/guard.test.ts',
  },
  {
    id: 'KEY-03',
    file: 'src/endpoints/challenge.ts',
    from: "...(status === 401 && { 'WWW-Authenticate': bearerChallenge(request) }),",
    to: '',
    test: 'test/guard.test.ts',
  },
  {
    id: 'RPC-02',
    file: 'src/procedures.ts',
    from: "Object.defineProperty(explainInside(...failure), 'stack', { value: undefined })",
    to: 'explainInside(...failure)',
    test: 'test/trpc_host_middleware.test.ts',
  },
  {
    id: 'RPC-04',
    file: 'src/procedures.ts',
    from: 'await next({ ctx: { caller } })',
    to: 'await next({ ctx: { caller, ...ctx } })',
    test: 'test/trpc_host_middleware.test.ts',
  },
]

/** The mutants, by what relies on the code. */
export const authzMutants: readonly Mutant[] = [...policies, ...headers, ...assertions, ...doors]
