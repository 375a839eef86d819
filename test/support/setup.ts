/** Brings what the tests need from Debian: what is missing is installed where that is possible. @module */

import { execFileSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Programs that tests start, each with the Debian package that has it. */
const NEEDS = [
  { program: 'chromium', packageName: 'chromium' },
  { program: 'python3', packageName: 'python3' },
  { program: 'script', packageName: 'bsdutils' },
] as const

function has(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** Runs once before all tests. */
export default function setup(): void {
  const wanted = NEEDS.filter(({ program }) => !has(program)).map(({ packageName }) => packageName)
  if (wanted.length > 0 && has('apt-get') && process.getuid?.() === 0) {
    console.log(`Installing for the tests: apt-get install ${wanted.join(' ')}`)
    const options = { stdio: 'ignore', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } } as const
    try {
      execFileSync('apt-get', ['update', '-qq'], options)
      execFileSync('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...wanted], options)
    } catch (error) {
      console.error(`That failed: ${error}`)
    }
  }
  const missing = NEEDS.filter(({ program }) => !has(program)).map(({ packageName }) => packageName)
  if (missing.length === 0) return
  const message = `!!! TESTS WILL BE SKIPPED: apt-get install ${missing.join(' ')} !!!`
  if (process.env.CI) throw new Error(message)
  console.warn(`\n${message}\n`)
}
