/** What the standalone servers log, and how it looks, on Workers too. @module */

import {
  configureSync,
  getConsoleSink,
  getJsonLinesFormatter,
  getTextFormatter,
  type LogLevel,
} from '@logtape/logtape'
import { PairgateError } from '../src/mod.ts'
import { refuse } from './environment.ts'

const LEVELS = ['debug', 'info', 'warning', 'error'] as const

/** An error in words: one line for those of our own, which say what to do; any other needs its stack. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return ''
  if (!(error instanceof PairgateError)) return `\n${error.stack}`
  const reason = error.cause instanceof Error ? `: ${error.cause.message}` : ''
  return `${error.message}${reason}`.replaceAll(/\s+/g, ' ')
}

/** Reads `PAIRGATE_LOG`: `json` or `pretty`, a level, or both as in `json:debug`. */
export function configureLog(setting: string | undefined, isTerminal: boolean): void {
  const words = (setting ?? '').split(/[\s:,]+/).filter(Boolean)
  const unknown = words.find((word) => ![...LEVELS, 'warn', 'json', 'pretty'].includes(word))
  if (unknown)
    refuse(`PAIRGATE_LOG must be json or pretty, and one of ${LEVELS.join(', ')}; got "${unknown}"`)
  const level =
    LEVELS.find((name) => words.includes(name) || (name === 'warning' && words.includes('warn'))) ?? 'info'
  const isJson = words.includes('json') || (!words.includes('pretty') && !isTerminal)
  const formatter = isJson
    ? getJsonLinesFormatter()
    : getTextFormatter({
        timestamp: 'time',
        category: () => 'pairgate',
        format: ({ record, timestamp, level: name, message }) => {
          const { error, ...properties } = record.properties
          const said = Object.entries(properties).filter(([key, value]) => value != null && key !== 'event')
          const rest = said.map(
            ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
          )
          return [timestamp, name, message, ...rest, explain(error)].filter(Boolean).join(' ')
        },
      })
  // not the asynchronous one: on Workers no request may wait for another's promise
  configureSync<'console', string>({
    reset: true,
    sinks: { console: getConsoleSink({ formatter }) },
    loggers: [
      { category: 'pairgate', lowestLevel: level as LogLevel, sinks: ['console'] },
      { category: ['logtape', 'meta'], lowestLevel: 'error', sinks: ['console'] },
    ],
  })
}
