/** Responses that several operations share, and what others are made of. @module */

import { type JsonSchema, objectSchema, refTo, type Schemas } from './json_schema.ts'
import type { Response } from './openapi_types.ts'
import { TRPC_ERRORS, type TrpcStatus } from './trpc_errors.ts'

const TEXT: JsonSchema = { type: 'string' }

/** A header of the components. */
const header = (name: 'RetryAfter' | 'Challenge') => ({ $ref: `#/components/headers/${name}` })

/** What headers say. */
export const HEADERS = {
  RetryAfter: {
    description: 'Seconds to wait before the next try.',
    required: true,
    schema: { type: 'integer', minimum: 0 },
  },
  Challenge: { description: 'What is wanted (RFC 9110 section 11.6.1).', required: true, schema: TEXT },
} as const

/** The headers that go with a status. */
function headersOf(status: number): Pick<Response, 'headers'> {
  if (status === 429 || status === 503) return { headers: { 'Retry-After': header('RetryAfter') } }
  return status === 401 ? { headers: { 'WWW-Authenticate': header('Challenge') } } : {}
}

/** A response in JSON. */
export function jsonResponse(status: number, description: string, schema: JsonSchema): Response {
  return { description, ...headersOf(status), content: { 'application/json': { schema } } }
}

/** An error in the words of OAuth (RFC 6749 section 5.2). */
export function oauthError(...codes: readonly string[]): JsonSchema {
  return objectSchema({
    error: { type: 'string', enum: codes },
    error_description: { ...TEXT, description: 'For people.' },
  })
}

/** What a poll is told that came too early (RFC 8628 section 3.5). */
export const POLL_ERROR = objectSchema({
  error: { type: 'string', enum: ['authorization_pending', 'slow_down'] },
  error_description: TEXT,
  interval: { type: 'integer', description: 'Seconds to wait between polls.' },
})

/** An error as tRPC says it. */
function trpcError(status: TrpcStatus): JsonSchema {
  const { code } = TRPC_ERRORS[status]
  const data = objectSchema({
    code: { type: 'string', const: code },
    httpStatus: { type: 'integer', const: status },
    path: { ...TEXT, description: 'The procedure.' },
  })
  const error = objectSchema({
    message: { ...TEXT, description: 'For people.' },
    code: { type: 'integer', description: 'The number that JSON-RPC has for it.' },
    data,
  })
  return { ...objectSchema({ error }), description: TRPC_ERRORS[status].doc }
}

const pascal = (code: string) =>
  code.toLowerCase().replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())

/** The name of the shared response of procedures with a status. */
export const trpcResponse = (status: TrpcStatus): string => pascal(TRPC_ERRORS[status].code)

/** What may go wrong before any procedure is found. */
const OUTSIDE: Partial<Record<TrpcStatus, string>> = {
  400: 'invalid_request',
  500: 'server_error',
  503: 'temporarily_unavailable',
}

/** Every shared response, by name. */
export function sharedResponses(schemas: Schemas): Record<string, Response> {
  const oauth = (code: string) => schemas.add(pascal(code), oauthError(code))
  const procedures = Object.entries(TRPC_ERRORS).map(([key, { code, doc }]) => {
    const status = Number(key) as TrpcStatus
    const error = schemas.add(pascal(code).replace(/(?:Error)?$/, 'Error'), trpcError(status))
    const outside = OUTSIDE[status]
    const schema = outside ? { oneOf: [error, oauth(outside)] } : error
    return [pascal(code), jsonResponse(status, `${doc}.`, schema)] as const
  })
  return {
    ...Object.fromEntries(procedures),
    TooLong: jsonResponse(413, 'The body is longer than 65536 bytes.', oauth('invalid_request')),
    NotJson: jsonResponse(415, 'The body is not `application/json`.', oauth('invalid_request')),
    WrongHost: jsonResponse(421, 'The header `Host` is not that of the base URL.', oauth('invalid_request')),
    Broken: jsonResponse(
      500,
      'Something is broken; the description names the entry in the log.',
      oauth('server_error'),
    ),
    Away: jsonResponse(
      503,
      'The database is away, or too many logins wait.',
      oauth('temporarily_unavailable'),
    ),
    Limited: jsonResponse(429, 'A limit of this address is reached.', oauth('temporarily_unavailable')),
    Basic: jsonResponse(
      401,
      'HTTP Basic was tried, with a password or an unknown id.',
      schemas.add('InvalidClient', oauthError('invalid_client')),
    ),
  }
}

/** A reference to a shared response. */
export const shared = (name: string): Response => ({ $ref: `#/components/responses/${name}` })

export { refTo, TEXT }
