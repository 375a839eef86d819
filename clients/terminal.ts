/**
 * What the command needs of a terminal: safe text, a spinner, a browser. Everything goes to stderr, so that stdout
 * carries results alone.
 *
 * The spinner is our own because the one of `@clack/prompts` takes stdin raw and ends the process with code 0 on
 * Ctrl-C (bombshell-dev/clack#573).
 *
 * @module
 */

import { styleText } from 'node:util'
import open from 'open'
import type { Client } from './client.ts'
import {
  type LoginFlow,
  type LoginPrompt,
  type LoginToken,
  loginWithDevice,
  loginWithPaircode,
} from './login.ts'

type Environment = Readonly<Record<string, string | undefined>>

/** Takes what could steer a terminal or fool its reader out of a stranger's text: controls and invisible characters. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '')
}

/** Says a line to the person, on stderr. */
export function say(line = ''): void {
  process.stderr.write(`${line}\n`)
}

/** Makes text bold, where stderr is a terminal and `NO_COLOR` does not forbid it. */
export function bold(text: string): string {
  return styleText('bold', text, { stream: process.stderr })
}

/** A check mark or an exclamation mark to open a line with, coloured where that is wanted. */
export function mark(kind: 'done' | 'warning'): string {
  const [color, sign] = kind === 'done' ? (['green', '✓'] as const) : (['yellow', '!'] as const)
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
const HIDE_CURSOR = '\u001b[?25l'
const SHOW_CURSOR = '\u001b[?25h'

/**
 * Shows that something is being waited for: a spinner on a terminal, one line elsewhere.
 *
 * @param ended Aborted when the wait is over; the spinner then vanishes.
 * @returns Says a line above it.
 */
export function startSpinner(text: string, ended: AbortSignal): (line: string) => void {
  const { stderr } = process
  if (!stderr.isTTY) {
    say(`${text} ...`)
    return say
  }
  let frame = 0
  const draw = () => {
    const line = `${'⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏'[frame++ % 10]} ${text}`
    stderr.write(CLEAR_LINE + line.slice(0, stderr.columns - 1))
  }
  stderr.write(HIDE_CURSOR)
  draw()
  const timer = setInterval(draw, 100)
  ended.addEventListener('abort', () => {
    clearInterval(timer)
    stderr.write(CLEAR_LINE + SHOW_CURSOR)
  })
  return (line) => say(CLEAR_LINE + line)
}

/** Tells whether a browser that a person sees can be opened from here. */
export function canOpenBrowser(env: Environment, platform: string, isTTY: boolean): boolean {
  if (!isTTY || (env.CI && !['0', 'false'].includes(env.CI))) return false
  if (env.SSH_CONNECTION || env.SSH_CLIENT || env.SSH_TTY) return false
  return platform !== 'linux' || Boolean(env.DISPLAY || env.WAYLAND_DISPLAY)
}

/** Picks the flow: what was asked for, else the paircode where its link can be opened, else the device code. */
export function chooseFlow(asked: LoginFlow | undefined, browser: boolean): LoginFlow {
  return asked ?? (browser ? 'pair' : 'device')
}

function openBrowser(url: string, onFailure: () => void): void {
  open(url).then((child) => {
    child.once('error', onFailure)
    child.once('exit', (code) => code && onFailure())
  }, onFailure)
}

function showPrompt({ url, entry_url, code }: LoginPrompt, browser: boolean): void {
  const anywhere = entry_url ? ' here or on any other device' : ''
  say(
    browser
      ? 'Your browser opens this link; if not, open it yourself:'
      : `To sign in, open this link${anywhere}:`,
  )
  say(`\n  ${bold(printable(url))}\n`)
  say(`Check that the page shows: ${bold(printable(code))}`)
  if (entry_url) say(`Without the link, go to ${printable(entry_url)} and type that code.`)
  say('\nOnly allow it if you started this login yourself. Never share the link or the code.\n')
}

/** How a login is run on a terminal. */
export interface OnScreen {
  readonly flow: LoginFlow
  /** Open the link too, beside showing it. */
  readonly browser: boolean
  /** What to ask for, separated by spaces. */
  readonly scope?: string | undefined
  readonly deviceName: string
  readonly signal: AbortSignal
}

/** Signs in with a person at the terminal: shows the link, opens it if asked to, waits for the decision. */
export async function loginOnScreen(
  client: Client,
  { flow, browser, ...rest }: OnScreen,
): Promise<LoginToken> {
  const signIn = flow === 'device' ? loginWithDevice : loginWithPaircode
  const ended = new AbortController()
  let note: (line: string) => void = say
  let trouble = ''
  try {
    return await signIn(client, {
      ...rest,
      onPrompt(prompt) {
        showPrompt(prompt, browser)
        note = startSpinner(`Waiting for the browser, ${duration(prompt.expires_in)} at most`, ended.signal)
        const onFailure = () =>
          !ended.signal.aborted && note('The browser did not open; please open the link yourself.')
        if (browser) openBrowser(prompt.url, onFailure)
      },
      onRetry({ message }) {
        if (message !== trouble) note(`${mark('warning')} ${printable(message)}; trying again`)
        trouble = message
      },
    })
  } finally {
    ended.abort()
  }
}
