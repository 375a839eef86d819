/** What only D1 can do to a store: lose a statement or its answer, be overloaded, be called from two places. @module */

import { Miniflare } from 'miniflare'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type D1Database, type D1PreparedStatement, d1 } from '../adapters/d1.ts'
import { generateD1 } from '../examples/workers/generate.ts'
import type { Store } from '../src/mod.ts'
import { type LossyStore, testLostStatements } from './support/lost_statements.ts'
import { newGrant } from './support/store_rows.ts'
import type { Loss } from './support/tcp_proxy.ts'

/** A real D1 database behind a binding that can fail, with the words that Cloudflare lists. */
function failing(database: D1Database) {
  const state = { lost: 0, loss: undefined as { what: Loss; text: string; message: string } | undefined }
  const wrap = (statement: D1PreparedStatement, values: unknown[] = []): D1PreparedStatement => ({
    bind: (...bound) => wrap(statement.bind(...bound), bound),
    async all() {
      const { loss } = state
      if (!loss || !values.includes(loss.text)) return await statement.all()
      state.loss = undefined
      state.lost++
      if (loss.what === 'answer') await statement.all()
      throw new Error(loss.message)
    },
  })
  const binding: D1Database = {
    prepare: (sql) => wrap(database.prepare(sql)),
    batch: (statements) => database.batch(statements),
  }
  return { state, binding }
}

let miniflare: Miniflare
let database: D1Database
let store: Store
let other: Store
let state: ReturnType<typeof failing>['state']

beforeAll(async () => {
  miniflare = new Miniflare({
    modules: true,
    script: 'export default { fetch: () => new Response() }',
    d1Databases: ['DB'],
  })
  database = await miniflare.getD1Database('DB')
  const { state: failures, binding } = failing(database)
  state = failures
  store = d1(binding)
  other = d1(database)
  await other.migrate()
})
afterAll(() => miniflare?.dispose())

const NETWORK = 'D1_ERROR: Network connection lost.'
testLostStatements(
  (): LossyStore => ({
    store,
    other,
    lose: (what, text) => {
      state.loss = { what, text, message: NETWORK }
    },
    lost: state.lost,
  }),
)

describe('D1', () => {
  test.each([
    'D1_ERROR: D1 DB is overloaded. Requests queued for too long.',
    'D1_ERROR: Cannot resolve D1 DB due to transient issue on remote node.',
    'D1_ERROR: Internal error in D1 DB storage caused object to be reset.',
  ])('"%s" passes', async (message) => {
    const grant = newGrant()
    state.loss = { what: 'request', text: grant.id, message }
    expect(await store.insertGrant(grant)).toBe(true)
  })

  test('a fault of ours is not tried again', async () => {
    const grant = newGrant()
    state.loss = { what: 'request', text: grant.id, message: 'D1_TYPE_ERROR: Type not supported' }
    await expect(store.insertGrant(grant)).rejects.toThrow('D1_TYPE_ERROR')
  })

  test('what was compiled ahead is what the sources say: npm run generate', async () => {
    const files = await generateD1()
    const fresh = await import(
      `data:text/javascript,${encodeURIComponent(plain(files['adapters/d1_sql.ts']))}`
    )
    expect({ ...(await import('../adapters/d1_sql.ts')) }).toEqual({ ...fresh })
    expect(Object.keys(fresh)).toContain('STEPS')
  })
})

/** The generated module without its types. */
const plain = (text = '') =>
  text.replace(/^import type.*$/gm, '').replace(/^(export const \w+): [^=]*=/gm, '$1 =')
