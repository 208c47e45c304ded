// The kernels' option `device`. If there is a GPU, the golden files hold on it too.
import { describe, expect, it } from 'vitest'
import { loadAddon } from '../../lib/native/addon.js'
import {
  type GroupAdvantagesInput,
  kernels,
  type LinearPolicyLossInput,
  type PolicyLossInput,
} from '../../lib/native/kernels.js'
import { refuses } from '../core/wrong-options.js'
import {
  advantagesCases,
  largestDifference,
  largestRelativeDifference,
  outerProduct,
  policyLossCases,
  throughIdentity,
} from './golden.js'

const { usable, missing } = loadAddon().cudaStatus()

const rollouts: GroupAdvantagesInput = {
  groupIds: [4, 4, 4, -7],
  accuracyRewards: [1, 0.1, 1, 1],
  correct: [1, 0, 1, 1],
  toolCalls: [1, 0, 0, 3],
}
const tokens = {
  vocabSize: 2,
  targets: [0, 1],
  lossMask: [1, 1],
  sequenceLengths: [2],
  oldLogprobs: [-1, -0.5],
  accuracyAdvantages: [1],
  efficiencyAdvantages: [0],
}
const loss: PolicyLossInput = { ...tokens, logits: [1, 2, 3, 4] }
const linear: LinearPolicyLossInput = { ...tokens, hiddenSize: 1, hidden: [1, 2], weight: [3, 4] }

describe('device', () => {
  it('is the CPU unless it is given', async () => {
    expect(await kernels.groupAdvantages({ ...rollouts, device: 'cpu' })).toEqual(
      await kernels.groupAdvantages(rollouts),
    )
    expect(await kernels.policyLoss({ ...loss, device: 'cpu' })).toEqual(await kernels.policyLoss(loss))
    expect(await kernels.linearPolicyLoss({ ...linear, device: 'cpu' })).toEqual(
      await kernels.linearPolicyLoss(linear),
    )
  })

  it("runs wherever 'auto' finds it a place", async () => {
    const { efficiencyAdvantages } = await kernels.groupAdvantages({ ...rollouts, device: 'auto' })
    expect(efficiencyAdvantages[2]).toBeCloseTo(Math.SQRT1_2, 4)
    const { loss: found } = await kernels.policyLoss({ ...loss, device: 'auto' })
    expect(found).toBeCloseTo((await kernels.policyLoss(loss)).loss, 5)
    const fused = await kernels.linearPolicyLoss({ ...linear, device: 'auto' })
    expect(fused.loss).toBeCloseTo((await kernels.linearPolicyLoss(linear)).loss, 5)
  })

  it.skipIf(usable)('that is not there is an error that names what is missing', async () => {
    const refusal = { name: 'HdpoError', code: 'ERR_DEVICE', message: `device 'cuda': ${missing}` }
    await expect(kernels.groupAdvantages({ ...rollouts, device: 'cuda' })).rejects.toMatchObject(refusal)
    await expect(kernels.policyLoss({ ...loss, device: 'cuda' })).rejects.toMatchObject(refusal)
    await expect(kernels.linearPolicyLoss({ ...linear, device: 'cuda' })).rejects.toMatchObject(refusal)
    // The thread still works after the error.
    expect((await kernels.groupAdvantages(rollouts)).efficiencyAdvantages[2]).toBeCloseTo(Math.SQRT1_2, 4)
  })

  describe('is refused where it is not known', () => {
    const device = (given: unknown) => ({ device: given as 'cpu' })
    refuses(
      (given) => kernels.groupAdvantages({ ...rollouts, ...device(given) }),
      [['tpu', "device: must be one of auto, cpu, cuda, got 'tpu'"]],
    )
    refuses(
      (given) => kernels.policyLoss({ ...loss, ...device(given) }),
      [[1, 'device: must be one of auto, cpu, cuda, got 1']],
    )
    refuses(
      (given) => kernels.linearPolicyLoss({ ...linear, ...device(given) }),
      [['gpu', "device: must be one of auto, cpu, cuda, got 'gpu'"]],
    )
  })
})

describe.skipIf(!usable)('a GPU', () => {
  it.each(advantagesCases())('agrees with the reference: $name', async ({ name: _, expected, ...input }) => {
    const found = await kernels.groupAdvantages({ ...input, device: 'cuda' })
    for (const name of ['efficiencyRewards', 'accuracyAdvantages', 'efficiencyAdvantages'] as const) {
      expect(largestDifference(found[name], expected[name]), name).toBeLessThan(1e-6)
    }
  })

  it.each(policyLossCases())('agrees with the reference: $name', async ({ name: _, expected, ...input }) => {
    const found = await kernels.policyLoss({ ...input, device: 'cuda' })
    for (const name of ['loss', 'accuracyLoss', 'efficiencyLoss', 'kl'] as const) {
      expect(largestRelativeDifference([found[name]], [expected[name]], 1e-3), name).toBeLessThan(1e-4)
    }
    for (const name of ['logprobs', 'entropy', 'gradLogprobs', 'gradLogits'] as const) {
      expect(largestRelativeDifference(found[name], expected[name], 1e-5), name).toBeLessThan(1e-4)
    }
  })

  it.each(policyLossCases())('agrees through a known projection: $name', async (input) => {
    const { expected } = input
    const found = await kernels.linearPolicyLoss({ ...throughIdentity(input), device: 'cuda' })
    for (const name of ['loss', 'accuracyLoss', 'efficiencyLoss', 'kl'] as const) {
      expect(largestRelativeDifference([found[name]], [expected[name]], 1e-3), name).toBeLessThan(1e-4)
    }
    for (const name of ['logprobs', 'entropy'] as const) {
      expect(largestRelativeDifference(found[name], expected[name], 1e-3), name).toBeLessThan(1e-4)
    }
    expect(largestRelativeDifference(found.gradHidden, expected.gradLogits, 1e-5)).toBeLessThan(1e-4)
    expect(largestDifference(found.gradWeight, outerProduct(input))).toBeLessThan(1e-5)
  })
})
