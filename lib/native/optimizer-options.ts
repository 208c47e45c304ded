// The options of the optimiser (AdamW with clipping by the global norm), with their defaults and bounds: the one place that has them.
import { z } from 'zod'
import { count, largestFloat, notNegative, positive } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'

export const optimizerShape = {
  /** A step with 0 changes nothing but the optimiser's state. */
  learningRate: notNegative.max(1),
  /** Decay of the mean of gradients. Default 0.9. */
  beta1: z.number().min(0).lt(1).default(0.9),
  /** Decay of the mean of squared gradients. Default 0.95. */
  beta2: z.number().min(0).lt(1).default(0.95),
  /** Added to the root of the mean of squared gradients. Default 1e-8. */
  epsilon: positive.max(1).default(1e-8),
  /** Decoupled weight decay, times the learning rate. Default 0. */
  weightDecay: notNegative.max(largestFloat).default(0),
  /** Gradients are scaled down to this global norm; 0: never. Default 1. */
  maxGradientNorm: notNegative.max(largestFloat).default(1),
  /** Tokens of one micro-batch. Default: 2048 on a CPU, 8192 on a GPU. */
  microBatchTokens: count.max(2 ** 30).optional(),
}
const optimizerOptions = z.strictObject(optimizerShape)
export interface OptimizerOptions extends OptionsOf<typeof optimizerShape> {}
export type ResolvedOptimizer = ResolvedOptions<typeof optimizerShape>

/** Throws InvalidOptionError. */
export function resolveOptimizer(options: OptimizerOptions): ResolvedOptimizer {
  return readOptions(optimizerOptions, options, 'optimizer')
}
