/**
 * The cases that every server must pass, through the mounts of the examples: a client in a process of its own against
 * two hosts over one SQLite file, at the root and under a path.
 *
 * @module
 */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { sqlite } from '../../adapters/sqlite.ts'
import { FRAMEWORKS, type LiveHost, listenHost } from '../support/hosts.ts'
import { MOUNT_CELLS, type MountCell } from '../support/matrix.ts'
import { CASES } from './cases.ts'
import { createTurns, HASTY, type Outcome, runClient, STEADY } from './run_client.ts'

/** What came of the client, and what the hosts have logged as errors. */
interface Result {
  readonly outcome: Outcome
  readonly errors: readonly string[]
}

const inTurn = createTurns(4)

async function run({ host, mount }: MountCell): Promise<Result> {
  const folder = mkdtempSync(join(tmpdir(), 'pairgate-mounts-'))
  const hosts: LiveHost[] = []
  try {
    for (const options of [STEADY, HASTY]) {
      const database = sqlite(join(folder, 'matrix.db'))
      hosts.push(await listenHost(FRAMEWORKS[host], mount, { ...options, database, now: Date.now }))
    }
    const [steady = '', hasty = ''] = hosts.map(({ origin }) => origin + mount)
    const outcome = await runClient('node', [steady, hasty, hasty])
    return { outcome, errors: hosts.flatMap(({ errors }) => errors) }
  } finally {
    await Promise.all(hosts.map((one) => one.close()))
    rmSync(folder, { recursive: true, force: true })
  }
}

for (const cell of MOUNT_CELLS) {
  describe.concurrent(`mounted in ${cell.host} at ${cell.mount || '/'}`, () => {
    let result: Promise<Result>
    beforeAll(async () => {
      result = inTurn(() => run(cell))
      // each test says what went wrong
      await result.catch(() => {})
    }, 300_000)

    for (const title of Object.keys(CASES)) {
      test(title, { meta: { cell } }, async () => {
        const failure = (await result).outcome.get(title)
        if (failure !== null) throw new Error(failure)
      })
    }

    test('no error is logged', async () => {
      expect((await result).errors).toEqual([])
    })
  })
}
