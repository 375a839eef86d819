/** Ten programs at once over one file of logins: every expiry is met by one refresh, and nobody is signed out by it. @module */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createClient, credentialStore } from '../clients/mod.ts'
import { allowAs, createPrograms, SHARED, SOURCES, shareLogin } from './support/kit_stories.ts'
import { type LiveGate, listenGate } from './support/listen.ts'

let gate: LiveGate
const folder = mkdtempSync(join(tmpdir(), 'pairgate-kit-'))
const programs = createPrograms(SOURCES)
beforeAll(async () => {
  gate = await listenGate(() => SHARED, '/auth')
})
afterAll(async () => {
  programs.end()
  await gate.close()
  await gate.gate.close()
  rmSync(folder, { recursive: true, force: true })
})

test('ten programs share a login over five expiries: one refresh each, all calls answered', async () => {
  const store = credentialStore({ name: 'mytool', mode: 'file', directory: folder })
  const client = createClient({ server: gate.base, clientId: 'mytool', store, token: null })
  let allowed: Promise<Response> | undefined
  await client.login({
    via: 'link',
    browser: false,
    onPrompt: (prompt) => {
      allowed = allowAs(gate, 'alice', prompt)
    },
    async wait() {
      await allowed
    },
  })
  await shareLogin(gate, folder, programs, async () =>
    expect(await client.logout()).toMatchObject({ error: null }),
  )
})
