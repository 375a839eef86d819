/** Whether a login is for a person at a terminal, or in two steps for a program that asks a person. Pure. @module */

import { findAgent, type Surroundings } from '../transport.ts'
import type { LoginCommand } from './options.ts'

/** Whether to start only: where that is asked for, or where a coding agent runs the command, which cannot wait. */
export function isTwoStep(options: LoginCommand, env: Surroundings['env']): boolean {
  const { via, withToken, complete, nonInteractive } = options
  return Boolean(nonInteractive || (findAgent(env) && !via && !withToken && !complete))
}
