/** Prints the client: a line for every procedure, so that one can see what there is and nothing is made up. @module */

import type { Contract } from './contract_types.ts'

const HEAD = `/** A typed client of a pairgate. Made by "npm run generate" of the router: do not edit. @module */

import { createTRPCUntypedClient, httpLink } from '@trpc/client'
import type { CallOptions, Mutation, PairgateApi, Query } from './contract.ts'

/** What \`createApi\` takes. */
export interface ApiOptions {
  /** Base URL of the pairgate, path included. */
  readonly server: string
  /** The credential, sent as \`Authorization: Bearer\`; asked for at each call when it is a function. Signing in takes none. */
  readonly token?: string | (() => Promise<string | null>) | undefined
  /** Replaces the global \`fetch\`. */
  readonly fetch?: typeof fetch | undefined
}

/** The global one is looked up at each call. */
const globalFetch: typeof fetch = (url, init) => globalThis.fetch(url, init)

function connect({ server, token, fetch = globalFetch }: ApiOptions) {
  const link = httpLink({
    url: \`\${server.replace(/\\/+$/, '')}/trpc\`,
    async headers() {
      const credential = typeof token === 'function' ? await token() : token
      return credential ? { authorization: \`Bearer \${credential}\` } : {}
    },
    // following a redirect would hand the secret in the body to whoever it names
    fetch: (url, init) => fetch(String(url), { ...(init as RequestInit), redirect: 'manual' }),
  })
  return createTRPCUntypedClient({ links: [link] })
}

const toOptions = ({ signal }: CallOptions) => (signal ? { signal } : {})

/**
 * Connects to a pairgate. Makes no request yet.
 *
 * @example
 * \`\`\`ts
 * const api = createApi({ server: 'https://gateway.example/auth' })
 * const start = await api.device.authorize.mutate({ client_id: 'mytool' })
 * \`\`\`
 */
export function createApi(options: ApiOptions): PairgateApi {
  const client = connect(options)
  const mutation = <Input, Output>(path: string): Mutation<Input, Output> => ({
    mutate: (input: Input, call: CallOptions = {}) => client.mutation(path, input, toOptions(call)) as Promise<Output>,
  })
  const query = <Input, Output>(path: string): Query<Input, Output> => ({
    query: (input?: Input, call: CallOptions = {}) => client.query(path, input, toOptions(call)) as Promise<Output>,
  })
  return {
`

const FOOT = `  }
}
`

/** The text of the client, before it is formatted. */
export function printClient({ groups }: Contract): string {
  const parts = groups.map(({ name, procedures }) => {
    const lines = procedures.map(({ name: own, type, path }) => `${own}: ${type}('${path}'),\n`)
    return `${name}: {\n${lines.join('')}},\n`
  })
  return HEAD + parts.join('') + FOOT
}
