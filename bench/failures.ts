/** What failed. A run goes on without it, says so at its end, and ends with an exit code of 1. @module */

import process from 'node:process'
import type { Server } from './servers.ts'

/** What failed, each once. */
export const failures: string[] = []

/**
 * Does something that others need not fail with.
 *
 * @param what Who did what, in words.
 * @param server Whose words on stderr tell more.
 * @returns Null when it failed.
 */
export async function attempt<T>(
  what: string,
  server: Server | null,
  work: () => Promise<T>,
): Promise<T | null> {
  try {
    return await work()
  } catch (error) {
    const { message } = error instanceof Error ? error : new Error(String(error))
    failures.push(what)
    process.stderr.write(`\n${what} failed: ${message}\n${server?.output().slice(-4000) ?? ''}\n`)
    return null
  }
}
