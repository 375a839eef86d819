/** Brings what the tests need: Chromium, from Debian, when it is missing and can be installed. @module */

import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { CHROMIUM } from './chromium.ts'

/** Runs once before all tests. */
export default function setup(): void {
  if (CHROMIUM || !existsSync('/usr/bin/apt-get') || process.getuid?.() !== 0) return
  console.log('Installing chromium for the browser tests (apt-get install chromium) …')
  try {
    const options = { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const
    execFileSync('apt-get', ['update', '-qq'], options)
    execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', 'chromium'], options)
  } catch (error) {
    console.error(`Chromium could not be installed: ${error}`)
  }
}
