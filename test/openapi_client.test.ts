/** A client that a generator of somebody else's makes of our OpenAPI document: it compiles, and signs in. @module */

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { copyFileSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type LiveGate, listenGate } from './support/listen.ts'
import { FILE } from './support/openapi.ts'

const root = join(import.meta.dirname, '..')
const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'pairgate-openapi-'))
let gate: LiveGate

beforeAll(async () => {
  // a project of its own that has the generator's runtime
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'), 'dir')
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }')
  copyFileSync(join(root, 'test/support/openapi_cli.ts'), join(folder, 'cli.ts'))
  const generator = join(root, 'node_modules/oazapfts/dist/cli.js')
  await run(process.execPath, [generator, FILE, join(folder, 'pairgate.ts')])
  gate = await listenGate(() => ({}), '/auth')
})

afterAll(async () => {
  await gate.close()
  rmSync(folder, { recursive: true })
})

const ended = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once('close', resolve))

describe('a client made by oazapfts', () => {
  test('has a function for every operation, and no `any`', () => {
    const source = readFileSync(join(folder, 'pairgate.ts'), 'utf8')
    const ids = [...readFileSync(FILE, 'utf8').matchAll(/"operationId": "(\w+)"/g)].map(([, id]) => id)
    const functions = [...source.matchAll(/^export function (\w+)/gm)].map(([, name]) => name)
    expect(functions.toSorted()).toEqual(ids.toSorted())
    expect(source).not.toMatch(/\bany\b(?=[;[>),\]])/)
  })

  test('compiles, and so does an app that reads every answer by its status; what is wrong does not', async () => {
    const wrong = "import { deviceAuthorize } from './pairgate.ts'\n"
    writeFileSync(
      join(folder, 'wrong.ts'),
      `${wrong}await deviceAuthorize({ client_id: 'mytool', scopes: 'read' })\n`,
    )
    const options = [
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--allowImportingTsExtensions',
      '--ignoreConfig',
    ]
    const target = ['--target', 'es2022', '--module', 'nodenext', '--types', 'node', '--lib', 'es2023,dom']
    const compile = async (file: string) => {
      const args = [join(root, 'node_modules/typescript/bin/tsc'), ...options, ...target, file]
      const { stdout } = await run(process.execPath, args, { cwd: folder }).catch(
        (error: { stdout: string }) => error,
      )
      return stdout
    }
    expect(await compile('cli.ts')).toBe('')
    expect(await compile('wrong.ts')).toMatch(/^wrong\.ts\(2,\d+\): error TS\d+: .*'scopes' does not exist/)
  })

  test.each(['procedures', 'forms'])(
    'signs in by the device flow, by %s, and ends its login',
    async (door) => {
      const child = spawn(process.execPath, [join(folder, 'cli.ts'), gate.base, door], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      const done = ended(child)
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      const read = async () => String((await lines.next()).value).split(' ')
      const [link = '', ...early] = await read()
      expect(early).toEqual(['authorization_pending', '5'])
      const person = gate.browser()
      await person.post('/auth/sign-in/dev', { username: 'ada' })
      const answer = await person.decide(link, 'allow')
      expect(answer.status).toBe(200)
      child.stdin.write('\n')
      expect((await read()).slice(0, 5)).toEqual(['ada', 'api_key', 'a', 'generated', 'client'])
      expect(await read()).toEqual(['200', '401', 'UNAUTHORIZED'])
      expect(await done).toBe(0)
    },
  )
})
