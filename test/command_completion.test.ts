/** Completion as people have it: the real bash, zsh and fish, at a prompt where Tab is pressed. @module */

import { execFile } from 'node:child_process'
import { chmodSync, existsSync, globSync, mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HAS_TERMINAL, plain, run, startOnTerminal } from './support/command_login.ts'
import { type CommandWorld, createCommandWorld, LAUNCHER } from './support/command_world.ts'
import { bring, environmentOf } from './support/debian.ts'

let world: CommandWorld
let programs: string

beforeAll(async () => {
  world = await createCommandWorld({}, '')
  programs = join(world.directory, '../bin')
  mkdirSync(programs, { recursive: true })
  writeFileSync(join(programs, 'pairgate'), `#!/bin/sh\nexec '${process.execPath}' '${LAUNCHER}' "$@"\n`)
  chmodSync(join(programs, 'pairgate'), 0o755)
})
afterAll(async () => await world.close())

const pathWith = (rest: string | undefined) => [programs, rest].join(delimiter)

/** What was typed, and what has to be there after Tab. */
const TYPED: readonly (readonly [typed: string, completed: string])[] = [
  ['pairgate sta', 'pairgate status '],
  ['pairgate sess', 'pairgate sessions '],
  ['pairgate keys rev', 'pairgate keys revoke '],
  ['pairgate login --stor', 'pairgate login --storage '],
  ['pairgate login --storage key', 'pairgate login --storage keyring '],
  ['pairgate git-credential st', 'pairgate git-credential store '],
]

/** Types at the prompt of a shell, and presses Tab. */
async function tryAtPrompt(shell: readonly string[], setUp: string, env: NodeJS.ProcessEnv): Promise<void> {
  const command = startOnTerminal(world, [], {
    program: shell,
    env: { ...env, PS1: '> ', TERM: 'dumb' },
    columns: 200,
  })
  command.type(`${setUp}; echo READY$((1 + 1))\n`)
  await command.shows('READY2')
  for (const [typed, completed] of TYPED) {
    const before = stripVTControlCharacters(command.output()).length
    command.type(`${typed}\t`)
    await expect
      .poll(() => stripVTControlCharacters(command.output()).slice(before), { timeout: 10_000 })
      .toContain(completed)
    // an empty line again
    command.type('\u0015')
  }
  command.type('exit\n')
  await command.ended
}

test.skipIf(!HAS_TERMINAL || !existsSync('/bin/bash'))('bash', async () => {
  const setUp = 'bind \'set enable-bracketed-paste off\'; eval "$(pairgate completion bash)"'
  await tryAtPrompt(['/bin/bash', '--norc', '--noprofile', '-i'], setUp, { PATH: pathWith(process.env.PATH) })
})

describe.skipIf(!existsSync('/usr/bin/apt-get'))('shells from Debian', () => {
  test.skipIf(!HAS_TERMINAL)('zsh', async () => {
    const root = await bring(['zsh', 'zsh-common'])
    const { PATH, ...env } = environmentOf(root)
    const [modules = ''] = globSync(join(root, 'usr/lib/*/zsh/*'))
    const functions = globSync(join(root, 'usr/share/zsh/functions/{,**/}'))
    const setUp = [
      `module_path=('${modules}')`,
      'autoload -Uz compinit && compinit -u -D',
      'eval "$(pairgate completion zsh)"',
    ].join('; ')
    const more = { ...env, PATH: pathWith(PATH), FPATH: functions.join(delimiter), MODULE_PATH: modules }
    await tryAtPrompt([join(root, 'bin/zsh'), '-f', '-i'], setUp, more)
  })

  test('fish', async () => {
    const root = await bring(['fish', 'fish-common'])
    const { PATH, ...more } = environmentOf(root)
    const env = { ...plain(world), ...more, PATH: pathWith(PATH) }
    for (const [typed, completed] of TYPED) {
      const script = `pairgate completion fish | source; complete -C '${typed}'`
      const found = await new Promise<string>((resolve, reject) => {
        const args = ['--no-config', '-c', script]
        execFile(join(root, 'usr/bin/fish'), args, { env }, (error, stdout) =>
          error ? reject(error) : resolve(stdout),
        )
      })
      const words = found.split('\n').flatMap((line) => line.split('\t')[0] || [])
      expect([typed, words]).toEqual([typed, [completed.trim().split(' ').at(-1)]])
    }
  })
})

test('a shell that there is not is wrong usage, and the help names those that there are', async () => {
  expect((await run(world, ['completion'])).code).toBe(2)
  expect((await run(world, ['completion', 'tcsh'])).stderr).toContain('"bash"')
  expect((await run(world, ['completion', '--help'])).stdout).toContain('eval "$(pairgate completion bash)"')
})
