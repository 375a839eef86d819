/** What is typed beside the commands themselves: help, version, completion scripts, and what cannot be read. @module */

import { stripVTControlCharacters } from 'node:util'
import { type Suggestion, suggestSync } from '@optique/core/parser'
import { findSimilar } from '@optique/core/suggestion'
import type { Usage } from '@optique/core/usage'
import { runSync } from '@optique/run'
import manifest from '../../package.json' with { type: 'json' }
import { CommandError, EXIT } from './context.ts'
import { ABOUT, grammar } from './grammar.ts'
import { commandLine } from './words.ts'

/** The list of commands says the rest. */
const USAGE: Usage = [
  { type: 'argument', metavar: 'COMMAND' },
  { type: 'optional', terms: [{ type: 'argument', metavar: 'OPTIONS' }] },
]

/** Carries the exit code out of the parser. */
class Ended extends Error {
  readonly exit: number

  constructor(exit: number) {
    super('ended')
    this.exit = exit
  }
}

const GROUPS = ['keys', 'sessions']

/** Whose help to point to: the command that was meant, as far as it could be read. */
function commandOf(args: readonly string[]): readonly string[] {
  const names = (before: readonly string[]) => suggestSync(grammar, [...before, ''] as [string]).map(textOf)
  const [first = '', second = ''] = args
  if (![...names([]), 'completion'].includes(first)) return []
  return GROUPS.includes(first) && names([first]).includes(second) ? [first, second] : [first]
}

const textOf = (suggestion: Suggestion) => (suggestion.kind === 'literal' ? suggestion.text : '')

/** The word that was meant by one that there is not; empty when none is near. */
function findNear(args: readonly string[], wrong: string): string {
  const at = args.indexOf(wrong)
  const start = wrong.startsWith('--') ? '--' : ''
  const known = suggestSync(grammar, [...commandOf(args.slice(0, Math.max(at, 0))), start] as [string])
  const [near] = findSimilar(wrong, known.map(textOf).filter(Boolean))
  return near ? `Did you mean ${near}?` : ''
}

/** What the parser says, as a problem like any other. */
function toProblem(said: string, args: readonly string[]): CommandError {
  const [message = '', ...lines] = stripVTControlCharacters(said)
    .replace(/^Error: /, '')
    .trim()
    .split('\n')
  const [, wrong = ''] = /^Unexpected .*`(.+)`\.$/.exec(message) ?? []
  const hint = lines.find((line) => line.startsWith('Did you mean')) ?? findNear(args, wrong)
  const next = [{ command: commandLine(...commandOf(args), '--help'), when: 'to see what can be typed' }]
  return new CommandError({ code: 'usage', message, ...(hint && { hint }), next }, EXIT.usage)
}

/**
 * Prints what was asked for. Nothing typed is a call for help.
 *
 * @returns The exit code.
 * @throws {CommandError} What was typed cannot be read.
 */
export async function runHelp(args: readonly string[]): Promise<number> {
  const isHelp = args.length === 0 || args.includes('--help') || args.includes('-h')
  let said = ''
  try {
    runSync(grammar, {
      programName: 'pairgate',
      args: args.length > 0 ? args : ['--help'],
      ...ABOUT,
      help: { option: { names: ['--help', '-h'] } },
      version: { value: manifest.version, option: true },
      completion: 'command',
      commandList: 'top-level',
      aboveError: 'none',
      errorExitCode: EXIT.usage,
      usageLine: USAGE,
      // what is wrong is wrapped by whoever says it
      ...(!isHelp && { maxWidth: 1_000_000 }),
      stderr: (text) => {
        said += `${text}\n`
      },
      onExit: (exit) => {
        throw new Ended(exit)
      },
    })
  } catch (error) {
    if (!(error instanceof Ended)) throw error
    if (said) throw toProblem(said, args)
    return error.exit
  }
  return EXIT.ok
}
