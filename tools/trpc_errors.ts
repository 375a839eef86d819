/** What tRPC calls a refusal, and the HTTP status that goes with it. @module */

/** The codes that pairgate answers with, by HTTP status. */
export const TRPC_ERRORS = {
  400: { code: 'BAD_REQUEST', doc: 'The input is wrong, or the client or scope is unknown' },
  401: { code: 'UNAUTHORIZED', doc: 'Nobody is signed in, or it was too long ago' },
  403: { code: 'FORBIDDEN', doc: 'Whoever asks may not do this' },
  409: { code: 'CONFLICT', doc: 'It is there already, or was changed meanwhile' },
  429: {
    code: 'TOO_MANY_REQUESTS',
    doc: 'A limit is reached; the header Retry-After says for how long',
  },
  500: {
    code: 'INTERNAL_SERVER_ERROR',
    doc: 'Something is broken; the message names the entry in the log',
  },
  503: {
    code: 'SERVICE_UNAVAILABLE',
    doc: 'The database is away, or too many logins wait; see the header Retry-After',
  },
} as const

/** A status that a procedure may answer with. */
export type TrpcStatus = keyof typeof TRPC_ERRORS

/** Every such status. */
export const TRPC_STATUSES: readonly TrpcStatus[] = Object.keys(TRPC_ERRORS).map(
  (key) => Number(key) as TrpcStatus,
)
