/** The package that people install: what is in it, what it brings in, and that it works wherever it says so. @module */

import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import {
  bundleClient,
  OLD_NODE,
  type Packed,
  type PackedServer,
  packageOf,
  packed,
  servePacked,
} from './support/package.ts'
import { BUN, DENO, ROOT, whyNot } from './support/runtimes.ts'

const { version, exports: entries } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
const NODES = [process.execPath, ...(OLD_NODE ? [OLD_NODE] : [])]
const nameOf = (node: string) => (node === OLD_NODE ? 'an old Node' : 'this Node')

let project: Packed
beforeAll(async () => {
  project = await packed()
  const types = join(project.folder, 'node_modules/@types')
  mkdirSync(types)
  symlinkSync(join(ROOT, 'node_modules/@types/node'), join(types, 'node'))
})
afterAll(() => project?.remove())

describe('what is in it', () => {
  test('publint and are-the-types-wrong have nothing to say', async () => {
    const bin = (name: string) => join(ROOT, 'node_modules/.bin', name)
    const lint = await project.run([bin('publint'), 'run', '--strict', project.tarball])
    expect(stripVTControlCharacters(lint.stdout)).toMatch(/All good!\s*$/)
    const types = await project.run([bin('attw'), '--profile', 'esm-only', '--no-emoji', project.tarball])
    expect(types).toMatchObject({ code: 0 })
  })

  test('only what people need is in it: no source twice, no tests, nothing of development', () => {
    const wanted =
      /^(dist\/.+\.(js|d\.ts)|dist\/\w+\.LICENSES\.txt|docs\/.+|clients\/pairgate\.js|openapi\.json)$/
    const rest = project.files.filter((file) => !wanted.test(file))
    expect(rest).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'SECURITY.md', 'package.json'])
    // directly or not: what the lock file has for development alone
    const { packages } = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'))
    const forDevelopment = Object.entries<{ dev?: boolean }>(packages).filter(([, { dev }]) => dev)
    const installed = readdirSync(join(project.folder, 'node_modules'))
    expect(installed).toContain('hono')
    expect(installed.filter((name) => /^(node-|pairgate-|@deno|@oven)/.test(name))).toEqual([])
    expect(forDevelopment.map(([path]) => path)).toContain('node_modules/tsx')
    expect(forDevelopment.filter(([path]) => existsSync(join(project.folder, path)))).toEqual([])
  })

  test('the licence of what is bundled goes along with it', () => {
    const text = readFileSync(
      join(project.folder, 'node_modules/pairgate/dist/pairgate.LICENSES.txt'),
      'utf8',
    )
    expect(text).toMatch(/^@optique\/core [\d.]+ \(MIT\)$/m)
  })
})

describe('pairgate/client and pairgate/api', () => {
  const ALLOWED = ['pairgate']

  test.each(['pairgate/client', 'pairgate/api'])(
    '%s brings in nothing but itself, and no native module',
    async (name) => {
      const { stdout, stderr } = await project.run(['node', 'graph.js', name])
      expect(stderr).toBe('')
      const urls: string[] = JSON.parse(stdout)
      const files = urls.filter((url) => url.startsWith('file:'))
      expect([...new Set(files.map(packageOf))].sort()).toEqual(ALLOWED)
      const own = files.filter((url) => packageOf(url) === 'pairgate')
      expect(own.filter((url) => !url.includes('/pairgate/dist/clients/'))).toEqual([])
      expect(urls.filter((url) => /\.node$|node:sqlite/.test(url))).toEqual([])
    },
  )

  test('a bundle of the login kit has at most 40 KB, without the keyring', async () => {
    const { bytes, packages } = await bundleClient(project.folder)
    expect(packages).toEqual(ALLOWED)
    expect(bytes).toBeLessThanOrEqual(40 * 1024)
  })

  test('their types refer to nothing but themselves', async () => {
    writeFileSync(join(project.folder, 'tsconfig.json'), JSON.stringify(settings('nodenext', ['client.ts'])))
    const { stdout } = await project.run([
      ...COMPILERS['TypeScript 5'],
      '-p',
      'tsconfig.json',
      '--listFilesOnly',
    ])
    const files = stdout.split('\n').filter((file) => file.startsWith(project.folder))
    const others = files.filter(
      (file) => !/\/node_modules\/pairgate\/(dist\/clients\/|package\.json)/.test(file),
    )
    expect(others).toEqual([join(project.folder, 'client.ts')])
  })
})

const COMPILERS = {
  'TypeScript 5': [process.execPath, join(ROOT, 'tools/node_modules/typescript/bin/tsc')],
  'TypeScript 7': [process.execPath, join(ROOT, 'node_modules/typescript/bin/tsc')],
} as const

/** Settings of a project that takes nothing on trust, unless it is told to skip the types of its libraries. */
function settings(
  resolution: string,
  files: readonly string[],
  types: readonly string[] = [],
  skipLibCheck = false,
) {
  return {
    compilerOptions: {
      strict: true,
      skipLibCheck,
      noEmit: true,
      target: 'es2022',
      lib: ['es2022', 'dom', 'dom.iterable', 'dom.asynciterable'],
      types,
      module: resolution === 'bundler' ? 'esnext' : resolution,
      moduleResolution: resolution,
    },
    files,
  }
}

describe.each(['node16', 'nodenext', 'bundler'])('with moduleResolution %s', (resolution) => {
  test.each(Object.entries(COMPILERS))(
    'a command-line app and a gateway compile under %s',
    async (name, tsc) => {
      for (const [file, needed] of [
        ['client.ts', []],
        ['server.ts', ['node']],
      ] as const) {
        const config = `tsconfig.${file}.${resolution}.${name.at(-1)}.json`
        // what the types of a server's libraries are worth is the same each time, and takes seconds to find out
        const skip = file === 'server.ts' && resolution !== 'nodenext'
        writeFileSync(
          join(project.folder, config),
          JSON.stringify(settings(resolution, [file], needed, skip)),
        )
        expect(await project.run([...tsc, '-p', config])).toEqual({ code: 0, stdout: '', stderr: '' })
      }
    },
    120_000,
  )
})

test('both compile in Deno', async (context) => {
  const reason = whyNot([DENO])
  if (reason) context.skip(reason)
  expect(await project.run([DENO, 'check', '--quiet', 'client.ts', 'server.ts'])).toMatchObject({ code: 0 })
})

describe('at run time', () => {
  let server: PackedServer
  let token: string
  beforeAll(async () => {
    server = await servePacked(project)
    token = await server.signIn('alice')
  })
  afterAll(async () => expect(await server.stop()).toBe(0))

  const CALLERS: Record<string, readonly string[]> = {
    deno: [DENO, 'run', '--no-prompt', '--allow-net=127.0.0.1', '--allow-env', '--allow-read=.', 'call.js'],
    bun: [BUN, 'call.js'],
  }
  test.for(Object.entries(CALLERS))('%s calls a server of the same package', async ([, command], context) => {
    const reason = whyNot(command)
    if (reason) context.skip(reason)
    expect(await project.run([...command, server.base, token])).toEqual({
      code: 0,
      stdout: '["alice","alice"]\n',
      stderr: '',
    })
  })

  describe.each(NODES.map((node) => [nameOf(node), node] as const))('on %s', (_, node) => {
    test('both clients call a server of the same package', async () => {
      const called = await project.run(['node', 'call.js', server.base, token], { node })
      expect(called).toEqual({ code: 0, stdout: '["alice","alice"]\n', stderr: '' })
    })

    test('npx pairgate runs', async () => {
      const versioned = await project.run(['npx', 'pairgate', '--version'], { node })
      expect(versioned).toMatchObject({ code: 0, stdout: expect.stringContaining(version) })
      const help = await project.run(['npx', 'pairgate', '--help'], { node })
      expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining('login') })
    })

    test('the OpenAPI document can be imported', async () => {
      const program = `import api from 'pairgate/openapi.json' with { type: 'json' }; console.log(api.openapi)`
      writeFileSync(join(project.folder, 'openapi.js'), program)
      const { stdout } = await project.run(['node', 'openapi.js'], { node })
      expect(stdout).toMatch(/^3\.1\.\d\n$/)
    })
  })

  test('every entry point can be imported; MySQL asks for its driver', async () => {
    const names = Object.keys(entries).filter((entry) => !entry.endsWith('.json'))
    const program = `for (const name of ${JSON.stringify(names)})
      console.log(name, await import(name.replace('.', 'pairgate')).then(() => 'ok', (error) => error.message.split("'")[1]))`
    writeFileSync(join(project.folder, 'all.js'), program)
    const { stdout, stderr } = await project.run(['node', 'all.js'])
    const expected = names.map((name) => `${name} ${name === './mysql' ? 'mysql2' : 'ok'}\n`)
    expect({ stdout, stderr }).toEqual({ stdout: expected.join(''), stderr: '' })
  })
})
