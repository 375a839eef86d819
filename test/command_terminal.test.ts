/** `pairgate login` on a terminal: Enter, browsers, colours, QR codes, narrow windows, Ctrl-C. @module */

import { chmodSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { encode } from 'uqr'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { drawQR } from '../clients/command/qr.ts'
import { duration, printable, wrap } from '../clients/command/terminal.ts'
import { masked, person } from '../clients/command/words.ts'
import { decide, HAS_TERMINAL, type Running, run, start, startOnTerminal } from './support/command_login.ts'
import { type CommandWorld, createCommandWorld, LAUNCHER } from './support/command_world.ts'

let world: CommandWorld

beforeAll(async () => {
  world = await createCommandWorld({ pollSeconds: 1, limits: { startPerMinute: 10_000 } }, '')
})
afterAll(async () => await world.close())

const path = (name: string) => join(world.directory, '..', name)

/** A browser that writes down what it is to open. */
function makeBrowser(): NodeJS.ProcessEnv {
  writeFileSync(path('browser'), `#!/bin/sh\nprintf %s "$1" > '${path('opened')}'\n`)
  chmodSync(path('browser'), 0o755)
  return { BROWSER: path('browser'), DISPLAY: ':0' }
}

const opened = () => (existsSync(path('opened')) ? readFileSync(path('opened'), 'utf8') : null)

beforeEach(() => {
  for (const name of ['opened', 'browser', 'config']) {
    rmSync(path(name), { recursive: true, force: true })
  }
})

/** The lines that a terminal shows, without what steers it. */
const linesOf = (running: Running) => stripVTControlCharacters(running.output()).split(/\r?\n|\r/)

describe.skipIf(!HAS_TERMINAL)('on a terminal', () => {
  test('Ctrl-C brings the cursor back and ends with 130, without colours where NO_COLOR says so', async () => {
    const command = startOnTerminal(world, ['login', '--device'], { env: { NO_COLOR: '1' } })
    await command.link
    command.type('\u0003')
    expect((await command.ended).code).toBe(130)
    const screen = command.output()
    expect(screen).toContain('\u001b[?25l')
    expect(screen.slice(screen.lastIndexOf('\u001b[?25h'))).toBe(
      '\u001b[?25hCancelled, nothing was changed\r\n',
    )
    expect(screen).not.toContain('\u001b[1m')
  })

  test('the link is bold, also elsewhere with FORCE_COLOR', async () => {
    const command = startOnTerminal(world, ['login', '--device'])
    await command.link
    expect(command.output()).toContain('  \u001b[1mhttp://')
    command.type('\u0003')
    await command.ended
    const { stderr } = await run(world, ['status'], { env: { FORCE_COLOR: '1' } })
    expect(stderr).toContain('\u001b[1mpairgate login')
  })

  test('Enter opens the link that is shown before; polling goes on meanwhile', async () => {
    const command = startOnTerminal(world, ['login', '--link'], { env: makeBrowser() })
    const link = await command.link
    expect(command.output()).toContain('Press Enter to open it in your browser')
    expect(opened()).toBe(null)
    command.type('\r')
    await expect.poll(opened).toBe(link)
    await decide(world, link, 'allow')
    await command.ended
    expect(command.output()).toContain('Signed in as')
  })

  test('who opens the link by hand needs no Enter, and the command ends', async () => {
    const command = startOnTerminal(world, ['login', '--link'], { env: makeBrowser() })
    await decide(world, await command.link, 'allow')
    expect((await command.ended).code).toBe(0)
    expect([opened(), linesOf(command).at(-2)]).toEqual([null, '  Expires in 30 days'])
  })

  test('with a browser here the link is for this machine, and Allow comes back by itself', async () => {
    const command = startOnTerminal(world, ['login'], { env: makeBrowser(), columns: 200 })
    const link = await command.link
    expect(command.output()).toContain('open this link in a browser on this machine:')
    expect(command.output()).toContain('From another device? Ctrl-C, then run: pairgate login --device\r\n')
    command.type('\r')
    await expect.poll(opened).toBe(link)
    await decide(world, link, 'allow')
    expect((await command.ended).code).toBe(0)
    expect(JSON.parse((await run(world, ['status', '--json'])).stdout)).toMatchObject({ kind: 'session' })
  })

  test('a browser that does not open is named, and a code does it', async () => {
    const command = startOnTerminal(world, ['login'], { env: { BROWSER: 'false', DISPLAY: ':0' } })
    const first = await command.link
    command.type('\r')
    await command.shows(/No browser could be opened here[\s\S]*device\?user_code=[\s\S]*Waiting/)
    const second = /http:\S+user_code=[\w-]+/.exec(command.output().slice(first.length))?.[0]
    await decide(world, String(second), 'allow')
    expect((await command.ended).code).toBe(0)
    expect(command.output()).toContain('\u001b[?25h')
  })

  test('where the way was chosen, the person may still open the link', async () => {
    const command = startOnTerminal(world, ['login', '--link'], { env: { BROWSER: 'false', DISPLAY: ':0' } })
    const link = await command.link
    command.type('\r')
    await command.shows('The browser did not open; please open the link yourself.')
    await decide(world, link, 'allow')
    expect((await command.ended).code).toBe(0)
  })

  test('nobody can press Enter where stdin is no terminal: it opens at once', async () => {
    const program = ['/bin/sh', '-c', 'exec "$@" < /dev/null', 'sh', process.execPath, LAUNCHER]
    const command = startOnTerminal(world, ['login'], { env: makeBrowser(), program })
    const link = await command.link
    await expect.poll(opened).toBe(link)
    await decide(world, link, 'allow')
    expect((await command.ended).code).toBe(0)
    expect(command.output()).not.toContain('Press Enter')
  })

  test.each([
    ['--no-browser', {}],
    ['CI', { CI: 'true' }],
    ['SSH', { SSH_CONNECTION: '::1 1 ::1 22' }],
  ])('%s: a code, and nothing opens', async (name, more) => {
    const env = { ...makeBrowser(), ...more }
    const command = startOnTerminal(world, name.startsWith('--') ? ['login', name] : ['login'], { env })
    const link = await command.link
    expect(link).toContain('/device?user_code=')
    expect(command.output()).not.toContain('Press Enter')
    await decide(world, link, 'allow')
    expect([(await command.ended).code, opened()]).toEqual([0, null])
  })

  test('on a narrow terminal text breaks between words, links and commands do not', async () => {
    const command = startOnTerminal(world, ['login', '--device'], { columns: 40 })
    const link = await command.link
    await decide(world, link, 'deny')
    await command.ended
    const lines = linesOf(command)
    expect(lines).toContain(`  ${link}`)
    expect(lines).toContain('pairgate login --device')
    const wide = lines.filter((line) => line.length > 40 && !line.includes('http://'))
    expect(wide).toEqual([])
    expect(lines).toContain('Only allow it if you started this login')
  })

  test('--qr draws the link, where it fits', async () => {
    const command = startOnTerminal(world, ['login', '--qr'])
    expect(await command.link).toMatch(/\/(pair|device)/)
    expect(command.output()).toContain('\u001b[30;107m')
    expect(linesOf(command).filter((line) => /^[ ▀▄█]{20,}$/.test(line)).length).toBeGreaterThan(10)
    command.type('\u0003')
    await command.ended
    const narrow = startOnTerminal(world, ['login', '--qr', '--device'], { columns: 30 })
    await narrow.link
    expect(stripVTControlCharacters(narrow.output()).replace(/\s+/g, ' ')).toContain(
      'too narrow for a QR code',
    )
    narrow.type('\u0003')
    await narrow.ended
    const nowhere = start(world, ['login', '--qr', '--device'])
    await nowhere.link
    expect(nowhere.output()).not.toMatch(/[▀▄█]/)
    nowhere.kill('SIGINT')
    await nowhere.ended
  })
})

test.each([true, false])('a QR code is that of the link, with colours: %s', (color) => {
  const link = 'https://gateway.example/auth/device?user_code=WDJB-MJHT'
  const { data } = encode(link, { border: 2 })
  const light = color ? [' ', '▄', '▀', '█'] : ['█', '▀', '▄', ' ']
  const lines = drawQR(link, { color, width: 80 }).map(stripVTControlCharacters)
  // each character is two modules, one above the other: dark is drawn on a light ground, light on a dark one
  const expected = data.flatMap((row, y) =>
    y % 2
      ? []
      : [row.map((dark, x) => light[(dark ? 2 : 0) + ((data[y + 1]?.[x] ?? !color) ? 1 : 0)]).join('')],
  )
  expect(lines.map((line) => line.trimEnd())).toEqual(expected.map((line) => line.trimEnd()))
  expect(drawQR(link, { color, width: 20 })).toEqual([])
})

test('text that came from elsewhere steers no terminal', () => {
  expect(printable('a\u001b[2J\r\n\u202eb\u200b\u2028c')).toBe('a[2Jbc')
  expect(person({ name: 'Al\u0007ice', subject: '42' })).toBe('Alice (42)')
  expect(person({ name: null, subject: '42' })).toBe('42')
})

test('of a secret its prefix and end are shown', () => {
  expect(masked(`pgk_${'x'.repeat(45)}AB12`)).toBe('pgk_...AB12')
  expect(masked('opaque-token-1234')).toBe('...1234')
})

test('lines break between words, and keep their indent', () => {
  expect(wrap('  one two three', 9)).toBe('  one two\n  three')
  expect(wrap('see https://gateway.example/a/long/path now', 12)).toBe(
    'see\nhttps://gateway.example/a/long/path\nnow',
  )
  expect(wrap('\na b\n', 80)).toBe('\na b\n')
})

test.each([
  [30 * 86_400, '30 days'],
  [86_400, '1 day'],
  [3599, '1 hour'],
  [600, '10 minutes'],
  [50, '50 seconds'],
  [1, '1 second'],
])('%i seconds are %s', (seconds, words) => {
  expect(duration(seconds)).toBe(words)
})
