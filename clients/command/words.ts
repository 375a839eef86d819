/** How servers, people and commands are named, on screen and in JSON. @module */

import process from 'node:process'
import type { Account } from '../store.ts'
import { printable } from './terminal.ts'

/** The variable whose token stands above all logins. */
export const TOKEN_VARIABLE = 'PAIRGATE_TOKEN'

/** How this command is called here. */
const PROGRAM = process.env.npm_command === 'exec' ? 'npx pairgate' : 'pairgate'

const quote = (word: string) => (/^[\w@%+=:,./~-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)

/** A command of ours as it can be pasted into a shell: `pairgate login --server https://gateway.example`. */
export function commandLine(...words: readonly string[]): string {
  return [PROGRAM, ...words.map((word) => quote(printable(word)))].join(' ')
}

/** A server as people call it. */
export function place(server: string): string {
  return server.replace(/^https?:\/\//, '')
}

/** A person as people call them. */
export function person({
  name,
  subject,
}: {
  readonly name: string | null
  readonly subject: string
}): string {
  return printable(name && name !== subject ? `${name} (${subject})` : subject)
}

/** An account as `--account` takes it, where the subject alone does not tell. */
export function accountName({ issuer, subject }: Account): string {
  return `${issuer}#${subject}`
}

/** Enough of a secret to know it by: its prefix and its last four characters. */
export function masked(secret: string): string {
  return `${/^[a-z]{1,12}_/.exec(secret)?.[0] ?? ''}...${secret.slice(-4)}`
}
