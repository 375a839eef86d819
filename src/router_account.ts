/** The procedures for one's own keys and sessions: by a person at a browser, or a CLI with the scope `pairgate:manage`. @module */

import * as v from 'valibot'
import type { CredentialKind } from './core/secret.ts'
import {
  createKey,
  KINDS,
  listCredentials,
  MAX_OVERLAP,
  revokeAll,
  revokeOwn,
  rotateKey,
} from './flows/account.ts'
import type { Deps } from './flows/deps.ts'
import { none, type Procedures, text, unwrap } from './procedures.ts'

const seconds = (max: number) => v.optional(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(max)))
const reference = { id: text(64) }

/** Seeing and ending, the same for keys and for sessions. */
function endingProcedures(deps: Deps, { byManager }: Procedures, kinds: readonly CredentialKind[]) {
  return {
    list: byManager.input(v.optional(none)).query(async ({ ctx }) => {
      const all = await listCredentials(deps, ctx.manager)
      return all.filter(({ kind }) => kinds.includes(kind))
    }),
    revoke: byManager
      .input(v.strictObject(reference))
      .mutation(
        async ({ ctx, input }) => await revokeOwn(deps, ctx.caller, ctx.manager, { ...input, kinds }),
      ),
    revokeOthers: byManager.input(none).mutation(async ({ ctx: { caller, manager } }) => {
      return await revokeAll(deps, caller, manager.user, { kinds, except: manager.credentialId })
    }),
    revokeAll: byManager
      .input(none)
      .mutation(
        async ({ ctx }) => await revokeAll(deps, ctx.caller, ctx.manager.user, { kinds, except: null }),
      ),
  }
}

/** Seeing and ending one's sessions: those of CLIs and of browsers. */
export function ownSessionProcedures(deps: Deps, procedures: Procedures) {
  return endingProcedures(deps, procedures, KINDS.sessions)
}

/** The whole life of one's API keys. */
export function keyProcedures(deps: Deps, procedures: Procedures) {
  const { byManager } = procedures
  const newKey = v.strictObject({
    name: text(256),
    scope: v.optional(v.pipe(v.string(), v.maxLength(1024))),
    expires_in: seconds(deps.config.maxKeySeconds),
    tenant: v.optional(text(255)),
  })
  return {
    ...endingProcedures(deps, procedures, KINDS.keys),
    create: byManager
      .input(newKey)
      .mutation(async ({ ctx, input }) => unwrap(await createKey(deps, ctx.caller, ctx.manager, input))),
    rotate: byManager
      .input(v.strictObject({ ...reference, overlap_seconds: seconds(MAX_OVERLAP) }))
      .mutation(async ({ ctx, input }) => unwrap(await rotateKey(deps, ctx.caller, ctx.manager, input))),
  }
}
