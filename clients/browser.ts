/** Opening a link in the person's browser. @module */

import type { ChildProcess } from 'node:child_process'
import process from 'node:process'

async function start(url: string): Promise<ChildProcess> {
  const program = process.env.BROWSER
  if (!program) {
    const { default: open } = await import('open')
    return await open(url)
  }
  const { spawn } = await import('node:child_process')
  const [file = '', ...args] = program.trim().split(/\s+/)
  // no shell: the link comes from a server
  const at = args.indexOf('%s')
  const all = at < 0 ? [...args, url] : args.with(at, url)
  return spawn(file, all, { stdio: 'ignore', detached: true })
}

/**
 * Opens a link, by `$BROWSER` (a program and its arguments; `%s` stands for the link) or as the system does it.
 *
 * @returns False when that failed. True may take as long as the browser runs.
 */
export async function openBrowser(url: string): Promise<boolean> {
  try {
    const child = await start(url)
    child.unref()
    return await new Promise((resolve) => {
      child.once('error', () => resolve(false))
      child.once('exit', (code) => resolve(code === 0))
    })
  } catch {
    return false
  }
}
