/** Tests: `house` keeps the rules of the code base, `cluster` breaks a cluster, `main` is everything else. @module */

import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

const timeouts = { testTimeout: 30_000, hookTimeout: 120_000 }

export default defineConfig({
  // 'pairgate' and its subpaths are the sources here
  resolve: { tsconfigPaths: true },
  test: {
    // much of the time is spent waiting for servers of their own
    maxWorkers: Math.max(2, availableParallelism() - 1),
    reporters: ['default', './test/support/matrix_reporter.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'house', include: ['test/house.test.ts', 'test/requirements.test.ts'] },
      },
      {
        extends: true,
        test: {
          name: 'main',
          include: ['test/**/*.test.ts'],
          exclude: ['test/house.test.ts', 'test/requirements.test.ts', 'test/cluster/**'],
          globalSetup: ['test/support/setup.ts'],
          ...timeouts,
        },
      },
      { extends: true, test: { name: 'cluster', include: ['test/cluster/*.test.ts'], ...timeouts } },
    ],
  },
})
