/** The OpenAPI document as tests read it: what it promises, and whether an answer is what it promised. @module */

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { JsonSchema } from '../../tools/json_schema.ts'
import type { Document, Place, Response } from '../../tools/openapi_types.ts'
import type { Exchange } from '../../tools/stage.ts'

/** Where the document is. */
export const FILE = join(import.meta.dirname, '../../openapi.json')

/** The document as it is published. */
export const document: Document = JSON.parse(readFileSync(FILE, 'utf8'))

interface Validate {
  (value: unknown): boolean
  errors?: readonly { instancePath: string; message?: string; params: object }[] | null
}
interface Ajv {
  addKeyword(name: string): void
  addSchema(schema: object, name: string): void
  compile(schema: object): Validate
}

// what the generator of clients reads documents with; nothing of it is a dependency of our own
const ofGenerator = createRequire(join(import.meta.dirname, '../../node_modules/oazapfts/package.json'))
const ofParser = createRequire(ofGenerator.resolve('@apidevtools/swagger-parser'))

/** Holds a document against the schema of OpenAPI 3.1. */
export async function validateDocument(path: string): Promise<void> {
  const parser = ofGenerator('@apidevtools/swagger-parser')
  await (parser.default ?? parser).validate(path)
}

/** Every object in a value, itself first. */
export function objectsIn(value: unknown): Record<string, unknown>[] {
  if (typeof value !== 'object' || value === null) return []
  const inside = Object.values(value).flatMap(objectsIn)
  return Array.isArray(value) ? inside : [value as Record<string, unknown>, ...inside]
}

/** The same, with no room for fields that it does not name. */
function closed<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(closed) as T
  const copy = Object.fromEntries(Object.entries(value).map(([key, inside]) => [key, closed(inside)]))
  // references are to schemas that stand alone
  if (typeof copy.$ref === 'string') copy.$ref = copy.$ref.replace('#/components/schemas/', '')
  const isObject = copy.type === 'object' && 'properties' in copy && !('additionalProperties' in copy)
  return (isObject ? { ...copy, additionalProperties: false } : copy) as T
}

/** Makes validators of parts of the document, which keywords that are not of JSON Schema break. */
export function createValidator(): (path: readonly string[], value: unknown) => string[] {
  const { default: Ajv2020 } = ofParser('ajv/dist/2020.js')
  const ajv: Ajv = new Ajv2020({ strict: true, allowUnionTypes: true, validateSchema: false })
  // of OpenAPI; where each word leads is looked at elsewhere
  ajv.addKeyword('discriminator')
  for (const [name, schema] of Object.entries(document.components.schemas))
    ajv.addSchema(closed(schema), name)
  const known = new Map<string, Validate>()
  return (path, value) => {
    const where = path.join(' ')
    const schema = path.reduce<unknown>((inside, part) => Object(inside)[part], document)
    const validate = known.get(where) ?? ajv.compile(closed(schema as object))
    known.set(where, validate)
    if (validate(value)) return []
    return (validate.errors ?? []).map(
      (one) => `${where} ${one.instancePath} ${one.message} ${JSON.stringify(one.params)}`,
    )
  }
}

/** Where the response of an operation is in the document, and what it is. */
export function findResponse(
  place: Place,
  status: number | string,
): { path: string[]; response: Response } | null {
  const response = place.operation.responses[status]
  const name = response?.$ref?.split('/').at(-1)
  if (!response) return null
  if (name === undefined)
    return { path: ['paths', place.path, place.method.toLowerCase(), 'responses', String(status)], response }
  return { path: ['components', 'responses', name], response: document.components.responses[name] ?? {} }
}

/** The words that tell the answers of a schema apart: statuses, and codes of errors. Empty when there is but one. */
export function wordsOf(schema: JsonSchema): string[] {
  const name = schema.$ref?.split('/').at(-1)
  if (name) return wordsOf(document.components.schemas[name] ?? {})
  const several = schema.oneOf ?? schema.anyOf
  if (several) return [...new Set(several.flatMap(wordsOf))]
  const { result, data, status, error, code, active } = schema.properties ?? {}
  const inside = result ?? (error?.properties ? error.properties.data : undefined)
  if (inside) return wordsOf(inside)
  if (data) return wordsOf(data)
  const word = status ?? error ?? code ?? active
  const words = word?.const === undefined ? word?.enum : [word.const]
  return words?.map(String) ?? ['']
}

/** The word of an answer. */
export function wordOf({ body }: Exchange): string {
  const { result, error, active } = Object(body)
  const word = result?.data?.status ?? error?.data?.code ?? error ?? active
  return typeof word === 'string' || typeof word === 'boolean' ? String(word) : ''
}
