/** People at a real Chromium, with scripts off, and what their browsers did. @module */

import { join } from 'node:path'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, expect } from 'vitest'
import type { PairgateOptions } from '../../src/mod.ts'
import { github, oidc } from '../../src/providers.ts'
import { type GitHubServer, startGitHub } from './github.ts'
import { type LiveGate, listenGate, listenPage, type OtherSite } from './listen.ts'
import { type OidcServer, startOidc } from './oidc.ts'

/** A person in front of a browser. */
export interface Person {
  readonly page: Page
  /** Origins of every request of theirs, each once. */
  origins(): string[]
  /** Errors of the console and of scripts. */
  readonly errors: string[]
  /** Waits for the page with this heading. */
  see(heading: string | RegExp): Promise<void>
  /** Presses the button or link with this name. */
  press(name: string): Promise<void>
  /** Signs in by the dev sign-in, wherever that page is open. */
  devSignIn(name: string): Promise<void>
  /** The text of the page, as it is read. */
  text(): Promise<string>
}

/** Where screenshots go, if anywhere: `SHOTS=dir`. */
const { SHOTS } = process.env

/** Saves a picture of the page when `SHOTS` names a directory. */
export async function shoot(page: Page, name: string): Promise<void> {
  if (SHOTS) await page.screenshot({ path: join(SHOTS, `${name}.png`), fullPage: true })
}

function watch(page: Page): Pick<Person, 'origins' | 'errors'> {
  const origins = new Set<string>()
  const errors: string[] = []
  page.context().on('request', (request) => origins.add(new URL(request.url()).origin))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type()))
      errors.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => errors.push(error.message))
  return { origins: () => [...origins], errors }
}

async function createPerson(browser: Browser, options: BrowserContextOptions): Promise<Person> {
  const context = await browser.newContext({ javaScriptEnabled: false, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(10_000)
  return {
    page,
    ...watch(page),
    async see(heading) {
      await page.getByRole('heading', { level: 1, name: heading, exact: true }).waitFor()
    },
    async press(name) {
      const button = page.getByRole('button', { name, exact: true })
      await button.or(page.getByRole('link', { name, exact: true })).click()
    },
    async devSignIn(name) {
      await page.getByLabel('Name').fill(name)
      await page.getByRole('button', { name: 'Sign in' }).click()
      await page.getByRole('button', { name: 'Sign out' }).waitFor()
    },
    text: () => page.locator('main').innerText(),
  }
}

/** Makes gates, providers and people for the tests of a file, and clears them away after each. */
export function createStage(browser: Browser | null) {
  const closers: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  afterAll(() => browser?.close())
  const closing = <T extends { close(): Promise<unknown> }>(one: T): T => {
    closers.push(() => one.close())
    return one
  }
  return {
    /** Serves a gate with the dev sign-in. */
    gate: async (options: Partial<PairgateOptions> = {}, mount = ''): Promise<LiveGate> =>
      closing(await listenGate(() => options, mount)),
    /** Serves a gate with an OpenID issuer and a GitHub, which are other sites than the gate. */
    async upstream(
      more: Partial<PairgateOptions> = {},
    ): Promise<{ gate: LiveGate; issuer: OidcServer; hub: GitHubServer }> {
      let issuer: OidcServer | undefined
      let hub: GitHubServer | undefined
      const options = async (base: string) => {
        issuer = closing(await startOidc({ redirectUris: [`${base}/sign-in/callback/oidc`] }))
        hub = closing(await startGitHub({ redirectUris: [`${base}/sign-in/callback/github`], page: true }))
        return { ...more, signIn: [oidc({ ...issuer, name: 'Example ID' }), github(hub)] }
      }
      const gate = closing(await listenGate(options, '/auth', 'localhost'))
      return { gate, issuer: issuer as OidcServer, hub: hub as GitHubServer }
    },
    /** Serves pages of somebody else's. */
    site: async (...pages: Parameters<typeof listenPage>): Promise<OtherSite> =>
      closing(await listenPage(...pages)),
    /** Sits somebody down at a browser of their own; scripts are off unless asked for. */
    async person(options: BrowserContextOptions = {}): Promise<Person> {
      if (!browser) throw new Error('There is no Chromium')
      const person = await createPerson(browser, options)
      closers.push(() => person.page.context().close())
      return person
    },
  }
}

/** Signs in at the test issuer, starting on the gate's sign-in page. */
export async function signInAtIssuer(person: Person, login: string): Promise<void> {
  await person.see('Sign in')
  await person.press('Continue with Example ID')
  await person.page.getByLabel('Login').fill(login)
  await person.press('Continue')
}

/** Expects that a person's browser talked to these origins only. */
export function expectOrigins(person: Person, ...allowed: string[]): void {
  expect(person.origins().sort()).toEqual(allowed.sort())
}
