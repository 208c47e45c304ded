// The options of the policy loss (docs/algorithm.md, "Loss"), with their defaults and bounds: the one place that has them.
import { z } from 'zod'
import { kind, largestFloat, notNegative } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'

const aggregations = ['token-mean', 'seq-mean-token-mean', 'seq-mean-token-sum'] as const
export type Aggregation = (typeof aggregations)[number]

const float = notNegative.max(largestFloat)

export const lossShape = {
  /** Logits are divided by it. Default 1. */
  temperature: z.number().min(1e-6).max(largestFloat).default(1),
  /** How the tokens' losses become one number. Default 'token-mean'. */
  aggregation: z.enum(aggregations).default('token-mean'),
  /** The ratio is clipped below 1 - clipLow. Default 0.2. */
  clipLow: z.number().min(0).max(1).default(0.2),
  /** The ratio is clipped above 1 + clipHigh. Default 0.2. */
  clipHigh: float.default(0.2),
  /** Where the advantage is negative, ratios above it no longer push. At least 1; Infinity turns it off. Default 3. */
  dualClip: kind<number>('a number of at least 1', (value) => typeof value === 'number' && value >= 1)
    // One that large never acts.
    .transform((value) => Math.min(value, largestFloat))
    .default(3),
  /** Weight of the accuracy channel. Default 1. */
  accuracyWeight: float.default(1),
  /** Weight of the efficiency channel. Default 0.15. */
  efficiencyWeight: float.default(0.15),
  /** Weight of KL(policy || reference). Default 0. */
  klCoefficient: float.default(0),
  /** Weight of the entropy, which is added to what is maximised. Default 0. */
  entropyCoefficient: z.number().min(-largestFloat).max(largestFloat).default(0),
}
const lossOptions = z.strictObject(lossShape)
export interface PolicyLossOptions extends OptionsOf<typeof lossShape> {}
export type ResolvedLossOptions = ResolvedOptions<typeof lossShape>

/** Throws InvalidOptionError. */
export function resolveLoss(options: PolicyLossOptions): ResolvedLossOptions {
  return readOptions(lossOptions, options, 'loss')
}
