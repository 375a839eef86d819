/**
 * The typed client alone: every procedure of a pairgate, for whoever signs people in by means of their own.
 *
 * @module
 */

export { ApiError, type ApiOptions, createApi } from './generated/client.ts'
export type * from './generated/contract.ts'
