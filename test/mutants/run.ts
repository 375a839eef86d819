/**
 * Breaks a copy of the project in one place after the other, and expects the tests of that requirement to fail:
 * `npm run test:mutants`, or `npm run test:mutants DF-12 WEB` for some. Ends with 1 when a mutant survives, when its place
 * is no longer there exactly once, or when what failed was not a test.
 *
 * @module
 */

import { execFileSync, spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { MUTANTS } from './list.ts'
import type { Mutant } from './mutant.ts'

const root = join(import.meta.dirname, '../..')

/** The part of Vitest's JSON report that is used here. */
interface Report {
  readonly testResults: readonly {
    readonly status: string
    readonly message: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

/** What came of a run. */
interface Outcome {
  readonly passed: readonly string[]
  readonly failed: readonly string[]
  /** What else went wrong: nothing was run, or not even loaded. */
  readonly problem: string | null
}

/** Copies what is needed to run tests; the dependencies are shared. */
function copyProject(): string {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-mutants-'))
  const filter = (path: string) =>
    !/^(node_modules|\.git|\.wrangler|dist|coverage|.*\.db.*)$/.test(basename(path))
  cpSync(root, folder, { recursive: true, filter })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

function readOutcome(file: string, output: string): Outcome {
  try {
    const { testResults } = JSON.parse(readFileSync(file, 'utf8')) as Report
    const tests = testResults.flatMap(({ assertionResults }) => assertionResults)
    const named = (status: string) => tests.filter((one) => one.status === status).map((one) => one.fullName)
    const [failed, passed] = [named('failed'), named('passed')]
    const unloaded = testResults.find((one) => one.status === 'failed' && failed.length === 0)
    if (unloaded) return { passed, failed, problem: unloaded.message.split('\n')[0] || 'not loaded' }
    return { passed, failed, problem: passed.length + failed.length === 0 ? 'no test was run' : null }
  } catch {
    return { passed: [], failed: [], problem: `no report: ${output.trim().split('\n').at(-1)}` }
  }
}

/** Runs the tests of one file that a pattern names. */
async function runTests(folder: string, { test, mariadb }: Mutant, title: string): Promise<Outcome> {
  const report = join(folder, 'report.json')
  rmSync(report, { force: true })
  const args = ['run', '--root', folder, '--config', join(folder, 'test/mutants/vitest.config.ts'), test]
  const child = spawn(
    process.execPath,
    [join(root, 'node_modules/vitest/vitest.mjs'), ...args, '-t', title],
    {
      cwd: folder,
      env: { ...process.env, CI: '', MUTANTS_MARIADB: mariadb ? '1' : '' },
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: 180_000,
      killSignal: 'SIGKILL',
    },
  )
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  await new Promise((resolve) => child.once('close', resolve))
  return readOutcome(report, output)
}

const titleOf = ({ id, title = id }: Mutant) => title

/** Why a mutant cannot be judged: its tests fail without it, or there are none. */
async function findUnfit(folder: string, mutants: readonly Mutant[]): Promise<Map<Mutant, string>> {
  const unfit = new Map<Mutant, string>()
  const keyOf = ({ test, mariadb = false }: Mutant) => `${test} ${mariadb}`
  for (const mine of Map.groupBy(mutants, keyOf).values()) {
    const { passed, failed, problem } = await runTests(folder, mine[0]!, mine.map(titleOf).join('|'))
    for (const mutant of mine) {
      const isNamed = (name: string) => new RegExp(titleOf(mutant)).test(name)
      if (problem !== null) unfit.set(mutant, problem)
      else if (failed.some(isNamed)) unfit.set(mutant, `${failed.find(isNamed)} fails already`)
      else if (!passed.some(isNamed)) unfit.set(mutant, `no test is called ${titleOf(mutant)}`)
    }
  }
  return unfit
}

/** What the SQL of SQLite and D1 is compiled of, ahead of time. */
const COMPILED = /^adapters\/(statement\w*|migrations)\.ts$/

/** Compiles it anew, from a copy of the project. */
function compileSql(folder: string): void {
  execFileSync(process.execPath, ['--import', 'tsx', 'examples/workers/generate.ts'], { cwd: folder })
}

interface Verdict {
  readonly isKilled: boolean
  readonly words: string
}

async function tryMutant(folder: string, mutant: Mutant): Promise<Verdict> {
  const path = join(folder, mutant.file)
  const source = readFileSync(path, 'utf8')
  const parts = source.split(mutant.from)
  if (parts.length !== 2)
    return { isKilled: false, words: `GONE: its text is there ${parts.length - 1} times` }
  writeFileSync(path, parts.join(mutant.to))
  const isCompiled = COMPILED.test(mutant.file)
  try {
    if (isCompiled) compileSql(folder)
    const { failed, passed, problem } = await runTests(folder, mutant, titleOf(mutant))
    if (problem !== null) return { isKilled: false, words: `BROKEN: ${problem}` }
    if (failed.length === 0) return { isKilled: false, words: `SURVIVED ${passed.length} tests` }
    return { isKilled: true, words: failed[0] ?? '' }
  } finally {
    writeFileSync(path, source)
    if (isCompiled) compileSql(folder)
  }
}

const wanted = process.argv.slice(2)
const mutants = MUTANTS.filter(
  ({ id }) => wanted.length === 0 || wanted.some((prefix) => id.startsWith(prefix)),
)
const folder = copyProject()
try {
  const unfit = await findUnfit(folder, mutants)
  let alive = mutants.length === 0 ? 1 : 0
  for (const mutant of mutants) {
    const startedAt = performance.now()
    const reason = unfit.get(mutant)
    const { isKilled, words } = reason
      ? { isKilled: false, words: `UNFIT: ${reason}` }
      : await tryMutant(folder, mutant)
    if (!isKilled) alive++
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1)
    console.log(
      `${isKilled ? ' ' : '!'} ${mutant.id.padEnd(7)} ${seconds.padStart(5)} s  ${mutant.file}: ${words}`,
    )
  }
  console.log(`${mutants.length} mutants, ${alive} not killed`)
  process.exitCode = alive > 0 ? 1 : 0
} finally {
  rmSync(folder, { recursive: true, force: true })
}
