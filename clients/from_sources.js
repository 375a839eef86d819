// Runs the command from its sources, which are TypeScript: Node does so from version 24 on. An older one hands over to
// the Node that is among the development dependencies.
import { spawn } from 'node:child_process'
import { createRequire } from 'node:module'
import { constants } from 'node:os'
import { dirname, join } from 'node:path'

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
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' })
  // on Ctrl-C the child cleans up; this process stays until it is done
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  return new Promise((resolve) => {
    child.on('error', (error) => {
      console.error(`pairgate cannot start ${node}: ${error.message}`)
      resolve(1)
    })
    child.on('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
  })
}

export async function main() {
  if (Number.parseInt(process.versions.node, 10) >= 24)
    return await (await import('./command/main.ts')).main()
  const node = findNode()
  if (node) return await handOver(node)
  console.error('pairgate needs Node 24 or newer to run from its sources')
  return 1
}
