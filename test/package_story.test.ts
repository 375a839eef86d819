/** A project outside of the checkout that has the packed package alone: its CLI signs in each way, shares a login, signs out. @module */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { launchChromium } from './support/chromium.ts'
import { allowAs, createPrograms, SHARED, shareLogin } from './support/kit_stories.ts'
import { type LiveGate, listenGate } from './support/listen.ts'
import { type Packed, packed } from './support/package.ts'
import { ROOT, RUNTIMES } from './support/runtimes.ts'

const browser = await launchChromium()
const PROGRAMS = ['kit_login.ts', 'kit_fetch.ts']

let gate: LiveGate
let project: Packed
let programs: ReturnType<typeof createPrograms>
beforeAll(async () => {
  gate = await listenGate(() => ({ ...SHARED, pollSeconds: 1 }), '/auth')
  project = await packed()
  for (const name of PROGRAMS) {
    const text = readFileSync(join(ROOT, 'test/support', name), 'utf8')
    writeFileSync(join(project.folder, name), text.replace('../../clients/mod.ts', 'pairgate/client'))
  }
  programs = createPrograms({ cwd: project.folder, prefix: './', node: [process.execPath] })
}, 120_000)
afterEach(() => programs.end())
afterAll(async () => {
  await browser?.close()
  await gate.close()
  await gate.gate.close()
  project.remove()
})

describe.each(RUNTIMES)('on %s', (runtime) => {
  test.each(['link', 'device'])('signs in by %s, calls a typed procedure, and signs out', async (via) => {
    const next = programs.login(runtime, gate.base, via)
    const { prompt } = await next()
    if (!prompt) throw new Error('There was no prompt')
    expect((await allowAs(gate, 'alice', prompt)).status).toBe(200)
    expect(await next()).toMatchObject({ subject: 'alice', answer: 'You are authenticated as: alice' })
    expect(await next()).toMatchObject({ logout: { error: null } })
  })

  test.skipIf(!browser)('signs in by loopback, in a real browser', async () => {
    const next = programs.login(runtime, gate.base, 'loopback')
    const { prompt } = await next()
    const page = await browser?.newPage()
    await page?.goto(prompt?.url ?? '')
    await page?.getByLabel('Name').fill('alice')
    await page?.getByRole('button', { name: 'Sign in' }).click()
    await page?.getByRole('button', { name: 'Allow' }).click()
    await page?.waitForURL(prompt?.url ?? '')
    expect(await next()).toMatchObject({ subject: 'alice', login: { kind: 'session' } })
    expect(await next()).toMatchObject({ logout: { error: null } })
    await page?.close()
  })
})

test('ten processes share one file of logins over five expiries, and are signed out together', async () => {
  const folder = join(project.folder, 'logins')
  const next = programs.login('node', gate.base, 'device', { folder })
  const { prompt } = await next()
  if (!prompt) throw new Error('There was no prompt')
  await allowAs(gate, 'alice', prompt)
  expect(await next()).toMatchObject({ subject: 'alice' })
  await shareLogin(gate, folder, programs, async () => {
    const out = programs.login('node', gate.base, 'logout', { folder })
    expect(await out()).toMatchObject({ logout: { error: null } })
  })
})
