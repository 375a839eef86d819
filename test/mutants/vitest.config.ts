/** How tests are run while a mutant is in: nothing is installed, a database server is started only when asked for. @module */

import { defineConfig } from 'vitest/config'

const mariadb = process.env.MUTANTS_MARIADB === '1'

export default defineConfig({
  // node_modules is shared with the project, and is not written to
  cacheDir: '.cache',
  test: {
    include: ['test/**/*.test.ts'],
    reporters: ['json'],
    outputFile: 'report.json',
    ...(mariadb ? { globalSetup: ['test/support/setup.ts'] } : { provide: { mariadb: null } }),
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
