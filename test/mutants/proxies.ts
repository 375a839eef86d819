/** Mutants of what reverse proxies are told, and of what they ask: lines of the documented configurations, too. @module */

import type { Mutant } from './mutant.ts'

const SPOOFED = 'GW-02 whatever the client says'
const CONNECTION = 'GW-02 naming the headers'
const PATHS = 'GW-03 a path that can be read in two ways'
const OUTAGE = 'nobody goes on while pairgate cannot say who it is'

const headers: readonly Mutant[] = [
  {
    id: 'GW-02',
    file: 'docs/gateways/nginx.md',
    from: '    proxy_set_header Remote-Email $pairgate_email;\n',
    to: '',
    test: 'test/proxies_headers.test.ts',
    title: `nginx\\W+${SPOOFED}`,
  },
  {
    id: 'GW-02',
    file: 'docs/gateways/nginx.md',
    from: 'underscores_in_headers off;',
    to: 'underscores_in_headers on;',
    test: 'test/proxies_headers.test.ts',
    title: `nginx\\W+${SPOOFED}`,
  },
  {
    id: 'GW-02',
    file: 'docs/gateways/caddy.md',
    from: '		request_header -Remote*\n',
    to: '',
    test: 'test/proxies_headers.test.ts',
    title: `caddy\\W+${SPOOFED}`,
  },
  {
    id: 'GW-02',
    file: 'docs/gateways/caddy.md',
    from: '		respond @odd_connection 400\n',
    to: '',
    test: 'test/proxies_headers.test.ts',
    title: `caddy\\W+${CONNECTION}`,
  },
  {
    id: 'GW-02',
    file: 'docs/gateways/haproxy.md',
    from: "  http-request del-header 'pairgate' -m sub\n",
    to: '',
    test: 'test/proxies_headers.test.ts',
    title: `haproxy\\W+${SPOOFED}`,
  },
  {
    id: 'GW-02',
    file: 'src/core/identity_headers.ts',
    from: "    'Remote-Email': spell(user.email ?? ''),",
    to: "    ...(user.email !== null && { 'Remote-Email': spell(user.email) }),",
    test: 'test/proxies_headers.test.ts',
    title: 'caddy\\W+GW-02 of whom no name',
  },
  {
    id: 'GW-02',
    file: 'src/signing.ts',
    from: '[-1, 0, 1].map(',
    to: '[-1, 0].map(',
    test: 'test/proxies_assertion.test.ts',
    title: 'nginx\\W+GW-02 each assertion is good',
  },
  {
    id: 'GW-02',
    file: 'src/signing.ts',
    from: 'secrets.flatMap((_, index)',
    to: 'secrets.slice(0, 1).flatMap((_, index)',
    test: 'test/proxies_assertion.test.ts',
    title: 'nginx\\W+GW-02 a change of the signing secret',
  },
]

const paths: readonly Mutant[] = [
  {
    id: 'GW-03',
    file: 'docs/gateways/nginx.md',
    from: '    if ($is_odd_path) {\n      return 400;\n    }\n',
    to: '',
    test: 'test/proxies_paths.test.ts',
    title: `nginx\\W+${PATHS}`,
  },
  {
    id: 'GW-03',
    file: 'docs/gateways/caddy.md',
    from: '		respond @odd_path 400\n',
    to: '',
    test: 'test/proxies_paths.test.ts',
    title: `caddy\\W+${PATHS}`,
  },
  {
    id: 'GW-03',
    file: 'docs/gateways/haproxy.md',
    from: 'path,url_dec -m beg -i /write',
    to: 'path -m beg -i /write',
    test: 'test/proxies_paths.test.ts',
    title: 'haproxy\\W+GW-03 a path that is only written oddly',
  },
  {
    id: 'GW-03',
    file: 'src/endpoints/authz.ts',
    from: 'const name = policyName(',
    to: "const name = new URL(request.url).searchParams.get('policy') ?? policyName(",
    test: 'test/proxies_paths.test.ts',
    title: 'caddy\\W+GW-03 nothing in a query',
  },
]

const refusals: readonly Mutant[] = [
  {
    id: 'KEY-03',
    file: 'docs/gateways/haproxy.md',
    from: ' unless { var(txn.pairgate) -m found }',
    to: ' unless { always_true }',
    test: 'test/proxies_outage.test.ts',
    title: `${OUTAGE}.*haproxy`,
  },
  {
    id: 'KEY-03',
    file: 'docs/gateways/nginx.md',
    from: '    auth_request /pairgate/any;\n',
    to: '',
    test: 'test/proxies.test.ts',
    title: 'nginx\\W+KEY-03 no credential',
  },
  {
    id: 'KEY-03',
    file: 'docs/gateways/nginx.md',
    from: '      add_header WWW-Authenticate $pairgate_challenge always;\n',
    to: '',
    test: 'test/proxies.test.ts',
    title: 'nginx\\W+the route with a policy',
  },
  {
    id: 'KEY-03',
    file: 'src/endpoints/authz.ts',
    from: "dialect === 'nginx' && answer.status !== 200",
    to: 'answer.status !== 200',
    test: 'test/proxies_outage.test.ts',
    title: `${OUTAGE}.*caddy`,
  },
]

/** The mutants. */
export const proxyMutants: readonly Mutant[] = [...headers, ...paths, ...refusals]
