/** What other sites, other networks and odd names can do to a person at a real browser: nothing. @module */

import { describe, expect, test } from 'vitest'
import { launchChromium } from './support/chromium.ts'
import { pollDevice, pollPair, startDevice, startPair } from './support/gate.ts'
import type { LiveGate } from './support/listen.ts'
import { createStage, type Person, shoot } from './support/person.ts'

const browser = await launchChromium()
const stage = createStage(browser)

const REVIEW = 'Let pairgate CLI sign in as you?'
const ELSEWHERE = '203.0.113.7'

/** A person who is signed in and has a request open. */
async function reviewing(options: Parameters<typeof stage.gate>[0] = {}, address?: string) {
  const gate = await stage.gate(options)
  const cli = await startDevice(gate, { device_name: 'laptop' }, address)
  const person = await stage.person()
  await person.page.goto(cli.verification_uri_complete)
  await person.devSignIn('ann')
  await person.see(REVIEW)
  return { gate, cli, person }
}

const statuses = (gate: LiveGate) => gate.rows('SELECT status FROM grants').map(({ status }) => status)

const escapeHtml = (text: string) =>
  text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')

/** A form of an attacker's, with whatever the attacker would like to send. */
function form(action: string, fields: Record<string, string>, attributes = ''): string {
  const inputs = Object.entries(fields).map(
    ([name, value]) => `<input type="hidden" name="${escapeHtml(name)}" value="${escapeHtml(value)}">`,
  )
  return `<!doctype html><form method="post" action="${action}" ${attributes}>${inputs.join('')}
<button>Win a prize</button></form>`
}

/** Opens an attacker's page and presses its button; ends on the page that answers. */
async function fallFor(person: Person, url: string): Promise<void> {
  await person.page.goto(url)
  const frame = person.page.frames().at(-1) ?? person.page.mainFrame()
  await frame.getByRole('button', { name: 'Win a prize' }).click()
  await person.page.waitForURL((now) => now.href !== url)
}

describe.skipIf(!browser)('WEB-01 forms of other origins change nothing', () => {
  async function fieldsOf(person: Person): Promise<Record<string, string>> {
    const inputs = await person.page.locator('main input[type=hidden]').all()
    const entries = inputs.map(async (input) => [await input.getAttribute('name'), await input.inputValue()])
    return { ...Object.fromEntries(await Promise.all(entries)), decision: 'allow' }
  }

  test('WEB-01 a decision, even with the right form token', async () => {
    const { gate, cli, person } = await reviewing()
    const fields = await fieldsOf(person)
    expect(Object.keys(fields).sort()).toEqual(['decision', 'form_token', 'user_code'])
    const action = `${gate.base}/device`
    const inFrame = `<iframe sandbox="allow-forms allow-top-navigation" srcdoc="${escapeHtml(form(action, fields, 'target="_top"'))}">`
    for (const html of [
      form(action, fields),
      form(action, fields, 'enctype="text/plain"'),
      form(action, fields, 'enctype="multipart/form-data"'),
      inFrame,
    ]) {
      const site = await stage.site(html)
      for (const origin of [site.origin, site.sameSiteOrigin]) {
        const other = await person.page.context().newPage()
        await fallFor({ ...person, page: other }, `${origin}/`)
        await other.getByRole('heading', { level: 1, name: /no longer good|did not make sense/ }).waitFor()
        await other.close()
        expect(statuses(gate)).toEqual(['pending'])
      }
    }
    await person.press('Allow')
    await person.see('Allowed')
    expect((await pollDevice(gate, cli.device_code)).body).toMatchObject({ token_type: 'Bearer' })
  })

  test('WEB-01 the cookies do come along from another origin of the same site, and it does not help', async () => {
    const { gate, person } = await reviewing()
    const site = await stage.site(form(`${gate.base}/device`, await fieldsOf(person)))
    await fallFor(person, `${site.sameSiteOrigin}/`)
    await person.see('This form is no longer good')
    expect(await person.page.locator('header').innerText()).toContain('ann')
    expect(statuses(gate)).toEqual(['pending'])
  })

  test('WEB-01 RPC-04 nor a JSON call that a text form smuggles', async () => {
    const { gate, cli, person } = await reviewing()
    const call = form(
      `${gate.base}/trpc/device.approve`,
      { [`{"user_code":"${cli.user_code}","x":"`]: '"}' },
      'enctype="text/plain"',
    )
    const site = await stage.site(call)
    await fallFor(person, `${site.sameSiteOrigin}/`)
    expect(await person.page.content()).toContain('application/json')
    expect(statuses(gate)).toEqual(['pending'])
  })

  test('WEB-01 nobody is signed out, or in as somebody else, from another origin', async () => {
    const { gate, person } = await reviewing()
    for (const [path, fields] of [
      ['/sign-out', {}],
      ['/sign-in/dev', { username: 'mallory' }],
    ] as const) {
      const site = await stage.site(form(gate.base + path, fields))
      for (const origin of [site.origin, site.sameSiteOrigin]) {
        await fallFor(person, `${origin}/`)
        await person.see('This form is no longer good')
        await person.page.goto(`${gate.base}/device`)
        expect(await person.page.locator('header').innerText()).toContain('ann')
      }
    }
    expect(gate.rows('SELECT subject FROM users')).toEqual([{ subject: 'ann' }])
  })

  test("WEB-01 the form token is this person's, this browser's and this request's", async () => {
    const { gate, person } = await reviewing()
    const fields = await fieldsOf(person)
    const other = await startDevice(gate)
    const mallory = await stage.person()
    await mallory.page.goto(other.verification_uri_complete)
    await mallory.devSignIn('mallory')
    const stolen = (await fieldsOf(mallory)).form_token ?? ''
    // as if the attacker had found a way to write into our own page
    const plant = (token: string, code: string) =>
      person.page.evaluate(
        ([value, user_code]) => {
          document.querySelector('[name=form_token]')?.setAttribute('value', value ?? '')
          document.querySelector('[name=user_code]')?.setAttribute('value', user_code ?? '')
        },
        [token, code],
      )
    for (const [token, code] of [
      [stolen, fields.user_code],
      [stolen, other.user_code],
      [fields.form_token, other.user_code],
      ['', fields.user_code],
    ]) {
      await person.page.goto(`${gate.base}/device?user_code=${fields.user_code}`)
      await plant(token ?? '', code ?? '')
      await person.press('Allow')
      await person.see('This form is no longer good')
    }
    expect(statuses(gate)).toEqual(['pending', 'pending'])
  })
})

describe.skipIf(!browser)('WEB-02 WEB-03 pages of other origins', () => {
  test('WEB-02 no image, link or prefetch decides anything', async () => {
    const { gate, cli, person } = await reviewing()
    const pair = await startPair(gate)
    const links = [cli.verification_uri_complete, `${pair.login_url}?x=1`].map(
      (link) => `${link}&decision=allow`,
    )
    const tags = links.map(
      (link) => `<img src="${link}"><link rel="prefetch" href="${link}"><a href="${link}">Go</a>`,
    )
    const site = await stage.site(`<!doctype html>${tags.join('')}`)
    for (const index of [0, 1]) {
      await person.page.goto(`${site.sameSiteOrigin}/`, { waitUntil: 'networkidle' })
      await person.page.getByRole('link').nth(index).click()
      await person.see(REVIEW)
    }
    expect(statuses(gate)).toEqual(['pending', 'pending'])
  })

  test('WEB-03 no page of ours shows inside another one, not even its own site', async () => {
    const { gate, cli, person } = await reviewing()
    const pair = await startPair(gate)
    const ours = [
      cli.verification_uri_complete,
      pair.login_url,
      `${gate.base}/sign-in`,
      `${gate.base}/nothing`,
    ]
    const frames = ['/framed', ...ours].map((url) => `<iframe src="${url}"></iframe>`)
    const site = await stage.site('<!doctype html><h1>Kittens</h1>', { '/': frames.join('') })
    for (const origin of [site.origin, site.sameSiteOrigin]) {
      await person.page.goto(`${origin}/`, { waitUntil: 'load' })
      const inside = person.page.frames().slice(1)
      expect(await Promise.all(inside.map((frame) => frame.evaluate(() => location.href)))).toEqual([
        `${origin}/framed`,
        ...ours.map(() => 'chrome-error://chromewebdata/'),
      ])
    }
  })

  test('WEB-03 a page that opens ours gets no handle on it', async () => {
    const gate = await stage.gate()
    const site = await stage.site('<!doctype html><h1>Kittens</h1>')
    const person = await stage.person({ javaScriptEnabled: true })
    await person.page.goto(`${site.sameSiteOrigin}/`)
    const [popup] = await Promise.all([
      person.page.waitForEvent('popup'),
      person.page.evaluate((url) => {
        Object.assign(globalThis, { opened: open(url) })
      }, `${gate.base}/sign-in`),
    ])
    await popup.getByRole('heading', { level: 1, name: 'Sign in' }).waitFor()
    expect(await popup.evaluate(() => window.opener)).toBeNull()
    await person.page.waitForFunction(() => (globalThis as unknown as { opened: Window }).opened.closed)
  })

  test('WEB-07 what a device calls itself is text, and only text', async () => {
    const site = await stage.site('')
    const gate = await stage.gate()
    // the mark comes first: what is cut off at 64 characters would prove nothing
    const name = `\u202E"><img src=${site.origin}/x><script>document.title=1</script>`
    const cli = await startDevice(gate, { device_name: name })
    const person = await stage.person({ javaScriptEnabled: true })
    await person.page.goto(cli.verification_uri_complete)
    await person.devSignIn('<b>ann</b>')
    await person.see(REVIEW)
    const text = await person.text()
    expect(text).toContain(`"><img src=${site.origin}/x>`)
    expect(text).toContain('<b>ann</b>')
    expect(text).not.toContain('\u202E')
    expect(await person.page.locator('img, script, b').count()).toBe(0)
    expect(site.requests).toEqual([])
    expect(person.origins()).toEqual([gate.base])
  })

  test('WEB-09 by another name of this machine, the browser is sent to the right one, code and all', async () => {
    const gate = await stage.gate()
    const cli = await startDevice(gate)
    const person = await stage.person()
    const link = cli.verification_uri_complete
    await person.page.goto(link.replace('127.0.0.1', 'localhost'))
    expect(new URL(person.page.url()).origin).toBe(gate.base)
    await person.devSignIn('ann')
    await person.see(REVIEW)
    expect(person.page.url()).toBe(link)
  })
})

describe.skipIf(!browser)('DF-25 another network: the code must be typed', () => {
  test('DF-25 device: the page shows no code, and a wrong or missing one allows nothing', async () => {
    const { gate, cli, person } = await reviewing({}, ELSEWHERE)
    expect(await person.text()).toContain('another network')
    expect(await person.text()).toContain(ELSEWHERE)
    expect(await person.text()).not.toContain(cli.user_code)
    expect(await person.page.getByLabel('Code in your terminal').inputValue()).toBe('')
    await shoot(person.page, 'typed')
    for (const typed of ['', 'BBBB-BBBB', cli.user_code.slice(0, 8)]) {
      await person.page.getByLabel('Code in your terminal').fill(typed)
      await person.press('Allow')
      await person.page.getByRole('alert').waitFor()
      expect(await person.text()).toContain('Nothing was allowed')
      expect(statuses(gate)).toEqual(['pending'])
    }
    await person.page.getByLabel('Code in your terminal').fill(cli.user_code.toLowerCase())
    await person.press('Allow')
    await person.see('Allowed')
    expect((await pollDevice(gate, cli.device_code)).body).toMatchObject({ token_type: 'Bearer' })
  })

  test('DF-25 Enter in the field allows with the right code, and never denies', async () => {
    const { gate, cli, person } = await reviewing({}, ELSEWHERE)
    const field = person.page.getByLabel('Code in your terminal')
    await field.fill('BBBB-BBBB')
    await field.press('Enter')
    await person.page.getByRole('alert').waitFor()
    expect(statuses(gate)).toEqual(['pending'])
    await field.fill(cli.user_code)
    await field.press('Enter')
    await person.see('Allowed')
    expect(statuses(gate)).toEqual(['approved'])
  })

  test('DF-25 Deny needs no code', async () => {
    const { gate, cli, person } = await reviewing({}, ELSEWHERE)
    await person.press('Deny')
    await person.see('Denied')
    expect((await pollDevice(gate, cli.device_code)).body).toMatchObject({ error: 'access_denied' })
  })

  test('DF-25 PC-04 paircode: the match code is not shown, and must be typed', async () => {
    const gate = await stage.gate()
    const cli = await startPair(gate, {}, ELSEWHERE)
    const person = await stage.person()
    await person.page.goto(cli.login_url)
    await person.devSignIn('ann')
    await person.see(REVIEW)
    expect(await person.page.content()).not.toContain(cli.match_code)
    const field = person.page.getByLabel('Match code in your terminal')
    await field.fill('wrong 10')
    await person.press('Allow')
    await person.page.getByRole('alert').waitFor()
    expect(await person.page.content()).not.toContain(cli.match_code)
    await field.fill(cli.match_code.toUpperCase())
    await person.press('Allow')
    await person.see('Allowed')
    expect((await pollPair(gate, cli.verifier)).body).toMatchObject({ token_type: 'Bearer' })
  })

  test('DF-25 behind a trusted proxy, X-Forwarded-For tells the networks apart', async () => {
    const gate = await stage.gate({ trustedProxies: ['127.0.0.0/8'] })
    const start = (forwardedFor: string) =>
      gate.fetch('/oauth/device/authorize', {
        method: 'POST',
        body: new URLSearchParams({ client_id: 'pairgate-cli' }),
        headers: { 'x-forwarded-for': forwardedFor },
      })
    const person = await stage.person({ extraHTTPHeaders: { 'x-forwarded-for': '198.51.100.9' } })
    for (const [forwardedFor, isSame] of [
      ['198.51.100.9', true],
      [ELSEWHERE, false],
      // the attacker's own line comes first, the proxy's is the last
      [`198.51.100.9, ${ELSEWHERE}`, false],
    ] as const) {
      const cli = (await (await start(forwardedFor)).json()) as {
        verification_uri_complete: string
        user_code: string
      }
      await person.page.goto(cli.verification_uri_complete)
      if (await person.page.getByLabel('Name').count()) await person.devSignIn('ann')
      await person.see(REVIEW)
      expect([forwardedFor, await person.page.getByLabel('Code in your terminal').count()]).toEqual([
        forwardedFor,
        isSame ? 0 : 1,
      ])
      expect((await person.text()).includes(cli.user_code)).toBe(isSame)
    }
  })

  test('DF-25 without a trusted proxy, X-Forwarded-For is only a claim', async () => {
    const gate = await stage.gate()
    const response = await gate.fetch(
      '/oauth/device/authorize',
      {
        method: 'POST',
        body: new URLSearchParams({ client_id: 'pairgate-cli' }),
        headers: { 'x-forwarded-for': '127.0.0.1' },
      },
      ELSEWHERE,
    )
    const cli = (await response.json()) as { verification_uri_complete: string }
    const person = await stage.person()
    await person.page.goto(cli.verification_uri_complete)
    await person.devSignIn('ann')
    await person.page.getByLabel('Code in your terminal').waitFor()
  })
})
