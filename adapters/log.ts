/** What the standalone servers log, and how it looks, on Workers too. @module */

import { type Log, PairgateError } from '../src/mod.ts'
import { refuse } from './environment.ts'

/** The levels, from the least on, and how each looks on a terminal. */
const LEVELS = { debug: 'DBG', info: 'INF', warn: 'WRN', error: 'ERR' } as const
type Level = keyof typeof LEVELS
const ORDER = Object.keys(LEVELS) as Level[]

type Properties = Parameters<Log[Level]>[1]
type Format = (level: Level, message: string, properties: Properties) => string

/** An error in words: one line for those of our own, which say what to do; any other needs its stack. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if (!(error instanceof PairgateError)) return `\n${error.stack}`
  const reason = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error.message}${reason}`.replaceAll(/\s+/g, ' ')
}

/** JSON would show nothing of an error, or with all of its properties too much: drivers hang whole requests on theirs. */
function plainError(error: Error): object {
  const { name, message, code, stack, cause } = error as Error & { code?: unknown }
  return { name, message, code, stack, cause: cause instanceof Error ? plainError(cause) : undefined }
}

const formatJson: Format = (level, message, properties) =>
  JSON.stringify(
    { '@timestamp': new Date(), level: level.toUpperCase(), message, logger: 'pairgate', properties },
    (_, value) => (value instanceof Error ? plainError(value) : value),
  )

/** Shows what a terminal would obey: controls, also those beyond ASCII, and marks that turn text around. */
const visible = (text: string) =>
  text.replaceAll(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (one) => `\\u${(one.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  )

const formatLine: Format = (level, message, { error, ...properties }) => {
  const said = Object.entries(properties).filter(([key, value]) => value != null && key !== 'event')
  const rest = said.map(
    ([key, value]) => `${key}=${visible(typeof value === 'string' ? value : JSON.stringify(value))}`,
  )
  const time = new Date().toISOString().slice(11, -1)
  return [time, LEVELS[level], message, ...rest, explain(error)].filter(Boolean).join(' ')
}

/**
 * Makes a log that goes to the console.
 *
 * @param setting `PAIRGATE_LOG`: `json` or `pretty`, a level, or both as in `json:debug`.
 */
export function consoleLog(setting: string | undefined, isTerminal: boolean): Log {
  const words = (setting ?? '').split(/[\s:,]+/).filter(Boolean)
  const levels: Record<string, Level> = {
    ...Object.fromEntries(ORDER.map((one) => [one, one])),
    warning: 'warn',
  }
  const unknown = words.find((word) => !(word in levels) && word !== 'json' && word !== 'pretty')
  if (unknown) refuse(`PAIRGATE_LOG must be json or pretty, and one of ${ORDER.join(', ')}; got "${unknown}"`)
  const least = ORDER.indexOf(words.map((word) => levels[word]).find((one) => one !== undefined) ?? 'info')
  const isJson = words.includes('json') || (!words.includes('pretty') && !isTerminal)
  const format = isJson ? formatJson : formatLine
  const at =
    (level: Level): Log[Level] =>
    (message, properties) => {
      if (ORDER.indexOf(level) >= least) console[level](format(level, message, properties))
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
