/** JSON Schemas (draft 2020-12, as OpenAPI 3.1 has them) of the contract's types and of the inputs' own schemas. @module */

import { toJsonSchema } from '@valibot/to-json-schema'
import type * as v from 'valibot'
import { type Contract, type Field, fieldsOf, type Model, membersOf, resolve } from './contract_types.ts'

/** The part of JSON Schema that is used here. */
export interface JsonSchema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly description?: string
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: boolean
  readonly items?: JsonSchema
  readonly oneOf?: readonly JsonSchema[]
  readonly anyOf?: readonly JsonSchema[]
  readonly discriminator?: {
    readonly propertyName: string
    readonly mapping: Readonly<Record<string, string>>
  }
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly minLength?: number
  readonly maxLength?: number
  readonly minimum?: number
  readonly maximum?: number
}

/** An object type, all of it. */
export function objectSchema(
  properties: Readonly<Record<string, JsonSchema>>,
  optional: readonly string[] = [],
): JsonSchema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name))
  return { type: 'object', ...(required.length > 0 && { required }), properties }
}

/** Where a component is. */
export const refTo = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` })

const pascal = (word: string) => word.replace(/(?:^|_)([a-z])/g, (_, letter: string) => letter.toUpperCase())

const describe = (schema: JsonSchema, description: string): JsonSchema =>
  description ? { ...schema, description } : schema

/** Makes schemas, and keeps those that have names. */
export class Schemas {
  readonly components = new Map<string, JsonSchema>()
  readonly #contract: Contract

  constructor(contract: Contract) {
    this.#contract = contract
  }

  /** Keeps a schema under a name. Two of one name must be the same. */
  add(name: string, schema: JsonSchema): JsonSchema {
    const known = this.components.get(name)
    if (known && JSON.stringify(known) !== JSON.stringify(schema))
      throw new Error(`There are two schemas called ${name}`)
    this.components.set(name, schema)
    return refTo(name)
  }

  /** The schema of what the server answers. */
  ofType(type: Model): JsonSchema {
    switch (type.kind) {
      case 'keyword':
        // every number of the contract is a count of something: seconds, a port
        return { type: type.name === 'number' ? 'integer' : type.name }
      case 'literal':
        // some generators take a constant `false` for none
        if (typeof type.value === 'boolean') return { type: 'boolean', enum: [type.value] }
        return { type: typeof type.value, const: type.value }
      case 'array':
        return { type: 'array', items: this.ofType(type.of) }
      case 'name':
        return this.#ofName(type.name)
      case 'union':
        return this.#ofUnion(type)
      default:
        return this.#ofObject(type)
    }
  }

  /** The fields of an object by name. */
  properties(type: Model): Readonly<Record<string, JsonSchema>> {
    const fields = fieldsOf(this.#contract, type)
    return Object.fromEntries(fields.map((field) => [field.name, this.#ofField(field)]))
  }

  #ofField({ type, doc }: Field): JsonSchema {
    const isGiven = ({ kind, ...rest }: Model) =>
      kind !== 'keyword' || !('name' in rest && rest.name === 'undefined')
    const members = membersOf(this.#contract, type).filter(isGiven)
    const [only] = members
    const given: Model =
      type.kind !== 'union'
        ? type
        : only && members.length === 1
          ? only
          : { kind: 'union', members: members.map((one) => ({ type: one, doc: '' })) }
    return describe(this.ofType(given), doc)
  }

  #ofName(name: string): JsonSchema {
    const named = this.#contract.named.get(name)
    if (!named) throw new Error(`There is no type ${name}`)
    const type: Model = { kind: 'name', name }
    const schema = named.isInterface ? this.#ofFields(type) : this.ofType(named.type)
    return this.add(name, describe(schema, named.doc))
  }

  #ofFields(type: Model): JsonSchema {
    const optional = fieldsOf(this.#contract, type).filter(({ isOptional }) => isOptional)
    return objectSchema(
      this.properties(type),
      optional.map(({ name }) => name),
    )
  }

  /** An object that says what it is by its status has a name for it. */
  #ofObject(type: Model): JsonSchema {
    const [status, ...others] = this.#statuses(type)
    return status && others.length === 0 ? this.#ofStatus(type, status) : this.#ofFields(type)
  }

  /** What the field `status` of an object may be. */
  #statuses(type: Model): string[] {
    const field = fieldsOf(this.#contract, type).find(({ name }) => name === 'status')
    const members = field ? membersOf(this.#contract, field.type) : []
    return members.flatMap((one) => (one.kind === 'literal' ? [String(one.value)] : []))
  }

  #ofStatus(type: Model, status: string): JsonSchema {
    const { properties = {}, ...schema } = this.#ofFields(type)
    return this.add(pascal(status), {
      ...schema,
      properties: { ...properties, status: { type: 'string', const: status } },
    })
  }

  #ofUnion(type: Model): JsonSchema {
    const members = membersOf(this.#contract, type)
    const kinds = members.map((one) => resolve(this.#contract, one))
    if (kinds.every((one) => one.kind === 'literal' || one.kind === 'keyword')) return ofScalars(kinds)
    const byStatus = members.flatMap((one) =>
      this.#statuses(one).map((status) => {
        const schema = one.kind === 'name' ? this.ofType(one) : this.#ofStatus(one, status)
        return [status, schema] as const
      }),
    )
    const mapping = Object.fromEntries(byStatus.map(([status, { $ref = '' }]) => [status, $ref]))
    if (byStatus.length === 0) return { oneOf: members.map((one) => this.ofType(one)) }
    return { oneOf: byStatus.map(([, schema]) => schema), discriminator: { propertyName: 'status', mapping } }
  }

  /**
   * The schema of what a procedure takes: lengths and ranges from its own schema, words from its type.
   *
   * @param schema What the router checks the input with.
   */
  ofInput(type: Model, schema: v.GenericSchema): JsonSchema {
    const told = toJsonSchema(schema, { target: 'draft-2020-12', typeMode: 'input' }) as JsonSchema
    const { properties = {}, required = [] } = told
    const fields = fieldsOf(this.#contract, type)
    const names = Object.keys(properties)
    if (
      told.type !== 'object' ||
      names.sort().join() !==
        fields
          .map(({ name }) => name)
          .sort()
          .join()
    )
      throw new Error(`The schema of an input has other fields than its type: ${names}`)
    const input: JsonSchema = {
      type: 'object',
      ...(required.length > 0 && { required }),
      properties: Object.fromEntries(
        fields.map(({ name, doc }) => [name, describe(properties[name] ?? {}, doc)]),
      ),
      additionalProperties: false,
    }
    if (type.kind !== 'name') return input
    return this.add(type.name, describe(input, this.#contract.named.get(type.name)?.doc ?? ''))
  }
}

/** One of several words, or a type that may be null. */
function ofScalars(members: readonly Model[]): JsonSchema {
  const isNullable = members.some((one) => one.kind === 'keyword' && one.name === 'null')
  const words = members.flatMap((one) => (one.kind === 'literal' ? [one.value] : []))
  const keywords = members.flatMap((one) => (one.kind === 'keyword' && one.name !== 'null' ? [one.name] : []))
  const types = [...new Set([...keywords, ...words.map((word) => typeof word)])].map((name) =>
    name === 'number' ? 'integer' : name,
  )
  const [only = 'null', ...others] = types
  if (others.length > 0 || (keywords.length > 0 && words.length > 0))
    throw new Error('A mixed union has no schema')
  const type = isNullable ? [only, 'null'] : only
  return words.length > 0 ? { type, enum: isNullable ? [...words, null] : words } : { type }
}
