/** What a request would prefer, as far as it is heard here (RFC 7240). @module */

/** A header that is longer than this says more than anybody has to say. */
const MAX_HEADER = 1_000

/**
 * Reads the preference `wait` (RFC 7240 section 4.3): how long the answer may take.
 *
 * @param prefer The header `Prefer`.
 * @returns Seconds; 0 when there is none. What is no whole number is ignored, as preferences are; of several the first
 *   one counts (section 2).
 */
export function readWait(prefer: string | undefined): number {
  if (prefer === undefined || prefer.length > MAX_HEADER) return 0
  // a word may be quoted, and then hold what separates others
  const plain = prefer.replace(/"((?:[^"\\]|\\.)*)"/g, (_, word: string) => (/^\w+$/.test(word) ? word : '?'))
  for (const preference of plain.split(',')) {
    const [name = '', value = ''] = preference.split(';', 1)[0]?.split('=', 2) ?? []
    if (name.trim().toLowerCase() === 'wait') return /^\d+$/.test(value.trim()) ? Number(value) : 0
  }
  return 0
}
