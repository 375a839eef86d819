/** What the kit asks of the machine, once: environment, platform, terminal. The same on Node, Deno and Bun. @module */

import { readFileSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import process from 'node:process'
import type { Surroundings } from './transport.ts'

/** Tells whether this is Linux inside of Windows. */
export function isWSL(platform: string = process.platform): boolean {
  if (platform !== 'linux') return false
  try {
    return /microsoft/i.test(readFileSync('/proc/sys/kernel/osrelease', 'utf8'))
  } catch {
    return false
  }
}

/** Where this program runs. */
export function surroundings(): Surroundings {
  return {
    env: process.env,
    platform: process.platform,
    isTerminal: process.stderr.isTTY === true,
    isWSL: isWSL(),
  }
}

/** The start of the names of a program's variables: `MY_TOOL` for `my-tool`. */
export function variablePrefix(name: string): string {
  return name.toUpperCase().replace(/[^A-Z0-9]/g, '_')
}

/** Reads a variable; empty counts as not set. */
export function readVariable(name: string): string | null {
  return process.env[name] || null
}

/** What people know this machine by: `ada@laptop`. */
export function machineName(): string {
  try {
    return `${userInfo().username}@${hostname()}`
  } catch {
    // a container may run as a number that has no name
    return hostname()
  }
}
