/** The account page and the choices of the review page as people see them: real Chromium, scripts off. @module */

import { describe, expect, test } from 'vitest'
import { launchChromium } from './support/chromium.ts'
import { loginAs, personAt } from './support/credentials.ts'
import { pollDevice, pollPair, startDevice, startPair, type TestGate } from './support/gate.ts'
import { inspectPage } from './support/inspect.ts'
import type { LiveGate } from './support/listen.ts'
import { createStage, expectOrigins, type Person, shoot } from './support/person.ts'

const browser = await launchChromium()
const stage = createStage(browser)

const LIST = 'Your keys and sessions'
const SCOPES = { read: 'Read your repositories and issues', write: 'Write to your repositories' }
const TOOL = { name: 'Tool One', scopes: ['read', 'write'] }
const TENANTS = [
  { id: 'acme', name: 'Acme Corporation' },
  { id: 'solo', name: 'Just me' },
]

/** What `/secured` answers to a Bearer credential. */
async function secured(t: TestGate, token: string | null): Promise<number> {
  return (await t.fetch('/secured', { headers: { authorization: `Bearer ${token}` } })).status
}

/** Signs somebody in and opens their account page. */
async function atAccount(gate: LiveGate, options?: Parameters<typeof stage.person>[0]): Promise<Person> {
  const person = await stage.person(options)
  await person.page.goto(`${gate.base}/account`)
  await person.devSignIn('ann')
  await person.see(LIST)
  return person
}

/** The row whose heading starts so: keys from the device flow have their user code behind the name. */
const row = (person: Person, name: string) =>
  person.page.getByRole('listitem').filter({ has: person.page.getByRole('heading', { name }) })

async function makeKey({ page, press, see }: Person, name: string): Promise<string> {
  await page.getByText('Make a key', { exact: true }).click()
  await page.getByLabel('Name, such as what it is for').fill(name)
  await press('Make the key')
  await see('Your new key')
  return await page.getByLabel('The secret').inputValue()
}

/** A device login by `ann`, for the list. */
async function login(gate: LiveGate, device_name: string): Promise<string> {
  const form = { client_id: 'tool', scope: 'read write', device_name }
  return (await loginAs(gate, await personAt(gate, 'ann'), 'device', form)).access_token
}

describe.skipIf(!browser)('keys, with scripts off', () => {
  test('KEY-08 make a key, copy it, use it: it is shown this once', async () => {
    const gate = await stage.gate({ scopes: SCOPES })
    const person = await atAccount(gate)
    const { page } = person
    await page.getByText('Make a key', { exact: true }).click()
    await page.getByLabel('Name, such as what it is for').fill('nightly build')
    await page.getByLabel('Good for').selectOption('90 days')
    await page.getByLabel(SCOPES.read).check()
    await person.press('Make the key')
    await person.see('Your new key')
    const secret = await page.getByLabel('The secret').inputValue()
    expect(secret).toMatch(/^pgk_[0-9A-Za-z]{49}$/)
    expect(await secured(gate, secret)).toBe(200)
    await page.locator('main').getByRole('link', { name: LIST }).click()
    await person.see(LIST)
    expect(await page.content()).not.toContain(secret)
    const text = await row(person, 'nightly build').innerText()
    for (const part of ['API key', `pgk_…${secret.slice(-4)}`, SCOPES.read, 'in 90 days', 'from 127.0.0.1'])
      expect(text).toContain(part)
    expect(text).not.toContain(SCOPES.write)
    expectOrigins(person, gate.base)
  })

  test('KEY-08 with the keyboard alone: the secret has the focus, Tab gets back to it, all of it is selected', async () => {
    const gate = await stage.gate()
    const person = await atAccount(gate, { viewport: { width: 320, height: 640 } })
    const { page } = person
    const secret = await makeKey(person, 'nightly build')
    const field = page.getByLabel('The secret')
    const isFocused = () => field.evaluate((element) => element === document.activeElement)
    const selection = () => page.evaluate(() => String(getSelection()))
    expect(await isFocused()).toBe(true)
    await page.keyboard.press('ControlOrMeta+A')
    expect(await selection()).toBe(secret)
    // from the top of the page: two links or buttons of the header come first
    await page.getByRole('link', { name: LIST }).first().focus()
    expect(await isFocused()).toBe(false)
    for (let presses = 0; presses < 2; presses++) await page.keyboard.press('Tab')
    expect(await isFocused()).toBe(true)
    await page.keyboard.press('ControlOrMeta+A')
    expect(await selection()).toBe(secret)
    // typing changes nothing, and the whole secret can be seen
    await page.keyboard.press('x')
    expect(await field.inputValue()).toBe(secret)
    const [height, inside, resize] = await field.evaluate((element) => [
      element.clientHeight,
      element.scrollHeight,
      getComputedStyle(element).resize,
    ])
    expect([inside, resize]).toEqual([height, 'none'])
    const accessible = await field.evaluate((element: HTMLTextAreaElement) => [
      element.readOnly,
      document.getElementById(element.getAttribute('aria-describedby') ?? '')?.textContent?.trim(),
    ])
    expect(accessible).toEqual([true, 'Copy it now: it will not be shown again.'])
  })

  test('KEY-08 rotate with overlap: both secrets work, then only the new one', async () => {
    const gate = await stage.gate()
    const person = await atAccount(gate)
    const old = await makeKey(person, 'nightly build')
    await person.page.goto(`${gate.base}/account`)
    await row(person, 'nightly build').getByText('Replace the secret').click()
    await row(person, 'nightly build').getByLabel('The old secret').selectOption('works for 1 hour')
    await person.press('Make a new secret')
    await person.see('The new secret of your key')
    const fresh = await person.page.getByLabel('The secret').inputValue()
    expect(fresh).not.toBe(old)
    expect([await secured(gate, old), await secured(gate, fresh)]).toEqual([200, 200])
    expect(await person.text()).toContain('(1 hour left)')
    await person.page.goto(`${gate.base}/account`)
    expect(await row(person, 'nightly build').innerText()).toContain('Works until ')
    gate.advance(3600)
    expect([await secured(gate, old), await secured(gate, fresh)]).toEqual([401, 200])
  })

  test('“This was not me” ends it, says so, and offers to end everything else but this browser', async () => {
    const gate = await stage.gate({ clients: { tool: TOOL }, scopes: SCOPES })
    const stolen = await login(gate, 'stranger')
    const other = await login(gate, 'laptop')
    const person = await atAccount(gate)
    await row(person, 'stranger').getByRole('button', { name: 'This was not me' }).click()
    await person.page.getByRole('status').waitFor()
    expect(await person.page.getByRole('status').innerText()).toContain('Ended: stranger (')
    expect([await secured(gate, stolen), await secured(gate, other)]).toEqual([401, 200])
    expect(await row(person, 'stranger').innerText()).toContain('Ended')
    expect(await row(person, 'stranger').getByRole('button').count()).toBe(0)
    await person.press('End everything else: programs stop')
    await expect.poll(() => person.text()).toContain('Ended: 3 in all.')
    expect(await secured(gate, other)).toBe(401)
    await person.page.reload()
    expect(await row(person, 'This browser').count()).toBe(1)
  })

  test('SES-04 ending everything takes two clicks, and signs this browser out', async () => {
    const gate = await stage.gate()
    const person = await atAccount(gate)
    const key = await makeKey(person, 'nightly build')
    await person.page.goto(`${gate.base}/account`)
    const all = person.page.getByRole('button', { name: 'this browser signs out' })
    expect(await all.isVisible()).toBe(false)
    await person.page.getByText('End several at once').click()
    await all.click()
    await person.see('Everything is ended')
    expect(await secured(gate, key)).toBe(401)
    await person.page.goto(`${gate.base}/account`)
    await person.see('Sign in')
  })

  test('SES-04 all other sessions end, keys and this browser stay', async () => {
    const gate = await stage.gate()
    const start = await startPair(gate)
    const person = await atAccount(gate)
    await person.page.goto(start.login_url)
    await person.press('Allow')
    await person.see('Allowed')
    const session = String((await pollPair(gate, start.verifier)).body.access_token)
    await person.page.locator('main').getByRole('link', { name: LIST }).click()
    await person.see(LIST)
    const key = await makeKey(person, 'nightly build')
    await person.page.goto(`${gate.base}/account`)
    await person.page.getByText('End several at once').click()
    await person.press('End all other sessions: browsers and apps sign out')
    await expect.poll(() => person.text()).toContain('Ended: 1 in all.')
    expect([await secured(gate, session), await secured(gate, key)]).toEqual([401, 200])
    await person.page.getByText('End several at once').click()
    await person.press('End all keys: programs that use them stop working')
    await expect.poll(() => secured(gate, key)).toBe(401)
    await person.press('End this session')
    await person.see('Signed out')
  })
})

describe.skipIf(!browser)('choices while allowing, with scripts off', () => {
  test('WEB-10 what is left ticked is what the token may do', async () => {
    const gate = await stage.gate({ clients: { tool: TOOL }, scopes: SCOPES })
    const start = await startDevice(gate, { client_id: 'tool', scope: 'read write' })
    const person = await stage.person()
    await person.page.goto(start.verification_uri_complete)
    await person.devSignIn('ann')
    await person.see('Let Tool One sign in as you?')
    await person.page.getByLabel(SCOPES.read).uncheck()
    await person.page.getByLabel(SCOPES.write).uncheck()
    await person.press('Allow')
    await person.page.getByRole('alert').waitFor()
    expect(await person.page.getByRole('checkbox', { checked: true }).count()).toBe(0)
    await person.page.getByLabel(SCOPES.read).check()
    await person.press('Allow')
    await person.see('Allowed')
    const { body } = await pollDevice(gate, start.device_code, { client_id: 'tool' })
    expect(body.scope).toBe('read')
  })

  test('WEB-10 Enter in a box to tick decides nothing', async () => {
    const gate = await stage.gate({ clients: { tool: TOOL }, scopes: SCOPES })
    const start = await startDevice(gate, { client_id: 'tool', scope: 'read write' })
    const person = await stage.person()
    await person.page.goto(start.verification_uri_complete)
    await person.devSignIn('ann')
    await person.see('Let Tool One sign in as you?')
    await person.page.getByLabel(SCOPES.read).press('Enter')
    await person.page.getByLabel(SCOPES.write).press('Space')
    await person.page.getByLabel(SCOPES.write).press('Enter')
    // still the same page, with what was ticked
    expect(await person.page.getByLabel(SCOPES.write).isChecked()).toBe(false)
    expect(gate.rows('SELECT status FROM grants')).toEqual([{ status: 'pending' }])
  })

  test('WEB-10 with several organisations one must be chosen; Deny needs none', async () => {
    const gate = await stage.gate({ identify: () => ({ subject: 'ann', tenants: TENANTS }) })
    const start = await startPair(gate)
    const person = await stage.person({ viewport: { width: 360, height: 740 } })
    await person.page.goto(start.login_url)
    await person.see('Let pairgate CLI sign in as you?')
    expect(await person.page.getByRole('radio', { checked: true }).count()).toBe(0)
    await person.press('Allow')
    await person.page.getByRole('alert').waitFor()
    expect(await person.page.evaluate(inspectPage)).toEqual([])
    await shoot(person.page, 'review-tenant-error-360')
    await person.page.getByLabel('Just me').check()
    await person.press('Allow')
    await person.see('Allowed')
    await pollPair(gate, start.verifier)
    expect(gate.rows('SELECT tenant FROM credentials')).toEqual([{ tenant: 'solo' }])
    await person.page.goto((await startPair(gate)).login_url)
    await person.press('Deny')
    await person.see('Denied')
  })
})

const LONG = 'Ann-Kathrins-MacBook-Pro-16-Zoll-2026.local-network.example.com1'

/** The pages of the account, and how to get there. */
const PAGES: Record<string, { heading: string; open(gate: LiveGate, person: Person): unknown }> = {
  account: {
    heading: LIST,
    async open(gate, { page }) {
      await page.goto(`${gate.base}/account`)
      for (const summary of await page.locator('summary').all()) await summary.click()
    },
  },
  'account-report': {
    heading: LIST,
    async open(gate, person) {
      await person.page.goto(`${gate.base}/account`)
      await row(person, 'laptop').getByRole('button', { name: 'This was not me' }).click()
      await person.page.getByRole('status').waitFor()
    },
  },
  'account-error': {
    heading: LIST,
    async open(gate, { page, press }) {
      await page.goto(`${gate.base}/account`)
      await page.getByText('Make a key', { exact: true }).click()
      await page.getByLabel('Name, such as what it is for').fill('  ')
      await press('Make the key')
      await page.getByRole('alert').waitFor()
    },
  },
  'account-secret': {
    heading: 'Your new key',
    async open(gate, person) {
      await person.page.goto(`${gate.base}/account`)
      await makeKey(person, LONG)
    },
  },
  'account-rotated': {
    heading: 'The new secret of your key',
    async open(gate, person) {
      await person.page.goto(`${gate.base}/account`)
      await row(person, LONG).getByText('Replace the secret').click()
      await row(person, LONG).getByLabel('The old secret').selectOption('works for 7 days')
      await row(person, LONG).getByRole('button', { name: 'Make a new secret' }).click()
    },
  },
  'review-scopes': {
    heading: 'Let Tool One sign in as you?',
    open: async (gate, { page }) =>
      page.goto(
        (await startDevice(gate, { client_id: 'tool', scope: 'read write' })).verification_uri_complete,
      ),
  },
}

describe.skipIf(!browser)('every page, by hand what axe checks', () => {
  /** Somebody with a bit of everything. */
  async function furnished(): Promise<LiveGate> {
    const gate = await stage.gate({
      name: 'Example Gateway',
      clients: { tool: TOOL },
      scopes: { ...SCOPES, admin: 'x'.repeat(80) },
    })
    const start = await startDevice(gate, { device_name: 'laptop' }, '2001:db8:1234:5678:9abc:def0:1234:5678')
    const ann = gate.browser('2001:db8:1234:5678:9abc:def0:1234:5678')
    await ann.signIn('ann')
    await ann.decide(start.verification_uri_complete, 'allow')
    await pollDevice(gate, start.device_code)
    await login(gate, LONG)
    const pair = await startPair(gate)
    await ann.decide(pair.login_url, 'allow', { code: pair.match_code })
    await pollPair(gate, pair.verifier)
    gate.rows("UPDATE credentials SET revoked_at = created_at WHERE kind = 'session'")
    gate.advance(7000)
    return gate
  }

  test.each(Object.keys(PAGES))('WEB %s: fits 320 px, labels, names, contrast', async (name) => {
    const gate = await furnished()
    const person = await atAccount(gate, { viewport: { width: 320, height: 640 } })
    const { heading, open } = PAGES[name]!
    await open(gate, person)
    await person.see(heading)
    for (const colorScheme of ['light', 'dark'] as const) {
      await person.page.emulateMedia({ colorScheme })
      expect([colorScheme, await person.page.evaluate(inspectPage)]).toEqual([colorScheme, []])
    }
    await person.page.setViewportSize({ width: 1200, height: 800 })
    await shoot(person.page, `${name}-1200-dark`)
    await person.page.emulateMedia({ colorScheme: 'light' })
    await shoot(person.page, `${name}-1200`)
    await person.page.setViewportSize({ width: 360, height: 740 })
    await shoot(person.page, `${name}-360`)
  })

  test('WEB Tab goes down the page in the order it is read', async () => {
    const gate = await furnished()
    const { page } = await atAccount(gate, { viewport: { width: 360, height: 740 } })
    for (const summary of await page.locator('summary').all()) await summary.click()
    await page.getByRole('link', { name: LIST }).focus()
    const tops: number[] = []
    for (let presses = 0; presses < 20; presses++) {
      await page.keyboard.press('Tab')
      const [top, outline] = await page.evaluate(() => {
        const element = document.activeElement as HTMLElement
        return [
          element.getBoundingClientRect().top + scrollY,
          getComputedStyle(element).outlineStyle,
        ] as const
      })
      expect(outline).toBe('solid')
      tops.push(top)
    }
    expect(tops).toEqual([...tops].sort((one, other) => one - other))
  })
})
