/** Which way to sign in by, row by row: `chooseTransport` is pure. @module */

import { describe, expect, test } from 'vitest'
import { chooseTransport, findAgent, type Surroundings } from '../clients/mod.ts'

/** A desktop: a terminal, and a display on Linux. */
const DESKTOP: Surroundings = { env: { DISPLAY: ':0' }, platform: 'linux', isTerminal: true, isWSL: false }
const with_ = (env: Surroundings['env'], more: Partial<Surroundings> = {}): Surroundings => ({
  ...DESKTOP,
  ...more,
  env: { ...DESKTOP.env, ...env },
})
const bare = (env: Surroundings['env'], more: Partial<Surroundings> = {}): Surroundings => ({
  ...DESKTOP,
  ...more,
  env,
})

const TABLE: readonly [string, Surroundings, string, boolean][] = [
  ['a Linux desktop', DESKTOP, 'loopback', true],
  ['Wayland alone', bare({ WAYLAND_DISPLAY: 'wayland-0' }), 'loopback', true],
  ['macOS, which has no DISPLAY', bare({}, { platform: 'darwin' }), 'loopback', true],
  ['Windows', bare({}, { platform: 'win32' }), 'loopback', true],
  ['Windows with a Unix-like shell in it', bare({ TERM: 'xterm' }, { platform: 'win32' }), 'loopback', true],
  ['WSL: the browser cannot be sure to reach a port in there', bare({}, { isWSL: true }), 'link', true],
  ['WSL with a display of its own', with_({}, { isWSL: true }), 'link', true],
  ['no display', bare({}), 'device', false],
  ['FreeBSD without a display', bare({}, { platform: 'freebsd' }), 'device', false],
  ['an editor’s container: BROWSER without a display', bare({ BROWSER: '/helper.sh' }), 'link', true],
  ['BROWSER on a desktop', with_({ BROWSER: 'firefox' }), 'loopback', true],
  ['SSH', with_({ SSH_CONNECTION: '10.0.0.1 22 10.0.0.2 22' }), 'device', false],
  ['SSH, older', with_({ SSH_CLIENT: '10.0.0.1 22 22' }), 'device', false],
  ['SSH with a terminal', with_({ SSH_TTY: '/dev/pts/0' }), 'device', false],
  [
    'SSH with a forwarded display and BROWSER',
    with_({ SSH_TTY: '/dev/pts/0', BROWSER: 'w3m' }),
    'device',
    false,
  ],
  ['CI', with_({ CI: 'true' }), 'device', false],
  ['CI of another spelling', with_({ CI: '1' }), 'device', false],
  ['CI that says it is none', with_({ CI: 'false' }), 'loopback', true],
  ['CI set to 0', with_({ CI: '0' }), 'loopback', true],
  ['CI set to nothing', with_({ CI: '' }), 'loopback', true],
  ['an agent on a desktop', with_({ CLAUDECODE: '1' }), 'device', false],
  ['an agent in CI', with_({ AI_AGENT: 'helper', CI: 'true' }), 'device', false],
  ['no terminal: a pipe, a service', with_({}, { isTerminal: false }), 'device', false],
  ['no terminal on macOS', bare({}, { platform: 'darwin', isTerminal: false }), 'device', false],
  ['SSH into WSL', bare({ SSH_TTY: '/dev/pts/0' }, { isWSL: true }), 'device', false],
]

describe('the way to sign in', () => {
  test.each(TABLE)('%s', (_, where, via, browser) => {
    expect(chooseTransport(where)).toMatchObject({ via, browser })
  })

  test('says why', () => {
    expect(chooseTransport(with_({ CI: 'true' })).reason).toBe('CI is set')
    expect(chooseTransport(with_({ SSH_TTY: '/dev/pts/0' })).reason).toContain('SSH_TTY')
    expect(chooseTransport(with_({ CURSOR_AGENT: '1' })).reason).toContain('CURSOR_AGENT')
  })

  test('knows an agent by its variable, not by one that is off', () => {
    expect(findAgent({ GEMINI_CLI: '1' })).toBe('GEMINI_CLI')
    expect(findAgent({ GEMINI_CLI: '0', CLAUDECODE: '' })).toBeNull()
    expect(findAgent({})).toBeNull()
  })
})
