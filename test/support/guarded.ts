/** Servers that tests start: each has a folder of its own, and neither outlives the tests, even killed ones. @module */

import { type ChildProcess, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { chownSync, closeSync, existsSync, mkdtempSync, openSync, readFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

/**
 * Waits in a session of its own for the end of its input, which is when the tests are gone, and cleans up then. A first
 * line says that the server has ended, a second one that its folder is taken care of.
 */
const WATCHDOG = `
read -r _ || kill -s KILL -- "-$1"
read -r _ && exit
for _ in 1 2 3 4 5; do rm -rf -- "$2" && exit; sleep 0.2; done`

/** Becomes the server, after the watchdog has been started: there is no moment without one. */
const START = `
command -v setsid >/dev/null || exec setsid
(setsid sh -c "$1" sh $$ "$2" <&3 3<&- >/dev/null 2>&1 &)
shift 2
exec "$@" 3<&-`

/** A user to run a server as. */
export interface RunAs {
  readonly uid: number
  readonly gid: number
}

/** A server with its folder, running or not. */
export interface Guarded {
  readonly folder: string
  /** Also the id of its process group. 0 when it does not run. */
  readonly pid: number
  /** What it has written since its last start. */
  output(): string
  /** Starts it, when it does not run. */
  start(command: readonly string[], env: NodeJS.ProcessEnv): void
  /** Sends a signal, `SIGKILL` also to everything it has started. Resolves when it is gone. */
  end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Resolves when the check does to `true`. Rejects with its output when it ends before, or after a minute. */
  until(check: () => Promise<boolean>): Promise<void>
  /** Ends it and deletes its folder. */
  remove(): Promise<void>
}

/** What the watchdog reads. */
const pipeOf = (child: ChildProcess) => child.stdio[3] as Socket

function sayItEnded(child: ChildProcess): void {
  pipeOf(child).write('\n')
}

function release(child: ChildProcess): void {
  const pipe = pipeOf(child)
  pipe.end('\n', () => pipe.destroy())
}

function launch(
  command: readonly string[],
  env: NodeJS.ProcessEnv,
  folder: string,
  runAs?: RunAs,
): ChildProcess {
  const log = openSync(join(folder, 'log'), 'w')
  try {
    const child = spawn('sh', ['-c', START, 'sh', WATCHDOG, folder, ...command], {
      cwd: folder,
      // a group of its own: Ctrl-C in the terminal is for the tests, which then end it
      detached: true,
      env,
      stdio: ['ignore', log, log, 'pipe'],
      ...runAs,
    })
    // without its watchdog there is nobody to tell
    pipeOf(child).on('error', () => {})
    // a server that is left over does not keep the tests from ending
    pipeOf(child).unref()
    child.unref()
    return child
  } finally {
    closeSync(log)
  }
}

/**
 * Makes a folder for a server that is started later, any number of times.
 *
 * @param name What is served, for the folder's name.
 * @param runAs Whom to run it as, instead of the tests' own user.
 */
export function createGuarded(name: string, runAs?: RunAs): Guarded {
  const folder = mkdtempSync(join(tmpdir(), `pairgate-${name}-`))
  if (runAs) chownSync(folder, runAs.uid, runAs.gid)
  const log = join(folder, 'log')
  let child: ChildProcess | undefined
  let ended: Promise<void> | undefined

  const guarded: Guarded = {
    folder,
    get pid() {
      return (ended && child?.pid) || 0
    },
    output: () => (existsSync(log) ? readFileSync(log, 'utf8') : ''),
    start(command, env) {
      if (ended) throw new Error(`Expected ${name} not to run: it does, as process ${guarded.pid}`)
      const next = launch(command, env, folder, runAs)
      if (child) release(child)
      child = next
      ended = new Promise((resolve) => {
        const note = () => {
          sayItEnded(next)
          ended = undefined
          resolve()
        }
        next.once('error', note).once('exit', note)
      })
    },
    async end(signal) {
      const { pid } = guarded
      if (!ended || !pid) return
      child?.ref()
      process.kill(signal === 'SIGKILL' ? -pid : pid, signal)
      // one that a test has stopped does not see it otherwise
      process.kill(pid, 'SIGCONT')
      await ended
    },
    async until(check) {
      const deadline = Date.now() + 60_000
      while (!(await Promise.race([check(), ended?.then(() => false)]))) {
        if (!ended) throw new Error(`Expected ${name} to start, it ended: ${guarded.output()}`)
        if (Date.now() > deadline) throw new Error(`Expected ${name} to be ready: ${guarded.output()}`)
        await pause(20)
      }
    },
    async remove() {
      await guarded.end('SIGKILL')
      await rm(folder, { recursive: true, force: true, maxRetries: 5 })
      if (child) release(child)
      child = undefined
    },
  }
  return guarded
}

/**
 * Finds ports that nobody listens on. They are none that the system gives to outgoing connections, so that a server that
 * was ended can have its port again, and a client that asks for it meanwhile does not get connected to itself.
 */
export async function findFreePorts(count: number): Promise<number[]> {
  const servers: Server[] = []
  const ports: number[] = []
  while (ports.length < count) {
    const port = randomInt(10_000, 32_768)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    servers.push(server)
    ports.push(port)
  }
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

/** Whether somebody listens on a port. */
export async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
