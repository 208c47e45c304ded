// The options of the algorithms, with their defaults and bounds: the one place that has them.
import { z } from 'zod'
import { notNegative } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import { normalisationShape } from '../native/kernels/advantage-options.js'
import { lossShape } from '../native/loss-options.js'

/**
 * 'hdpo': accuracy over the group, efficiency over its right rollouts, apart until the loss. 'grpo': accuracy alone.
 * 'grpo-coupled': accuracy + alpha * efficiency, or accuracy - callPenalty * calls, as one reward. 'gdpo': decoupled, but not
 * conditional.
 */
export const algorithmNames = ['hdpo', 'grpo', 'grpo-coupled', 'gdpo'] as const
export type AlgorithmName = (typeof algorithmNames)[number]

const defaultAlpha = 0.15

export const algorithmShape = {
  /** Which algorithm gives rollouts their advantages. */
  name: z.enum(algorithmNames),
  /** Weight of the accuracy channel. Default 1. */
  accuracyWeight: lossShape.accuracyWeight,
  /** hdpo and gdpo: weight of the efficiency channel. Default 0.15. */
  efficiencyWeight: lossShape.efficiencyWeight,
  /** grpo-coupled: share of the efficiency reward in the one reward. Default 0.15. */
  alpha: notNegative.optional(),
  /**
   * grpo-coupled: what each call takes off the one reward, of right and wrong rollouts alike, instead of `alpha`. A call with a
   * cost takes that many times as much.
   */
  callPenalty: notNegative.optional(),
  ...normalisationShape,
}

export const algorithmOptions = z
  .strictObject(algorithmShape)
  .refine(({ alpha, callPenalty }) => alpha === undefined || callPenalty === undefined, {
    path: ['callPenalty'],
    message: 'left out where alpha is given: they are two forms of one reward',
  })

export interface AlgorithmOptions extends OptionsOf<typeof algorithmShape> {}
export type ResolvedAlgorithm = ResolvedOptions<typeof algorithmShape>

/** Throws InvalidOptionError. `alpha` is there wherever no callPenalty is. */
export function resolveAlgorithm(given: AlgorithmOptions): ResolvedAlgorithm {
  const options = readOptions(algorithmOptions, given, 'algorithm')
  return options.callPenalty === undefined ? { alpha: defaultAlpha, ...options } : options
}
