/** A login as the person at the terminal sees it: the link, the code, a warning, and that something is waited for. @module */

import process from 'node:process'
import { openBrowser } from '../browser.ts'
import type { Login } from '../client.ts'
import type { LoginPrompt } from '../login.ts'
import type { Transport } from '../transport.ts'
import type { Context } from './context.ts'
import type { LoginCommand } from './options.ts'
import {
  bold,
  duration,
  mark,
  printable,
  type Spinner,
  say,
  startSpinner,
  waitForEnter,
  whole,
} from './terminal.ts'
import { commandLine } from './words.ts'

const OPEN: { readonly [via in Transport]: string } = {
  device: 'To sign in, open this link here or on any other device:',
  link: 'To sign in, open this link here or on any other device:',
  loopback: 'To sign in, open this link in a browser on this machine:',
}

type Draw = (url: string) => readonly string[]

function showPrompt({ via, url, entry_url, code }: LoginPrompt, draw: Draw | null): void {
  say(OPEN[via])
  say(`\n  ${bold(printable(url))}\n`)
  for (const line of draw?.(url) ?? []) process.stderr.write(`${line}\n`)
  say(`Check that the page shows: ${bold(whole(printable(code)))}`)
  if (entry_url) say(`Without the link, go to ${printable(entry_url)} and type that code.`)
  if (via === 'loopback')
    say(`From another device? Ctrl-C, then run: ${whole(commandLine('login', '--device'))}`)
  say('\nOnly allow it if you started this login yourself. Never share the link or the code.\n')
}

/** Draws the link, where a person can see it. */
async function findDraw(wanted: boolean | undefined): Promise<Draw | null> {
  const { isTTY, columns } = process.stderr
  if (!wanted || !isTTY) return null
  const { drawQR, hasColor } = await import('./qr.ts')
  return (url) => {
    const lines = drawQR(url, { color: hasColor(), width: columns })
    return lines.length > 0 ? [...lines, ''] : ['The terminal is too narrow for a QR code of the link.', '']
  }
}

/** Opens the link: at Enter where somebody can press that, else at once. */
async function open(url: string, spinner: Spinner | undefined, ended: AbortSignal): Promise<boolean> {
  if (!canPressEnter()) return await openBrowser(url)
  // signed in by hand meanwhile: nothing has failed
  if (!(await waitForEnter(ended))) return true
  spinner?.entered()
  return await openBrowser(url)
}

const canPressEnter = () => Boolean(process.stdin.isTTY && process.stderr.isTTY)

/** Signs in with a person at the terminal: shows the link, opens it if that is wanted, waits for the decision. */
export async function loginOnScreen(context: Context, options: LoginCommand): Promise<Login> {
  const { client, signal, where } = context
  const { via, scope, name: deviceName, noBrowser, qr } = options
  const draw = await findDraw(qr)
  const ended = new AbortController()
  let spinner: Spinner | undefined
  let trouble = ''
  const note = (line: string) => (spinner ?? { note: say }).note(line)
  try {
    return await client.login({
      // a QR code is for another device, which a link for this machine is no good on
      via: via ?? (qr && !noBrowser ? 'link' : 'auto'),
      ...(noBrowser && { browser: false }),
      ...{ deviceName, scope, signal, where },
      open: (url) => open(url, spinner, ended.signal),
      onPrompt(prompt) {
        spinner?.stop()
        showPrompt(prompt, draw)
        if (prompt.browser && canPressEnter()) say('Press Enter to open it in your browser')
        spinner = startSpinner(`Waiting for the browser, ${duration(prompt.expires_in)} at most`)
      },
      onBrowserFailure() {
        note(
          via || qr
            ? 'The browser did not open; please open the link yourself.'
            : `${mark('warning')} No browser could be opened here; a code does it too.\n`,
        )
      },
      onRetry({ message }) {
        if (message !== trouble) note(`${mark('warning')} ${printable(message)}; trying again`)
        trouble = message
      },
    })
  } finally {
    ended.abort()
    spinner?.stop()
  }
}
