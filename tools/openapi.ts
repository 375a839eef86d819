/** Makes the OpenAPI document: from the types, the inputs' own schemas, a table of the endpoints, and a gate that runs. @module */

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type * as v from 'valibot'
import { memory } from '../adapters/memory.ts'
import { createPairgate } from '../src/mod.ts'
import type { Contract } from './contract_types.ts'
import { Schemas } from './json_schema.ts'
import { endpointPaths } from './openapi_endpoints.ts'
import { type InputSchemas, procedurePaths } from './openapi_procedures.ts'
import { HEADERS, sharedResponses } from './openapi_responses.ts'
import { type Document, type Media, placesOf, responseOf } from './openapi_types.ts'
import { playScenes } from './scenes.ts'
import { BASE, type Exchange } from './stage.ts'

/** When the examples were recorded. */
const START = Date.UTC(2026, 10, 20, 9, 0, 0)

const DESCRIPTION = `Logins for command-line apps: by device code (RFC 8628) and by link.

Paths are relative to the base URL of a gateway, such as \`https://gateway.example/auth\`. The same logins can be made through the form endpoints, in the words of the
RFCs, and through the procedures under \`/trpc\`, which take and answer plain JSON. A procedure says what came of a login in
the field \`status\`, with HTTP 200; refusals are errors. Seconds are whole numbers, \`..._at\` are epoch seconds. Parameters
of a form may be given once. Another method than that of an operation is answered 405.

The examples were recorded from a server; secrets in them are cut short. Whatever is generated from this document must
not follow redirects: a redirected request would hand the secret in its body on.`

/** The schemas that a router checks its inputs with. */
function readInputs(): InputSchemas {
  const gate = createPairgate({
    baseUrl: BASE,
    secrets: ['not-a-secret-not-a-secret-not-a-0'],
    database: memory(),
    devSignIn: true,
  })
  const { procedures } = gate.router({ resolve: (context: { request: Request }) => context })._def
  const all = Object.entries(procedures as unknown as Record<string, { _def: { inputs: v.GenericSchema[] } }>)
  return new Map(
    all.map(([path, { _def }]) => {
      const [input, ...others] = _def.inputs
      if (!input || others.length > 0) throw new Error(`${path} has no input of its own`)
      return [
        path,
        input.type === 'optional' ? (input as v.OptionalSchema<v.GenericSchema, undefined>).wrapped : input,
      ]
    }),
  )
}

function draft(contract: Contract, version: string): Document {
  const schemas = new Schemas(contract)
  const inputs = readInputs()
  const responses = sharedResponses(schemas)
  const paths = { ...procedurePaths(contract, schemas, inputs), ...endpointPaths(contract, schemas, inputs) }
  const browser =
    'The browser’s sign-in. On https the name is `__Host-pairgate-session`; where the gateway says who is there, it is the gateway’s own.'
  return {
    openapi: '3.1.1',
    info: {
      title: 'pairgate',
      version,
      license: { name: 'MIT', identifier: 'MIT' },
      description: DESCRIPTION.replace(/(?<!\n)\n(?!\n)/g, ' '),
    },
    servers: [
      {
        url: BASE,
        description: 'On this machine',
      },
    ],
    tags: [
      ...contract.groups.map(({ name, doc }) => ({ name, description: doc })),
      { name: 'oauth', description: 'Form endpoints in the words of OAuth.' },
      { name: 'paircode', description: 'Form endpoints of logins by link.' },
      { name: 'service', description: 'What the server says of itself.' },
    ],
    paths,
    components: {
      schemas: Object.fromEntries([...schemas.components].sort(([a], [b]) => (a < b ? -1 : 1))),
      responses,
      headers: HEADERS,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'A session or an API key.' },
        browser: { type: 'apiKey', in: 'cookie', name: 'pairgate-session', description: browser },
        resourceServer: {
          type: 'http',
          scheme: 'basic',
          description: 'Id and secret of a resource server, each form-urlencoded.',
        },
      },
    },
  }
}

/** Cuts every secret short, wherever it is. */
function shorten(value: unknown): unknown {
  const text = JSON.stringify(value, (name, inside) => {
    if (typeof inside !== 'string') return inside
    const isSecret =
      /^(access_token|refresh_token|device_code|verifier|secret|token|client_secret|code)$/.test(name)
    if (isSecret && inside.length > 20 && !/^[A-Z_]+$/.test(inside)) return `${inside.slice(0, 12)}...`
    return inside.replace(/\b(code=[\w-]{8})[\w-]{12,}/, '$1...')
  })
  return JSON.parse(text)
}

function addExample(media: Media | undefined, name: string, value: unknown): void {
  if (!media) return
  media.examples ??= {}
  media.examples[name] ??= { value: shorten(value) }
}

const fieldNames = (value: unknown) => Object.keys(Object(value)).join()

/** Shows what was recorded: each answer, and what was sent to get it when it was a success. */
function addExamples(document: Document, exchanges: readonly Exchange[]): void {
  const places = new Map(placesOf(document).map((place) => [place.id, place]))
  for (const { operation, name, status, type, body, input } of exchanges) {
    const place = places.get(operation)
    if (name === null || !place) continue
    addExample(responseOf(document, place, status)?.content?.[type], name, body)
    const [request] = Object.values(place.operation.requestBody?.content ?? {})
    const known = Object.values(request?.examples ?? {}).map(({ value }) => fieldNames(value))
    // one of each sort will do
    if (status === 200 && input && !known.includes(fieldNames(input))) addExample(request, name, input)
  }
}

/** Runs something with chance taken out: the same bytes each time. */
async function withoutChance<T>(work: () => Promise<T>): Promise<T> {
  let count = 0
  const fill = <A extends ArrayBufferView | null>(array: A): A => {
    const bytes = array && new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
    for (let i = 0; bytes && i < bytes.length; i += 32) {
      const block = createHash('sha256').update(`${count++}`).digest()
      bytes.set(block.subarray(0, bytes.length - i), i)
    }
    return array
  }
  Object.defineProperty(crypto, 'getRandomValues', { value: fill, configurable: true })
  try {
    return await work()
  } finally {
    Reflect.deleteProperty(crypto, 'getRandomValues')
  }
}

/** The document. */
export async function createDocument(contract: Contract): Promise<Document> {
  const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8'))
  const document = draft(contract, version)
  const exchanges: Exchange[] = []
  await withoutChance(() =>
    playScenes({
      places: placesOf(document),
      createStore: memory,
      start: START,
      note: (exchange) => exchanges.push(exchange),
    }),
  )
  addExamples(document, exchanges)
  return document
}
