/** The device flow, through its form endpoints. @module */

import { describe, expect, test } from 'vitest'
import { BASE, createTestGate, DEVICE_GRANT, pollDevice, startDevice } from './support/gate.ts'

describe('device flow', () => {
  test('a CLI signs in: authorize, allow, collect', async () => {
    const t = createTestGate()
    const start = await startDevice(t, { device_name: 'laptop' })
    const person = t.browser()
    await person.signIn('alice')
    const done = await person.decide(start.verification_uri_complete, 'allow')
    expect(done.status).toBe(200)
    const { status, body } = await pollDevice(t, start.device_code)
    expect(status).toBe(200)
    const who = await t.gate.authenticate(
      new Request(BASE, { headers: { authorization: `Bearer ${body.access_token}` } }),
    )
    expect(who?.user.subject).toBe('alice')
    expect(who?.credential.kind).toBe('api_key')
  })

  test('DF-02 the authorization answers the fields of RFC 8628 section 3.2, no-store', async () => {
    const t = createTestGate()
    const response = await t.post('/oauth/device/authorize', { client_id: 'pairgate-cli' })
    expect(response.headers.get('cache-control')).toBe('no-store')
    const start = (await response.json()) as Record<string, unknown>
    expect(start).toEqual({
      device_code: expect.stringMatching(/^[\w-]{43}$/),
      user_code: expect.stringMatching(/^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/),
      verification_uri: `${BASE}/device`,
      verification_uri_complete: `${BASE}/device?user_code=${start.user_code}`,
      expires_in: 600,
      interval: 5,
    })
  })

  test('DF-12 slow_down grows the interval for all later polls', async () => {
    const t = createTestGate()
    const { device_code } = await startDevice(t)
    expect((await pollDevice(t, device_code)).body).toMatchObject({
      error: 'authorization_pending',
      interval: 5,
    })
    t.advance(4)
    expect((await pollDevice(t, device_code)).body).toMatchObject({ error: 'slow_down', interval: 10 })
    t.advance(9.8)
    expect((await pollDevice(t, device_code)).body).toMatchObject({
      error: 'authorization_pending',
      interval: 10,
    })
    for (let interval = 15; interval <= 60; interval += 5) {
      expect((await pollDevice(t, device_code)).body).toMatchObject({ error: 'slow_down', interval })
    }
    expect((await pollDevice(t, device_code)).body).toMatchObject({ error: 'slow_down', interval: 60 })
    expect(t.rows('SELECT poll_interval FROM grants')).toMatchObject([{ poll_interval: 60 }])
  })

  test('DF-04 grant_type must be the device one', async () => {
    const t = createTestGate()
    const { device_code } = await startDevice(t)
    const missing = await t.post('/oauth/device/token', { client_id: 'pairgate-cli', device_code })
    expect([missing.status, await missing.json()]).toMatchObject([400, { error: 'invalid_request' }])
    const wrong = await pollDevice(t, device_code, { grant_type: 'password' })
    expect([wrong.status, wrong.body]).toMatchObject([400, { error: 'unsupported_grant_type' }])
    expect(DEVICE_GRANT).toBe('urn:ietf:params:oauth:grant-type:device_code')
  })
})
