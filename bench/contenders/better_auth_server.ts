/** better-auth with its device authorization, as its documentation sets it up. @module */

import { createServer } from 'node:http'
import process from 'node:process'
import { DatabaseSync } from 'node:sqlite'
import { type BetterAuthOptions, betterAuth } from 'better-auth'
import { getMigrations } from 'better-auth/db/migration'
import { toNodeHandler } from 'better-auth/node'
import { bearer, deviceAuthorization } from 'better-auth/plugins'

/** Makes it, with its tables. */
export async function openBetterAuth(file: string, port: number) {
  const database = new DatabaseSync(file)
  // as everybody here: the defaults would wait for the disk at each write
  database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;')
  const options = {
    baseURL: `http://127.0.0.1:${port}`,
    secret: 'a-secret-of-the-bench-that-is-long-enough',
    database,
    // sign-ups are not measured, and a good password hash would take most of the time
    emailAndPassword: {
      enabled: true,
      password: { hash: async (text) => text, verify: async ({ hash, password }) => hash === password },
    },
    // off by default outside production; one address would be over it at once
    rateLimit: { enabled: false },
    telemetry: { enabled: false },
    plugins: [bearer(), deviceAuthorization({ expiresIn: '30m', interval: '5s' })],
  } satisfies BetterAuthOptions
  const { runMigrations } = await getMigrations(options)
  await runMigrations()
  return betterAuth(options)
}

if (import.meta.main) {
  const port = Number(process.env.PORT)
  const auth = await openBetterAuth(process.env.BENCH_DATABASE ?? ':memory:', port)
  createServer(toNodeHandler(auth)).listen(port, '127.0.0.1')
}
