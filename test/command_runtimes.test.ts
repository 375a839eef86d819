/** The command on Deno, on Bun and on an old Node: the same words, the same exit codes. @module */

import { execFileSync } from 'node:child_process'
import { existsSync, rmSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { decide, HAS_TERMINAL, login, run, start, startOnTerminal } from './support/command_login.ts'
import { type CommandWorld, createCommandWorld, LAUNCHER } from './support/command_world.ts'
import { BUN, DENO, whyNot } from './support/runtimes.ts'

let world: CommandWorld

beforeAll(async () => {
  world = await createCommandWorld({ pollSeconds: 1, limits: { startPerMinute: 10_000 } }, '')
})
afterAll(async () => await world.close())
beforeEach(() => rmSync(world.directory, { recursive: true, force: true }))

const RUNTIMES: readonly (readonly [name: string, program: readonly string[]])[] = [
  ['deno', [DENO, 'run', '-A', LAUNCHER]],
  ['bun', [BUN, LAUNCHER]],
]

describe.each(RUNTIMES)('%s', (_, program) => {
  const isMissing = whyNot(program) !== null

  test.skipIf(isMissing)('signs in, tells who it is, prints the token, signs out', async () => {
    const { code, stdout, stderr } = await login(world, ['--link'], 'alice', { program })
    expect([code, stdout, stderr]).toEqual([0, '', expect.stringContaining('Signed in as alice')])
    const status = await run(world, ['status', '--json'], { program })
    expect(JSON.parse(status.stdout)).toMatchObject({ status: 'signed_in', subject: 'alice' })
    expect((await run(world, ['token'], { program })).stdout).toMatch(/^pgs_\w+\n$/)
    expect((await run(world, ['logout'], { program })).code).toBe(0)
    const next = await run(world, ['status'], { program })
    expect([next.code, next.stdout]).toEqual([4, ''])
    expect((await run(world, ['statsu'], { program })).code).toBe(2)
  })

  test.skipIf(isMissing)('signs in by two steps', async () => {
    const first = await run(world, ['login', '--json', '--non-interactive'], { program })
    await decide(world, JSON.parse(first.stdout).verification_uri_complete, 'allow')
    const second = await run(world, ['login', '--complete'], { program })
    expect([second.code, JSON.parse(second.stdout)]).toMatchObject([0, { status: 'signed_in' }])
  })

  test.skipIf(isMissing)('reads a key from stdin, and ends with 130 on Ctrl-C', async () => {
    const { access_token } = await world.login('alice')
    const adopted = await run(world, ['login', '--with-token'], { program, input: `${access_token}\n` })
    expect([adopted.code, adopted.stderr]).toEqual([0, expect.stringContaining('Signed in as alice')])
    const command = start(world, ['login', '--device'], { program })
    await command.link
    command.kill('SIGINT')
    expect(await command.ended).toMatchObject({ code: 130 })
  })

  test.skipIf(isMissing || !HAS_TERMINAL)(
    'on a terminal it ends without an Enter, and on Ctrl-C',
    async () => {
      const env = { BROWSER: 'true', DISPLAY: ':0' }
      const command = startOnTerminal(world, ['login', '--link'], { program, env })
      const link = await command.link
      expect(command.output()).toContain('Press Enter')
      await decide(world, link, 'allow')
      expect((await command.ended).code).toBe(0)
      const other = startOnTerminal(world, ['login', '--link'], { program, env })
      await other.link
      other.type('\u0003')
      expect((await other.ended).code).toBe(130)
      expect(other.output()).toContain('\u001b[?25hCancelled, nothing was changed')
    },
  )
})

const oldNode = (process.env.PATH ?? '')
  .split(delimiter)
  .filter((entry) => !entry.includes('node_modules'))
  .map((entry) => join(entry, 'node'))
  .find(
    (node) =>
      existsSync(node) && /^v(1\d|2[0-3])\./.test(execFileSync(node, ['--version'], { encoding: 'utf8' })),
  )

describe.skipIf(!oldNode)('an old Node', () => {
  const program = [oldNode ?? '', LAUNCHER]

  test('hands over to the one that came along, signals and exit codes included', async () => {
    expect(await run(world, ['token'], { program })).toMatchObject({ code: 4 })
    const command = start(world, ['login', '--device'], { program })
    await command.link
    command.kill('SIGINT')
    const { code, stderr } = await command.ended
    expect([code, stderr]).toEqual([130, expect.stringMatching(/Cancelled, nothing was changed\n$/)])
  })
})
