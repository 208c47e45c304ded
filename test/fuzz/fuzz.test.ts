// The short form of `npm run fuzz`: every part of the product, by one seed.
import { describe, expect, it } from 'vitest'
import { runTarget } from './fuzz.js'
import { targets } from './targets.js'

const minutes = 60_000

describe.each(targets.map((target) => [target.name, target] as const))(
  'random input for %s',
  (name, { shortRuns }) => {
    it('is taken or refused by name', { timeout: 15 * minutes }, async () => {
      const { runs, failures } = await runTarget({ name, seed: 1, runs: shortRuns })
      expect(failures.map(({ input, error }) => `${input}\n${error}`)).toEqual([])
      expect(runs).toBeGreaterThanOrEqual(shortRuns)
    })
  },
)
