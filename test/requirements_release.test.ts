/** What is handed out with a release: the lock file, and the page about security. @module */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const read = (file: string) => readFileSync(join(import.meta.dirname, '..', file), 'utf8')

interface Locked {
  readonly dev?: boolean
  readonly hasInstallScript?: boolean
  readonly integrity?: string
  readonly resolved?: string
}

test('OPS-07 nothing runs a script when it is installed, and each package comes with its hash', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
  expect(Object.keys(scripts).filter((name) => /^(pre|post)?(install|prepare)$/.test(name))).toEqual([])
  const { packages } = JSON.parse(read('package-lock.json')) as { packages: Record<string, Locked> }
  // the workspace is a folder of ours
  const entries = Object.entries(packages).filter(
    ([path]) => !['', 'tools', 'node_modules/pairgate-tools'].includes(path),
  )
  expect(entries.length).toBeGreaterThan(50)
  const running = entries.filter(([, { hasInstallScript, dev }]) => hasInstallScript && !dev)
  expect(running.map(([path]) => path)).toEqual([])
  const loose = entries.filter(
    // whichever registry is set up serves them: the lock names none, and the hash decides
    ([, { integrity, resolved }]) => !integrity?.startsWith('sha512-') || resolved !== undefined,
  )
  expect(loose.map(([path]) => path)).toEqual([])
})

test('OPS-08 SECURITY.md has the risk assessment, the threat model, how to report, and what is not covered', () => {
  const page = read('SECURITY.md')
  const sections = new Map(
    page
      .split(/^## /m)
      .slice(1)
      .map((text) => [text.split('\n')[0] ?? '', text]),
  )
  for (const name of [
    'Reporting',
    'Threat model',
    'Cross-device risk assessment',
    'Mitigations that BCP 247 lists',
    'Not covered, or not yet',
    'Operator checklist',
  ])
    expect([name, (sections.get(name) ?? '').length > 300]).toEqual([name, true])
  const risks = (sections.get('Cross-device risk assessment') ?? '').split(/^### /m).slice(1)
  // what is left of an attack is the point of an assessment
  expect(risks.filter((risk) => risk.includes('*Remains.*')).length).toBeGreaterThanOrEqual(10)
})
