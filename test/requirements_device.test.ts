/** The device flow, what its other tests leave open: how codes are made, what is kept of them, what can be off. @module */

import { afterEach, describe, expect, test, vi } from 'vitest'
import { sqlite } from '../adapters/sqlite.ts'
import {
  BASE,
  createPaircode,
  createTestGate,
  pollDevice,
  startDevice,
  type TestGate,
} from './support/gate.ts'
import { createSettledGate } from './support/webhook_receiver.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** Lets a test say which bytes the machine's random generator gives next; null leaves them to chance. */
function control(choose: (length: number) => number[] | null): Uint8Array[] {
  const made: Uint8Array[] = []
  const real = crypto.getRandomValues.bind(crypto)
  const give = (array: Uint8Array<ArrayBuffer>) => {
    real(array)
    array.set(choose(array.length) ?? [])
    made.push(array.slice())
    return array
  }
  vi.spyOn(crypto, 'getRandomValues').mockImplementation(give as typeof crypto.getRandomValues)
  return made
}

async function allow(t: TestGate, link: string, name = 'alice') {
  const person = t.browser()
  await person.signIn(name)
  expect((await person.decide(link, 'allow')).status).toBe(200)
}

describe('metadata', () => {
  test.each(['', '/auth'])(
    'DF-01 the metadata of a gate at "%s" name it exactly, inside and inserted',
    async (mount) => {
      const t = createTestGate({ baseUrl: BASE + mount, clients: { tool: { scopes: ['read'] } } })
      const path = '/.well-known/oauth-authorization-server'
      const inside = (await (await t.fetch(mount + path)).json()) as Record<string, unknown>
      expect(inside).toMatchObject({
        issuer: BASE + mount,
        token_endpoint: `${BASE}${mount}/oauth/token`,
        device_authorization_endpoint: `${BASE}${mount}/oauth/device/authorize`,
        revocation_endpoint: `${BASE}${mount}/oauth/revoke`,
        grant_types_supported: expect.arrayContaining(['urn:ietf:params:oauth:grant-type:device_code']),
        scopes_supported: expect.arrayContaining(['read']),
      })
      expect(await (await t.fetch(path + mount)).json()).toEqual(inside)
      for (const [name, value] of Object.entries(inside))
        if (name.endsWith('_endpoint')) expect(String(value).startsWith(`${BASE}${mount}/`)).toBe(true)
    },
  )

  test('DF-01 metadata promise no iss in answers, and keep quiet about a flow that is off', async () => {
    const read = async (t: TestGate) =>
      (await (await t.fetch('/.well-known/oauth-authorization-server')).json()) as Record<string, unknown>
    const on = await read(createTestGate())
    expect(on.authorization_response_iss_parameter_supported).toBeUndefined()
    const off = await read(createTestGate({ flows: ['pair'] }))
    expect(off.device_authorization_endpoint).toBeUndefined()
    expect(off.grant_types_supported).not.toContain('urn:ietf:params:oauth:grant-type:device_code')
  })
})

describe('requests', () => {
  test('DF-04 a missing or empty grant_type is invalid_request, any but the device grant is not supported', async () => {
    const t = createTestGate()
    const { device_code } = await startDevice(t)
    const ask = async (grant: Record<string, string>) => {
      const response = await t.post('/oauth/device/token', {
        client_id: 'pairgate-cli',
        device_code,
        ...grant,
      })
      return [response.status, ((await response.json()) as { error: string }).error]
    }
    expect(await ask({})).toEqual([400, 'invalid_request'])
    expect(await ask({ grant_type: '' })).toEqual([400, 'invalid_request'])
    for (const grant_type of ['password', 'client_credentials', 'authorization_code', 'device_code'])
      expect(await ask({ grant_type })).toEqual([400, 'unsupported_grant_type'])
    expect(t.rows('SELECT poll_interval FROM grants')).toEqual([{ poll_interval: 5 }])
    expect((await pollDevice(t, device_code)).body.error).toBe('authorization_pending')
  })
})

describe('codes', () => {
  test('DF-08 bytes that would favour some letters are thrown away, and all twenty letters come', async () => {
    // 256 is no multiple of 20: from 240 on bytes would make the first sixteen letters likelier
    control((length) =>
      length === 16 ? [240, 255, 241, 254, 242, 253, 243, 252, 0, 1, 2, 3, 4, 5, 6, 7] : null,
    )
    expect((await startDevice(createTestGate())).user_code).toBe('BCDF-GHJK')
    vi.restoreAllMocks()
    const t = createTestGate({ limits: { startPerMinute: 1000, pendingPerAddress: 1000 } })
    const codes = await Promise.all(Array.from({ length: 100 }, () => startDevice(t)))
    const seen = new Set(codes.flatMap(({ user_code }) => [...user_code.replace('-', '')]))
    expect([...seen].toSorted().join('')).toBe('BCDFGHJKLMNPQRSTVWXZ')
  })

  test('DF-08 a code that is still kept is not made again, whether it waits, was used or has expired', async () => {
    const t = createTestGate()
    let clashes = 0
    let afterSecret = false
    control((length) => {
      const isCode = length === 16 && afterSecret && clashes > 0
      afterSecret = length === 32
      if (!isCode) return null
      clashes--
      return Array(16).fill(0)
    })
    const start = async (n: number) => {
      clashes = n
      return await startDevice(t)
    }
    const first = await start(1)
    expect(first.user_code).toBe('BBBB-BBBB')
    for (const wait of [0, 700, 80_000]) {
      t.advance(wait)
      const second = await start(3)
      expect(clashes).toBe(0)
      expect(second.user_code).not.toBe('BBBB-BBBB')
      expect(t.rows('SELECT id FROM grants WHERE user_code = ?', 'BBBBBBBB')).toHaveLength(1)
    }
    expect((await pollDevice(t, first.device_code)).body.error).toBe('expired_token')
  })

  test('DF-09 a device code is 32 bytes of the machine’s random generator that nothing else is made of', async () => {
    const made = control(() => null)
    const { device_code, user_code } = await startDevice(createTestGate())
    const bytes = Buffer.from(device_code, 'base64url')
    expect(bytes).toHaveLength(32)
    const own = made.filter((one) => bytes.equals(one))
    expect(own).toHaveLength(1)
    const ALPHABET = 'BCDFGHJKLMNPQRSTVWXZ'
    const letters = (from: Uint8Array) =>
      [...from].filter((byte) => byte < 240).map((byte) => ALPHABET[byte % 20])
    expect(letters(bytes).join('')).not.toContain(user_code.replace('-', ''))
    const others = made.filter((one) => !bytes.equals(one)).map((one) => letters(one).join(''))
    expect(others.some((text) => text.startsWith(user_code.replace('-', '')))).toBe(true)
  })
})

describe('pace and time', () => {
  test('DF-12 a slower pace is stored: another instance over the same database keeps to it', async () => {
    let now = Date.now()
    const one = createTestGate({ now: () => now })
    const other = createTestGate({ now: () => now, database: sqlite(one.database) })
    const { device_code } = await startDevice(one)
    await pollDevice(one, device_code)
    expect((await pollDevice(one, device_code)).body).toMatchObject({ error: 'slow_down', interval: 10 })
    // the first poll that an instance sees is never too fast
    expect((await pollDevice(other, device_code)).body).toMatchObject({
      error: 'authorization_pending',
      interval: 10,
    })
    now += 9_000
    expect((await pollDevice(other, device_code)).body).toMatchObject({ error: 'slow_down', interval: 15 })
    now += 15_000
    expect((await pollDevice(one, device_code)).body).toMatchObject({ interval: 15 })
  })

  test.each(['deviceCodeSeconds', 'paircodeSeconds'] as const)(
    'DF-19 %s may be 5 to 1800',
    async (option) => {
      for (const seconds of [5, 1800]) {
        const t = createTestGate({ [option]: seconds })
        const paths = { deviceCodeSeconds: '/oauth/device/authorize', paircodeSeconds: '/cli_login' }
        const form = { client_id: 'pairgate-cli', paircode: createPaircode().paircode }
        const answer = (await (await t.post(paths[option], form)).json()) as { expires_in: number }
        expect(answer.expires_in).toBe(seconds)
      }
      for (const seconds of [4, 1801, 60.5, Number.NaN])
        expect(() => createTestGate({ [option]: seconds })).toThrow(option)
    },
  )

  test('STO-05 every expiry is counted from the very time that its row says it began', async () => {
    let now = Date.now()
    // never the same time twice
    const t = createTestGate({
      now: () => ++now,
      deviceCodeSeconds: 300,
      keySeconds: 7200,
      browserSeconds: 3600,
    })
    const start = await startDevice(t)
    await allow(t, start.verification_uri_complete)
    expect((await pollDevice(t, start.device_code)).status).toBe(200)
    expect(t.rows('SELECT expires_at - created_at AS life FROM grants')).toEqual([{ life: 300_000 }])
    expect(t.rows('SELECT kind, expires_at - created_at AS life FROM credentials ORDER BY kind')).toEqual([
      { kind: 'api_key', life: 7_200_000 },
      { kind: 'browser', life: 3_600_000 },
    ])
  })

  test('DF-23 STO-06 what ended is kept for a day, so that a replay is recognised, and then deleted', async () => {
    const t = createSettledGate()
    const over = await startDevice(t)
    await allow(t, over.verification_uri_complete)
    await pollDevice(t, over.device_code)
    const replays = () => t.rows("SELECT id FROM events WHERE type = 'replayed'").length
    const kept = () =>
      t.rows('SELECT id FROM grants WHERE user_code = ?', over.user_code.replace('-', '')).length
    const tidy = async () => {
      await startDevice(t)
      await t.settle()
    }
    t.advance(86_400)
    await tidy()
    expect((await pollDevice(t, over.device_code)).body.error).toBe('invalid_grant')
    expect([kept(), replays()]).toEqual([1, 1])
    t.advance(700)
    await tidy()
    expect((await pollDevice(t, over.device_code)).body.error).toBe('invalid_grant')
    expect([kept(), replays()]).toEqual([0, 1])
  })
})

describe('switches', () => {
  test('DF-24 the paircode flow can be off as well, for all and for one client', async () => {
    const { paircode, verifier } = createPaircode()
    const gates = [
      createTestGate({ flows: ['device'] }),
      createTestGate({ clients: { tool: { flows: ['device'] } } }),
    ]
    for (const [t, client_id] of [
      [gates[0]!, 'pairgate-cli'],
      [gates[1]!, 'tool'],
    ] as const) {
      for (const [path, form] of [
        ['/cli_login', { paircode }],
        ['/token', { verifier }],
      ] as const) {
        const response = await t.post(path, { client_id, ...form })
        expect([response.status, await response.json()]).toMatchObject([
          400,
          { error: 'unauthorized_client' },
        ])
      }
      expect(t.rows('SELECT id FROM grants')).toEqual([])
    }
  })

  test('DF-24 switching a flow off also ends what is under way: it is not collected any more', async () => {
    const on = createTestGate()
    const start = await startDevice(on)
    await allow(on, start.verification_uri_complete)
    const off = createTestGate({ flows: ['pair'], database: sqlite(on.database) })
    expect((await pollDevice(off, start.device_code)).body.error).toBe('unauthorized_client')
    expect(on.rows("SELECT id FROM credentials WHERE kind = 'api_key'")).toEqual([])
  })
})
