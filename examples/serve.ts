/** Runs pairgate alone: `npm start`, and built `pairgate-server`. Settings: see "Configuration" in the README. @module */

import process from 'node:process'

/** The oldest Node that has all that a server needs; its clients run on older ones. */
const OLDEST_NODE = 24

const runtime = 'Deno' in globalThis ? 'deno' : 'Bun' in globalThis ? 'bun' : 'node'

async function main(): Promise<void> {
  if (runtime === 'node' && Number.parseInt(process.versions.node, 10) < OLDEST_NODE) {
    console.error(`pairgate cannot start: it needs Node ${OLDEST_NODE} or newer, this is ${process.version}`)
    process.exitCode = 1
    return
  }
  if (process.argv.length > 2) {
    console.error('pairgate cannot start: it takes no arguments, its settings are variables. See the README')
    process.exitCode = 1
    return
  }
  // only now: an older Node has no node:sqlite, and fails while it loads what asks for it
  const { explainStartFailure, serveStandalone } = await import('../adapters/standalone.ts')
  // Bun has Node's way of listening
  const { serve } = await (runtime === 'deno' ? import('../adapters/deno.ts') : import('../adapters/node.ts'))
  try {
    const close = await serveStandalone(process.env, serve, process.stdout.isTTY)
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.once(signal, () => close().then(() => process.exit(0)))
    }
  } catch (error) {
    explainStartFailure(error)
    process.exitCode = 1
  }
}

await main()
