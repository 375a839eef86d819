/** The store contract inside Deno and Bun. What came of each case there is a test of its own here. @module */

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, inject, test } from 'vitest'
import { demand, NO_MARIADB, STORE_CELLS } from '../support/matrix.ts'
import { BUN, DENO, plainEnvironment, ROOT, whyNot } from '../support/runtimes.ts'
import { SQL_STORE_CASES } from '../support/store_contract.ts'

const VITEST = [join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--config=test/matrix/child.config.ts']
const COMMANDS = {
  deno: [DENO, 'run', '-A', '--no-lock', ...VITEST],
  // Bun cannot fork as Vitest wants it
  bun: [BUN, '--bun', ...VITEST, '--pool=threads'],
} as const

/** What came of the cases, by their full names: null is good, a text says what went wrong. */
type Outcome = ReadonlyMap<string, string | null>

/** The part of Vitest's JSON report that is used here. */
interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly ancestorTitles: readonly string[]
      readonly title: string
      readonly status: string
      readonly failureMessages: readonly string[]
    }[]
  }[]
}

const mariadb = inject('mariadb')

async function run(runtime: keyof typeof COMMANDS): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-matrix-'))
  const file = join(folder, 'report.json')
  const [program, ...args] = COMMANDS[runtime]
  const env = { ...plainEnvironment(), ...(mariadb && { PAIRGATE_TEST_MARIADB: mariadb }) }
  try {
    const output = await new Promise<string>((resolve) => {
      const options = { cwd: ROOT, env, timeout: 90_000 }
      execFile(program, [...args, `--outputFile=${file}`], options, (error, stdout, stderr) =>
        resolve(`${error ?? ''}\n${stdout}\n${stderr}`),
      )
    })
    return read(file, output)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function read(file: string, output: string): Outcome {
  let report: Report
  try {
    report = JSON.parse(readFileSync(file, 'utf8'))
  } catch {
    throw new Error(`There is no report: ${output}`)
  }
  const cases = report.testResults.flatMap(({ assertionResults }) => assertionResults)
  if (cases.length === 0) throw new Error(`No case was run: ${output}`)
  return new Map(
    cases.map(({ ancestorTitles, title, status, failureMessages }) => [
      [...ancestorTitles, title].join(' > '),
      status === 'passed' ? null : `${status} ${failureMessages.join('\n')}`,
    ]),
  )
}

/** One child does for both databases. */
const outcomes: Partial<Record<keyof typeof COMMANDS, Promise<Outcome>>> = {}

for (const cell of STORE_CELLS) {
  const { runtime, database } = cell
  if (runtime === 'node') continue
  const noDatabase = database === 'mysql' && mariadb === null ? NO_MARIADB : null
  const reason = whyNot(COMMANDS[runtime]) ?? noDatabase
  describe(`store contract: ${runtime}, ${database}`, { meta: { cell }, timeout: 100_000 }, () => {
    for (const title of Object.keys(SQL_STORE_CASES)) {
      test(title, async (context) => {
        demand(context, reason)
        outcomes[runtime] ??= run(runtime)
        const failure = (await outcomes[runtime]).get(`store contract: ${runtime}, ${database} > ${title}`)
        if (failure === undefined) throw new Error(`This case did not run on ${runtime}`)
        if (failure !== null) throw new Error(`On ${runtime}: ${failure}`)
      })
    }
  })
}
