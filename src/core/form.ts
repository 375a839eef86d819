/** Parameters of forms and queries, read as strictly as RFC 6749 section 3.2 has it. @module */

/** Parameters by name; an empty value counts as absent. */
export type Params = ReadonlyMap<string, string>

function decode(text: string): string {
  // most need none
  const value = /[%+]/.test(text) ? decodeURIComponent(text.replaceAll('+', ' ')) : text
  if (value.includes('\0')) throw new URIError('NUL in a parameter')
  return value
}

/**
 * Reads `application/x-www-form-urlencoded` text.
 *
 * @returns The parameters, or a sentence that says what is wrong: a parameter given twice, or a broken escape.
 */
export function parseParams(text: string): Params | string {
  const params = new Map<string, string>()
  const seen = new Set<string>()
  for (const pair of text.split('&')) {
    if (pair === '') continue
    const at = pair.indexOf('=')
    let name: string
    let value: string
    try {
      name = decode(at < 0 ? pair : pair.slice(0, at))
      value = at < 0 ? '' : decode(pair.slice(at + 1))
    } catch {
      return 'A parameter is not valid percent-encoded UTF-8'
    }
    if (seen.has(name)) return 'A parameter is given more than once'
    seen.add(name)
    if (value !== '') params.set(name, value)
  }
  return params
}
