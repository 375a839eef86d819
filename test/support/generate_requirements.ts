/** Writes docs/requirements.md anew. @module */

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { findTests, renderRequirements } from './requirements.ts'

writeFileSync(join(import.meta.dirname, '../../docs/requirements.md'), renderRequirements(findTests()))
