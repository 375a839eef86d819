/** Every mutant. @module */

import { authzMutants } from './authz.ts'
import { flowMutants } from './flows.ts'
import { heldMutants } from './held.ts'
import { identityMutants } from './identity.ts'
import { loopbackMutants } from './loopback.ts'
import type { Mutant } from './mutant.ts'
import { peopleMutants } from './people.ts'
import { proxyMutants } from './proxies.ts'
import { serviceMutants } from './service.ts'

/** The mutants, in the order of the requirements. */
export const MUTANTS: readonly Mutant[] = [
  ...flowMutants,
  ...heldMutants,
  ...loopbackMutants,
  ...peopleMutants,
  ...serviceMutants,
  ...identityMutants,
  ...authzMutants,
  ...proxyMutants,
]

/** Requirements that are being built: they may lack a test and a mutant. To be empty before a release. */
export const PENDING: readonly string[] = []
