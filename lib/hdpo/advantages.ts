// Advantages of each algorithm (docs/algorithm.md, "Two advantages" and "Baselines"), all through the one native kernel.
import { kernels } from '../native/kernels.js'
import type { AlgorithmName, ResolvedAlgorithm } from './options.js'
import type { RolloutArrays } from './rollouts.js'

interface AdvantageArrays {
  accuracyAdvantages: Float32Array
  efficiencyAdvantages: Float32Array
}

type Algorithm = (rollouts: RolloutArrays, options: ResolvedAlgorithm) => Promise<AdvantageArrays>

export const advantagesOf: Record<AlgorithmName, Algorithm> = {
  hdpo: (rollouts, options) => normalise(rollouts, options),
  grpo: async (rollouts, options) => accuracyAlone((await normalise(rollouts, options)).accuracyAdvantages),
  'grpo-coupled': grpoCoupled,
  gdpo,
}

function normalise(rollouts: RolloutArrays, { epsilon, scaleByStd }: ResolvedAlgorithm) {
  return kernels.groupAdvantages({ ...rollouts, epsilon, scaleByStd })
}

/** One reward, accuracy + alpha * efficiency or accuracy - callPenalty * calls, normalised once over the whole group. */
async function grpoCoupled(rollouts: RolloutArrays, options: ResolvedAlgorithm): Promise<AdvantageArrays> {
  const { alpha, callPenalty } = options
  const rewards = rollouts.accuracyRewards.map((reward, index) =>
    callPenalty === undefined
      ? reward + (alpha as number) * efficiencyReward(rollouts, index)
      : reward - callPenalty * (rollouts.toolCosts[index] as number),
  )
  const { accuracyAdvantages } = await normalise({ ...rollouts, accuracyRewards: rewards }, options)
  return accuracyAlone(accuracyAdvantages)
}

/**
 * GDPO (arXiv 2601.05242): each reward normalised on its own over the whole group, wrong rollouts included, weighted, summed,
 * and the sum normalised over the batch.
 */
async function gdpo(rollouts: RolloutArrays, options: ResolvedAlgorithm): Promise<AdvantageArrays> {
  const efficiencyRewards = rollouts.accuracyRewards.map((_, index) => efficiencyReward(rollouts, index))
  const [accuracy, efficiency] = await Promise.all([
    normalise(rollouts, options),
    normalise({ ...rollouts, accuracyRewards: efficiencyRewards }, options),
  ])
  const sums = accuracy.accuracyAdvantages.map(
    (advantage, index) =>
      options.accuracyWeight * advantage +
      options.efficiencyWeight * (efficiency.accuracyAdvantages[index] as number),
  )
  // The kernel takes the batch as one group. It is always scaled: scaleByStd is about the groups alone.
  const batch = { ...rollouts, groupIds: new Int32Array(sums.length), accuracyRewards: sums }
  const { accuracyAdvantages } = await normalise(batch, { ...options, scaleByStd: true })
  return accuracyAlone(accuracyAdvantages)
}

function efficiencyReward({ correct, toolCosts }: RolloutArrays, index: number): number {
  return correct[index] === 1 ? 1 / ((toolCosts[index] as number) + 1) : 0
}

function accuracyAlone(accuracyAdvantages: Float32Array): AdvantageArrays {
  return { accuracyAdvantages, efficiencyAdvantages: new Float32Array(accuracyAdvantages.length) }
}
