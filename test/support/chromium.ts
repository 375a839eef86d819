/** A real browser for the tests. @module */

import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PLACES = [
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/chromium-headless-shell',
]

/** Starts the browser; in CI its absence is a failure, elsewhere one loud line. */
export async function launchChromium(): Promise<Browser | null> {
  const executablePath = PLACES.find((path) => existsSync(path))
  if (!executablePath) {
    if (process.env.CI) throw new Error('Chromium is needed: apt-get install chromium')
    console.warn('\n!!! BROWSER TESTS SKIPPED: install Chromium (apt-get install chromium) !!!\n')
    return null
  }
  const args = [
    '--no-sandbox',
    '--disable-dev-shm-usage',
    '--disable-background-networking',
    '--disable-quic',
    '--no-first-run',
  ]
  return await chromium.launch({ executablePath, args })
}
