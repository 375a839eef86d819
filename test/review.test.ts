/** What a person chooses while allowing, and what keeps them from it, on the review page. @module */

import { describe, expect, test } from 'vitest'
import { createTestGate, pollDevice, startDevice } from './support/gate.ts'

describe('choices on the review page', () => {
  const OPTIONS = {
    clients: { tool: { scopes: ['read', 'write', 'admin'] } },
    scopes: { read: 'Read <all>', write: 'Change things' },
  }
  const TENANTS = [{ id: 'acme', name: 'Acme <Ltd>' }, { id: 'solo' }]
  const ticked = (html: string) =>
    [...html.matchAll(/name="scope:(\w+)" value="1" checked=""/g)].map(([, name]) => name)

  /** Alice at the page of a login, which she has to decide on. */
  async function choosing(options: Parameters<typeof createTestGate>[0] = {}, scope = 'read write admin') {
    const t = createTestGate({ ...OPTIONS, ...options })
    const start = await startDevice(t, { client_id: 'tool', scope })
    const person = t.browser()
    if (!options.identify) await person.signIn('alice')
    const html = await (await person.get(start.verification_uri_complete)).text()
    const send = async (fields: Record<string, string>) => {
      const response = await person.submit(html, fields)
      return { status: response.status, html: await response.text() }
    }
    const grant = () => t.rows('SELECT status, scope, tenant FROM grants')[0]
    return { t, start, person, html, send, grant }
  }

  test('WEB-07 WEB-10 every scope is a box, ticked and in words; one alone is text, and is what gets allowed', async () => {
    const { html } = await choosing()
    expect(ticked(html)).toEqual(['read', 'write', 'admin'])
    for (const words of ['Read &lt;all&gt;', 'Change things', 'admin']) expect(html).toContain(words)
    const one = await choosing({}, 'read')
    expect(one.html).not.toContain('checkbox')
    expect((await one.send({ decision: 'allow' })).status).toBe(200)
    expect(one.grant()).toEqual({ status: 'approved', scope: 'read', tenant: null })
  })

  test('WEB-10 nothing ticked, or Enter in a box: the page again, as it was left', async () => {
    const { send, grant } = await choosing({ identify: () => ({ subject: 'a', tenants: TENANTS }) })
    const none = await send({ decision: 'allow', tenant: 'solo' })
    expect([none.status, ticked(none.html)]).toEqual([400, []])
    expect(none.html).toContain('role="alert"')
    expect(none.html).toContain('value="solo" checked=""')
    const enter = await send({ decision: 'none', 'scope:write': '1' })
    expect([enter.status, ticked(enter.html)]).toEqual([200, ['write']])
    expect(enter.html).not.toContain('role="alert"')
    const noTenant = await send({ decision: 'allow', 'scope:write': '1' })
    expect([noTenant.status, ticked(noTenant.html)]).toEqual([400, ['write']])
    expect(noTenant.html).toContain('Choose one of these.')
    expect(noTenant.html).not.toMatch(/type="radio"[^>]*checked/)
    expect(grant()).toMatchObject({ status: 'pending' })
    expect((await send({ decision: 'allow', 'scope:write': '1', tenant: 'acme' })).status).toBe(200)
    expect(grant()).toEqual({ status: 'approved', scope: 'write', tenant: 'acme' })
  })

  test('DF-25 the right code stays typed when something else was missing', async () => {
    const identify = () => ({ subject: 'a', tenants: TENANTS })
    const { t, html, send, start } = await choosing({ identify }, 'read')
    expect(html).toContain(start.user_code)
    const far = t.browser('203.0.113.7')
    const page = await (await far.get(start.verification_uri_complete)).text()
    expect(page).not.toContain(`value="${start.user_code}" maxlength`)
    const shown = await (await far.submit(page, { decision: 'allow', code: start.user_code })).text()
    expect(shown).toContain('Choose one of these.')
    expect(shown).toMatch(new RegExp(`name="code" value="${start.user_code}"`))
    expect((await send({ decision: 'deny' })).status).toBe(200)
  })

  test('WEB-10 the only organisation is text; when it is another one by then, nothing is allowed', async () => {
    let tenants = TENANTS.slice(0, 1)
    const { html, send, grant } = await choosing({ identify: () => ({ subject: 'a', tenants }) }, 'read')
    expect(html).toContain('Acme &lt;Ltd&gt;')
    expect(html).not.toContain('radio')
    tenants = TENANTS.slice(1)
    expect((await send({ decision: 'allow' })).status).toBe(400)
    expect(grant()).toMatchObject({ status: 'pending' })
  })

  test('an old sign-in: the page to sign in says why it came, and that nothing was changed', async () => {
    const { t, person, send, grant } = await choosing({ maxAuthAgeSeconds: 60 }, 'read')
    t.advance(61)
    const { status } = await send({ decision: 'allow' })
    expect([status, grant()?.status]).toEqual([303, 'pending'])
    const next = `/sign-in?${new URLSearchParams({ next: '/device' })}`
    const shown = await (await person.get(next)).text()
    expect(shown).toContain('You signed in a while ago. To go on, sign in again; nothing was changed.')
    await person.signIn('alice')
    expect((await person.get(next)).status).toBe(303)
  })

  test('without scopes the app gets the account, nothing more', async () => {
    const { html } = await choosing({}, '')
    expect(html).toContain('Your account here, nothing more')
  })

  test('what stands in the way is said, and where to go', async () => {
    const outside = await choosing({ trustedNetworks: ['127.0.0.0/8'] }, 'read')
    const far = outside.t.browser('203.0.113.7')
    await far.signIn('alice')
    const away = await far.get(outside.start.verification_uri_complete)
    expect([away.status, (await away.text()).includes('only from its own networks')]).toEqual([403, true])
    const unwanted = await choosing({ isAllowed: () => false }, 'read')
    const no = await unwanted.send({ decision: 'allow' })
    expect([no.status, no.html.includes('Not for this account')]).toEqual([403, true])
    expect(no.html).toContain('Stop the command in your terminal (Ctrl-C).')
    const full = await choosing({ limits: { keysPerUser: 1 } }, 'read')
    await full.send({ decision: 'allow' })
    await pollDevice(full.t, full.start.device_code, { client_id: 'tool' })
    const more = await full.person.get((await startDevice(full.t)).verification_uri_complete)
    const text = await more.text()
    expect([more.status, text.includes('You have 1 API keys'), text.includes('href="/account"')]).toEqual([
      409,
      true,
      true,
    ])
    expect([outside.grant()?.status, unwanted.grant()?.status]).toEqual(['pending', 'pending'])
  })
})
