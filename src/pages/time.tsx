/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** Times and lengths of time, in words and exactly. @module */

/** Seconds in the words of a person: `10 minutes`. */
export function formatDuration(seconds: number): string {
  const units: [string, number][] = [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
  ]
  for (const [unit, length] of units) {
    const n = Math.round(seconds / length)
    // 59 minutes and a half are an hour, not 60 minutes
    if (seconds >= length * 0.99) return `${n} ${unit}${n === 1 ? '' : 's'}`
  }
  return 'less than a minute'
}

/** A moment: how far from now, and which. `at` is in epoch seconds, `now` in epoch milliseconds. */
export function Moment({ at, now }: { at: number; now: number }) {
  const iso = new Date(at * 1000).toISOString()
  const distance = Math.floor(now / 1000) - at
  return (
    <>
      {distance < 0 ? `in ${formatDuration(-distance)}` : `${formatDuration(distance)} ago`}{' '}
      <small>
        <time datetime={iso}>{`${iso.slice(0, 16).replace('T', ' ')} UTC`}</time>
      </small>
    </>
  )
}
