/** Cookies (RFC 6265): read strictly, written with every attribute that protects them. @module */

/**
 * Reads one cookie. A name that occurs twice is somebody's attempt to shadow ours, so it counts as absent.
 *
 * @param header The `Cookie` header.
 */
export function readCookie(header: string | null, name: string): string | null {
  const values = (header ?? '')
    .split('; ')
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1))
  const [value] = values
  return values.length === 1 && value && /^[\w.~-]{1,2048}$/.test(value) ? value : null
}

/**
 * Writes a `Set-Cookie` header: `HttpOnly`, `SameSite=Lax`, `Path=/`, no `Domain`.
 *
 * @param options.maxAge Lifetime in seconds; 0 deletes the cookie.
 * @param options.secure Whether the base URL is https; `__Host-` names need it.
 */
export function writeCookie(
  name: string,
  value: string,
  options: { maxAge: number; secure: boolean },
): string {
  const secure = options.secure ? '; Secure' : ''
  return `${name}=${value}; Max-Age=${options.maxAge}; Path=/; HttpOnly; SameSite=Lax${secure}`
}
