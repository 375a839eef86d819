/** Vitest inside Deno and Bun: one suite, without the setup that the run around it has done. @module */

import { defineConfig } from 'vitest/config'
import { ROOT } from '../support/runtimes.ts'

export default defineConfig({
  root: ROOT,
  test: { include: ['test/matrix/child_store.ts'], testTimeout: 30_000, reporters: ['json'] },
})
