/** The operations of the tRPC procedures: `POST /trpc/device.authorize` with the input as plain JSON. @module */

import type * as v from 'valibot'
import { type Contract, type Procedure, proceduresOf } from './contract_types.ts'
import { type JsonSchema, objectSchema, type Schemas } from './json_schema.ts'
import { jsonResponse, shared, trpcResponse } from './openapi_responses.ts'
import type { Document, Operation, Response, Security } from './openapi_types.ts'
import type { TrpcStatus } from './trpc_errors.ts'

/** Who may call a procedure; the document's words for it. */
const BY = {
  anyone: { security: [], words: '' },
  holder: { security: [{ bearer: [] }], words: '' },
  either: {
    security: [{ bearer: [] }, { browser: [] }],
    words:
      'By a credential, or from a page of the server’s own origin (`Origin` or `Sec-Fetch-Site` must say so).',
  },
  person: {
    security: [{ browser: [] }],
    words: '`Origin` or `Sec-Fetch-Site` must say so. No Bearer credential ever does.',
  },
  manager: {
    security: [{ bearer: ['pairgate:manage'] }, { browser: [] }],
    words:
      'By a credential with the scope `pairgate:manage`, or from a page of the server’s own origin (`Origin` or `Sec-Fetch-Site` must say so).',
  },
} as const satisfies Record<string, { security: Security; words: string }>

/** Who may call each procedure, and how it may be refused beside what is the same for all. */
const ACCESS: Readonly<Record<string, readonly [keyof typeof BY, ...TrpcStatus[]]>> = {
  'device.authorize': ['anyone', 403, 429],
  'device.token': ['anyone', 403],
  'device.review': ['person', 401, 403, 429],
  'device.approve': ['person', 401, 403, 429],
  'device.deny': ['person', 401, 403, 429],
  'pair.start': ['anyone', 403, 409, 429],
  'pair.token': ['anyone', 403],
  'pair.review': ['person', 401, 403],
  'pair.approve': ['person', 401, 403, 429],
  'pair.deny': ['person', 401, 403],
  'session.whoami': ['holder', 401],
  'session.refresh': ['anyone'],
  'session.signOut': ['either', 401],
  'session.list': ['manager', 401, 403],
  'session.revoke': ['manager', 401, 403],
  'session.revokeOthers': ['manager', 401, 403],
  'session.revokeAll': ['manager', 401, 403],
  'keys.list': ['manager', 401, 403],
  'keys.revoke': ['manager', 401, 403],
  'keys.revokeOthers': ['manager', 401, 403],
  'keys.revokeAll': ['manager', 401, 403],
  'keys.create': ['manager', 401, 403, 429],
  'keys.rotate': ['manager', 401, 403, 409, 429],
}

/** The name of a generated function: `device.authorize` is `deviceAuthorize`. */
export function operationId(path: string): string {
  return path.replace(/\.(.)/, (_, letter: string) => letter.toUpperCase())
}

/** What the inputs of the router's procedures are checked with, by path. */
export type InputSchemas = ReadonlyMap<string, v.GenericSchema>

function describeProcedure(doc: string, words: string): Pick<Operation, 'summary' | 'description'> {
  const [, summary = doc, more = ''] = /^(.*?\.)(?: (.*))?$/.exec(doc) ?? []
  const description = [more, words].filter(Boolean).join(' ')
  return { summary, ...(description && { description }) }
}

function responsesOf(schemas: Schemas, { path, type, output }: Procedure, refusals: readonly TrpcStatus[]) {
  const statuses: TrpcStatus[] = [400, ...refusals, 500, 503]
  const result = objectSchema({ result: objectSchema({ data: schemas.ofType(output) }) })
  const all: Record<number, Response> = {
    200: jsonResponse(200, `What \`${path}\` answers.`, result),
    ...Object.fromEntries(statuses.map((status) => [status, shared(trpcResponse(status))])),
    421: shared('WrongHost'),
    ...(type === 'mutation' && { 413: shared('TooLong'), 415: shared('NotJson') }),
  }
  return all
}

function requestOf(
  type: Procedure['type'],
  schema: JsonSchema,
): Pick<Operation, 'parameters' | 'requestBody'> {
  const content = { 'application/json': { schema } }
  if (type === 'mutation') return { requestBody: { required: true, content } }
  return { parameters: [{ name: 'input', in: 'query', description: 'Not needed.', content }] }
}

/** Every procedure as a path. */
export function procedurePaths(
  contract: Contract,
  schemas: Schemas,
  inputs: InputSchemas,
): Document['paths'] {
  const paths = proceduresOf(contract).map((procedure) => {
    const { path, type, input, doc } = procedure
    const schema = inputs.get(path)
    const [by, ...refusals] = ACCESS[path] ?? []
    if (!schema || !by) throw new Error(`Say in openapi_procedures.ts who may call ${path}`)
    const operation: Operation = {
      operationId: operationId(path),
      tags: [path.replace(/\..*/, '')],
      ...describeProcedure(doc, BY[by].words),
      security: BY[by].security,
      ...requestOf(type, schemas.ofInput(input, schema)),
      responses: responsesOf(schemas, procedure, refusals),
    }
    return [`/trpc/${path}`, { [type === 'query' ? 'get' : 'post']: operation }] as const
  })
  return Object.fromEntries(paths)
}
