/** The OpenAPI document: it is sound, the server keeps to it in every answer, and it leaves nothing out. @module */

import { DatabaseSync } from 'node:sqlite'
import { PatternRouter } from 'hono/router/pattern-router'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { sqlite } from '../adapters/sqlite.ts'
import { placesOf } from '../tools/openapi_types.ts'
import { playScenes } from '../tools/scenes.ts'
import type { Exchange } from '../tools/stage.ts'
import { BASE, createTestGate } from './support/gate.ts'
import {
  createValidator,
  document,
  FILE,
  findResponse,
  objectsIn,
  validateDocument,
  wordOf,
  wordsOf,
} from './support/openapi.ts'

const places = placesOf(document)
const validate = createValidator()

describe('the document', () => {
  test('is OpenAPI 3.1', async () => {
    await validateDocument(FILE)
    expect(document.openapi).toMatch(/^3\.1\./)
  })

  test('every reference leads somewhere, and every part is referred to', () => {
    const { securitySchemes, ...parts } = document.components
    const refs = new Set(objectsIn(document).flatMap(({ $ref }) => (typeof $ref === 'string' ? [$ref] : [])))
    const all = Object.entries(parts).flatMap(([kind, named]) =>
      Object.keys(named).map((name) => `#/components/${kind}/${name}`),
    )
    expect([...refs].toSorted()).toEqual(all.toSorted())
    const used = places.flatMap(({ operation }) => operation.security.flatMap(Object.keys))
    expect([...new Set(used)].toSorted()).toEqual(Object.keys(securitySchemes).toSorted())
  })

  test('every operation has a name of its own, fit for a function, and words', () => {
    const ids = places.map(({ id }) => id)
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.filter((id) => !/^[a-z][A-Za-z]+$/.test(id))).toEqual([])
    expect(places.filter(({ operation }) => !/^[A-Z].*\.$/.test(operation.summary))).toEqual([])
  })

  test('the words of a discriminator lead to the schemas that have them', () => {
    const unions = objectsIn(document).filter((one) => 'discriminator' in one)
    expect(unions.length).toBeGreaterThan(3)
    for (const { oneOf, discriminator } of unions) {
      const { propertyName, mapping } = discriminator as {
        propertyName: string
        mapping: Record<string, string>
      }
      expect(Object.values(mapping)).toEqual((oneOf as { $ref: string }[]).map(({ $ref }) => $ref))
      for (const [word, ref] of Object.entries(mapping))
        expect(
          document.components.schemas[ref.split('/').at(-1) ?? '']?.properties?.[propertyName]?.const,
        ).toBe(word)
    }
  })

  test('every example is what its schema says', () => {
    const wrong = places.flatMap(({ path, method, operation, ...place }) => {
      const at = ['paths', path, method.toLowerCase()]
      const request = Object.entries(operation.requestBody?.content ?? {}).map(
        ([type, media]) => [[...at, 'requestBody', 'content', type, 'schema'], media] as const,
      )
      const responses = Object.keys(operation.responses).flatMap((status) => {
        const found = findResponse({ path, method, operation, ...place }, status)
        return Object.entries(found?.response.content ?? {}).map(
          ([type, media]) => [[...(found?.path ?? []), 'content', type, 'schema'], media] as const,
        )
      })
      return [...request, ...responses].flatMap(([schema, { examples = {} }]) =>
        Object.values(examples).flatMap(({ value }) => validate(schema, value)),
      )
    })
    expect(wrong).toEqual([])
  })

  test('no secret is written out in it', () => {
    const { secretPattern } = createTestGate().gate
    const text = JSON.stringify(document)
    const named = /"(?:access_token|refresh_token|device_code|verifier|secret|client_secret)":"[^"#]{16,}"/g
    expect([...text.matchAll(new RegExp(secretPattern, 'g')), ...text.matchAll(named)].map(String)).toEqual(
      [],
    )
  })
})

describe('the server', () => {
  const exchanges: Exchange[] = []

  beforeAll(async () => {
    await playScenes({
      places,
      createStore: () => sqlite(new DatabaseSync(':memory:')),
      start: Date.now(),
      note: (exchange) => exchanges.push(exchange),
    })
  })

  test('answers only what the document says: status, headers, media type and every field', () => {
    const wrong = exchanges.flatMap(({ operation, status, headers, type, body }) => {
      const place = places.find(({ id }) => id === operation)
      const found = place && findResponse(place, status)
      if (!found) return [`${operation} ${status} is not in the document: ${JSON.stringify(body)}`]
      const { content = {}, headers: promised = {} } = found.response
      const missing = Object.keys(promised).filter((name) => !headers.has(name))
      const extra = ['retry-after', 'www-authenticate'].filter(
        (name) => headers.has(name) && !Object.keys(promised).some((one) => one.toLowerCase() === name),
      )
      const odd = [...missing, ...extra].map((name) => `${operation} ${status} ${name}`)
      if (type === '' && Object.keys(content).length === 0) return odd
      if (!content[type]) return [...odd, `${operation} ${status} is ${type}`]
      return [...odd, ...validate([...found.path, 'content', type, 'schema'], body)]
    })
    expect([...new Set(wrong)]).toEqual([])
  })

  test('gives every answer that the document has', () => {
    const seen = new Set<string>()
    for (const exchange of exchanges) {
      const { operation, status, type } = exchange
      seen.add(`${operation} ${status}`)
      const place = places.find(({ id }) => id === operation)
      const found = place && findResponse(place, status)
      if (!found) continue
      const word = wordOf(exchange)
      const { properties } = found.response.content?.[type]?.schema ?? {}
      const name = properties?.result?.properties?.data?.$ref ?? found.path.join(' ')
      seen.add(`${name} ${type} ${word}`)
    }
    const promised = places.flatMap((place) =>
      Object.keys(place.operation.responses).flatMap((status) => {
        const found = findResponse(place, status)
        const media = Object.entries(found?.response.content ?? {}).flatMap(([type, { schema }]) => {
          // an outcome that several procedures have is shown by any of them
          const name = schema.properties?.result?.properties?.data?.$ref ?? found?.path.join(' ')
          return wordsOf(schema).map((word) => `${name} ${type} ${word}`)
        })
        return [`${place.id} ${status}`, ...media]
      }),
    )
    expect(promised.length).toBeGreaterThan(300)
    expect([...new Set(promised)].filter((one) => !seen.has(one))).toEqual([])
  })

  test('has no other route, but for pages and what proxies ask', async () => {
    const add = vi.spyOn(PatternRouter.prototype, 'add')
    const t = createTestGate({ resourceServers: { api: { secret: 'x'.repeat(32) } } })
    const paths = new Set(add.mock.calls.map(([, path]) => path))
    add.mockRestore()
    const APART =
      /^(\*|\/\*|\/|\/device|\/oauth\/device\/verify|\/pair\/:paircode|\/account|\/sign-(in|out)(\/.*)?|\/authz\/.*|\/trpc\/\*)$/
    const routes = [...paths].filter((path) => !APART.test(path))
    const documented = places.filter(({ path }) => !path.startsWith('/trpc/'))
    expect(routes.toSorted()).toEqual(documented.map(({ path }) => path).toSorted())
    for (const { path, method } of documented) {
      const { status, headers } = await t.fetch(path, { method: 'DELETE' })
      expect([path, status, headers.get('allow')]).toEqual([
        path,
        405,
        method === 'GET' ? 'HEAD, GET' : method,
      ])
    }
  })

  test('has no other procedure, and each takes one method', async () => {
    const { gate, fetch } = createTestGate()
    const { procedures } = gate.router({ resolve: (context: { request: Request }) => context })._def
    const all = places.filter(({ path }) => path.startsWith('/trpc/'))
    expect(all.map(({ path }) => path.slice('/trpc/'.length)).toSorted()).toEqual(
      Object.keys(procedures).toSorted(),
    )
    for (const { path, method } of all) {
      const json = { 'content-type': 'application/json' }
      const wrong = method === 'GET' ? { method: 'POST', body: '{}', headers: json } : { method: 'GET' }
      expect([path, (await fetch(path, wrong)).status]).toEqual([path, 405])
    }
  })

  test('wants a credential where the document says so, and nowhere else', async () => {
    const { fetch } = createTestGate({ resourceServers: { api: { secret: 'x'.repeat(32) } } })
    const wanted = places.map(({ id, operation }) => [id, operation.security.length > 0])
    const found = places.map(async ({ id, path, method, body }) => {
      const init =
        method === 'GET'
          ? {}
          : { method, body: body === 'application/json' ? '{}' : '', headers: { 'content-type': `${body}` } }
      return [id, [401, 403].includes((await fetch(path, init)).status)]
    })
    expect(await Promise.all(found)).toEqual(wanted)
  })

  test('takes what the document allows, to the last character, and no more', async () => {
    const { fetch } = createTestGate()
    const start = places.find(({ id }) => id === 'deviceAuthorize')
    const schema = document.components.schemas.StartInput
    expect(start?.operation.requestBody?.content['application/json']?.schema).toEqual({
      $ref: '#/components/schemas/StartInput',
    })
    const call = async (input: object) => {
      const init = {
        method: 'POST',
        body: JSON.stringify(input),
        headers: { 'content-type': 'application/json' },
      }
      return (await fetch(`${BASE}/trpc/device.authorize`, init)).status
    }
    const longest = schema?.properties?.device_name?.maxLength ?? 0
    expect(await call({ client_id: 'pairgate-cli', device_name: 'x'.repeat(longest) })).toBe(200)
    expect(await call({ client_id: 'pairgate-cli', device_name: 'x'.repeat(longest + 1) })).toBe(400)
    expect(schema?.required).toEqual(['client_id'])
  })
})
