/** Times as people write and read them on a command line. @module */

/** How many seconds are left until a time (epoch seconds), of whole seconds as the server has them. */
export function secondsUntil(time: number): number {
  return time - Math.floor(Date.now() / 1000)
}

const SECONDS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  y: 31_536_000,
}

/** Reads `90s`, `30m`, `12h`, `30d`, `2w` or `1y` (365 days) as seconds; null when it is nothing of the kind. */
export function parseDuration(text: string): number | null {
  const [, count = '', unit = ''] = /^(\d{1,9})([smhdwy])$/.exec(text) ?? []
  return unit ? Number(count) * (SECONDS[unit] ?? 0) : null
}

/** Whether a date is one that there is: `2026-02-30` is not, though `Date` takes it for March. */
function isDay(year: number, month: number, day: number): boolean {
  return new Date(Date.UTC(year, month - 1, day)).getUTCDate() === day && month >= 1 && month <= 12
}

/**
 * Reads when something is to end: a duration from now, a day (`2026-12-31`: with the end of that day, here), or a time
 * (`2026-12-31T18:00Z`).
 *
 * @param now Epoch milliseconds.
 * @returns Seconds from now, negative when it is past; null when it cannot be read.
 */
export function parseExpiry(text: string, now: number): number | null {
  const seconds = parseDuration(text)
  if (seconds !== null) return seconds
  const [date, year, month, day, rest] = /^(\d{4})-(\d\d)-(\d\d)(T.+)?$/.exec(text) ?? []
  if (!date || !isDay(Number(year), Number(month), Number(day))) return null
  const end = rest ? Date.parse(text) : new Date(Number(year), Number(month) - 1, Number(day) + 1).getTime()
  return Number.isNaN(end) ? null : Math.floor((end - now) / 1000)
}

/** Says a number of seconds in one short word: `45s`, `20m`, `3h`, `12d`, `2y`. Rounds down. */
export function shortDuration(seconds: number): string {
  const unit = ['y', 'd', 'h', 'm'].find((name) => seconds >= (SECONDS[name] ?? 0)) ?? 's'
  return `${Math.max(0, Math.floor(seconds / (SECONDS[unit] ?? 1)))}${unit}`
}
