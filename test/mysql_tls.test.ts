/** The way to MySQL under TLS: a real server with a certificate of an authority made for the test. @module */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type MariaDb, startMariaDb } from './support/mariadb.ts'
import type { Runtime } from './support/runtimes.ts'
import { startInVain, startStandalone } from './support/standalone.ts'

const folder = mkdtempSync(join(tmpdir(), 'pairgate-tls-'))
const authority = join(folder, 'ca.pem')
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' })

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1']
const servers: MariaDb[] = []

/** A server that shows a certificate for this host name; its URL, by the name `localhost`. */
async function startFor(host: string): Promise<string> {
  const [key, request, certificate] = ['key', 'csr', 'pem'].map((kind) => join(folder, `${host}.${kind}`))
  writeFileSync(join(folder, 'names'), `subjectAltName=DNS:${host}`)
  openssl('req', ...EC, '-keyout', `${key}`, '-out', `${request}`, '-subj', `/CN=${host}`)
  const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '1', '-extfile', 'names']
  openssl('x509', '-req', '-in', `${request}`, '-out', `${certificate}`, ...signed)
  const extra = [`--ssl-cert=${certificate}`, `--ssl-key=${key}`]
  const server = await startMariaDb({ extra })
  servers.push(server)
  await server.sql("ALTER USER pairgate@'127.0.0.1' REQUIRE SSL")
  return (await server.createDatabase()).replace('127.0.0.1', 'localhost')
}

let url: string
let misnamed: string

beforeAll(async () => {
  openssl('req', '-x509', ...EC, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=authority')
  url = await startFor('localhost')
  misnamed = await startFor('db.example')
})
afterAll(async () => {
  await Promise.all(servers.map((server) => server.remove()))
  rmSync(folder, { recursive: true })
})

const SECRET = { PAIRGATE_SECRET: 'a-secret-of-more-than-32-characters' }
const TRUST = { NODE_EXTRA_CA_CERTS: authority, DENO_CERT: authority }

describe.each<Runtime>(['node', 'deno', 'bun'])('%s', (runtime) => {
  test('a server whose certificate is good is used', async () => {
    const env = { ...SECRET, ...TRUST, DATABASE_URL: `${url}?ssl=true` }
    const server = await startStandalone(env, '', runtime)
    expect((await fetch(`${server.base}/readyz`)).status).toBe(200)
    expect(await server.stop()).toBe(0)
    server.remove()
  })

  test.each([
    ['of an unknown authority', () => url, {}],
    ['for another host', () => misnamed, TRUST],
  ])('a certificate %s is refused in one line', async (_, database, trust) => {
    const env = { ...SECRET, ...trust, DATABASE_URL: `${database()}?ssl=true` }
    const { code, output } = await startInVain(env, runtime)
    expect(code).toBe(1)
    const lines = output.split('\n').filter((line) => line && !line.includes('deno run'))
    expect(lines).toEqual([
      expect.stringMatching(/^pairgate cannot start: No database server answers at localhost:/),
    ])
  })
})
