/**
 * What the login kit weighs in a bundle, and how long `pairgate status` takes from its start to its end, beside a Node
 * program that does nothing but the same request. Both of the package as people install it.
 *
 * @module
 */

import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { bundleClient, OLD_NODE, type Packed, packed, servePacked } from '../test/support/package.ts'

const ROUNDS = 41
const SHIM = 'node_modules/pairgate/clients/pairgate.js'
const REQUEST = `const [server, token] = process.argv.slice(1)
const answer = await fetch(server + '/trpc/session.whoami', { headers: { authorization: 'Bearer ' + token } })
console.log((await answer.json()).result.data.subject)`

const median = (times: readonly number[]) => times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0

/** Milliseconds that a program takes, in turns with the others, so that what else the machine does hits all alike. */
function measure({ folder }: Packed, programs: Record<string, readonly string[]>, env: NodeJS.ProcessEnv) {
  const times = new Map(Object.keys(programs).map((name) => [name, [] as number[]]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, [program = '', ...args]] of Object.entries(programs)) {
      const start = performance.now()
      const { status, stderr } = spawnSync(program, args, { cwd: folder, env, encoding: 'utf8' })
      times.get(name)?.push(performance.now() - start)
      if (status !== 0) throw new Error(`${name} ended with ${status}: ${stderr}`)
    }
  }
  return new Map([...times].map(([name, all]) => [name, median(all)]))
}

const project = await packed()
const server = await servePacked(project)
try {
  const { bytes, gzip } = await bundleClient(project.folder)
  console.log(
    `pairgate/client, bundled and minified: ${bytes} bytes (wanted: 40960 at most), ${gzip} gzipped`,
  )
  const size = (file: string) => statSync(file).size
  const command = size(join(project.folder, 'node_modules/pairgate/dist/pairgate.js'))
  console.log(`The command: ${command} bytes. The package: ${size(project.tarball)} bytes as a tarball`)

  const token = await server.signIn('alice')
  const env = { PATH: process.env.PATH, HOME: project.folder, PAIRGATE_SERVER: server.base }
  const given = { cwd: project.folder, env, input: `${token}\n`, encoding: 'utf8' } as const
  const { status, stderr } = spawnSync(process.execPath, [SHIM, 'login', '--with-token'], given)
  if (status !== 0) throw new Error(`pairgate login ended with ${status}: ${stderr}`)
  const table: Record<string, object> = {}
  for (const node of [process.execPath, ...(OLD_NODE ? [OLD_NODE] : [])]) {
    const request = [node, '--input-type=module', '-e', REQUEST, server.base, token]
    const programs = { nothing: [node, '-e', '0'], request, status: [node, SHIM, 'status'] }
    const times = measure(project, programs, env)
    const of = (name: keyof typeof programs) => times.get(name) ?? 0
    const name = spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout.trim()
    table[name] = {
      'node -e 0': of('nothing').toFixed(1),
      'and one request': of('request').toFixed(1),
      'pairgate status': of('status').toFixed(1),
      'times (wanted: 1.5 at most)': (of('status') / of('request')).toFixed(2),
    }
  }
  console.log(`From start to end, in milliseconds, the median of ${ROUNDS} rounds`)
  console.table(table)
} finally {
  await server.stop()
  project.remove()
}
