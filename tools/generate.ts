/**
 * Makes every file that is made of others: `npm run generate`. With `--check` it writes nothing, and says which ones are
 * not what they would be.
 *
 * @module
 */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { generateD1 } from '../examples/workers/generate.ts'
import { findTests, renderRequirements } from '../test/support/requirements.ts'
import { generateCommandSchema } from './command_schema.ts'
import { generateContract } from './generate_contract.ts'

const root = join(import.meta.dirname, '..')
const BIOME = join(root, 'node_modules/@biomejs/biome/bin/biome')

/** The text as the formatter of this project has it. */
function format(file: string, text: string): string {
  if (!/\.(ts|json)$/.test(file)) return text
  const args = [BIOME, 'format', `--stdin-file-path=${file}`]
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: root,
    input: text,
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${file} cannot be formatted: ${stderr}`)
  return stdout
}

/** Every file by path from the project's folder. */
async function generate(): Promise<[file: string, text: string][]> {
  const files = {
    ...(await generateD1()),
    'docs/requirements.md': renderRequirements(findTests()),
    ...(await generateContract()),
    ...generateCommandSchema(),
  }
  return Object.entries(files).map(([file, text]) => [file, format(file, text)])
}

const files = await generate()
const stale = files.filter(([file, text]) => {
  const path = join(root, file)
  return !existsSync(path) || readFileSync(path, 'utf8') !== text
})
if (process.argv.includes('--check')) {
  for (const [file] of stale) process.stderr.write(`${file} is out of date. Run: npm run generate\n`)
  process.exitCode = stale.length > 0 ? 1 : 0
} else {
  for (const [file, text] of stale) {
    mkdirSync(dirname(join(root, file)), { recursive: true })
    writeFileSync(join(root, file), text)
    process.stdout.write(`${file} was made anew\n`)
  }
}
