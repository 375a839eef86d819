#!/usr/bin/env node
// The sources are TypeScript, which Node runs as it is from version 24 on. An older Node hands over to the one that
// came along as an optional dependency.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

function findNode() {
  try {
    const manifest = createRequire(import.meta.url).resolve(
      `node-${process.platform}-${process.arch}/package.json`,
    )
    return join(dirname(manifest), 'bin', 'node')
  } catch {
    return null
  }
}

function handOver(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], { stdio: 'inherit' })
  // on Ctrl-C the child cleans up; this process stays until it is done
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    console.error(`pairgate cannot start ${node}: ${error.message}`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    process.exit(code ?? 128 + constants.signals[signal])
  })
}

const node = Number.parseInt(process.versions.node, 10) >= 24 ? process.execPath : findNode()
if (node === process.execPath) {
  const { main } = await import('./command.ts')
  process.exitCode = await main()
} else if (node) {
  handOver(node)
} else {
  console.error('pairgate needs Node 24 or newer')
  process.exitCode = 1
}
