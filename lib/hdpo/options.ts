// The options of the algorithms.

import { inspect } from 'node:util'

/**
 * 'hdpo': accuracy over the group, efficiency over its right rollouts, apart until the loss. 'grpo': accuracy alone.
 * 'grpo-coupled': accuracy + alpha * efficiency, or accuracy - callPenalty * calls, as one reward. 'gdpo': decoupled, but not
 * conditional.
 */
export const algorithmNames = ['hdpo', 'grpo', 'grpo-coupled', 'gdpo'] as const
export type AlgorithmName = (typeof algorithmNames)[number]
export interface AlgorithmOptions {
  name: AlgorithmName
  /** Default 1. */
  accuracyWeight?: number
  /** hdpo and gdpo. Default 0.15. */
  efficiencyWeight?: number
  /** grpo-coupled: share of the efficiency reward in the one reward. Default 0.15. */
  alpha?: number
  /**
   * grpo-coupled: what each call takes off the one reward, of right and wrong rollouts alike, instead of `alpha`. A call that has
   * a cost takes as many times as much.
   */
  callPenalty?: number
  /** Added to standard deviations. Default 1e-6. */
  epsilon?: number
  /** Default true; false leaves the division by a group's standard deviation out (Dr. GRPO). */
  scaleByStd?: boolean
}

export type ResolvedAlgorithm = Required<Omit<AlgorithmOptions, 'callPenalty'>> &
  Pick<AlgorithmOptions, 'callPenalty'>
export function resolveAlgorithm(given: AlgorithmOptions): ResolvedAlgorithm {
  if (!algorithmNames.includes(given.name)) {
    throw new RangeError(
      `algorithm.name must be one of ${algorithmNames.join(', ')}, got ${inspect(given.name)}`,
    )
  }
  const scaleByStd = given.scaleByStd ?? true
  if (typeof scaleByStd !== 'boolean') {
    throw new TypeError(`algorithm.scaleByStd must be true or false, got ${inspect(scaleByStd)}`)
  }
  if (given.callPenalty !== undefined && given.alpha !== undefined) {
    throw new RangeError(
      `algorithm.callPenalty and algorithm.alpha are two forms of one reward: give one, got ${given.callPenalty} and ${given.alpha}`,
    )
  }
  return {
    name: given.name,
    accuracyWeight: notNegative('accuracyWeight', given.accuracyWeight ?? 1),
    efficiencyWeight: notNegative('efficiencyWeight', given.efficiencyWeight ?? 0.15),
    alpha: notNegative('alpha', given.alpha ?? 0.15),
    ...(given.callPenalty !== undefined && { callPenalty: notNegative('callPenalty', given.callPenalty) }),
    epsilon: notNegative('epsilon', given.epsilon ?? 1e-6),
    scaleByStd,
  }
}

export function notNegative(name: string, value: unknown): number {
  if (typeof value !== 'number')
    throw new TypeError(`algorithm.${name} must be a number, got ${inspect(value)}`)
  if (value >= 0 && Number.isFinite(value)) return value
  throw new RangeError(`algorithm.${name} must be at least 0, got ${value}`)
}
