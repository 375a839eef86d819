/** A link as a QR code, for the camera of a phone. @module */

import process from 'node:process'
import { renderUnicodeCompact } from 'uqr'

const BLACK_ON_WHITE = '\u001b[30;107m'
const RESET = '\u001b[0m'

/**
 * Draws a link in half blocks.
 *
 * @param options.color Whether colours may be used: black on white is then what it is on any terminal. Else the light
 * parts are drawn, as for a dark one.
 * @returns Lines; none where it does not fit.
 */
export function drawQR(
  url: string,
  { color, width }: { readonly color: boolean; readonly width: number },
): string[] {
  const lines = renderUnicodeCompact(url, { border: 2, invert: color }).split('\n')
  if (lines.some((line) => line.length > width)) return []
  return color ? lines.map((line) => BLACK_ON_WHITE + line + RESET) : lines
}

/** Whether stderr takes colours. */
export function hasColor(): boolean {
  return process.stderr.hasColors?.() ?? false
}
