/** Programs that share logins, on Node, Deno and Bun: no login is lost, and never two are inside the lock. @module */

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { credentialStore } from '../clients/credential_store.ts'
import { A, loginOf, testFolder } from './support/login_entries.ts'
import { demand } from './support/matrix.ts'
import { BUN, DENO, plainEnvironment, ROOT, whyNot } from './support/runtimes.ts'

const ROUNDS = 5
const RUNTIMES = {
  node: [process.execPath],
  deno: [DENO, 'run', '--no-prompt', '--no-lock', '-A'],
  bun: [BUN],
} as const
/** Why the other runtimes cannot be started on this machine; null when they can. */
const NOT_HERE = whyNot([DENO, BUN])
type Name = keyof typeof RUNTIMES

interface Child {
  readonly process: ChildProcess
  readonly ended: Promise<unknown>
  /** The next line that it says. */
  says(): Promise<string | undefined>
  tell(): void
}

function start(runtime: Name, args: readonly string[]): Child {
  const [program, ...before] = RUNTIMES[runtime]
  const child = spawn(program, [...before, 'test/support/credential_child.ts', ...args], {
    cwd: ROOT,
    env: { ...plainEnvironment(), NO_COLOR: '1' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  // one that was killed is not told anything
  child.stdin.on('error', () => {})
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
  return {
    process: child,
    ended: new Promise((resolve) => child.once('close', resolve)),
    says: async () => (await lines.next()).value,
    tell: () => void child.stdin.write('go\n'),
  }
}

const storeIn = (directory: string) => credentialStore({ name: 'mytool', mode: 'file', directory, env: {} })

/** Nobody enters before the one inside has left, or is one of those that were killed there. */
function assertOneByOne(log: string, killed: readonly number[] = []): void {
  let inside: string | null = null
  for (const line of readFileSync(log, 'utf8').trim().split('\n')) {
    const [verb, who] = line.split(' ')
    if (verb === 'leave') {
      expect(inside).toBe(who)
      inside = null
    } else {
      if (inside !== null) expect(killed.map(String)).toContain(inside)
      inside = who ?? ''
    }
  }
  expect(inside === null || killed.map(String).includes(inside)).toBe(true)
}

async function tenAtOnce(directory: string, log: string): Promise<Child[]> {
  const names: Name[] = ['node', 'node', 'node', 'node', 'deno', 'deno', 'deno', 'bun', 'bun', 'bun']
  const children = names.map((name) => start(name, ['race', directory, log, String(ROUNDS)]))
  for (const child of children) expect(await child.says()).toBe('ready')
  return children
}

test('ten at once save, and add to a number under the lock', async (context) => {
  demand(context, NOT_HERE)
  const [directory, log] = [testFolder(), join(testFolder(), 'log')]
  const children = await tenAtOnce(directory, log)
  for (const begun of [1, 2]) {
    for (const child of children) child.tell()
    expect(await Promise.all(children.map((child) => child.says()))).toEqual(children.map(() => 'done'))
    assertOneByOne(log)
    const all = await storeIn(directory).list()
    expect(all.filter(({ subject }) => subject.startsWith('own'))).toHaveLength(10 * begun)
    const shared = loginOf({ issuer: 'https://id.example', subject: 'shared' })
    expect(await storeIn(directory).find(A, shared)).toMatchObject({ expires_at: 10 * ROUNDS * begun })
  }
  expect(readdirSync(directory)).toEqual(['credentials.json'])
})

test.for(['node', 'deno', 'bun'] as const)(
  'one on %s that is killed inside the lock holds nobody up',
  async (runtime, context) => {
    demand(context, NOT_HERE)
    const [directory, log] = [testFolder(), join(testFolder(), 'log')]
    const [stuck, ...children] = [
      start(runtime, ['stay', directory, log]),
      ...(await tenAtOnce(directory, log)),
    ]
    expect(await stuck.says()).toBe('inside')
    for (const child of children) child.tell()
    // they wait: nobody has come in
    expect(readFileSync(log, 'utf8')).toBe(`enter ${stuck.process.pid}\n`)
    stuck.process.kill('SIGKILL')
    await stuck.ended
    expect(await Promise.all(children.map((child) => child.says()))).toEqual(children.map(() => 'done'))
    assertOneByOne(log, [Number(stuck.process.pid)])
    expect(await storeIn(directory).list()).toHaveLength(11)
    expect(existsSync(join(directory, 'credentials.json.lock'))).toBe(false)
  },
)

test('those that are killed in the middle of it all: the others lose nothing', async () => {
  const [directory, log] = [testFolder(), join(testFolder(), 'log')]
  const children = Array.from({ length: 8 }, () => start('node', ['race', directory, log, '10']))
  for (const child of children) expect(await child.says()).toBe('ready')
  for (const child of children) child.tell()
  const [first] = children
  await first?.says()
  for (const child of children) child.tell()
  const victims = children.filter((_, index) => index % 2 === 1)
  for (const victim of victims) {
    await victim.says()
    victim.process.kill('SIGKILL')
    await victim.ended
  }
  const others = children.filter((child) => !victims.includes(child))
  for (const child of others.slice(1)) expect(await child.says()).toBe('done')
  for (const child of others) expect(await child.says()).toBe('done')
  assertOneByOne(
    log,
    victims.map(({ process: { pid } }) => Number(pid)),
  )
  const all = await storeIn(directory).list()
  for (const { process: child } of others) {
    expect(all.filter(({ subject }) => subject.startsWith(`own ${child.pid} `))).toHaveLength(2)
  }
})

describe('the same on every runtime', () => {
  beforeEach((context) => demand(context, NOT_HERE))

  const tour = async (runtime: Name, mode: string) => {
    const directory = testFolder()
    const child = start(runtime, ['tour', directory, mode])
    const lines: string[] = []
    for (let line = await child.says(); line !== undefined; line = await child.says()) lines.push(line)
    await child.ended
    return lines.map((line) => line.replaceAll(directory, 'DIRECTORY'))
  }

  test.each(['file', 'ephemeral'])('%s', async (mode) => {
    const place = mode === 'file' ? 'DIRECTORY/credentials.json' : 'memory'
    const bob = loginOf({ subject: 'bob', name: 'Bob ü', scope: '', expires_at: 0 })
    const expected = [
      { place, notice: null },
      { ...bob, access_token: 'pgs_Secret-bob', refresh_token: 'r' },
      [
        ['alice', false, place],
        ['bob', true, place],
      ],
      [7, A],
      [],
      'TimeoutError',
    ]
    for (const runtime of ['node', 'deno', 'bun'] as const) {
      expect(
        (await tour(runtime, mode)).map((line) => JSON.parse(line)),
        runtime,
      ).toEqual(expected)
    }
  })
})
