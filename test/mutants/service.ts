/** Mutants of the gateway's side, tRPC, storage and operations. @module */

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are texts of programs

import type { Mutant } from './mutant.ts'

const gateway: readonly Mutant[] = [
  {
    id: 'GW-01',
    file: 'src/app.ts',
    from: 'const isOurs = url.host === host',
    to: 'const isOurs = url.host !== null',
    test: 'test/web.test.ts',
  },
  {
    id: 'GW-02',
    file: 'src/flows/browser.ts',
    from: 'await identify(caller.request, { remoteAddress: caller.peer, log: deps.log })',
    to: "(await identify(caller.request, { log: deps.log })) ?? (caller.request.headers.get('x-forwarded-user') && { subject: 'forged' })",
    test: 'test/requirements_gateway.test.ts',
  },
  {
    id: 'GW-03',
    file: 'src/endpoints/pages.ts',
    from: 'route(deps, mount, basePath + path, methods, wrongMethod(deps))',
    to: "[basePath, ''].map((base) => route(deps, mount, base + path, methods, wrongMethod(deps)))",
    test: 'test/web.test.ts',
  },
  {
    id: 'GW-04',
    file: 'src/core/address.ts',
    from: 'while (bytes && isTrusted(bytes) && hops.length > 0)',
    to: 'while (bytes && hops.length > 0)',
    test: 'test/web.test.ts',
  },
  {
    id: 'GW-05',
    file: 'src/flows/cookies.ts',
    from: 'pairgate-${use}',
    to: '${use}',
    test: 'test/requirements_gateway.test.ts',
  },
]

const rpc: readonly Mutant[] = [
  {
    id: 'RPC-01',
    file: 'src/router.ts',
    from: 'signOut: open.input(none).mutation(',
    to: 'signOut: open.input(none).query(',
    test: 'test/router.test.ts',
  },
  {
    id: 'RPC-02',
    file: 'src/procedures.ts',
    from: 'create({ isDev: false })',
    to: 'create({ isDev: true })',
    test: 'test/router.test.ts',
  },
  {
    id: 'RPC-03',
    file: 'src/app.ts',
    from: 'const MAX_BATCH = 10',
    to: 'const MAX_BATCH = 100',
    test: 'test/router.test.ts',
  },
  {
    id: 'RPC-04',
    file: 'src/procedures.ts',
    from: "if (requestSite(caller.request.headers, deps.config.origin) !== 'same-origin')",
    to: "if (requestSite(caller.request.headers, deps.config.origin) === 'foreign')",
    test: 'test/router.test.ts',
  },
  {
    id: 'RPC-05',
    file: 'src/app.ts',
    from: "'X-Frame-Options': 'DENY',",
    to: "'X-Frame-Options': 'DENY', 'Access-Control-Allow-Origin': '*',",
    test: 'test/router.test.ts',
  },
  {
    id: 'RPC-06',
    file: 'src/router.ts',
    from: '.input(v.strictObject(startInput))',
    to: '.input(v.object(startInput))',
    test: 'test/router.test.ts',
  },
  {
    id: 'RPC-07',
    file: 'src/endpoints/body.ts',
    from: "return length > MAX_BODY ? { failure: 'too long' } : { text: text + decoder.decode() }",
    to: 'return { text: text + decoder.decode() }',
    test: 'test/router.test.ts',
  },
  {
    id: 'RPC-08',
    file: 'src/router.ts',
    from: 'session: t.router(sessionProcedures(deps, procedures)),',
    to: 'session: t.router(sessionProcedures(deps, procedures)), watch: t.procedure.subscription(async function* () { yield 1 }),',
    test: 'test/requirements_gateway.test.ts',
  },
  {
    id: 'RPC-09',
    file: 'src/procedures.ts',
    from: 'toCaller(deps, request, remoteAddress)',
    to: "toCaller(deps, request, remoteAddress && '203.0.113.77')",
    test: 'test/router.test.ts',
  },
]

const storage: readonly Mutant[] = [
  {
    id: 'STO-01',
    file: 'adapters/statements.ts',
    from: "db.selectFrom('users').select('id').limit(1)",
    to: "db.selectFrom('users').select((eb) => eb.lit(1).as('id')).limit(1)",
    test: 'test/house.test.ts',
  },
  {
    id: 'STO-02',
    file: 'adapters/statements.ts',
    from: "grantWithCredential(db).where('grants.secret_hash', '=', secret_hash)",
    to: "grantWithCredential(db).where('grants.secret_hash', 'like', secret_hash)",
    test: 'test/store.test.ts',
    title: 'SQLite in memory\\W+STO-02',
  },
  {
    id: 'STO-02',
    file: 'adapters/migrations.ts',
    from: '(`varbinary(${length})` as const)',
    to: 'text(length)',
    test: 'test/store.test.ts',
    title: 'node, mysql\\W+STO-02',
    mariadb: true,
  },
  {
    id: 'STO-03',
    file: 'src/flows/browser.ts',
    from: "name: 'Browser',",
    to: 'name: secret,',
    test: 'test/statements.test.ts',
  },
  {
    id: 'STO-04',
    file: 'adapters/statements_credentials.ts',
    from: ".where('grants.status', '=', 'approved')",
    to: '',
    test: 'test/statements.test.ts',
  },
  {
    id: 'STO-05',
    file: 'src/flows/start.ts',
    from: 'expires_at: now + seconds * 1000,',
    to: 'expires_at: deps.now() + seconds * 1000,',
    test: 'test/requirements_device.test.ts',
  },
  {
    id: 'STO-06',
    file: 'src/flows/purge.ts',
    from: 'const DAY = 86_400_000',
    to: 'const DAY = 0',
    test: 'test/requirements_device.test.ts',
  },
  {
    id: 'STO-06',
    file: 'src/flows/purge.ts',
    from: 'if (left.length > 0) next.set(deps, now)',
    to: '',
    test: 'test/purge.test.ts',
    title: 'a backlog is worked off',
  },
  {
    id: 'STO-06',
    file: 'src/flows/purge.ts',
    from: 'round < ROUNDS && ',
    to: '',
    test: 'test/purge.test.ts',
    title: 'is bounded',
  },
  {
    id: 'STO-06',
    file: 'src/flows/events.ts',
    from: '  purgeSometimes(deps)',
    to: '',
    test: 'test/purge.test.ts',
    title: 'whoever writes something tidies up',
  },
  {
    id: 'STO-06',
    file: 'adapters/statements.ts',
    from: '.orderBy(column).limit(batch)\n    return',
    to: '.orderBy(column)\n    return',
    test: 'test/purge.test.ts',
    title: 'is bounded',
  },
]

const operations: readonly Mutant[] = [
  {
    id: 'OPS-01',
    file: 'src/endpoints/body.ts',
    from: 'const MAX_BODY = 65_536',
    to: 'const MAX_BODY = 65_536_000',
    test: 'test/bad_input.test.ts',
  },
  {
    id: 'OPS-02',
    file: 'adapters/node.ts',
    from: 'requestTimeout: 30_000,',
    to: '',
    test: 'test/bad_input_socket.test.ts',
  },
  {
    id: 'OPS-03',
    file: 'src/endpoints/route.ts',
    from: '{ method, path, status: answer.status }',
    to: '{ method, path: c.req.url, status: answer.status }',
    test: 'test/operations.test.ts',
  },
  {
    id: 'OPS-04',
    file: 'src/app.ts',
    from: 'runs this service: error ${requestId}.`',
    to: 'runs this service: ${error.cause ?? error}.`',
    test: 'test/router.test.ts',
  },
  {
    id: 'OPS-05',
    file: 'src/flows/events.ts',
    from: 'remote_address: caller?.remoteAddress ?? null,',
    to: 'remote_address: null,',
    test: 'test/operations.test.ts',
  },
  {
    id: 'OPS-06',
    file: 'adapters/environment.ts',
    from: "const isSafe = isLoopback && env.NODE_ENV !== 'production'",
    to: 'const isSafe = true',
    test: 'test/operations.test.ts',
  },
  {
    id: 'OPS-07',
    file: 'package.json',
    from: '"kysely": "0.29.9"',
    to: '"kysely": "0.28.16"',
    test: 'test/house.test.ts',
  },
  {
    id: 'OPS-08',
    file: 'SECURITY.md',
    from: '## Threat model',
    to: '## Model',
    test: 'test/requirements_release.test.ts',
  },
]

/** The mutants. */
export const serviceMutants: readonly Mutant[] = [...gateway, ...rpc, ...storage, ...operations]
