/** `pairgate sessions`: the sessions of command-line apps and of browsers are listed and ended. @module */

import type { Context, Result } from './context.ts'
import { type RevokeOptions, runList, runRevoke } from './own.ts'

/** `sessions list` */
export async function runSessionsList(context: Context): Promise<Result> {
  return await runList(context, 'sessions')
}

/** `sessions revoke` */
export async function runSessionsRevoke(context: Context, options: RevokeOptions): Promise<Result> {
  return await runRevoke(context, 'sessions', options)
}
