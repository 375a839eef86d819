/** How the standalone servers end: whatever their clients do, and whoever passes the signal on. @module */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { plainEnvironment, ROOT } from './support/runtimes.ts'
import {
  findFreePort,
  SERVERS,
  type ServerRuntime,
  type StandaloneServer,
  startStandalone,
} from './support/standalone.ts'

/** Half a request, after which its sender falls silent; the socket. */
async function stall(server: StandaloneServer): Promise<Socket> {
  const socket = connect(Number(new URL(server.base).port), '127.0.0.1')
  await once(socket, 'connect')
  const head = 'POST /oauth/device/authorize HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 22\r\n\r\n'
  await new Promise((resolve) => socket.write(`${head}clie`, resolve))
  socket.on('error', () => {})
  return socket
}

test('OPS-01 whoever stalls does not keep a server from ending', { timeout: 60_000 }, async () => {
  const runtimes = Object.keys(SERVERS) as ServerRuntime[]
  const codes = await Promise.all(
    runtimes.map(async (runtime) => {
      const server = await startStandalone({}, '', runtime)
      const socket = await stall(server)
      // answered after the other had arrived
      await fetch(`${server.base}/healthz`)
      const code = await server.stop()
      socket.destroy()
      server.remove()
      return code
    }),
  )
  expect(codes).toEqual(runtimes.map(() => 0))
})

test('npm passes the end on to the server', async () => {
  const [folder, port] = [mkdtempSync(join(tmpdir(), 'pairgate-npm-')), await findFreePort()]
  const env = { ...plainEnvironment(), PORT: String(port), DATABASE_URL: `sqlite:${join(folder, 'x.db')}` }
  const npm = spawn('npm', ['start'], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'ignore'] })
  // the server holds it, too
  const ended = once(npm.stdout, 'end')
  await new Promise<void>((resolve) => {
    npm.stdout.setEncoding('utf8').on('data', (text) => text.includes('listens on') && resolve())
  })
  npm.kill('SIGTERM')
  await ended
  await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow()
  rmSync(folder, { recursive: true })
})
