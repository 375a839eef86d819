/** The part of an OpenAPI 3.1 document that is used here. @module */

import type { JsonSchema } from './json_schema.ts'

/** A value that was recorded. */
export interface Example {
  readonly value: unknown
}

/** A body of one media type. */
export interface Media {
  readonly schema: JsonSchema
  examples?: Record<string, Example>
}

/** A response, or where it is. */
export interface Response {
  readonly $ref?: string
  readonly description?: string
  readonly headers?: Readonly<Record<string, { readonly $ref: string }>>
  readonly content?: Readonly<Record<string, Media>>
}

/** Names of security schemes with what they must grant. */
export type Security = readonly Readonly<Record<string, readonly string[]>>[]

/** One operation. */
export interface Operation {
  readonly operationId: string
  readonly tags: readonly string[]
  readonly summary: string
  readonly description?: string
  readonly security: Security
  readonly parameters?: readonly object[]
  readonly requestBody?: { readonly required: boolean; readonly content: Readonly<Record<string, Media>> }
  readonly responses: Readonly<Record<string, Response>>
}

/** The document. */
export interface Document {
  readonly openapi: string
  readonly info: object
  readonly servers: readonly object[]
  readonly tags: readonly object[]
  readonly paths: Readonly<Record<string, Readonly<Partial<Record<'get' | 'post', Operation>>>>>
  readonly components: {
    readonly schemas: Readonly<Record<string, JsonSchema>>
    readonly responses: Readonly<Record<string, Response>>
    readonly headers: Readonly<Record<string, object>>
    readonly securitySchemes: Readonly<Record<string, object>>
  }
}

/** Where an operation is, and how it is asked. */
export interface Place {
  readonly id: string
  readonly path: string
  readonly method: 'GET' | 'POST'
  /** Media type of the body; null when there is none. */
  readonly body: string | null
  readonly operation: Operation
}

/** Every operation of a document. */
export function placesOf({ paths }: Document): Place[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const [body = null] = Object.keys(operation.requestBody?.content ?? {})
      return { id: operation.operationId, path, method: method === 'get' ? 'GET' : 'POST', body, operation }
    }),
  )
}

/** Finds what an operation answers with a status; follows the reference to a shared one. */
export function responseOf(document: Document, { operation }: Place, status: number): Response | undefined {
  const response = operation.responses[status]
  const name = response?.$ref?.split('/').at(-1)
  return name === undefined ? response : document.components.responses[name]
}
