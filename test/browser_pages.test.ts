/** How every page looks and reads: on a phone, in the dark, by keyboard, to a screen reader, with scripts on. @module */

import type { Page } from 'playwright-core'
import { describe, expect, test } from 'vitest'
import { github, google, oidc } from '../src/providers.ts'
import { launchChromium } from './support/chromium.ts'
import { pollDevice, startDevice, startPair } from './support/gate.ts'
import { inspectPage } from './support/inspect.ts'
import type { LiveGate } from './support/listen.ts'
import { createStage, expectOrigins, type Person, shoot, signInAtIssuer } from './support/person.ts'

const browser = await launchChromium()
const stage = createStage(browser)

const ELSEWHERE = '203.0.113.7'
const LONG = { device_name: 'Ann-Kathrins-MacBook-Pro-16-Zoll-2026.local-network.example.com' }

/** Every kind of page, and how to get there as a person who is signed in already, unless it is `away`. */
const PAGES: Record<string, { away?: true; heading: string; open(gate: LiveGate, person: Person): unknown }> =
  {
    'sign-in': {
      away: true,
      heading: 'Sign in',
      open: (gate, { page }) => page.goto(`${gate.base}/sign-in`),
    },
    'sign-in-error': {
      away: true,
      heading: 'Sign in',
      async open(gate, { page }) {
        await page.goto(`${gate.base}/sign-in`)
        await page.getByLabel('Name').fill('  ')
        await page.getByRole('button', { name: 'Sign in' }).click()
      },
    },
    'enter-code': {
      heading: 'Connect a command-line app',
      open: (gate, { page }) => page.goto(`${gate.base}/device`),
    },
    'enter-code-error': {
      heading: 'Connect a command-line app',
      open: (gate, { page }) => page.goto(`${gate.base}/device?user_code=BBBB-BBBB`),
    },
    'review-device': {
      heading: 'Let pairgate CLI sign in as you?',
      open: async (gate, { page }) => page.goto((await startDevice(gate, LONG)).verification_uri_complete),
    },
    'review-paircode': {
      heading: 'Let Tool One sign in as you?',
      open: async (gate, { page }) =>
        page.goto((await startPair(gate, { client_id: 'tool', scope: 'read write', ...LONG })).login_url),
    },
    'review-typed': {
      heading: 'Let pairgate CLI sign in as you?',
      open: async (gate, { page }) =>
        page.goto((await startDevice(gate, {}, ELSEWHERE)).verification_uri_complete),
    },
    'review-typed-error': {
      heading: 'Let pairgate CLI sign in as you?',
      async open(gate, { page }) {
        await page.goto((await startPair(gate, LONG, '2001:db8:1234:5678:9abc:def0:1234:5678')).login_url)
        await page.getByRole('button', { name: 'Allow' }).click()
      },
    },
    allowed: {
      heading: 'Allowed',
      async open(gate, { page }) {
        await page.goto((await startPair(gate)).login_url)
        await page.getByRole('button', { name: 'Allow' }).click()
      },
    },
    denied: {
      heading: 'Denied',
      async open(gate, { page }) {
        await page.goto((await startPair(gate)).login_url)
        await page.getByRole('button', { name: 'Deny' }).click()
      },
    },
    'already-allowed': {
      heading: 'You allowed this',
      async open(gate, { page }) {
        const { login_url } = await startPair(gate)
        await page.goto(login_url)
        await page.getByRole('button', { name: 'Allow' }).click()
        await page.getByRole('heading', { name: 'Allowed' }).waitFor()
        await page.goto(login_url)
      },
    },
    'already-answered': {
      heading: 'Already answered',
      async open(gate, { page }) {
        const { login_url } = await startPair(gate)
        const other = gate.browser()
        await other.signIn('bob')
        await other.decide(login_url, 'allow')
        await page.goto(login_url)
      },
    },
    expired: {
      heading: 'Too late',
      async open(gate, { page }) {
        const { login_url } = await startPair(gate)
        gate.advance(601)
        await page.goto(login_url)
      },
    },
    'unknown-link': {
      heading: 'Not a login we know',
      open: (gate, { page }) => page.goto(`${gate.base}/pair/${'A'.repeat(43)}`),
    },
    'too-many-tries': {
      heading: 'Too many tries',
      async open(gate, { page }) {
        for (let i = 0; i < 11; i++) await page.goto(`${gate.base}/device?user_code=BBBB-BBBB`)
      },
    },
    interrupted: {
      heading: 'Sign-in was interrupted',
      open: (gate, { page }) => page.goto(`${gate.base}/sign-in/callback/github?state=x`),
    },
    'sign-in-failed': {
      heading: 'Sign-in failed',
      open: (gate, { page }) => page.goto(`${gate.base}/sign-in/acme`),
    },
    'form-no-longer-good': {
      heading: 'This form is no longer good',
      async open(gate, { page }) {
        await page.goto((await startPair(gate)).login_url)
        await page.context().clearCookies({ name: 'pairgate-form' })
        await page.getByRole('button', { name: 'Allow' }).click()
      },
    },
    malformed: {
      heading: 'That did not make sense',
      open: (gate, { page }) => page.goto(`${gate.base}/device?user_code=%`),
    },
    'no-such-page': {
      heading: 'No such page',
      open: (gate, { page }) => page.goto(`${gate.base}/nothing`),
    },
  }

/** A gate that has everything on at once. */
const everything = () =>
  stage.gate({
    name: 'Example Gateway',
    devSignIn: true,
    signIn: [
      oidc({ id: 'acme', name: 'Acme Corporation Staff', issuer: 'http://127.0.0.1:9', clientId: 'x' }),
      google({ clientId: 'x', clientSecret: 'y' }),
      github({ clientId: 'x', clientSecret: 'y' }),
    ],
    clients: { tool: { name: 'Tool One', scopes: ['read', 'write'] } },
    scopes: { read: 'Read your repositories and issues', write: 'Write to your repositories' },
  })

async function arrive(gate: LiveGate, person: Person, name: string): Promise<void> {
  const { away, heading, open } = PAGES[name]!
  if (!away) {
    await person.page.goto(`${gate.base}/sign-in`)
    await person.devSignIn('ann.kathrin.mustermann')
  }
  await open(gate, person)
  await person.see(heading)
  if (name.endsWith('-error')) await person.page.getByRole('alert').waitFor()
}

describe.skipIf(!browser)('every page, by hand what axe checks', () => {
  test.each(Object.keys(PAGES))(
    'WEB %s: fits 320 px, labels, names, contrast in light and dark',
    async (name) => {
      const gate = await everything()
      const person = await stage.person({ viewport: { width: 320, height: 640 } })
      await arrive(gate, person, name)
      for (const colorScheme of ['light', 'dark'] as const) {
        await person.page.emulateMedia({ colorScheme })
        expect([colorScheme, await person.page.evaluate(inspectPage)]).toEqual([colorScheme, []])
      }
      await shoot(person.page, `${name}-320-dark`)
      await person.page.emulateMedia({ colorScheme: 'light' })
      await person.page.setViewportSize({ width: 390, height: 844 })
      await shoot(person.page, `${name}-390`)
      await person.page.emulateMedia({ colorScheme: 'dark' })
      await person.page.setViewportSize({ width: 1200, height: 800 })
      await shoot(person.page, `${name}-1200-dark`)
      expectOrigins(person, gate.base)
    },
  )

  test('WEB dark mode is dark, light mode is light', async () => {
    const gate = await everything()
    const person = await stage.person()
    await person.page.goto(`${gate.base}/sign-in`)
    const brightness = async (colorScheme: 'light' | 'dark') => {
      await person.page.emulateMedia({ colorScheme })
      const color = await person.page.evaluate(() => getComputedStyle(document.body).backgroundColor)
      return Math.max(...(color.match(/\d+/g) ?? []).map(Number))
    }
    expect(await brightness('dark')).toBeLessThan(60)
    expect(await brightness('light')).toBeGreaterThan(220)
  })
})

describe.skipIf(!browser)('without a mouse', () => {
  /** Presses Tab until something with this name has the focus, which must be seen. */
  async function tabTo(page: Page, wanted: string): Promise<void> {
    for (let presses = 0; presses < 12; presses++) {
      await page.keyboard.press('Tab')
      const [name, outline] = await page.evaluate(() => {
        const element = document.activeElement as HTMLElement
        const label = (element as HTMLInputElement).labels?.[0] ?? element
        return [label.textContent?.trim(), getComputedStyle(element).outlineStyle]
      })
      if (name !== wanted) continue
      expect(outline).toBe('solid')
      return
    }
    throw new Error(`Tab never reached "${wanted}"`)
  }

  test('WEB Tab and Enter are enough: sign in, type the code, allow', async () => {
    const { gate } = await stage.upstream()
    const cli = await startDevice(gate)
    const { page, see } = await stage.person()
    await page.goto(cli.verification_uri)
    await see('Sign in')
    await tabTo(page, 'Continue with Example ID')
    await page.keyboard.press('Enter')
    await see('Example ID')
    await page.keyboard.type('ann')
    await page.keyboard.press('Enter')
    await see('Connect a command-line app')
    // the field has the focus already
    await page.keyboard.type(cli.user_code)
    await page.keyboard.press('Enter')
    await see('Let pairgate CLI sign in as you?')
    await tabTo(page, 'Allow')
    await page.keyboard.press('Enter')
    await see('Allowed')
    expect((await pollDevice(gate, cli.device_code)).body).toMatchObject({ token_type: 'Bearer' })
  })

  test('WEB Space on Deny denies; Enter on a fresh page decides nothing', async () => {
    const gate = await stage.gate()
    const cli = await startDevice(gate)
    const person = await stage.person()
    await person.page.goto(cli.verification_uri_complete)
    await person.page.keyboard.type('ann')
    await person.page.keyboard.press('Enter')
    await person.see('Let pairgate CLI sign in as you?')
    await person.page.keyboard.press('Enter')
    await tabTo(person.page, 'Deny')
    expect(gate.rows('SELECT status FROM grants')).toEqual([{ status: 'pending' }])
    await person.page.keyboard.press('Space')
    await person.see('Denied')
    expect((await pollDevice(gate, cli.device_code)).body).toMatchObject({ error: 'access_denied' })
  })
})

describe.skipIf(!browser)('with scripts on', () => {
  test('WEB-04 WEB-06 the whole way without one console message, violation or third party', async () => {
    const { gate, issuer } = await stage.upstream()
    const cli = await startPair(gate)
    const person = await stage.person({ javaScriptEnabled: true })
    const { page } = person
    await page.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) => console.error(`violation: ${event.blockedURI}`))
    })
    await page.goto(cli.login_url)
    await signInAtIssuer(person, 'ann')
    await person.see('Let pairgate CLI sign in as you?')
    await person.press('Allow')
    await person.see('Allowed')
    await page.goto(`${gate.base}/device`)
    await page.getByLabel('Code').fill((await startDevice(gate)).user_code)
    await person.press('Next')
    await person.press('Deny')
    await person.see('Denied')
    await person.press('Sign out')
    await person.see('Sign in')
    // the issuer has no icon
    expect(person.errors.filter((error) => !error.includes(issuer.issuer))).toEqual([])
    expectOrigins(person, new URL(gate.base).origin, issuer.issuer)
  })

  test('WEB-04 a script that got into a page would not run, nor would a picture load or a form leave', async () => {
    const gate = await stage.gate()
    const site = await stage.site('')
    const person = await stage.person({ javaScriptEnabled: true })
    await person.page.goto(`${gate.base}/sign-in`)
    await person.page.evaluate((origin) => {
      const script = document.createElement('script')
      script.textContent = 'document.title = "owned"'
      const image = document.createElement('img')
      image.src = `${origin}/pixel`
      const base = document.createElement('base')
      base.href = origin
      document.head.append(script, image, base)
      document.querySelector('form')?.setAttribute('action', `${origin}/steal`)
    }, site.origin)
    await person.page.getByLabel('Name').fill('ann')
    await person.page.keyboard.press('Enter')
    await expect.poll(() => person.errors.length).toBe(4)
    expect(person.errors.join()).toMatch(/script-src|default-src/)
    expect(await person.page.title()).not.toBe('owned')
    expect(person.page.url()).toBe(`${gate.base}/sign-in`)
    expect(site.requests).toEqual([])
  })
})
