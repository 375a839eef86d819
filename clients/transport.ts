/** Which way to sign in by: a truth table over what is known of the surroundings. Pure, so that it can be read and tested. @module */

/** What a program can know of where it runs. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>
  /** As `process.platform` has it. */
  readonly platform: string
  /** Whether a person reads what the program says: its stderr is a terminal. */
  readonly isTerminal: boolean
  /** Linux inside of Windows: the browser is on the other side. */
  readonly isWSL: boolean
}

/**
 * How the person's Allow reaches the program.
 *
 * - `loopback`: a browser on this machine, which then comes to a port of the program (RFC 8252 section 7.3). A session.
 * - `link`: a link that is opened on this machine or another one. A session.
 * - `device`: a short code, or a link that holds it (RFC 8628). An API key.
 */
export type Transport = 'loopback' | 'link' | 'device'

/** What the table says. */
export interface Choice {
  readonly via: Transport
  /** Whether a browser that the person sees can be opened from here. */
  readonly browser: boolean
  /** Why, for people. */
  readonly reason: string
}

/** Variables that coding agents set for the commands they run. */
const AGENTS = ['AI_AGENT', 'CLAUDECODE', 'CODEX_SANDBOX', 'CURSOR_AGENT', 'GEMINI_CLI', 'OPENCODE']

const SSH = ['SSH_CONNECTION', 'SSH_CLIENT', 'SSH_TTY']

const isOn = (value: string | undefined) => Boolean(value) && value !== '0' && value !== 'false'

/** The variable by which a coding agent shows itself; null when none does. */
export function findAgent(env: Surroundings['env']): string | null {
  return AGENTS.find((name) => isOn(env[name])) ?? null
}

/** Picks the way to sign in. The first row that fits decides. */
export function chooseTransport({ env, platform, isTerminal, isWSL }: Surroundings): Choice {
  const agent = findAgent(env)
  const ssh = SSH.find((name) => env[name])
  const hasDisplay = ['darwin', 'win32'].includes(platform) || Boolean(env.DISPLAY || env.WAYLAND_DISPLAY)
  const elsewhere = (reason: string): Choice => ({ via: 'device', browser: false, reason })
  if (agent) return elsewhere(`${agent} is set: an agent runs this`)
  if (isOn(env.CI)) return elsewhere('CI is set')
  if (ssh) return elsewhere(`${ssh} is set: the terminal is on another machine`)
  if (!isTerminal) return elsewhere('nobody is at a terminal')
  if (isWSL) return { via: 'link', browser: true, reason: 'the browser is on the Windows side' }
  if (hasDisplay) return { via: 'loopback', browser: true, reason: 'a browser can be opened here' }
  // as in a container of an editor, whose helper opens the browser of the machine in front of the person
  if (env.BROWSER) return { via: 'link', browser: true, reason: 'BROWSER is set, without a display' }
  return elsewhere('there is no display')
}
