/** Bundles the Worker into one module, as wrangler does. @module */

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type BuildOptions, build, type Metafile } from 'esbuild'

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const setting = (name: string) =>
  new RegExp(`"${name}": (.*),`).exec(readFileSync(here('wrangler.jsonc'), 'utf8'))?.[1] ?? ''

/** What `wrangler.jsonc` says of compatibility, as Miniflare takes it. */
export const COMPATIBILITY: { compatibilityDate: string; compatibilityFlags: string[] } = {
  compatibilityDate: JSON.parse(setting('compatibility_date')),
  compatibilityFlags: JSON.parse(setting('compatibility_flags')),
}

/** One module of JavaScript, and what is in it. */
export interface Bundle {
  readonly code: string
  readonly metafile: Metafile
}

/** The Worker, or one that has the options of a configuration file instead. */
function entry(configFile: string | null): string {
  if (!configFile) return `export { default } from ${JSON.stringify(here('worker.ts'))}`
  return `
    import * as config from ${JSON.stringify(configFile)}
    import { createWorker } from ${JSON.stringify(here('../../adapters/workers.ts'))}
    const { default: options, ...named } = config
    export default createWorker(() => options ?? named)`
}

/** How code is bundled into one module for workerd, and kept in memory. */
export const FOR_WORKERD = {
  bundle: true,
  write: false,
  format: 'esm',
  platform: 'neutral',
  target: 'es2024',
  mainFields: ['module', 'main'],
  conditions: ['workerd', 'worker', 'import'],
  external: ['cloudflare:*'],
  jsx: 'automatic',
  jsxImportSource: 'hono/jsx',
  logLevel: 'silent',
} satisfies BuildOptions

/**
 * Bundles `worker.ts`.
 *
 * @param options.configFile A file that exports further options, see `PAIRGATE_CONFIG`; null for the Worker as it is.
 */
export async function bundleWorker(options: { configFile: string | null; minify: boolean }): Promise<Bundle> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: entry(options.configFile), resolveDir: here('.') },
    ...FOR_WORKERD,
    metafile: true,
    minify: options.minify,
  })
  return { code: outputFiles[0]?.text ?? '', metafile }
}
