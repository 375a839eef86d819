/** What is tried from end to end, against every server and from every runtime. @module */

import { credentialCases } from './credential_cases.ts'
import { endingCases } from './ending_cases.ts'
import { heldCases } from './held_cases.ts'
import { loginCases } from './login_cases.ts'
import { paceCases } from './pace_cases.ts'
import type { Cases } from './world.ts'

/** All cases. */
export const CASES: Cases = { ...loginCases, ...endingCases, ...paceCases, ...heldCases, ...credentialCases }
