/** A signed assertion, checked in workerd: the keys are fetched there, and no request waits for another one's. @module */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { build } from 'esbuild'
import { Miniflare, NoOpLog } from 'miniflare'
import { expect, onTestFinished, test } from 'vitest'
import { COMPATIBILITY, FOR_WORKERD } from '../examples/workers/bundle.ts'
import { makeKey, seconds, signWith } from './support/identify.ts'

/** A Worker that answers with the identity, or with what went wrong. */
const worker = (jwksUrl: string) => `
  import { signedAssertion } from ${JSON.stringify(join(import.meta.dirname, '../adapters/gateway.ts'))}
  const identify = signedAssertion({
    header: 'x-assertion',
    jwksUrl: ${JSON.stringify(jwksUrl)},
    issuer: 'https://proxy.example',
    audience: 'pairgate',
    algorithms: ['ES256'],
  })
  const log = { debug() {}, info() {}, warn() {}, error() {} }
  export default {
    async fetch(request) {
      try {
        return Response.json(await identify(request, { log }))
      } catch (error) {
        return Response.json(error.code, { status: 500 })
      }
    },
  }`

test('GW-02 on Workers: good and bad tokens, also at once, and after the keys were out of reach', async () => {
  const key = await makeKey('one')
  let isUp = false
  const server = createServer((_, response) =>
    isUp ? void response.end(JSON.stringify({ keys: [key.jwk] })) : void response.writeHead(503).end(),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const { outputFiles } = await build({
    stdin: { contents: worker(jwksUrl), resolveDir: import.meta.dirname },
    ...FOR_WORKERD,
    external: ['node:*', 'cloudflare:*'],
  })
  const miniflare = new Miniflare({
    modules: true,
    script: outputFiles[0]?.text ?? '',
    ...COMPATIBILITY,
    cf: false,
    log: new NoOpLog(),
    telemetry: { enabled: false },
  })
  onTestFinished(async () => {
    await miniflare.dispose()
    server.close()
    server.closeAllConnections()
  })
  const claims = { iss: 'https://proxy.example', aud: 'pairgate', sub: 'alice', exp: seconds() + 60 }
  const ask = async (token: string) => {
    const answered = await miniflare.dispatchFetch('http://pairgate/', { headers: { 'x-assertion': token } })
    return await answered.json()
  }
  const good = await signWith(key, claims)
  expect(await ask(good)).toBe('ERR_PAIRGATE_SIGN_IN')
  isUp = true
  const answers = await Promise.all(Array.from({ length: 5 }, () => ask(good)))
  for (const one of answers) expect(one).toMatchObject({ issuer: claims.iss, subject: 'alice' })
  expect(await ask(await signWith(key, { ...claims, aud: 'other' }))).toBeNull()
})
