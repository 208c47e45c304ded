// The algorithms by name: their options, the advantages they give to a step's rollouts, the weights of the loss's two channels.
import { checkObject, checkObjects } from '../core/arguments.js'
import { InvalidOptionError } from '../core/option-error.js'
import { advantagesOf } from './advantages.js'
import { type AlgorithmOptions, resolveAlgorithm } from './options.js'
import { type Advantages, type RewardedRollout, rolloutArrays } from './rollouts.js'

export type { Advantages, RewardedRollout } from './rollouts.js'

/** The same groups in the same order, every rollout with both advantages. */
export async function assignAdvantages<Rollout extends RewardedRollout>(
  groups: readonly (readonly Rollout[])[],
  algorithm: AlgorithmOptions,
): Promise<(Rollout & Advantages)[][]> {
  const options = resolveAlgorithm(algorithm)
  checkGroups(groups)
  const advantages = await advantagesOf[options.name](rolloutArrays(groups), options)
  let next = 0
  return groups.map((group) =>
    group.map((rollout) => {
      const index = next++
      return {
        ...rollout,
        accuracyAdvantage: advantages.accuracyAdvantages[index] as number,
        efficiencyAdvantage: advantages.efficiencyAdvantages[index] as number,
      }
    }),
  )
}

/** Array-like: { length: 2 } stands for two calls whose costs are not known. */
function checkCalls(given: unknown, name: string): void {
  const { length } = (given ?? {}) as { length?: unknown }
  if (!Number.isSafeInteger(length) || Number(length) < 0)
    throw new InvalidOptionError(name, 'a list of calls', given)
}

const rewards = { accuracyReward: 'number', answerReward: 'number' } as const

function checkGroups(groups: unknown): void {
  if (!Array.isArray(groups))
    throw new InvalidOptionError('groups', 'a list of groups, each a list of rollouts', groups)
  for (const [index, group] of groups.entries()) {
    checkObjects(group, `groups[${index}]`, 'a rollout with its rewards')
    for (const [place, rollout] of group.entries()) {
      const at = `groups[${index}][${place}]`
      checkObject(rollout, at, 'a rollout with its rewards, which are numbers', rewards)
      checkCalls(rollout.toolCalls, `${at}.toolCalls`)
    }
  }
}

/** Weights of the loss's channels. The baselines carry all they want in the accuracy channel. */
export function lossWeights(algorithm: AlgorithmOptions): {
  accuracyWeight: number
  efficiencyWeight: number
} {
  const { name, accuracyWeight, efficiencyWeight } = resolveAlgorithm(algorithm)
  if (name === 'hdpo') return { accuracyWeight, efficiencyWeight }
  // gdpo has weighted its rewards already, and then normalised.
  return { accuracyWeight: name === 'gdpo' ? 1 : accuracyWeight, efficiencyWeight: 0 }
}
