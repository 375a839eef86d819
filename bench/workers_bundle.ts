/** What is in the Worker's bundle, in bytes. Run: `npx tsx bench/workers_bundle.ts`. @module */

import { gzipSync } from 'node:zlib'
import { bundleWorker } from '../examples/workers/bundle.ts'

const { code, metafile } = await bundleWorker({ configFile: null, minify: true })

/** The package that a file belongs to. */
const packageOf = (path: string) => /.*node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? 'pairgate'

const sizes = new Map<string, number>()
for (const { inputs } of Object.values(metafile.outputs)) {
  for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
    const name = packageOf(path)
    sizes.set(name, (sizes.get(name) ?? 0) + bytesInOutput)
  }
}

const show = (name: string, bytes: number) => console.log(name.padEnd(24), String(bytes).padStart(8))
for (const [name, bytes] of [...sizes].sort(([, one], [, other]) => other - one)) show(name, bytes)
show('minified', code.length)
show('minified, gzip -9', gzipSync(code, { level: 9 }).length)
