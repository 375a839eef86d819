/** Both logins as people see them: real Chromium, scripts off, real identity providers. @module */

import { describe, expect, test } from 'vitest'
import { launchChromium } from './support/chromium.ts'
import { pollDevice, pollPair, startDevice, startPair, type TestGate } from './support/gate.ts'
import { createStage, expectOrigins, shoot, signInAtIssuer } from './support/person.ts'

const browser = await launchChromium()
const stage = createStage(browser)

const REVIEW = 'Let pairgate CLI sign in as you?'

/** Who a credential is good for at the gateway. */
async function owner(t: TestGate, token: unknown): Promise<string | undefined> {
  const request = new Request('http://gateway.example/', { headers: { authorization: `Bearer ${token}` } })
  return (await t.gate.authenticate(request))?.user.subject
}

describe.skipIf(!browser)('the whole way, with scripts off', () => {
  test('PC-01 paircode: start, open the link, sign in, one click, done', async () => {
    const { gate, issuer } = await stage.upstream()
    const cli = await startPair(gate, { device_name: 'laptop' })
    const person = await stage.person()
    await person.page.goto(cli.login_url)
    await signInAtIssuer(person, 'ann')
    await person.see(REVIEW)
    expect(await person.text()).toContain(cli.match_code)
    expect((await pollPair(gate, cli.verifier)).body).toMatchObject({ error: 'authorization_pending' })
    await person.press('Allow')
    await person.see('Allowed')
    expect(await person.text()).toContain('Go back to your terminal')
    gate.advance(6)
    const { status, body } = await pollPair(gate, cli.verifier)
    expect([status, await owner(gate, body.access_token)]).toEqual([200, 'sub-ann'])
    expectOrigins(person, new URL(gate.base).origin, issuer.issuer)
  })

  test('PC-02 opening the link completes nothing: signed in or not, again and again, reloaded', async () => {
    const { gate } = await stage.upstream()
    const cli = await startPair(gate)
    const person = await stage.person()
    await person.page.goto(cli.login_url)
    await person.see('Sign in')
    expect((await pollPair(gate, cli.verifier)).body).toMatchObject({ error: 'authorization_pending' })
    await signInAtIssuer(person, 'ann')
    await person.see(REVIEW)
    await person.page.reload()
    for (const end of ['?decision=allow', '?_method=POST&decision=allow', '']) {
      await person.page.goto(cli.login_url + end)
      await person.see(REVIEW)
      gate.advance(6)
      expect((await pollPair(gate, cli.verifier)).body).toMatchObject({ error: 'authorization_pending' })
    }
    expect(gate.rows('SELECT status FROM grants')).toEqual([{ status: 'pending' }])
  })

  test('DF-14 device: a typed code, however it is typed, after the sign-in', async () => {
    const { gate, issuer } = await stage.upstream()
    const cli = await startDevice(gate)
    const person = await stage.person()
    await person.page.goto(cli.verification_uri)
    await signInAtIssuer(person, 'bob')
    await person.see('Connect a command-line app')
    await person.page.getByLabel('Code').fill(` ${cli.user_code.toLowerCase().replace('-', ' ')} `)
    await person.press('Next')
    await person.see(REVIEW)
    expect(await person.text()).toContain(cli.user_code)
    await person.press('Allow')
    await person.see('Allowed')
    const { body } = await pollDevice(gate, cli.device_code)
    expect(await owner(gate, body.access_token)).toBe('sub-bob')
    expectOrigins(person, new URL(gate.base).origin, issuer.issuer)
  })

  test('DF-14 DF-22 device: the complete link survives the sign-in and only pre-fills', async () => {
    const { gate } = await stage.upstream()
    const cli = await startDevice(gate)
    const person = await stage.person()
    await person.page.goto(cli.verification_uri_complete)
    await signInAtIssuer(person, 'ann')
    await person.see(REVIEW)
    expect(await person.text()).toContain(cli.user_code)
    expect((await pollDevice(gate, cli.device_code)).body).toMatchObject({ error: 'authorization_pending' })
    await person.press('Allow')
    await person.see('Allowed')
    gate.advance(6)
    expect((await pollDevice(gate, cli.device_code)).body).toMatchObject({ token_type: 'Bearer' })
  })

  test('DF-13 PC-10 Deny really denies, in both flows', async () => {
    const { gate } = await stage.upstream()
    const device = await startDevice(gate)
    const pair = await startPair(gate)
    const person = await stage.person()
    await person.page.goto(device.verification_uri_complete)
    await signInAtIssuer(person, 'ann')
    await person.see(REVIEW)
    await person.press('Deny')
    await person.see('Denied')
    await person.page.goto(pair.login_url)
    await person.see(REVIEW)
    await person.press('Deny')
    await person.see('Denied')
    expect((await pollDevice(gate, device.device_code)).body).toMatchObject({ error: 'access_denied' })
    expect((await pollPair(gate, pair.verifier)).body).toMatchObject({ error: 'access_denied' })
    expect(gate.rows("SELECT id FROM credentials WHERE kind <> 'browser'")).toEqual([])
  })

  test('UP-01 GitHub: cancel leads back to the sign-in, and on to the same request', async () => {
    const { gate, hub } = await stage.upstream()
    const cli = await startPair(gate)
    const person = await stage.person()
    await person.page.goto(cli.login_url)
    await person.press('Continue with GitHub')
    await person.press('Cancel')
    await person.see('Sign-in cancelled')
    expect(await person.text()).toContain('Sign-in was cancelled at GitHub')
    await person.press('Sign in')
    await person.press('Continue with GitHub')
    await person.press('Authorize')
    await person.see(REVIEW)
    expect(await person.text()).toContain('The Octocat (octocat@example.com)')
    await person.press('Allow')
    await person.see('Allowed')
    const { body } = await pollPair(gate, cli.verifier)
    expect(await owner(gate, body.access_token)).toBe('583231')
    expectOrigins(person, new URL(gate.base).origin, hub.url)
  })

  test('UP-01 the Back button into a finished sign-in is a page with a way on', async () => {
    const { gate } = await stage.upstream()
    const person = await stage.person()
    await person.page.goto(`${gate.base}/device`)
    await person.press('Continue with GitHub')
    const [answer] = await Promise.all([
      person.page.waitForRequest(/sign-in\/callback\/github/),
      person.press('Authorize'),
    ])
    await person.see('Connect a command-line app')
    await person.page.goto(answer.url())
    await person.see('Sign-in was interrupted')
    await person.press('Sign in')
    await person.see('Connect a command-line app')
  })

  test('SES-04 sign-out ends it, and Back shows nothing any more', async () => {
    const gate = await stage.gate({}, '/auth')
    const cli = await startDevice(gate)
    const person = await stage.person()
    await person.page.goto(cli.verification_uri_complete)
    await person.devSignIn('ann')
    await person.see(REVIEW)
    await person.press('Sign out')
    await person.see('Sign in')
    expect(await person.page.context().cookies()).not.toContainEqual(
      expect.objectContaining({ name: 'pairgate-session' }),
    )
    await person.page.goBack()
    await person.see('Sign in')
    expect(gate.rows('SELECT revoked_at FROM credentials')).toEqual([{ revoked_at: expect.any(Number) }])
  })
})

describe.skipIf(!browser)('DF-22 PC-03 what the person reads before deciding', () => {
  for (const flow of ['device', 'paircode']) {
    test(`DF-22 PC-03 ${flow}: app, device (unverified), address, time, scopes, lifetime, account, warning`, async () => {
      const gate = await stage.gate({
        clients: { tool: { name: 'Tool One', scopes: ['read', 'write'] } },
        scopes: { read: 'Read your things' },
      })
      const form = { client_id: 'tool', scope: 'read write', device_name: 'laptop of ann' }
      const link =
        flow === 'device'
          ? await startDevice(gate, form).then((cli) => [cli.verification_uri_complete, cli.user_code])
          : await startPair(gate, form).then((cli) => [cli.login_url, cli.match_code])
      gate.advance(125)
      const person = await stage.person()
      await person.page.goto(link[0] ?? '')
      await person.devSignIn('ann')
      await person.see('Let Tool One sign in as you?')
      const text = await person.text()
      const started = new Date(
        Number(gate.rows('SELECT created_at FROM grants')[0]?.created_at),
      ).toISOString()
      for (const part of [
        link[1] ?? '',
        'Tool One (tool)',
        'laptop of ann (unverified: anyone can write this)',
        '127.0.0.1',
        '2 minutes ago',
        started.slice(0, 16).replace('T', ' '),
        'Read your things',
        'write',
        flow === 'device' ? '1 day' : '30 days',
        'ann (development sign-in)',
        'Go on only if you started this yourself, just now.',
      ]) {
        expect(text).toContain(part)
      }
      const sizes = await Promise.all(
        ['Allow', 'Deny'].map(async (name) => {
          const button = person.page.getByRole('button', { name, exact: true })
          const box = await button.boundingBox()
          const style = await button.evaluate((element) => {
            const { color, backgroundColor, fontWeight, fontSize, borderColor } = getComputedStyle(element)
            return [color, backgroundColor, fontWeight, fontSize, borderColor]
          })
          return [box?.width, box?.height, box?.y, ...style]
        }),
      )
      expect(sizes[0]).toEqual(sizes[1])
    })
  }
})

describe.skipIf(!browser)('the first answer stays', () => {
  async function review() {
    const gate = await stage.gate()
    const cli = await startDevice(gate)
    const person = await stage.person()
    await person.page.goto(cli.verification_uri_complete)
    await person.devSignIn('ann')
    await person.see(REVIEW)
    const decided = () => gate.rows("SELECT type FROM events WHERE type IN ('approved', 'denied')")
    return { gate, cli, person, decided }
  }

  for (const [first, second, heading] of [
    ['Allow', 'Deny', 'Allowed'],
    ['Allow', 'Allow', 'Allowed'],
    ['Deny', 'Allow', 'Denied'],
  ] as const) {
    test(`PC-10 ${first}, Back, ${second}: the first answer stays`, async () => {
      const { gate, cli, person, decided } = await review()
      await person.press(first)
      await person.see(heading)
      // the page was no-store, so Back asks the server; a form that is still there is the next test's
      await person.page.goBack()
      await person.see(`You ${heading.toLowerCase()} this`)
      expect(decided()).toEqual([{ type: first === 'Allow' ? 'approved' : 'denied' }])
      const { body } = await pollDevice(gate, cli.device_code)
      expect(body).toMatchObject(first === 'Allow' ? { token_type: 'Bearer' } : { error: 'access_denied' })
    })

    test(`PC-10 two tabs, ${first} and then ${second}: the first answer stays`, async () => {
      const { gate, cli, person, decided } = await review()
      const tab = await person.page.context().newPage()
      await tab.goto(cli.verification_uri_complete)
      await person.press(first)
      await person.see(heading)
      await tab.getByRole('button', { name: second, exact: true }).click()
      await tab.getByRole('heading', { level: 1, name: `You ${heading.toLowerCase()} this` }).waitFor()
      expect(decided()).toEqual([{ type: first === 'Allow' ? 'approved' : 'denied' }])
      const { body } = await pollDevice(gate, cli.device_code)
      expect(body).toMatchObject(first === 'Allow' ? { token_type: 'Bearer' } : { error: 'access_denied' })
    })
  }

  test('PC-10 a double click on Allow allows once', async () => {
    const { gate, cli, person, decided } = await review()
    await person.page.getByRole('button', { name: 'Allow' }).dblclick()
    await person.page.getByRole('heading', { level: 1, name: /^(Allowed|You allowed this)$/ }).waitFor()
    expect(decided()).toEqual([{ type: 'approved' }])
    expect((await pollDevice(gate, cli.device_code)).body).toMatchObject({ token_type: 'Bearer' })
    expect(gate.rows("SELECT kind FROM credentials WHERE kind = 'api_key'")).toHaveLength(1)
  })

  test('PC-10 the same form sent twice at the same moment allows once', async () => {
    const { gate, cli, person, decided } = await review()
    const inputs = await person.page.locator('main input[type=hidden]').all()
    const names = await Promise.all(inputs.map((input) => input.getAttribute('name')))
    const values = await Promise.all(inputs.map((input) => input.inputValue()))
    const form = { ...Object.fromEntries(names.map((name, i) => [name, values[i]])), decision: 'allow' }
    const { request } = person.page.context()
    const send = () => request.post(`${gate.base}/device`, { form, headers: { origin: gate.base } })
    const answers = await Promise.all([send(), send(), send()])
    expect(answers.map((answer) => answer.status()).sort()).toEqual([200, 409, 409])
    expect(decided()).toEqual([{ type: 'approved' }])
    expect((await pollDevice(gate, cli.device_code)).body).toMatchObject({ token_type: 'Bearer' })
  })

  test('PC-10 reloading the answer does not answer twice', async () => {
    const { person, decided } = await review()
    await person.press('Allow')
    await person.see('Allowed')
    await person.page.reload()
    await person.page.getByRole('heading', { level: 1 }).waitFor()
    expect(decided()).toEqual([{ type: 'approved' }])
  })
})

describe.skipIf(!browser)('when it is not the right time or the right code', () => {
  test('a wrong code is told where it was typed, and can be typed again', async () => {
    const gate = await stage.gate()
    const cli = await startDevice(gate)
    const person = await stage.person()
    await person.page.goto(`${gate.base}/device`)
    await person.devSignIn('ann')
    await person.see('Connect a command-line app')
    await person.page.getByLabel('Code').fill('BBBB-BBBB')
    await person.press('Next')
    await person.page.getByRole('alert').waitFor()
    expect(await person.text()).toContain('That code is not known')
    await person.page.getByLabel('Code').fill(cli.user_code)
    await person.press('Next')
    await person.see(REVIEW)
  })

  test('DF-19 a request that expired says so: when opened, and when allowed too late', async () => {
    const gate = await stage.gate()
    const cli = await startDevice(gate)
    const pair = await startPair(gate)
    const person = await stage.person()
    await person.page.goto(cli.verification_uri_complete)
    await person.devSignIn('ann')
    await person.see(REVIEW)
    gate.advance(601)
    await person.press('Allow')
    await person.see('Too late')
    await person.page.goto(pair.login_url)
    await person.see('Too late')
    expect((await pollDevice(gate, cli.device_code)).body).toMatchObject({ error: 'expired_token' })
    expect(gate.rows("SELECT id FROM credentials WHERE kind <> 'browser'")).toEqual([])
  })

  test('a request that was answered says so to whoever opens it, and to nobody else what was answered', async () => {
    const gate = await stage.gate()
    const pair = await startPair(gate)
    const person = await stage.person()
    await person.page.goto(pair.login_url)
    await person.devSignIn('ann')
    await person.press('Allow')
    await person.see('Allowed')
    const other = await stage.person()
    await other.page.goto(pair.login_url)
    await other.devSignIn('mallory')
    await other.see('Already answered')
    expect(await other.page.getByRole('button', { name: /Allow|Deny/ }).count()).toBe(0)
    await shoot(other.page, 'already-answered')
  })

  test('a session that ended while the page was open: nothing is allowed', async () => {
    const gate = await stage.gate()
    const cli = await startDevice(gate)
    const person = await stage.person()
    await person.page.goto(cli.verification_uri_complete)
    await person.devSignIn('ann')
    await person.see(REVIEW)
    await person.page.context().clearCookies({ name: 'pairgate-session' })
    await person.press('Allow')
    await person.see('This form is no longer good')
    expect(gate.rows('SELECT status FROM grants')).toEqual([{ status: 'pending' }])
  })
})
