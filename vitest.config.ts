import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    // Native engines use every core themselves; a file each in its own process keeps what one crashes from the others.
    pool: 'forks',
    // For what hangs alone: on a busy machine a test may take twenty times as long as on an idle one, and still passes. A test that
    // fails by chance is mended, never run again.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    teardownTimeout: 60_000,
    retry: 0,
  },
})
