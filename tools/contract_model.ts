/**
 * Reads the router's type with the compiler: which procedures there are is asked of the checker, and what each takes
 * and answers is read as it is written, so that the names and the comments of the source are kept.
 *
 * @module
 */

import { join } from 'node:path'
import ts from 'typescript'
import type { Contract, Field, Group, Member, Model, Named, Procedure } from './contract_types.ts'

const root = join(import.meta.dirname, '..')
const ROUTER = join(root, 'src/router_type.ts')
/** Where the types are that only form endpoints answer with. */
const MORE = { file: join(root, 'src/flows/introspection.ts'), names: ['ActiveToken', 'InactiveToken'] }

function fail(node: ts.Node, words: string): never {
  const file = node.getSourceFile()
  const { line } = file.getLineAndCharacterOfPosition(node.getStart())
  throw new Error(`${file.fileName}:${line + 1}: ${words}: ${node.getText()}`)
}

function createProgram(): ts.Program {
  const path = join(root, 'tsconfig.json')
  const { config, error } = ts.readConfigFile(path, ts.sys.readFile)
  if (error) throw new Error(ts.flattenDiagnosticMessageText(error.messageText, '\n'))
  const { options } = ts.parseJsonConfigFileContent({ ...config, files: [], include: [] }, ts.sys, root)
  return ts.createProgram([ROUTER, MORE.file], { ...options, types: ['node'], noEmit: true })
}

/** A comment as one paragraph. */
const flow = (text: string) => text.replace(/\s*\n\s*/g, ' ').trim()

/** The comment in front of a node, wherever the compiler itself keeps none. */
function commentIn(gap: string): string {
  const inside = /\/\*\*(.*?)\*\//s.exec(gap)?.[1] ?? ''
  return flow(inside.replace(/^\s*\* ?/gm, ''))
}

const KEYWORDS: Partial<Record<ts.SyntaxKind, (Model & { kind: 'keyword' })['name']>> = {
  [ts.SyntaxKind.StringKeyword]: 'string',
  [ts.SyntaxKind.NumberKeyword]: 'number',
  [ts.SyntaxKind.BooleanKeyword]: 'boolean',
  [ts.SyntaxKind.UndefinedKeyword]: 'undefined',
}

function readLiteral({ literal }: ts.LiteralTypeNode): Model {
  if (ts.isStringLiteral(literal)) return { kind: 'literal', value: literal.text }
  if (ts.isNumericLiteral(literal)) return { kind: 'literal', value: Number(literal.text) }
  if (literal.kind === ts.SyntaxKind.NullKeyword) return { kind: 'keyword', name: 'null' }
  if (literal.kind === ts.SyntaxKind.TrueKeyword) return { kind: 'literal', value: true }
  if (literal.kind === ts.SyntaxKind.FalseKeyword) return { kind: 'literal', value: false }
  return fail(literal, 'A literal that JSON has not')
}

class Reader {
  readonly named = new Map<string, Named>()
  readonly #sources = new Map<string, ts.Node>()
  readonly #checker: ts.TypeChecker

  constructor(checker: ts.TypeChecker) {
    this.#checker = checker
  }

  docOf(symbol: ts.Symbol | undefined): string {
    return flow(ts.displayPartsToString(symbol?.getDocumentationComment(this.#checker)))
  }

  symbolOf(name: ts.Node): ts.Symbol {
    const symbol = this.#checker.getSymbolAtLocation(name) ?? fail(name, 'An unknown type')
    return symbol.flags & ts.SymbolFlags.Alias ? this.#checker.getAliasedSymbol(symbol) : symbol
  }

  /** Takes a named type into the contract. */
  readNamed(at: ts.Node): string {
    const symbol = this.symbolOf(at)
    const { name } = symbol
    const [declaration = at] = symbol.declarations ?? []
    const known = this.#sources.get(name)
    if (known && known !== declaration) fail(at, `There are two types called ${name}`)
    if (!known) {
      this.#sources.set(name, declaration)
      const found = this.#readDeclaration(symbol, declaration)
      if (!found.doc) fail(declaration, `${name} needs a comment`)
      this.named.set(name, found)
    }
    return name
  }

  #readDeclaration(symbol: ts.Symbol, node: ts.Node): Named {
    const about = { name: symbol.name, doc: this.docOf(symbol) }
    if (ts.isTypeAliasDeclaration(node) && !node.typeParameters)
      return { ...about, base: null, isInterface: false, type: this.readType(node.type) }
    if (!ts.isInterfaceDeclaration(node)) return fail(node, 'Neither an interface nor an alias')
    const [base, ...others] = (node.heritageClauses ?? []).flatMap(({ types }) => [...types])
    if (others.length > 0) return fail(node, 'It extends several')
    const type: Model = { kind: 'object', fields: this.#readFields(node.members) }
    return { ...about, base: base ? this.readNamed(base.expression) : null, isInterface: true, type }
  }

  #readFields(members: ts.NodeArray<ts.TypeElement>): Field[] {
    return members.map((member) => {
      if (!ts.isPropertySignature(member) || !member.type) return fail(member, 'Only fields can be told')
      const flags = ts.getCombinedModifierFlags(member)
      return {
        name: member.name.getText(),
        type: this.readType(member.type),
        isOptional: member.questionToken !== undefined,
        isReadonly: (flags & ts.ModifierFlags.Readonly) !== 0,
        doc: this.docOf(this.#checker.getSymbolAtLocation(member.name)),
      }
    })
  }

  #readUnion(node: ts.UnionTypeNode): Model {
    const { text } = node.getSourceFile()
    let end = node.pos
    const members = node.types.map((one): Member => {
      const doc = commentIn(text.slice(end, one.getStart()))
      end = one.end
      return { type: this.readType(one), doc }
    })
    return { kind: 'union', members }
  }

  #readArray(node: ts.ArrayTypeNode, isReadonly: boolean): Model {
    return { kind: 'array', of: this.readType(node.elementType), isReadonly }
  }

  readType(node: ts.TypeNode): Model {
    const name = KEYWORDS[node.kind]
    if (name) return { kind: 'keyword', name }
    if (ts.isParenthesizedTypeNode(node)) return this.readType(node.type)
    if (ts.isLiteralTypeNode(node)) return readLiteral(node)
    if (ts.isArrayTypeNode(node)) return this.#readArray(node, false)
    if (ts.isTypeOperatorNode(node) && ts.isArrayTypeNode(node.type)) return this.#readArray(node.type, true)
    if (ts.isUnionTypeNode(node)) return this.#readUnion(node)
    if (ts.isIntersectionTypeNode(node))
      return { kind: 'intersection', parts: node.types.map((one) => this.readType(one)) }
    if (ts.isTypeLiteralNode(node)) return { kind: 'object', fields: this.#readFields(node.members) }
    if (node.getText() === 'Record<never, never>') return { kind: 'nothing' }
    if (ts.isTypeReferenceNode(node) && !node.typeArguments)
      return { kind: 'name', name: this.readNamed(node.typeName) }
    return fail(node, 'A type that the contract has no words for')
  }
}

/** Where a procedure or a group of them is written. */
function signatureOf(symbol: ts.Symbol): ts.TypeReferenceNode {
  const [declaration] = symbol.declarations ?? []
  const type = declaration && ts.isPropertySignature(declaration) ? declaration.type : undefined
  if (!type || !ts.isTypeReferenceNode(type)) throw new Error(`${symbol.name} is not written as a reference`)
  return type
}

/** A query may always be asked without its input, so the contract need not say that it can be undefined. */
function withoutUndefined(type: Model): Model {
  if (type.kind !== 'union') return type
  const members = type.members.filter((one) => one.type.kind !== 'keyword' || one.type.name !== 'undefined')
  const [first, ...others] = members
  return first && others.length === 0 ? first.type : { kind: 'union', members }
}

function readProcedure(reader: Reader, group: string, symbol: ts.Symbol): Procedure {
  const { name } = symbol
  const signature = signatureOf(symbol)
  const type = signature.typeName.getText() === 'Query' ? 'query' : 'mutation'
  const [input, output] = signature.typeArguments ?? []
  if (!input || !output) return fail(signature, `${group}.${name} has no input or no output`)
  const doc = reader.docOf(symbol)
  if (!doc) return fail(signature, `${group}.${name} needs a comment`)
  return {
    path: `${group}.${name}`,
    name,
    type,
    input: type === 'query' ? withoutUndefined(reader.readType(input)) : reader.readType(input),
    output: reader.readType(output),
    doc,
  }
}

/** The properties of a type by their names. */
function propertyOf(checker: ts.TypeChecker, type: ts.Type, ...names: string[]): ts.Type {
  return names.reduce((found, name) => {
    const property = found.getProperty(name)
    if (!property) throw new Error(`The router's type has no ${names.join('.')}`)
    return checker.getTypeOfSymbol(property)
  }, type)
}

/** Finds a type that a file exports. */
function exportOf(program: ts.Program, file: string, name: string): ts.Symbol {
  const source = program.getSourceFile(file)
  const module = source && program.getTypeChecker().getSymbolAtLocation(source)
  const symbol = module?.exports?.get(ts.escapeLeadingUnderscores(name))
  if (!symbol) throw new Error(`${file} has no ${name}`)
  return symbol
}

/** Reads what the router says of itself. */
export function readContract(): Contract {
  const program = createProgram()
  const checker = program.getTypeChecker()
  const reader = new Reader(checker)
  const router = checker.getDeclaredTypeOfSymbol(exportOf(program, ROUTER, 'PairgateRouter'))
  const groups = propertyOf(checker, router, '_def', 'record')
    .getProperties()
    .map((symbol): Group => {
      const { name } = symbol
      const doc = reader.docOf(reader.symbolOf(signatureOf(symbol).typeName))
      if (!doc) throw new Error(`The procedures of ${name} need a comment`)
      const procedures = checker.getTypeOfSymbol(symbol).getProperties()
      return { name, doc, procedures: procedures.map((one) => readProcedure(reader, name, one)) }
    })
  const known = new Set(reader.named.keys())
  for (const name of MORE.names) {
    const [declaration] = exportOf(program, MORE.file, name).declarations ?? []
    if (declaration && ts.isInterfaceDeclaration(declaration)) reader.readNamed(declaration.name)
  }
  const apart = new Set([...reader.named.keys()].filter((name) => !known.has(name)))
  return { groups, named: reader.named, apart }
}
