/** `pairgate login` as people run it: started, answered in a browser, and on a terminal of its own. @module */

import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import process from 'node:process'
import { onTestFinished } from 'vitest'
import { type CommandWorld, LAUNCHER, type Ran } from './command_world.ts'
import { createBrowser } from './gate.ts'

/** What hands out a pseudo terminal, and whether this machine has it. */
const SCRIPT = '/usr/bin/script'
/** Whether a pseudo terminal can be had. */
export const HAS_TERMINAL = existsSync(SCRIPT)

/** A run of the command that goes on. */
export interface Running {
  /** Resolves to the link once it is shown. */
  readonly link: Promise<string>
  readonly ended: Promise<Ran>
  /** What has been written so far, to both. */
  output(): string
  /** Resolves once the output has something. */
  shows(what: RegExp | string): Promise<void>
  kill(signal: NodeJS.Signals): void
  /** Types at the terminal. */
  type(text: string): void
}

/** What a run gets. */
export interface StartOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  /** What is on its stdin. Default: nothing. */
  readonly input?: string
  /** What runs it. Default: this Node. */
  readonly program?: readonly string[]
}

/** The environment of a person's machine: nothing of that of these tests. */
export function plain({ env }: CommandWorld): NodeJS.ProcessEnv {
  const own = Object.entries(env).filter(([name]) => /^(PATH|HOME|PAIRGATE_.*)$/.test(name))
  return Object.fromEntries(own)
}

/** What nothing but `token`, `keys`, ephemeral logins and helpers may show. */
const SECRET = /\bpg(?:[ks]_[0-9A-Za-z]{49}|r_[0-9A-Za-z]{71})\b/
const MAY_SHOW = /\b(token|create|rotate|ephemeral|kubectl-credential)\b/

function watch(line: readonly string[], args: readonly string[], options: StartOptions): Running {
  const [program = '', ...rest] = line
  const child = spawn(program, rest, { env: options.env, cwd: options.cwd, stdio: ['pipe', 'pipe', 'pipe'] })
  onTestFinished(() => void child.kill('SIGKILL'))
  child.stdin.on('error', () => {})
  if (options.input !== undefined) child.stdin.end(options.input)
  const said = { stdout: '', stderr: '' }
  let both = ''
  const waiting = new Set<() => void>()
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (text: string) => {
      said[name] += text
      both += text
      for (const check of waiting) check()
    })
  }
  const shows = async (what: RegExp | string) =>
    await new Promise<void>((resolve) => {
      const check = () => {
        if (typeof what === 'string' ? both.includes(what) : what.test(both)) resolve()
      }
      waiting.add(check)
      check()
    })
  const ended = new Promise<Ran>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      const isSecret = !MAY_SHOW.test(`${args.join(' ')} ${options.env?.PAIRGATE_CREDENTIAL_STORE}`)
      if (isSecret && SECRET.test(both)) reject(new Error(`A secret is in the output: ${both}`))
      else resolve({ code, ...said })
    })
  })
  return {
    link: shows(/http:\S+\s[\s\S]*Waiting/).then(() => String(/http:[\w:/.?=&%-]+/.exec(both)?.[0])),
    ended,
    output: () => both,
    shows,
    kill: (signal) => child.kill(signal),
    type: (text) => child.stdin.write(text),
  }
}

const RUNS_IT = [process.execPath, LAUNCHER]

/** Starts the command without a terminal, and with nothing on stdin. */
export function start(world: CommandWorld, args: readonly string[], options: StartOptions = {}): Running {
  const env = { ...plain(world), ...options.env }
  return watch([...(options.program ?? RUNS_IT), ...args], args, { input: '', ...options, env })
}

const quote = (word: string) => `'${word.replaceAll("'", `'\\''`)}'`

/** Starts the command on a pseudo terminal. */
export function startOnTerminal(
  world: CommandWorld,
  args: readonly string[],
  { columns = 80, ...options }: StartOptions & { readonly columns?: number } = {},
): Running {
  const env = { ...plain(world), ...options.env }
  const line = [...(options.program ?? RUNS_IT), ...args].map(quote).join(' ')
  const shell = `stty cols ${columns} rows 50; exec ${line}`
  return watch([SCRIPT, '-qec', shell, '/dev/null'], args, {
    ...options,
    env: { TERM: 'xterm-256color', ...env },
  })
}

/** Answers a login in a browser where somebody signs in first; the page that was shown. */
export async function decide(
  { server }: CommandWorld,
  link: string,
  decision: 'allow' | 'deny',
  name = 'alice',
): Promise<string> {
  const browser = createBrowser((path, init) => fetch(new URL(path, server), init), server)
  await browser.signIn(name)
  const page = await (await browser.get(link)).text()
  const response = await browser.submit(page, { decision })
  const back = response.headers.get('location')
  // by loopback the browser goes to the command itself
  if (back?.startsWith('http://127.0.0.1:')) await fetch(back, { redirect: 'manual' })
  else if (response.status !== 200) throw new Error(`${response.status} ${await response.text()}`)
  return page
}

/** Signs in by a run of the command. */
export async function login(
  world: CommandWorld,
  args: readonly string[] = ['--device'],
  name = 'alice',
  options: StartOptions = {},
): Promise<Ran & { readonly page: string }> {
  const running = start(world, ['login', ...args], options)
  const page = await decide(world, await running.link, 'allow', name)
  return { page, ...(await running.ended) }
}

/** Runs the command to its end. */
export async function run(
  world: CommandWorld,
  args: readonly string[],
  options: StartOptions = {},
): Promise<Ran> {
  return await start(world, args, options).ended
}
