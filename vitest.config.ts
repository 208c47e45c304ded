import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
    // Native engines use every core themselves; a file each in its own process keeps what one crashes from the others.
    pool: 'forks',
    testTimeout: 30_000,
    hookTimeout: 60_000,
  },
})
