/** @jsxRuntime automatic */
/** @jsxImportSource hono/jsx */

/** What is told of a login or a key: facts, each under its name, and times in words and exactly. @module */

import type { PropsWithChildren } from 'hono/jsx'

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

const iso = (at: number) => new Date(at * 1000).toISOString()
const exactly = (at: number) => `${iso(at).slice(0, 16).replace('T', ' ')} UTC`

/** A moment: how far from now, and which. `at` is in epoch seconds, `now` in epoch milliseconds. */
export function Moment({ at, now }: { at: number; now: number }) {
  const distance = Math.floor(now / 1000) - at
  return (
    <>
      {distance < 0 ? `in ${formatDuration(-distance)}` : `${formatDuration(distance)} ago`}{' '}
      <small>
        <time datetime={iso(at)}>{exactly(at)}</time>
      </small>
    </>
  )
}

/** One entry of a list of facts. */
export function Fact({ name, children }: PropsWithChildren<{ name: string }>) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </>
  )
}

/** Until when the secret before the last one still works. */
export function OldSecret({ until, now }: { until: number; now: number }) {
  const left = until - now / 1000
  return (
    <Fact name="Old secret">
      {left > 0 ? `Works until ${exactly(until)} (${formatDuration(left)} left)` : 'Stopped just now'}
    </Fact>
  )
}
