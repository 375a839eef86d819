/** The standalone server as people start it, on each runtime. @module */

import { existsSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { createClient, loginWithDevice, loginWithPaircode } from '../clients/mod.ts'
import { type Runtime, type StandaloneServer, signInAt, startStandalone } from './support/standalone.ts'

/** Signs in by one flow with the typed client, while somebody allows it in a browser. */
async function login(server: StandaloneServer, signIn: typeof loginWithDevice): Promise<string> {
  const person = await signInAt(server, 'alice')
  let allowed: Promise<Response> | undefined
  const token = await signIn(createClient({ server: server.base }), {
    onPrompt: ({ url }) => {
      allowed = person.decide(new URL(url).pathname + new URL(url).search, 'allow')
    },
    wait: async () => void (await allowed),
  })
  return token.access_token
}

const whoami = (server: StandaloneServer, token: string) =>
  createClient({ server: server.base, token }).api.session.whoami.query()

describe.each<Runtime>(['node', 'deno'])('%s', (runtime) => {
  test('it greets, signs in by both flows, keeps everything over a restart, and ends cleanly on SIGTERM', async () => {
    const first = await startStandalone({}, '', runtime)
    expect(first.output()).toContain(`npx pairgate login --server ${first.base}`)
    const key = await login(first, loginWithDevice)
    const session = await login(first, loginWithPaircode)
    expect(await whoami(first, key)).toMatchObject({ subject: 'alice', kind: 'api_key' })
    expect(await first.stop()).toBe(0)
    // SQLite leaves no write-ahead log behind when it was closed
    expect(existsSync(`${first.file}-wal`)).toBe(false)
    const second = await startStandalone({ DATABASE_URL: `sqlite:${first.file}` }, '', runtime)
    try {
      expect(await whoami(second, session)).toMatchObject({ subject: 'alice', kind: 'session' })
    } finally {
      await second.stop()
      second.remove()
      first.remove()
    }
  })

  test('OPS-06 what is wrong is said in one line, without a stack', async () => {
    const running = await startStandalone({}, '', runtime)
    try {
      const { port } = new URL(running.base)
      const taken = await startStandalone({ PORT: port }, '', runtime).catch((error: Error) => error.message)
      expect(taken).toMatch(
        /ended with 1: .*pairgate cannot start: Cannot listen on 127.0.0.1:\d+ \(HOST, PORT\)/s,
      )
      expect(taken).not.toMatch(/\n\s+at /)
    } finally {
      await running.stop()
      running.remove()
    }
    const unsafe = await startStandalone({ HOST: '0.0.0.0' }, '', runtime).catch(
      (error: Error) => error.message,
    )
    expect(unsafe).toMatch(/pairgate cannot start: PAIRGATE_BASE_URL is missing/)
  })
})
