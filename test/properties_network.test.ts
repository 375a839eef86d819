/** Properties of what comes from outside: addresses, forwarded hops, base URLs, paths to return to, options, limits. @module */

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { memory } from '../adapters/memory.ts'
import { parseOptions } from '../src/config.ts'
import { addressBucket, clientAddress, isInRanges, parseRange, sameNetwork } from '../src/core/address.ts'
import { bucketAt, bucketLength, type Limit, oldestBucket } from '../src/core/limit.ts'
import { safeReturnPath } from '../src/core/same_origin.ts'
import { PairgateError, type PairgateOptions } from '../src/mod.ts'
import {
  address,
  anyText,
  holds,
  holdsAsync,
  hostilePath,
  ipv4,
  ipv6,
  type NumericAddress,
  rangeAndAddress,
  spellings,
} from './support/arbitraries.ts'
import { loginAs, personAt, startAs } from './support/credentials.ts'
import { BASE, createTestGate, SECRET } from './support/gate.ts'

const DIRECT = { trustedProxies: [], isPublic: false }
/** The canonical form of an address, from any spelling. */
const canonical = (text: string) => clientAddress(text, null, DIRECT)
const spelled = (one: fc.Arbitrary<NumericAddress>) =>
  one.chain((value) =>
    fc.tuple(spellings(value), spellings(value)).map(([text, other]) => ({ value, text, other })),
  )

/** Reads a canonical address, on another way than the code does. */
function read(text: string): NumericAddress {
  const sum = (parts: readonly bigint[], size: bigint) =>
    parts.reduce((all, part) => (all << size) | part, 0n)
  if (!text.includes(':')) return { bits: 32, value: sum(text.split('.').map(BigInt), 8n) }
  const [head = '', tail] = text.split('::').map((half) => half.split(':').filter(Boolean))
  const parts =
    tail === undefined ? [...head] : [...head, ...Array(8 - head.length - tail.length).fill('0'), ...tail]
  return {
    bits: 128,
    value: sum(
      parts.map((part) => BigInt(`0x${part}`)),
      16n,
    ),
  }
}

describe('addresses', () => {
  test('GW-04 every spelling of an address is one address, an IPv4-mapped one its IPv4 one', () => {
    holds(spelled(address), ({ value, text, other }) => {
      const one = canonical(text)
      expect(one).toBe(canonical(other))
      expect(read(one ?? '')).toEqual(value)
      expect(canonical(one ?? '')).toBe(one)
      expect(addressBucket(text)).toBe(addressBucket(other))
    })
  })

  test('GW-04 what is in a range is what a calculation says', () => {
    const drawn = rangeAndAddress.chain(({ base, bits, inside }) =>
      fc
        .tuple(spellings(base), spellings(inside))
        .map(([range, text]) => ({ base, bits, inside, range, text })),
    )
    holds(drawn, ({ base, bits, inside, range, text }) => {
      const isMapped = base.bits === 32 && range.includes(':')
      const parsed = parseRange(`${range}/${bits + (isMapped ? 96 : 0)}`)
      const shift = BigInt(base.bits - bits)
      const expected = base.bits === inside.bits && base.value >> shift === inside.value >> shift
      expect(isInRanges(text, parsed ? [parsed] : [])).toBe(expected)
      expect(parseRange(`${range}/${(base.bits === 32 && !isMapped ? 32 : 128) + 1}`)).toBeNull()
    })
  })

  test('GW-04 one network is one IPv4 address, or one IPv6 /64; never an unknown one', () => {
    holds(fc.tuple(rangeAndAddress, fc.boolean()), ([{ base, inside }, isSame]) => {
      const [one, other] = [base, isSame ? base : inside].map(({ bits, value }) => ({
        bits,
        key: value >> BigInt(bits === 32 ? 0 : 64),
      }))
      const texts = [base, isSame ? base : inside].map(format)
      const expected = one?.bits === other?.bits && one?.key === other?.key
      expect(sameNetwork(texts[0] ?? null, texts[1] ?? null)).toBe(expected)
      expect(sameNetwork(texts[1] ?? null, texts[0] ?? null)).toBe(expected)
      expect(sameNetwork(texts[0] ?? null, null)).toBe(false)
    })
    expect(sameNetwork(null, null)).toBe(false)
  })

  test('GW-04 any text at all is an address or none, without a throw', () => {
    holds(fc.oneof(anyText, fc.stringMatching(/^[\da-fA-F:.%[\]/]{0,45}$/)), (text) => {
      const one = canonical(text)
      if (one !== null) expect(canonical(one)).toBe(one)
      expect(addressBucket(text)).toBe(one === null ? 'unknown' : addressBucket(one))
      parseRange(text)
    })
  })
})

/** An address in one plain spelling. */
function format({ bits, value }: NumericAddress): string {
  const part = (shift: number, mask: bigint) => (value >> BigInt(shift)) & mask
  if (bits === 32) return [24, 16, 8, 0].map((shift) => part(shift, 255n)).join('.')
  return [112, 96, 80, 64, 48, 32, 16, 0].map((shift) => part(shift, 0xffffn).toString(16)).join(':')
}

describe('forwarded hops', () => {
  const PROXIES = ['10.0.0.0/8', 'fd00::/8'].map((text) => parseRange(text) ?? expect.unreachable())
  const isProxy = (text: string | null) => text === null || isInRanges(text, PROXIES)
  const proxy = fc.constantFrom('10.0.0.1', '::ffff:10.9.8.7', 'fd00::1', '10.255.255.255', 'FD12:0::9')
  const outsider = fc
    .oneof(ipv4, ipv6)
    .chain(spellings)
    .filter((text) => !isProxy(canonical(text)))
  const behind = { trustedProxies: PROXIES, isPublic: true }

  test('GW-04 the right-most untrusted hop, whatever is written to the left of it', () => {
    const chain = fc.tuple(
      proxy,
      fc.array(proxy, { maxLength: 4 }),
      outsider,
      anyText,
      fc.constantFrom(',', ', ', ' ,\t'),
    )
    holds(chain, ([peer, proxies, client, garbage, comma]) => {
      const hops = [garbage, client, ...proxies].join(comma)
      expect(clientAddress(peer, hops, behind)).toBe(canonical(client))
    })
  })

  test('GW-04 a peer that is no proxy is believed alone', () => {
    holds(fc.tuple(outsider, fc.array(fc.oneof(proxy, outsider, anyText))), ([peer, hops]) => {
      const options = { trustedProxies: PROXIES, isPublic: false }
      expect(clientAddress(peer, hops.join(', '), options)).toBe(canonical(peer))
    })
  })

  test('GW-04 garbage at the right end is nobody, not somebody further left', () => {
    const garbage = anyText.filter((text) => text.split(',').every((hop) => canonical(hop.trim()) === null))
    holds(
      fc.tuple(proxy, outsider, fc.array(proxy, { maxLength: 2 }), garbage),
      ([peer, client, proxies, text]) => {
        expect(clientAddress(peer, [client, ...proxies, text].join(','), behind)).toBeNull()
        expect(clientAddress(peer, [client, text, ...proxies].join(','), behind)).toBeNull()
      },
    )
  })

  test('GW-04 whatever comes, a trusted proxy is never the client', () => {
    holds(
      fc.tuple(fc.oneof(proxy, outsider, anyText), fc.array(fc.oneof(proxy, outsider, anyText))),
      ([peer, hops]) => {
        const found = clientAddress(peer, hops.join(','), behind)
        if (found !== null) expect(isInRanges(found, PROXIES)).toBe(false)
      },
    )
  })
})

describe('paths to return to', () => {
  const bases = fc.constantFrom(
    BASE,
    'https://gateway.example/auth',
    'https://gateway.example',
    'https://a.example/x/y',
  )

  test('WEB-09 always this origin and under the mount, as a browser reads it', () => {
    const parts = fc.tuple(bases, hostilePath, fc.constantFrom('', '/', '/auth/', '/x/y/', '//', '/\\'))
    holds(
      parts,
      ([base, text, start]) => {
        const path = safeReturnPath(start + text, base)
        const { origin, pathname } = new URL(base)
        const home = `${pathname.replace(/\/$/, '')}/`
        expect(path.startsWith(home)).toBe(true)
        expect(path).toMatch(/^\/(?!\/)[!-~]*$/)
        expect(path).not.toMatch(/^\/[/\\]/)
        // from a page, from a Location header, and once more after a hop
        for (const from of [base, `${base}/sign-in?next=x`, `${origin}/a/b/c`]) {
          const url = new URL(path, from)
          expect(url.origin).toBe(origin)
          expect(url.pathname.startsWith(home)).toBe(true)
        }
      },
      2_000,
    )
  })

  test('WEB-09 a plain path under the mount is kept', () => {
    holds(fc.tuple(bases, fc.stringMatching(/^[a-z][\w/-]{0,30}(\?[a-z=&\d]{1,20})?$/)), ([base, rest]) => {
      const path = `${new URL(base).pathname.replace(/\/$/, '')}/${rest}`
      expect(safeReturnPath(path, base)).toBe(path)
    })
  })
})

const OPTIONS = { secrets: [SECRET], database: memory(), identify: () => null }

/** The configuration, or null when it is refused as options are. */
function parse(options: Partial<PairgateOptions>) {
  try {
    return parseOptions({ baseUrl: BASE, ...OPTIONS, ...options })
  } catch (error) {
    expect(error).toBeInstanceOf(PairgateError)
    expect((error as PairgateError).code).toBe('ERR_PAIRGATE_OPTION')
    return null
  }
}

describe('options', () => {
  test('GW-01 a base URL is refused, or every link made of it leads to its own origin and path', () => {
    const start = fc.constantFrom(
      'https://gateway.example',
      'http://127.0.0.1:8787',
      'http://localhost',
      'https://[::1]:1',
      '',
    )
    const written = fc
      .oneof(fc.tuple(start, hostilePath), fc.tuple(start, anyText))
      .map((list) => list.join(''))
    holds(
      written,
      (baseUrl) => {
        const config = parse({ baseUrl })
        if (!config) return
        const asked = new URL(baseUrl)
        expect([asked.search, asked.hash, asked.username, asked.password]).toEqual(['', '', '', ''])
        expect([config.origin, config.isSecure]).toEqual([asked.origin, asked.protocol === 'https:'])
        for (const path of ['/device', '/pair/x', '/sign-in/callback/oidc', '/oauth/token']) {
          const link = new URL(config.baseUrl + path)
          expect([link.origin, link.pathname, link.search, link.hash]).toEqual([
            asked.origin,
            config.basePath + path,
            '',
            '',
          ])
          expect(new URL(config.basePath + path, config.origin).href).toBe(link.href)
        }
        expect(config.baseUrl).not.toMatch(/\s|[^!-~]|\/$/)
      },
      2_000,
    )
  })

  test('OPS-06 any value of any option: refused by name, or taken; never another error, no secret quoted', () => {
    const names = Object.keys(parseOptions({ baseUrl: BASE, ...OPTIONS })) as (keyof PairgateOptions)[]
    const value = fc.oneof(fc.anything(), anyText, fc.array(anyText), fc.dictionary(anyText, fc.anything()))
    holds(
      fc.tuple(fc.constantFrom(...names, 'clients', 'webhooks', 'limits', 'flows'), value),
      ([name, given]) => {
        parse({ [name]: given })
      },
    )
    holds(
      fc.array(
        anyText.filter((text) => text.length > 5),
        { minLength: 1 },
      ),
      (secrets) => {
        try {
          parseOptions({ baseUrl: BASE, ...OPTIONS, secrets })
        } catch (error) {
          for (const secret of secrets) expect((error as Error).message).not.toContain(secret)
        }
      },
    )
  })

  test('OPS-05 a webhook secret is whsec_ and base64 of 24 to 64 bytes, or several of them, and read as they are', () => {
    const key = fc.uint8Array({ minLength: 20, maxLength: 68 })
    const write = (bytes: Uint8Array) => `whsec_${Buffer.from(bytes).toString('base64')}`
    const withSecret = (secret: string) => parse({ webhooks: [{ url: 'https://hooks.example/x', secret }] })
    holds(fc.array(key, { minLength: 1, maxLength: 3 }), (keys) => {
      const config = withSecret(keys.map(write).join(' '))
      const isGood = keys.every(({ length }) => length >= 24 && length <= 64)
      expect(config?.webhooks[0]?.keys.map((one) => [...one])).toEqual(
        isGood ? keys.map((one) => [...one]) : undefined,
      )
    })
    const odd = fc.tuple(fc.constantFrom('', 'whsec', 'WHSEC_', 'whsec_ ', ' whsec_', 'whsec_-_', '\n'), key)
    holds(odd, ([start, bytes]) => {
      expect(withSecret(start + write(bytes).slice(6))).toBeNull()
      expect(withSecret(`${write(bytes)}  ${write(bytes)}`)).toBeNull()
    })
  })
})

describe('limits', () => {
  const limit: fc.Arbitrary<Limit> = fc.record({
    key: fc.constant('x'),
    max: fc.integer({ min: 1, max: 5 }),
    seconds: fc.integer({ min: 1, max: 3600 }),
  })

  test('DF-18 a bucket holds its time, buckets do not overlap, and ten of them are looked at', () => {
    holds(fc.tuple(limit, fc.nat(2_000_000_000)), ([one, time]) => {
      const [start, length] = [bucketAt(one, time), bucketLength(one)]
      expect(start <= time && time < start + length).toBe(true)
      expect([bucketAt(one, start), bucketAt(one, start + length - 1)]).toEqual([start, start])
      expect(bucketAt(one, start + length)).toBe(start + length)
      expect(start - oldestBucket(one, time)).toBe(9 * length)
      expect(10 * length).toBeGreaterThanOrEqual(one.seconds * 1000)
    })
  })

  test('DF-18 no count is lost: over nine tenths of the window there are never more than may be', async () => {
    const tries = fc.array(fc.nat(400), { minLength: 5, maxLength: 60 })
    await holdsAsync(fc.tuple(limit, tries), async ([one, steps]) => {
      const store = memory()
      const granted: number[] = []
      let now = 1_000_000_007
      for (const step of steps) {
        now += Math.floor((step * one.seconds) / 1.3)
        // what flows/limits.ts asks of the store
        const [older = 0] = await store.readLimits([
          { key: one.key, since: oldestBucket(one, now), until: bucketAt(one, now) },
        ])
        const room = one.max - older
        const isTaken = room > 0 && (await store.takeLimit(one.key, bucketAt(one, now), room))
        const recent = granted.filter((time) => now - time < 9 * bucketLength(one))
        const still = granted.filter((time) => now - time < 10 * bucketLength(one))
        if (isTaken) expect(recent.length).toBeLessThan(one.max)
        else expect(still.length).toBeGreaterThanOrEqual(one.max)
        if (isTaken) granted.push(now)
      }
    })
  })

  test('DF-18 however many codes are guessed, one alarm a minute', async () => {
    const t = createTestGate({ limits: { wrongCodesTotal: 3, wrongCodesPerAccount: 20 } })
    const eve = await personAt(t, 'eve')
    const alarms = () => t.rows("SELECT id FROM events WHERE type = 'guessing'").length
    for (let i = 0; i < 9; i++) await eve.get('/device?user_code=BCDF-GHJK')
    expect(alarms()).toBe(1)
    t.advance(61)
    for (let i = 0; i < 9; i++) await eve.get('/device?user_code=BCDF-GHJK')
    expect(alarms()).toBe(2)
  })
})

describe('scopes', () => {
  const ALL = ['read', 'write', 'deploy', 'pairgate:manage']
  const some = fc.shuffledSubarray(ALL)

  test('DF-20 the person keeps any part of what was asked for; nothing else is ever granted', async () => {
    const t = createTestGate({
      clients: { mytool: { scopes: ALL.slice(0, 3) } },
      limits: { keysPerUser: 1_000, startPerMinute: 1_000 },
    })
    const alice = await personAt(t, 'alice')
    const drawn = fc.tuple(
      some,
      fc.array(fc.oneof(fc.constantFrom(...ALL, 'other'), anyText), { maxLength: 4 }),
    )
    await holdsAsync(
      drawn,
      async ([asked, ticked]) => {
        const may = asked.filter((scope) => scope !== 'pairgate:manage')
        const login = await startAs(t, 'device', { client_id: 'mytool', scope: may.join(' ') })
        const fields = Object.fromEntries(ticked.map((scope) => [`scope:${scope}`, 'on']))
        const answer = await alice.decide(login.page, 'allow', fields)
        const hidden = may.length === 1 ? may : []
        const kept = new Set([...ticked, ...hidden])
        const isPart = [...kept].every((scope) => may.includes(scope)) && (kept.size > 0 || may.length === 0)
        if (answer.status !== 200) {
          expect(isPart).toBe(false)
          expect((await login.poll()).status).toBe(400)
          return
        }
        expect(isPart).toBe(true)
        const { scope = '' } = (await login.poll()).body
        expect(scope).toBe(may.filter((one) => kept.has(one)).join(' '))
        t.advance(60)
      },
      60,
    )
  })

  test('DF-20 a scope that the client may not have is refused at the start, whatever else is asked for', async () => {
    const t = createTestGate({ clients: { mytool: { scopes: ['read'] } } })
    const alice = await personAt(t, 'alice')
    for (const scope of [
      'write',
      'read write',
      'read pairgate:manage',
      'offline_access',
      '__proto__',
      'READ',
    ])
      await expect(loginAs(t, alice, 'pair', { client_id: 'mytool', scope })).rejects.toThrow()
    expect(t.rows('SELECT id FROM grants')).toEqual([])
  })
})
