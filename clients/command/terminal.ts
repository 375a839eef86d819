/**
 * What the command needs of a terminal: safe text, marks, a spinner, a line from the person. Everything goes to stderr,
 * so that stdout carries results alone.
 *
 * The spinner is our own because the one of `@clack/prompts` takes stdin raw and ends the process with code 0 on
 * Ctrl-C (bombshell-dev/clack#573).
 *
 * @module
 */

import process from 'node:process'
import { stripVTControlCharacters, styleText } from 'node:util'

/** Takes what could steer a terminal or fool its reader out of a stranger's text: controls and invisible characters. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
}

const NO_BREAK = '\u00a0'

/** Keeps words on one line, so that a command can be copied from a narrow terminal. */
export function whole(text: string): string {
  return text.replaceAll(' ', NO_BREAK)
}

/** Breaks text between words where it is wider than the terminal. A longer word, such as a link, stays whole. */
export function wrap(text: string, width: number): string {
  return text
    .split('\n')
    .flatMap((line) => wrapLine(line, width))
    .join('\n')
    .replaceAll(NO_BREAK, ' ')
}

function wrapLine(line: string, width: number): string[] {
  const [indent = ''] = /^ */.exec(line) ?? []
  const rows: string[] = []
  let row = indent
  for (const word of line.slice(indent.length).split(' ')) {
    const longer = row.trim() === '' ? row + word : `${row} ${word}`
    if (stripVTControlCharacters(longer).length <= width || row.trim() === '') row = longer
    else {
      rows.push(row)
      row = indent + word
    }
  }
  return [...rows, row]
}

/** Says a line to the person, on stderr. */
export function say(line = ''): void {
  const { isTTY, columns } = process.stderr
  process.stderr.write(`${wrap(line, isTTY && columns ? columns : Number.POSITIVE_INFINITY)}\n`)
}

/** Makes text bold, where the stream is a terminal and `NO_COLOR` does not forbid it. */
export function bold(text: string, stream: NodeJS.WriteStream = process.stderr): string {
  return styleText('bold', text, { stream })
}

const MARKS = { done: ['green', '✓'], warning: ['yellow', '!'] } as const

/** A check mark or an exclamation mark to open a line with, coloured where that is wanted. */
export function mark(kind: keyof typeof MARKS): string {
  const [color, sign] = MARKS[kind]
  return styleText(color, sign, { stream: process.stderr })
}

/** Says when `ms` (epoch milliseconds) is, as people here write it. */
export function date(ms: number): string {
  return new Date(ms).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' })
}

/** Says how long `seconds` are, in the largest unit that fits: `30 days`, `1 hour`, `50 seconds`. */
export function duration(seconds: number): string {
  const units = [
    ['day', 86_400],
    ['hour', 3600],
    ['minute', 60],
    ['second', 1],
  ] as const
  // an hour less the second since its start is still called an hour
  const about = seconds + Math.min(seconds / 60, 30)
  const [name, size] = units.find(([, size]) => about >= size) ?? (['second', 1] as const)
  const count = Math.floor(about / size)
  return `${count} ${name}${count === 1 ? '' : 's'}`
}

const CLEAR_LINE = '\r\u001b[K'
const LINE_UP = '\u001b[A'
const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'

/** Something that is being waited for. */
export interface Spinner {
  /** Says a line above it. */
  note(line: string): void
  /** The person pressed Enter: takes the empty line away that this made. */
  entered(): void
  /** Makes it vanish. */
  stop(): void
}

/** Shows that something is being waited for: a spinner on a terminal, one line elsewhere. */
export function startSpinner(text: string): Spinner {
  const { stderr } = process
  // a dumb terminal, as screen readers like it, would say every frame
  if (!stderr.isTTY || process.env.TERM === 'dumb') {
    say(`${text} ...`)
    return { note: say, entered: () => {}, stop: () => {} }
  }
  let frame = 0
  const draw = () => {
    const line = `${'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'[frame++ % 10]} ${text}`
    stderr.write(CLEAR_LINE + line.slice(0, stderr.columns - 1))
  }
  stderr.write(HIDE_CURSOR)
  draw()
  const timer = setInterval(draw, 100)
  return {
    note(line) {
      say(CLEAR_LINE + line)
      draw()
    },
    entered() {
      stderr.write(CLEAR_LINE + LINE_UP)
      draw()
    },
    stop() {
      clearInterval(timer)
      stderr.write(CLEAR_LINE + SHOW_CURSOR)
    },
  }
}

/**
 * Waits for Enter. The terminal stays as it is, so that Ctrl-C is a signal as ever; what waits does not keep the process
 * running.
 *
 * @returns False when it was given up before, or stdin has ended.
 */
export async function waitForEnter(signal: AbortSignal): Promise<boolean> {
  const { stdin } = process
  if (signal.aborted) return false
  const entered = await new Promise<boolean>((resolve) => {
    stdin.once('data', () => resolve(true))
    stdin.once('end', () => resolve(false))
    signal.addEventListener('abort', () => resolve(false), { once: true })
    stdin.resume()
  })
  stdin.removeAllListeners('data').removeAllListeners('end')
  stdin.pause()
  stdin.unref?.()
  return entered
}
