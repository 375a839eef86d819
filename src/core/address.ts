/** Network addresses: which one to believe, and which ones count as the same network. @module */

/** An address range such as `10.0.0.0/8`, parsed. */
export interface AddressRange {
  readonly bytes: Uint8Array
  readonly bits: number
}

function ipv4(text: string): Uint8Array | null {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  const bytes = match?.slice(1).map(Number)
  return bytes?.every((byte) => byte < 256) ? Uint8Array.from(bytes) : null
}

function ipv6(text: string): Uint8Array | null {
  if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(':') || !URL.canParse(`http://[${text}]`)) return null
  const [left = '', right] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::')
  const head = left ? left.split(':') : []
  const tail = right ? right.split(':') : []
  const zeros = right === undefined ? [] : Array(8 - head.length - tail.length).fill('0')
  const words = [...head, ...zeros, ...tail].map((word) => Number.parseInt(word, 16))
  return Uint8Array.from(words.flatMap((word) => [word >> 8, word & 255]))
}

/** Reads an IPv4 or IPv6 address into 4 or 16 bytes; an IPv4-mapped IPv6 address becomes its IPv4 one. */
function parseAddress(text: string): Uint8Array | null {
  const bytes = ipv4(text) ?? ipv6(text.replace(/%[\w.-]+$/, ''))
  const mapped = bytes?.length === 16 && bytes.subarray(0, 12).every((byte, i) => byte === (i < 10 ? 0 : 255))
  return mapped ? bytes.slice(12) : bytes
}

function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join('.')
  const words = Array.from({ length: 8 }, (_, i) =>
    (((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0)).toString(16),
  )
  return new URL(`http://[${words.join(':')}]`).hostname.slice(1, -1)
}

/** Reads `10.0.0.0/8`, `::1/128` or a single address; null when it is neither. */
export function parseRange(text: string): AddressRange | null {
  const [address = '', length, ...rest] = text.split('/')
  const bytes = parseAddress(address)
  if (!bytes || rest.length > 0 || (length !== undefined && !/^\d{1,3}$/.test(length))) return null
  const mapped = bytes.length === 4 && address.includes(':') ? 96 : 0
  const bits = length === undefined ? bytes.length * 8 : Number(length) - mapped
  return bits >= 0 && bits <= bytes.length * 8 ? { bytes, bits } : null
}

function inRange(bytes: Uint8Array, range: AddressRange): boolean {
  if (bytes.length !== range.bytes.length) return false
  return bytes.every((byte, i) => {
    const bits = Math.min(8, Math.max(0, range.bits - 8 * i))
    const mask = (0xff00 >> bits) & 0xff
    return (byte & mask) === ((range.bytes[i] ?? 0) & mask)
  })
}

/** Tells whether an address is in one of the ranges. */
export function isInRanges(address: string, ranges: readonly AddressRange[]): boolean {
  const bytes = parseAddress(address)
  return bytes !== null && ranges.some((range) => inRange(bytes, range))
}

/** The networks that nobody comes from over the internet, as CIDRs. */
export const PRIVATE_NETWORKS: readonly string[] =
  '0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16 ::/127 fc00::/7 fe80::/10'.split(
    ' ',
  )
const PRIVATE = PRIVATE_NETWORKS.map(parseRange)

/** Tells whether an address belongs to no public network: loopback, link-local or private use. */
function isPrivateAddress(bytes: Uint8Array): boolean {
  return PRIVATE.some((range) => range !== null && inRange(bytes, range))
}

/** Tells whether a URL's host is this very machine. */
export function isLoopbackHost(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

/** Tells whether what goes to a URL is protected on its way: by https, or because it does not leave this machine. */
export function isProtected({ protocol, hostname }: URL): boolean {
  return protocol === 'https:' || (protocol === 'http:' && isLoopbackHost(hostname))
}

/** Names that only private networks resolve (RFC 6762, 6761, 8375 and custom). */
const PRIVATE_NAME = /(^[^.]+|\.(local|localhost|internal|intranet|lan|test|home\.arpa))$/

/** Tells whether a URL's host is one that the public internet can reach. */
export function isPublicHost(hostname: string): boolean {
  const bytes = parseAddress(hostname.replace(/^\[|\]$/g, ''))
  return bytes ? !isPrivateAddress(bytes) : !PRIVATE_NAME.test(hostname)
}

/**
 * The address of whoever made a request: the socket's peer, or behind trusted proxies the right-most hop of
 * `X-Forwarded-For` that is not one of them.
 *
 * @param options.isPublic Whether the base URL is a public one.
 * @returns The address in canonical form, or null when it cannot be known.
 */
export function clientAddress(
  peer: string | undefined,
  forwardedFor: string | null,
  options: { trustedProxies: readonly AddressRange[]; isPublic: boolean },
): string | null {
  const isTrusted = (bytes: Uint8Array) => options.trustedProxies.some((range) => inRange(bytes, range))
  let bytes = peer ? parseAddress(peer) : null
  const isProxied = bytes !== null && isTrusted(bytes)
  const hops = forwardedFor?.split(',').map((hop) => hop.trim()) ?? []
  while (bytes && isTrusted(bytes) && hops.length > 0) bytes = parseAddress(hops.pop() ?? '')
  if (!bytes || isTrusted(bytes)) return null
  // a private address that no trusted proxy vouches for, at a public URL, is a proxy nobody named
  if (!isProxied && options.isPublic && isPrivateAddress(bytes)) return null
  return formatAddress(bytes)
}

/** The bucket that limits count an address in: itself for IPv4, its /64 for IPv6, one shared bucket for unknown ones. */
export function addressBucket(address: string | null): string {
  const bytes = address === null ? null : parseAddress(address)
  if (!bytes) return 'unknown'
  return bytes.length === 4
    ? formatAddress(bytes)
    : `${formatAddress(bytes.map((b, i) => (i < 8 ? b : 0)))}/64`
}

/** Tells whether two addresses are surely of one network; an unknown one never is. */
export function sameNetwork(one: string | null, other: string | null): boolean {
  return one !== null && other !== null && addressBucket(one) === addressBucket(other)
}
