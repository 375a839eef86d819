/** A small model of the types that the contract is made of: what a compiler knows, as plain data. @module */

/** A type. */
export type Model =
  | { readonly kind: 'keyword'; readonly name: 'string' | 'number' | 'boolean' | 'null' | 'undefined' }
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | { readonly kind: 'array'; readonly of: Model; readonly isReadonly: boolean }
  | { readonly kind: 'object'; readonly fields: readonly Field[] }
  | { readonly kind: 'union'; readonly members: readonly Member[] }
  | { readonly kind: 'intersection'; readonly parts: readonly Model[] }
  /** One of {@link Contract.named}. */
  | { readonly kind: 'name'; readonly name: string }
  /** `Record<never, never>`: nothing in it. */
  | { readonly kind: 'nothing' }

/** One field of an object. Comments are single lines without the marks of a comment; empty when there is none. */
export interface Field {
  readonly name: string
  readonly type: Model
  readonly isOptional: boolean
  readonly isReadonly: boolean
  readonly doc: string
}

/** One of several types. */
export interface Member {
  readonly type: Model
  readonly doc: string
}

/** An interface, or an alias of a type. */
export interface Named {
  readonly name: string
  readonly doc: string
  /** Of an interface: what it extends. */
  readonly base: string | null
  readonly isInterface: boolean
  readonly type: Model
}

/** One procedure of the router. */
export interface Procedure {
  /** As tRPC spells it: `device.authorize`. */
  readonly path: string
  readonly name: string
  readonly type: 'query' | 'mutation'
  readonly input: Model
  readonly output: Model
  readonly doc: string
}

/** The procedures under one name. */
export interface Group {
  readonly name: string
  readonly doc: string
  readonly procedures: readonly Procedure[]
}

/** Everything that the router says of itself. */
export interface Contract {
  readonly groups: readonly Group[]
  /** In the order in which they are met. */
  readonly named: ReadonlyMap<string, Named>
  /** Those of them that no procedure knows. */
  readonly apart: ReadonlySet<string>
}

/** Every procedure of a contract. */
export function proceduresOf({ groups }: Contract): Procedure[] {
  return groups.flatMap(({ procedures }) => procedures)
}

/** Follows names to what they stand for. */
export function resolve({ named }: Pick<Contract, 'named'>, type: Model): Model {
  if (type.kind !== 'name') return type
  const found = named.get(type.name)
  if (!found) throw new Error(`There is no type ${type.name}`)
  return resolve({ named }, found.type)
}

/** Every field of an object type: its own, and those of what it extends or is joined with. */
export function fieldsOf(contract: Pick<Contract, 'named'>, type: Model): Field[] {
  switch (type.kind) {
    case 'nothing':
      return []
    case 'object':
      return [...type.fields]
    case 'intersection':
      return type.parts.flatMap((part) => fieldsOf(contract, part))
    case 'name': {
      const found = contract.named.get(type.name)
      if (!found) throw new Error(`There is no type ${type.name}`)
      const inherited = found.base ? fieldsOf(contract, { kind: 'name', name: found.base }) : []
      return [...inherited, ...fieldsOf(contract, found.type)]
    }
    default:
      throw new Error(`A ${type.kind} has no fields`)
  }
}

/** The members of a union, those of unions in it too; of any other type itself. */
export function membersOf(contract: Pick<Contract, 'named'>, type: Model): Model[] {
  const found = resolve(contract, type)
  return found.kind === 'union' ? found.members.flatMap((one) => membersOf(contract, one.type)) : [type]
}
