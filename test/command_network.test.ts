/** The command's way to a server behind a proxy, with a certificate of an authority of one's own. @module */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { toNodeHandler } from '../adapters/node.ts'
import { makeKey } from './support/account.ts'
import { type CommandWorld, createCommandWorld, LAUNCHER, runProgram } from './support/command_world.ts'
import { BUN, DENO, type Runtime } from './support/runtimes.ts'

const folder = mkdtempSync(join(tmpdir(), 'pairgate-network-'))
const authority = join(folder, 'ca.pem')
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1']

/** Key and certificate for a host, of the authority. With negative days it has expired. */
function certify(host: string, days: '1' | '-1' = '1'): { key: Buffer; cert: Buffer } {
  writeFileSync(join(folder, 'names'), `subjectAltName=DNS:${host}`)
  openssl('req', ...EC, '-keyout', `${host}.key`, '-out', `${host}.csr`, '-subj', `/CN=${host}`)
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', days, '-extfile', 'names']
  openssl('x509', '-req', '-in', `${host}.csr`, '-out', `${host}.pem`, ...signed)
  return { key: readFileSync(join(folder, `${host}.key`)), cert: readFileSync(join(folder, `${host}.pem`)) }
}

/** Hosts that only the proxy can find. What is neither of the two has the certificate of the first. */
const GATEWAY = 'gateway.test'
const EXPIRED = 'expired.test'
const MISNAMED = 'misnamed.test'

let world: CommandWorld
let token: string
let tlsServer: Server
let expiredServer: Server
let proxyServer: Server
let proxy: string
/** What went through the proxy. */
const passed: string[] = []
beforeEach(() => {
  passed.length = 0
})

const listen = async (server: Server) =>
  await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  )

beforeAll(async () => {
  openssl('req', '-x509', ...EC, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=authority')
  const identify = () => ({ subject: 'alice', auth_time: Date.now() / 1000 })
  world = await createCommandWorld({ baseUrl: `https://${GATEWAY}`, identify }, '')
  token = (await makeKey(world.gate.browser())).secret
  expect(token).not.toBe('')
  tlsServer = createTlsServer(certify(GATEWAY), toNodeHandler(world.gate.gate))
  expiredServer = createTlsServer(certify(EXPIRED, '-1'))
  const [port, expiredPort] = [await listen(tlsServer), await listen(expiredServer)]
  proxyServer = createServer((request, response) => {
    passed.push(`${request.method} ${request.url}`)
    response.writeHead(502).end()
  }).on('connect', (request, socket, head) => {
    passed.push(`CONNECT ${request.url} ${request.headers['proxy-authorization'] ?? ''}`.trim())
    const inner = connect(request.url === `${EXPIRED}:443` ? expiredPort : port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      inner.write(head)
      inner.pipe(socket).pipe(inner)
    })
    for (const [one, other] of [
      [inner, socket],
      [socket, inner],
    ])
      one?.on('error', () => other?.destroy())
  })
  proxy = `http://127.0.0.1:${await listen(proxyServer)}`
})
afterAll(async () => {
  tlsServer.close()
  expiredServer.close()
  proxyServer.close()
  await world.close()
  rmSync(folder, { recursive: true })
})

const COMMANDS: Record<Runtime, readonly string[]> = {
  node: [process.execPath, LAUNCHER],
  deno: [DENO, 'run', '--no-prompt', '--no-lock', '-A', LAUNCHER],
  bun: [BUN, LAUNCHER],
}

/** Runs `pairgate status` with a token, in nothing of this machine's proxies and certificates. */
async function status(env: NodeJS.ProcessEnv, server = `https://${GATEWAY}`, runtime: Runtime = 'node') {
  const own = /^((https?|all|no)_proxy|NODE_EXTRA_CA_CERTS|SSL_CERT_FILE|DENO_CERT|NODE_USE_.*)$/i
  const bare = Object.fromEntries(Object.entries(world.env).filter(([name]) => !own.test(name)))
  const [program = '', ...args] = COMMANDS[runtime]
  return await runProgram(program, [...args, 'status', '--server', server], {
    // Deno looks for a newer one of itself now and then
    env: { ...bare, DENO_NO_UPDATE_CHECK: '1', PAIRGATE_TOKEN: token, ...env },
  })
}

const TRUST = () => ({ NODE_EXTRA_CA_CERTS: authority })
const SIGNED_IN = { code: 0, stdout: expect.stringContaining(`Signed in as alice at ${GATEWAY}`) }
const CONNECTED = `CONNECT ${GATEWAY}:443`

describe.each<Runtime>(['node', 'deno', 'bun'])('on %s', (runtime) => {
  const run = (env: NodeJS.ProcessEnv, server?: string) => status(env, server, runtime)

  test('the proxy of HTTPS_PROXY, in capitals or not, leads to the server', async () => {
    expect(await run({ ...TRUST(), HTTPS_PROXY: proxy })).toMatchObject({ ...SIGNED_IN, stderr: '' })
    expect(passed).toEqual([CONNECTED])
    expect(await run({ ...TRUST(), https_proxy: proxy })).toMatchObject(SIGNED_IN)
    expect(passed).toEqual([CONNECTED, CONNECTED])
  })

  test('NO_PROXY goes straight to the server', async () => {
    for (const NO_PROXY of [GATEWAY, '.test', '*', 'other.example, gateway.test']) {
      const { code, stderr } = await run({ ...TRUST(), HTTPS_PROXY: proxy, NO_PROXY })
      expect([NO_PROXY, code, passed]).toEqual([NO_PROXY, 1, []])
      expect(stderr).toContain(`https://${GATEWAY} does not answer`)
    }
  })

  test('this machine is never asked through a proxy: the token would be for it to read', async () => {
    const { port } = world.gate
    for (const host of ['127.0.0.1', 'localhost', '127.0.0.2']) {
      const env = { HTTP_PROXY: proxy, HTTPS_PROXY: proxy, NO_PROXY: 'other.example' }
      const { code, stderr } = await run(env, `http://${host}:${port}`)
      expect([host, code, passed]).toEqual([host, 1, []])
      expect(stderr).not.toContain('HTTP_PROXY')
    }
  })

  test('an authority of one’s own is trusted by SSL_CERT_FILE too', async () => {
    expect(await run({ SSL_CERT_FILE: authority, HTTPS_PROXY: proxy })).toMatchObject(SIGNED_IN)
  })

  test('an unknown authority is named as such, with what helps', async () => {
    const { code, stderr } = await run({ HTTPS_PROXY: proxy })
    expect([code, stderr]).toEqual([1, expect.stringContaining('NODE_EXTRA_CA_CERTS=/path/to/')])
    expect(stderr).toContain('authority that is not known')
  })

  test('a certificate that has expired is named as such', async () => {
    const { code, stderr } = await run({ ...TRUST(), HTTPS_PROXY: proxy }, `https://${EXPIRED}`)
    expect([code, stderr]).toEqual([1, expect.stringContaining('is not valid at this time')])
  })

  test('a certificate for another host is named as such', async () => {
    const { code, stderr } = await run({ ...TRUST(), HTTPS_PROXY: proxy }, `https://${MISNAMED}`)
    expect([code, stderr]).toEqual([1, expect.stringContaining('certificate is for another host')])
  })

  test('a proxy that is away is named as a possible cause', async () => {
    const { code, stderr } = await run({ ...TRUST(), HTTPS_PROXY: 'http://127.0.0.1:9' })
    expect([code, stderr]).toEqual([1, expect.stringContaining('the proxy that HTTPS_PROXY names')])
  })
})

describe('on Node', () => {
  test('a proxy may want a password, or be named without http://', async () => {
    const withPassword = proxy.replace('//', '//ada:secret@')
    expect(await status({ ...TRUST(), HTTPS_PROXY: withPassword })).toMatchObject(SIGNED_IN)
    expect(await status({ ...TRUST(), HTTPS_PROXY: proxy.slice('http://'.length) })).toMatchObject(SIGNED_IN)
    expect(passed).toEqual([`${CONNECTED} Basic ${btoa('ada:secret')}`, CONNECTED])
  })

  test('what is no proxy is said, without the password that it may hold', async () => {
    const { stderr } = await status({ ...TRUST(), HTTPS_PROXY: 'http://ada:secret@[bad' })
    expect(stderr).toContain('HTTPS_PROXY: not the URL of a proxy')
    expect(stderr).not.toContain('secret')
  })

  test('a file without certificates is said', async () => {
    const file = join(folder, 'empty.pem')
    writeFileSync(file, 'nothing\n')
    for (const SSL_CERT_FILE of [file, join(folder, 'absent.pem')]) {
      const { stderr } = await status({ SSL_CERT_FILE, HTTPS_PROXY: proxy })
      expect(stderr).toContain(`SSL_CERT_FILE: ${SSL_CERT_FILE} holds no certificates`)
    }
  })

  test('without a variable, neither TLS nor proxies are loaded for it', async () => {
    const probe = `
      const { useProxyAndCertificates } = await import('${new URL('../clients/command/network.ts', import.meta.url)}')
      await useProxyAndCertificates({ NO_PROXY: '*' }, 'https://${GATEWAY}')
      console.log(process.moduleLoadList.filter((name) => /NativeModule (https?|tls)$/.test(name)).join())`
    const { code, stdout } = await runProgram(process.execPath, ['--input-type=module', '-e', probe], {
      env: world.env,
    })
    expect([code, stdout]).toEqual([0, '\n'])
  })
})
