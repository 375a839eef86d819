/** The helper for kubectl: the real one, which starts the command, which finds the login. @module */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import type { Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { type CommandWorld, createCommandWorld, LAUNCHER, runProgram } from './support/command_world.ts'
import { bring, environmentOf } from './support/debian.ts'

let world: CommandWorld
beforeEach(async () => {
  world = await createCommandWorld()
  onTestFinished(async () => await world.close())
})

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

/** The kubectl of this machine, else Debian's. */
async function findKubectl(): Promise<{ program: string; env: NodeJS.ProcessEnv } | null> {
  try {
    execFileSync('kubectl', ['version', '--client'], { stdio: 'ignore' })
    return { program: 'kubectl', env: { PATH: process.env.PATH } }
  } catch {
    try {
      return { program: 'kubectl', env: environmentOf(await bring(['kubernetes-client'])) }
    } catch (error) {
      const loud = `!!! TESTS WILL BE SKIPPED: no kubectl (${error instanceof Error ? error.message : error}) !!!`
      if (process.env.CI) throw new Error(loud)
      console.warn(`\n${loud}\n`)
      return null
    }
  }
}

describe('kubectl-credential', () => {
  const INFO = (apiVersion: string) =>
    JSON.stringify({ apiVersion, kind: 'ExecCredential', spec: { interactive: false } })

  test.each(['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'])(
    'answers in %s, to be asked again a minute before the end',
    async (apiVersion) => {
      const { access_token: token, expires_at } = await world.login('alice')
      const ran = await world.run(['kubectl-credential'], { env: { KUBERNETES_EXEC_INFO: INFO(apiVersion) } })
      expect(ran).toMatchObject({ code: 0, stderr: '' })
      const { status, ...rest } = JSON.parse(ran.stdout)
      expect(rest).toEqual({ apiVersion, kind: 'ExecCredential' })
      expect(status).toEqual({ token, expirationTimestamp: expect.stringMatching(/^[\d-]+T[\d:]+Z$/) })
      expect(Date.parse(status.expirationTimestamp) / 1000).toBe(expires_at - 60)
    },
  )

  test('without a question it answers in v1; the token of the environment has no known end', async () => {
    const { stdout } = await world.run(['kubectl-credential'], { env: { PAIRGATE_TOKEN: 'pgk_given' } })
    expect(JSON.parse(stdout)).toEqual({
      apiVersion: 'client.authentication.k8s.io/v1',
      kind: 'ExecCredential',
      status: { token: 'pgk_given' },
    })
  })

  test('fails on stderr alone: nobody is signed in, or the question is none', async () => {
    const out = await world.run(['kubectl-credential'])
    expect(out).toMatchObject({ code: 4, stdout: '', stderr: expect.stringContaining('pairgate login') })
    for (const info of ['{', '{}', INFO('client.authentication.k8s.io/v1alpha1')]) {
      const { code, stdout } = await world.run(['kubectl-credential'], {
        env: { KUBERNETES_EXEC_INFO: info },
      })
      expect([info, code, stdout]).toEqual([info, 1, ''])
    }
  })
})

describe('the real kubectl', async () => {
  const kubectl = await findKubectl()
  let folder: string
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'pairgate-kubectl-'))
    const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1']
    const name = ['-subj', '/CN=cluster', '-addext', 'subjectAltName=IP:127.0.0.1']
    openssl('req', '-x509', ...key, '-keyout', 'key.pem', '-out', 'cert.pem', ...name)
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** A cluster that answers whoever has a good credential, and says who that was. */
  async function startCluster(): Promise<{ server: string; seen: string[] }> {
    const seen: string[] = []
    const files = { key: readFileSync(join(folder, 'key.pem')), cert: readFileSync(join(folder, 'cert.pem')) }
    const server = createTlsServer(files, async (request, response) => {
      const { authorization = '' } = request.headers
      const asked = new Request(world.server, { headers: { authorization } })
      const who = await world.gate.gate.authenticate(asked)
      seen.push(who?.user.subject ?? 'nobody')
      response.writeHead(who ? 200 : 401, { 'content-type': 'application/json' })
      response.end(JSON.stringify(who ? { hello: who.user.subject } : { kind: 'Status', code: 401 }))
    })
    return { server: `https://127.0.0.1:${await listen(server)}`, seen }
  }

  /** As the documentation has it. */
  const configuration = (server: string, version: string) =>
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'it',
      contexts: [{ name: 'it', context: { cluster: 'it', user: 'it' } }],
      clusters: [{ name: 'it', cluster: { server, 'certificate-authority': join(folder, 'cert.pem') } }],
      users: [
        {
          name: 'it',
          user: {
            exec: {
              apiVersion: `client.authentication.k8s.io/${version}`,
              command: process.execPath,
              args: [LAUNCHER, 'kubectl-credential', '--server', world.server],
              interactiveMode: 'Never',
            },
          },
        },
      ],
    })

  const isOld = kubectl !== null && /v1\.(1\d|20|21)\./.test(clientVersion(kubectl))

  test.skipIf(!kubectl).each(isOld ? ['v1beta1'] : ['v1', 'v1beta1'])('asks by %s', async (version) => {
    const { server, seen } = await startCluster()
    await world.login('alice')
    const file = join(world.directory, 'kubeconfig')
    writeFileSync(file, configuration(server, version))
    const run = async () =>
      await runProgram(kubectl?.program ?? '', ['get', '--raw', '/x'], {
        env: { ...world.env, ...kubectl?.env, KUBECONFIG: file },
      })
    expect(await run()).toMatchObject({ code: 0, stdout: '{"hello":"alice"}' })
    // some ask for the version first
    expect(new Set(seen)).toEqual(new Set(['alice']))
    const before = seen.length
    await world.run(['logout'])
    const out = await run()
    expect([out.code, out.stderr]).toEqual([1, expect.stringContaining('Nobody is signed in')])
    expect(seen.slice(before)).toEqual([])
  })
})

function clientVersion({ program, env }: { program: string; env: NodeJS.ProcessEnv }): string {
  return execFileSync(program, ['version', '--client'], { env, encoding: 'utf8' })
}
