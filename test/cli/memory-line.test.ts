import { expect, it } from 'vitest'
import { formatMemoryPlan } from '../../lib/cli/terminal/memory-line.js'

it('names what takes room, and no more', () => {
  const plan = {
    weights: 1.2e9,
    generationWeights: 0,
    adapters: 40e6,
    gradients: 40e6,
    optimizer: 80e6,
    activations: 2e9,
    kvCache: 134e6,
    generationWorkspace: 36e6,
    total: 3.53e9,
    resident: 0,
    available: 20e9,
  }
  expect(formatMemoryPlan(plan)).toBe(
    'memory: 3.53 GB in all (weights 1.20 GB, adapter 0.04 GB, gradients 0.04 GB, optimiser 0.08 GB, ' +
      'activations and workspace 2.00 GB, cached keys and values 0.13 GB, generation steps 0.04 GB); 20.00 GB still free',
  )
})
