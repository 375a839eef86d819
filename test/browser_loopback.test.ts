/** The delivery `loopback` as people see it: real Chromium, scripts off, and a program that listens on 127.0.0.1. @module */

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { launchChromium } from './support/chromium.ts'
import { pollPair, startPair } from './support/gate.ts'
import { createStage, expectOrigins, type Person, shoot, signInAtIssuer } from './support/person.ts'

const browser = await launchChromium()
const stage = createStage(browser)

/** What stands for the CLI. */
interface Listener extends AsyncDisposable {
  readonly port: number
  /** Paths and queries of the requests so far. */
  readonly requests: string[]
  /** Where browsers are sent that came to it. */
  next: string
}

async function listen(): Promise<Listener> {
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(request.url ?? '')
    response.writeHead(303, { location: listener.next }).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const listener: Listener = {
    port: (server.address() as AddressInfo).port,
    requests,
    next: '',
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return listener
}

/** What the browser brought, once it has been there. */
function readCallback({ requests }: Listener): Record<string, string> {
  const [request = ''] = requests
  expect(requests).toEqual([expect.stringMatching(/^\/callback\?/)])
  return Object.fromEntries(new URL(request, 'http://127.0.0.1').searchParams)
}

/** Ann at the page of a login whose CLI listens. */
async function atReview(listener: Listener, form: Record<string, string> = {}, name = 'pairgate CLI') {
  const { gate, issuer } = await stage.upstream({
    clients: { tool: { name: 'Tool One', scopes: ['read', 'write'] } },
  })
  const own = { delivery: 'loopback', port: String(listener.port), state: 'Az09._~-' }
  const cli = await startPair(gate, { ...own, ...form })
  listener.next = cli.login_url
  const person: Person = await stage.person()
  await person.page.goto(cli.login_url)
  await signInAtIssuer(person, 'ann')
  await person.see(`Let ${name} sign in as you?`)
  return { gate, issuer, cli, person }
}

describe.skipIf(!browser)('delivery loopback, with scripts off', () => {
  test('PC-11 Allow: the browser brings the code to the CLI, comes back, and is told that it is done', async () => {
    await using listener = await listen()
    const { gate, issuer, cli, person } = await atReview(listener)
    await person.press('Allow')
    await person.see('You allowed this')
    await shoot(person.page, 'loopback-allowed')
    expect(await person.text()).toContain('You can close this page and go back to your terminal')
    const { code = '', ...rest } = readCallback(listener)
    expect(rest).toEqual({ state: 'Az09._~-', iss: gate.base })
    expect((await pollPair(gate, cli.verifier)).body).toMatchObject({ error: 'authorization_pending' })
    const { status, body } = await pollPair(gate, cli.verifier, { code })
    expect([status, body.token_type]).toEqual([200, 'Bearer'])
    await person.page.reload()
    await person.see('You allowed this')
    expectOrigins(person, new URL(gate.base).origin, issuer.issuer, `http://127.0.0.1:${listener.port}`)
    expect(person.errors.filter((text) => /content security policy/i.test(text))).toEqual([])
  })

  test('PC-11 Deny: the browser brings the error', async () => {
    await using listener = await listen()
    const { gate, cli, person } = await atReview(listener)
    await person.press('Deny')
    await person.see('You denied this')
    const denied = { error: 'access_denied', state: 'Az09._~-', iss: gate.base }
    expect(readCallback(listener)).toEqual(denied)
    expect((await pollPair(gate, cli.verifier)).body).toMatchObject({ error: 'access_denied' })
  })

  test('PC-11 WEB-04 from the page that is shown again after a problem it goes on, too', async () => {
    await using listener = await listen()
    const asked = { client_id: 'tool', scope: 'read write' }
    const { gate, cli, person } = await atReview(listener, asked, 'Tool One')
    for (const box of await person.page.getByRole('checkbox').all()) await box.uncheck()
    await person.press('Allow')
    await person.page.getByRole('alert').waitFor()
    expect(listener.requests).toEqual([])
    await person.page.getByRole('checkbox').first().check()
    await person.press('Allow')
    await person.see('You allowed this')
    const { code = '' } = readCallback(listener)
    expect((await pollPair(gate, cli.verifier, { client_id: 'tool', code })).status).toBe(200)
  })

  test('PC-11 a double click on Allow brings the code all the same', async () => {
    await using listener = await listen()
    const { gate, cli, person } = await atReview(listener)
    await person.page.getByRole('button', { name: 'Allow' }).dblclick()
    await person.see('You allowed this')
    const codes = listener.requests.map((path) => new URL(path, cli.login_url).searchParams.get('code') ?? '')
    expect(codes.length).toBeGreaterThan(0)
    expect(new Set(codes).size).toBe(1)
    expect((await pollPair(gate, cli.verifier, { code: codes[0] ?? '' })).status).toBe(200)
  })
})
