/** pairgate as people get it: built, packed, and installed into an empty project outside of the checkout. @module */

import { type ChildProcessByStdio, execFile, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import process from 'node:process'
import type { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { cached } from './debian.ts'
import { openDecision, poll, type Send, signIn, startLogin } from './logins.ts'
import { plainEnvironment, ROOT } from './runtimes.ts'
import { findFreePort } from './standalone.ts'

/** What the package is made of. */
const PARTS = [
  ...[
    'src',
    'adapters',
    'clients',
    'docs',
    'examples/serve.ts',
    'tools/build.ts',
    'tools/lazy_segmenter.ts',
    'openapi.json',
    'package.json',
  ],
  ...['package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'README.md', 'CHANGELOG.md', 'LICENSE'],
  'SECURITY.md',
]

/** How a program ended. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A project that has pairgate of the tarball, and the programs of `test/consumer`. */
export interface Packed {
  /** The project. */
  readonly folder: string
  readonly tarball: string
  /** Every file of the package, by its path in there. */
  readonly files: readonly string[]
  /**
   * Runs a program in the project, with no settings of the developer's own.
   *
   * @param options.node The Node that `node` is, and what npm's programs run on. Default: this one.
   */
  run(command: readonly string[], options?: RunOptions): Promise<Ended>
  remove(): void
}

/** How {@link Packed.run} runs something. */
export interface RunOptions {
  readonly node?: string
  readonly env?: Readonly<Record<string, string>>
  readonly input?: string
}

/** The environment as a shell has it: nothing of the npm that runs the tests, nothing of the checkout. */
function shellEnvironment(node: string): NodeJS.ProcessEnv {
  const others = Object.entries(plainEnvironment()).filter(
    ([name]) => !/^(npm_(?!config_)|npm_config_local_prefix$|INIT_CWD$)/i.test(name),
  )
  const path = (process.env.PATH ?? '').split(delimiter).filter((entry) => !entry.includes('node_modules'))
  return { ...Object.fromEntries(others), PATH: [dirname(node), ...path].join(delimiter) }
}

function start(
  [program = '', ...args]: readonly string[],
  cwd: string,
  env: NodeJS.ProcessEnv,
  input = '',
): Promise<Ended> {
  return new Promise((resolve) => {
    const options = { cwd, env, timeout: 100_000, maxBuffer: 2 ** 26 }
    const child = execFile(program, args, options, (error, stdout, stderr) =>
      resolve({
        code: error ? (child.exitCode ?? null) : 0,
        stdout,
        stderr: stderr || (error?.message ?? ''),
      }),
    )
    child.stdin?.end(input)
  })
}

async function succeed(...args: Parameters<typeof start>): Promise<string> {
  const { code, stdout, stderr } = await start(...args)
  if (code !== 0) throw new Error(`${args[0].join(' ')} ended with ${code}: ${stdout}\n${stderr}`)
  return stdout
}

function filesOf(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
}

/** Builds and packs a copy, so that nobody who works in the checkout is disturbed. Returns the tarball. */
async function pack(): Promise<string> {
  const fingerprint = createHash('sha256')
  for (const file of PARTS.flatMap((part) => filesOf(join(ROOT, part))))
    fingerprint.update(file).update('\0').update(readFileSync(file))
  const folder = await cached(`pairgate ${fingerprint.digest('hex')}`, async (into) => {
    const copy = mkdtempSync(join(tmpdir(), 'pairgate-pack-'))
    try {
      for (const part of PARTS) cpSync(join(ROOT, part), join(copy, part), { recursive: true })
      symlinkSync(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
      await succeed(['npm', 'pack', `--pack-destination=${into}`], copy, shellEnvironment(process.execPath))
    } finally {
      rmSync(copy, { recursive: true, force: true })
    }
  })
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? ''
  return join(folder, tarball)
}

/** Makes such a project, in some seconds. The tarball is made once for all that ask, the project is the caller's own. */
export async function packed(): Promise<Packed> {
  const tarball = await pack()
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-package-'))
  writeFileSync(join(folder, 'package.json'), '{ "name": "consumer", "private": true, "type": "module" }\n')
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']
  await succeed(['npm', 'install', ...flags, tarball], folder, shellEnvironment(process.execPath))
  cpSync(join(ROOT, 'test/consumer'), folder, { recursive: true })
  const inside = join(folder, 'node_modules/pairgate')
  const home = join(folder, 'home')
  mkdirSync(home)
  return {
    folder,
    tarball,
    files: filesOf(inside).map((file) => file.slice(inside.length + 1)),
    run: (command, { node = process.execPath, env = {}, input } = {}) =>
      start(command, folder, { ...shellEnvironment(node), HOME: home, ...env }, input),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** A server of a packed project. */
export interface PackedServer {
  readonly base: string
  /** Signs somebody in by the device flow, without any client. Returns an API key. */
  signIn(name: string): Promise<string>
  /** Resolves to its exit code. */
  stop(): Promise<number | null>
}

/** The standalone server of a packed project, as `npx` starts it. */
export const PACKED_SERVER = 'node_modules/.bin/pairgate-server'

/**
 * Starts a server of a packed project.
 *
 * @param program What starts it: `serve.js`, which keeps everything in memory, or {@link PACKED_SERVER}.
 * @param env Settings of the latter; `PORT` is made up.
 */
export async function servePacked(
  { folder }: Packed,
  [program, ...args]: readonly [string, ...string[]] = [process.execPath, 'serve.js'],
  env: Readonly<Record<string, string>> = {},
): Promise<PackedServer> {
  const port = await findFreePort()
  const base = `http://127.0.0.1:${port}`
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(program, args, {
    cwd: folder,
    env: { ...shellEnvironment(process.execPath), PORT: String(port), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve))
  await new Promise<void>((resolve, reject) => {
    let output = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        if (output.includes('listens')) resolve()
      })
    }
    ended.then((code) => reject(new Error(`The server ended with ${code}: ${output}`)))
  })
  const send: Send = (path, init) => fetch(new URL(path, base), init)
  return {
    base,
    async signIn(name) {
      const login = await startLogin(send, 'device')
      await (await openDecision(send, base, await signIn(send, base, name), login))('allow')
      return String((await poll(send, login)).body.access_token)
    },
    stop() {
      child.kill('SIGTERM')
      return ended
    },
  }
}

const nodeVersion = (node: string) =>
  Number(/^v(\d+)/.exec(execFileSync(node, ['--version'], { encoding: 'utf8' }))?.[1])

/** A Node older than what servers need, which clients run on all the same; undefined when there is none here. */
export const OLD_NODE = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((entry) => !entry.includes('node_modules'))
  .map((entry) => join(entry, 'node'))
  .find((node) => existsSync(node) && nodeVersion(node) < 24)

/** The npm package that a module belongs to: its path, or its URL. */
export const packageOf = (path: string): string =>
  /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? path

/**
 * What `import { createClient } from 'pairgate/client'` comes to in a bundle, without the keyring and what opens a browser,
 * which are loaded when they are needed.
 */
export async function bundleClient(folder: string) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: "export { createClient } from 'pairgate/client'", resolveDir: folder },
    bundle: true,
    minify: true,
    write: false,
    metafile: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: ['open', '@napi-rs/keyring', './keyring.js'],
  })
  const code = outputFiles[0]?.contents ?? new Uint8Array()
  const packages = Object.keys(metafile.inputs)
    .filter((path) => path !== '<stdin>')
    .map(packageOf)
  return { bytes: code.length, gzip: gzipSync(code).length, packages: [...new Set(packages)].sort() }
}
