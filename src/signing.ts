/**
 * Signs what services behind the gateway check by themselves: JWTs under keys that are made of the signing secrets, so
 * that all instances have the same ones and nothing has to be stored.
 *
 * @module
 */

import { base64url, fromHex, s256, signHex, toBase64url } from './hash.ts'

/** A key signs for so long; seconds. It is published all that time before, and after. */
const KEY_SECONDS = 30 * 86_400

/** Order of P-256 (FIPS 186-5, SP 800-186 section 3.2.1.3). */
const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n
/** What PKCS #8 (RFC 5958) has before the 32 bytes of a private key of P-256, when the public key is left out. */
const PKCS8 = '3041020100301306072a8648ce3d020106082a8648ce3d030107042730250201010420'
const ES256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** A public key of a JWK Set (RFC 7517), for ES256. */
export interface PublicKey {
  readonly kty: 'EC'
  readonly crv: 'P-256'
  readonly x: string
  readonly y: string
  /** JWK thumbprint (RFC 7638). */
  readonly kid: string
  readonly alg: 'ES256'
  readonly use: 'sig'
}

/** Signs, and tells what verifies. */
export interface Signer {
  /**
   * Makes a JWT (RFC 7519) of these claims, `iat` and `exp`, by ES256 with the key of the time. The same claims get the
   * same one again in the first third of its life: to sign is most of what a proxy's question costs.
   *
   * @param life.now Epoch milliseconds.
   * @param life.seconds How long it is good for.
   */
  sign(typ: string, claims: object, life: { readonly now: number; readonly seconds: number }): Promise<string>
  /** The keys of the time, of the time before and of the next one, of each secret. */
  keys(now: number): Promise<PublicKey[]>
}

/** How many JWTs are kept, of about 1 kB each. */
const KEPT = 5_000

interface Signed {
  readonly jwt: string
  /** Epoch seconds. */
  readonly iat: number
}

interface SigningKey {
  readonly key: CryptoKey
  readonly published: PublicKey
}

/**
 * Makes the key of one secret and one time. Of 512 bits, so that the remainder favours no key (FIPS 186-5 appendix
 * A.2.1).
 */
async function deriveKey(secret: string, period: number): Promise<SigningKey> {
  const [one, other] = ['0', '1'].map((half) => signHex(secret, 'assertion-key', [String(period), half]))
  const d = (BigInt(`0x${one}${other}`) % (ORDER - 1n)) + 1n
  const pkcs8 = fromHex(PKCS8 + d.toString(16).padStart(64, '0'))
  // to be had in public form it has to be extractable
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, ES256, true, ['sign'])
  const { x = '', y = '' } = await crypto.subtle.exportKey('jwk', key)
  const kid = s256(JSON.stringify({ crv: 'P-256', kty: 'EC', x, y }))
  return { key, published: { kty: 'EC', crv: 'P-256', x, y, kid, alg: 'ES256', use: 'sig' } }
}

/** @param secrets The first one signs; the keys of all are published. */
export function createSigner(secrets: readonly string[]): Signer {
  const known = new Map<string, SigningKey>()
  const signed = new Map<string, Signed>()
  const find = async (index: number, period: number): Promise<SigningKey> => {
    const name = `${index} ${period}`
    // what is kept is the key, not its promise: on Workers that one would belong to one request
    const key = known.get(name) ?? (await deriveKey(secrets[index] ?? '', period))
    known.set(name, key)
    return key
  }
  const periodOf = (now: number) => Math.floor(now / 1000 / KEY_SECONDS)
  return {
    async sign(typ, claims, { now, seconds }) {
      const iat = Math.floor(now / 1000)
      const name = JSON.stringify([typ, claims, seconds])
      const before = signed.get(name)
      if (before && before.iat <= iat && iat < before.iat + seconds / 3) return before.jwt
      const { key, published } = await find(0, periodOf(now))
      const header = { alg: published.alg, typ, kid: published.kid }
      const payload = { ...claims, iat, exp: iat + seconds }
      const content = [header, payload].map((part) => toBase64url(JSON.stringify(part))).join('.')
      const signature = await crypto.subtle.sign(ES256, key, new TextEncoder().encode(content))
      const jwt = `${content}.${base64url(new Uint8Array(signature))}`
      signed.delete(name)
      signed.set(name, { jwt, iat })
      if (signed.size > KEPT) signed.delete(signed.keys().next().value ?? '')
      return jwt
    },
    async keys(now) {
      const periods = [-1, 0, 1].map((step) => periodOf(now) + step)
      const keys = secrets.flatMap((_, index) => periods.map((period) => find(index, period)))
      return (await Promise.all(keys)).map(({ published }) => published)
    },
  }
}
