/** Where the runtimes' programs are: as npm brings them, so that all machines test the same ones. @module */

import { existsSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

/** The checkout. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))
/** What a typed client runs on. */
export const RUNTIMES = ['node', 'deno', 'bun'] as const
/** One of them. */
export type Runtime = (typeof RUNTIMES)[number]

const inModules = (path: string) => join(ROOT, 'node_modules', path)

/** Deno itself. */
export const DENO = inModules(`@deno/linux-${process.arch}-glibc/deno`)
/** Bun itself. */
export const BUN = inModules(`@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : process.arch}/bin/bun`)
/** Node with what makes it read `.tsx` too. */
export const TSX = [process.execPath, inModules('tsx/dist/cli.mjs')] as const

/** Why this machine cannot run a command: which file of it is not there. Null when it can. */
export function whyNot(command: readonly string[]): string | null {
  const missing = command.find((part) => isAbsolute(part) && !existsSync(part))
  if (missing === undefined) return null
  const name = missing.startsWith(ROOT) ? missing.slice(ROOT.length) : missing
  return `${name} is not there${name.startsWith('node_modules') ? ': npm ci on Linux brings it' : ''}`
}

/** The environment without settings of pairgate's, so that a developer's own do not reach a test. */
export function plainEnvironment(): NodeJS.ProcessEnv {
  const own = /^(PAIRGATE_|DATABASE_URL$|HOST$|PORT$|NODE_ENV$|NODE_OPTIONS$|VITEST)/
  const others = Object.entries(process.env).filter(([name]) => !own.test(name))
  // programs are started by the hundred: compiled once, they start in half the time
  return { ...Object.fromEntries(others), NODE_COMPILE_CACHE: inModules('.cache/node') }
}
