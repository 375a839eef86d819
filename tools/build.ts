/**
 * Builds what people install, `dist/`: the sources as JavaScript, file by file, with their declarations, the `pairgate`
 * command as one file, and the standalone server with its libraries in it, so that it starts at once.
 *
 * @module
 */

import { spawnSync } from 'node:child_process'
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import process from 'node:process'
import { build, type Metafile, type Plugin } from 'esbuild'

/** What the command starts in: a module with `main`. */
const COMMAND = 'clients/command/main.ts'
/** The standalone server. */
const SERVER = 'examples/serve.ts'

const root = join(import.meta.dirname, '..')
process.chdir(root)
const { exports, version } = JSON.parse(readFileSync('package.json', 'utf8'))

/** The declarations that those of the entry points refer to, themselves included. */
function reachable(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found
  found.add(file)
  for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(/['"](\.[^'"]+)\.tsx?['"]/g))
    reachable(join(file, '..', `${path}.d.ts`), found)
  return found
}

function compile(): void {
  rmSync('dist', { recursive: true, force: true })
  const tsc = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json']
  const { status } = spawnSync(process.execPath, tsc, { stdio: 'inherit' })
  if (status !== 0) process.exit(1)
  const wanted = new Set<string>()
  for (const { types } of Object.values<{ types?: string }>(exports))
    if (types) reachable(join(types), wanted)
  // the others tell nobody anything
  for (const file of globSync('dist/**/*.d.ts')) if (!wanted.has(file)) rmSync(file)
}

/** Of `package.json` the command needs the version only. */
const manifest: Plugin = {
  name: 'manifest',
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]package\.json$/ }, ({ path }) =>
      relative(root, path) === 'package.json'
        ? { contents: JSON.stringify({ version }), loader: 'json' }
        : undefined,
    )
  },
}

/** The licences of what is bundled, which ask to be handed on with it. */
function licenses({ inputs }: Metafile): string {
  const folders = Object.keys(inputs).flatMap(
    (path) => /.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [],
  )
  return [...new Set(folders)]
    .sort()
    .map((folder) => {
      const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
      const [file] = globSync(join(folder, 'LICEN[CS]E*'))
      if (!file) throw new Error(`${name} has no licence file to hand on`)
      return `${name} ${version} (${license})\n\n${readFileSync(file, 'utf8').trim()}\n`
    })
    .join(`\n${'-'.repeat(80)}\n\n`)
}

async function bundleCommand(): Promise<void> {
  const { metafile } = await build({
    entryPoints: [COMMAND],
    outfile: 'dist/pairgate.js',
    bundle: true,
    minify: true,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    // loaded when they are needed, and only then; with a program or a library of their own beside them
    external: ['open', '@napi-rs/keyring'],
    define: { 'Intl.Segmenter': 'LazySegmenter' },
    inject: ['tools/lazy_segmenter.ts'],
    plugins: [manifest],
    metafile: true,
    logLevel: 'warning',
  })
  writeFileSync('dist/pairgate.LICENSES.txt', licenses(metafile))
}

/** What a start needs is one file; what waits for its use is beside it, in `dist/server`. */
async function bundleServer(): Promise<void> {
  const { metafile } = await build({
    entryPoints: { server: SERVER },
    outdir: 'dist',
    chunkNames: 'server/[name]-[hash]',
    bundle: true,
    splitting: true,
    // names stay, for who reads a stack
    minifyWhitespace: true,
    minifySyntax: true,
    format: 'esm',
    platform: 'node',
    target: 'node24',
    // the operator's to install
    external: ['mysql2'],
    metafile: true,
    logLevel: 'warning',
  })
  writeFileSync('dist/server.js', `#!/usr/bin/env node\n${readFileSync('dist/server.js', 'utf8')}`)
  writeFileSync('dist/server.LICENSES.txt', licenses(metafile))
}

compile()
await bundleCommand()
await bundleServer()
