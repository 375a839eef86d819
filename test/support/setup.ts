/** Brings what the tests need from Debian: what is missing is installed where that is possible. @module */

import { execFileSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { type MariaDb, startMariaDb } from './mariadb.ts'
import { NO_MARIADB } from './matrix.ts'

/** Programs that tests start, each with the Debian package that has it. */
const NEEDS = [
  { program: 'chromium', packageName: 'chromium' },
  { program: 'python3', packageName: 'python3' },
  { program: 'script', packageName: 'bsdutils' },
  { program: 'openssl', packageName: 'openssl' },
  { program: 'git', packageName: 'git' },
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

/** Says loudly what is missing; where everything must be run, that is the end. */
function complain(message: string): void {
  const loud = `!!! TESTS WILL BE SKIPPED: ${message} !!!`
  if (process.env.CI) throw new Error(loud)
  console.warn(`\n${loud}\n`)
}

function installPrograms(): void {
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
  if (missing.length > 0) complain(`apt-get install ${missing.join(' ')}`)
}

/** Runs once before all tests. Returns what is run after them. */
export default async function setup({ provide }: TestProject): Promise<() => Promise<void>> {
  installPrograms()
  let mariadb: MariaDb | undefined
  try {
    mariadb = await startMariaDb()
  } catch (error) {
    complain(`${NO_MARIADB} (${error instanceof Error ? error.message : error})`)
  }
  provide('mariadb', mariadb?.adminUrl ?? null)
  return async () => await mariadb?.remove()
}
