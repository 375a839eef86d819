/** Prints the contract: every type that a client sees, with its comments, and nothing to import. @module */

import type { Contract, Field, Model, Named, Procedure } from './contract_types.ts'
import { TRPC_ERRORS } from './trpc_errors.ts'

/** Longest line of a comment. */
const WIDTH = 118

/** A comment; nothing when there are no words. */
function comment(doc: string, indent = ''): string {
  if (!doc) return ''
  const line = `${indent}/** ${doc} */\n`
  if (line.length <= WIDTH) return line
  const lines: string[] = []
  let text = ''
  for (const word of doc.split(' ')) {
    if (text && `${indent} * ${text} ${word}`.length > WIDTH) {
      lines.push(text)
      text = word
    } else text = text ? `${text} ${word}` : word
  }
  return [`${indent}/**`, ...[...lines, text].map((one) => `${indent} * ${one}`), `${indent} */\n`].join('\n')
}

function printField({ name, type, isOptional, isReadonly, doc }: Field): string {
  return `${comment(doc, '  ')}  ${isReadonly ? 'readonly ' : ''}${name}${isOptional ? '?' : ''}: ${printType(type)}\n`
}

/** Fields without comments stay in one line, unless the formatter finds it too long. */
function printFields(fields: readonly Field[]): string {
  const isPlain = fields.every(({ doc }) => !doc)
  return isPlain ? `{ ${fields.map(printField).join('')} }` : `{\n${fields.map(printField).join('')}}`
}

function printType(type: Model): string {
  switch (type.kind) {
    case 'keyword':
    case 'name':
      return type.name
    case 'literal':
      return typeof type.value === 'string' ? `'${type.value}'` : String(type.value)
    case 'array':
      return `${type.isReadonly ? 'readonly ' : ''}${inBrackets(type.of)}[]`
    case 'object':
      return printFields(type.fields)
    case 'union':
      return type.members.map(({ type: one, doc }) => `\n${comment(doc)}| ${inBrackets(one)}`).join('')
    case 'intersection':
      return type.parts.map(inBrackets).join(' & ')
    case 'nothing':
      return 'Record<never, never>'
  }
}

function inBrackets(type: Model): string {
  const text = printType(type)
  return type.kind === 'union' || type.kind === 'intersection' ? `(${text})` : text
}

function printNamed({ name, doc, base, isInterface, type }: Named): string {
  const head = comment(doc)
  const bodyOf = (one: Model) =>
    one.kind === 'object' ? `{\n${one.fields.map(printField).join('')}}` : printType(one)
  if (!isInterface) return `${head}export type ${name} = ${printType(type)}\n`
  return `${head}export interface ${name} ${base ? `extends ${base} ` : ''}${bodyOf(type)}\n`
}

function printProcedure({ name, type, input, output, doc }: Procedure): string {
  const kind = type === 'query' ? 'Query' : 'Mutation'
  return `${comment(doc, '    ')}readonly ${name}: ${kind}<${printType(input)}, ${printType(output)}>\n`
}

function printApi({ groups }: Contract): string {
  const parts = groups.map(
    ({ name, doc, procedures }) =>
      `${comment(doc, '  ')}readonly ${name}: {\n${procedures.map(printProcedure).join('')}}\n`,
  )
  return `/** Every procedure of a pairgate. A call that the server refuses rejects with an error that has {@link ApiErrorData}. */
export interface PairgateApi {
${parts.join('')}}
`
}

const CALLS = `/** How a call is made. */
export interface CallOptions {
  /** Gives the call up. */
  readonly signal?: AbortSignal | undefined
}

/** A procedure that writes, or that takes a secret. */
export interface Mutation<Input, Output> {
  /** Calls it. */
  mutate(input: Input, options?: CallOptions): Promise<Output>
}

/** A procedure that only reads. */
export interface Query<Input, Output> {
  /** Calls it. */
  query(input?: Input, options?: CallOptions): Promise<Output>
}
`

function printErrors(): string {
  const members = Object.values(TRPC_ERRORS).map(({ code, doc }) => `\n${comment(`${doc}.`)}| '${code}'`)
  return `/** Why a call is refused. */
export type ApiErrorCode =${members.join('')}

/** What the server says of a refusal, in the field \`data\` of the error. */
export interface ApiErrorData {
  readonly code: ApiErrorCode
  readonly httpStatus: number
  /** The procedure, such as \`device.authorize\`. */
  readonly path: string
}
`
}

/** The text of the contract, before it is formatted. */
export function printContract(contract: Contract): string {
  const named = [...contract.named.values()].filter(({ name }) => !contract.apart.has(name))
  const head =
    '/** What a pairgate takes and answers. Made by "npm run generate" of the router: do not edit. @module */\n'
  return [head, printApi(contract), CALLS, printErrors(), ...named.map(printNamed)].join('\n')
}
