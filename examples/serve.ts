/** Runs pairgate alone. Settings: see "Configuration" in the README. @module */

import process from 'node:process'
import { explainStartFailure, serveStandalone } from '../adapters/standalone.ts'

const runtime = 'Deno' in globalThis ? 'deno' : 'Bun' in globalThis ? 'bun' : 'node'
const { serve } = await import(`../adapters/${runtime}.ts`)

try {
  const close = await serveStandalone(process.env, serve, process.stdout.isTTY)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => close().then(() => process.exit(0)))
  }
} catch (error) {
  explainStartFailure(error)
  process.exitCode = 1
}
