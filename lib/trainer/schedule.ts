// Learning rate of a step: linear warm-up, then constant or a half cosine down to `finalLearningRateShare` of the peak.
import { z } from 'zod'
import { positive, share } from '../core/option-kinds.js'
import type { OptionsOf } from '../core/options.js'
import { type OptimizerOptions, optimizerShape } from '../native/optimizer-options.js'

const scheduleNames = ['constant', 'cosine'] as const
export type ScheduleName = (typeof scheduleNames)[number]

export const trainerOptimizerShape = {
  ...optimizerShape,
  /** The learning rate at the peak. */
  learningRate: positive.max(1),
  /** The learning rate after the warm-up. Default 'constant'. */
  schedule: z.enum(scheduleNames).default('constant'),
  /** Steps until the peak; step 1 takes 1 / warmupSteps of it. Default 0. */
  warmupSteps: z.int().min(0).default(0),
  /** Share of the peak that a cosine ends at. Default 0. */
  finalLearningRateShare: share.default(0),
}
export const trainerOptimizerOptions = z.strictObject(trainerOptimizerShape)
export interface TrainerOptimizerOptions extends OptionsOf<typeof trainerOptimizerShape> {}
type ResolvedTrainerOptimizer = z.output<typeof trainerOptimizerOptions>

/** `step` counts from 1 to `steps`. */
export function learningRateAt(step: number, steps: number, options: ResolvedTrainerOptimizer): number {
  const { learningRate, schedule, warmupSteps, finalLearningRateShare } = options
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps
  if (schedule === 'constant') return learningRate
  // The first step after warm-up takes the full peak, the last one the final share.
  const progress = Math.min((step - warmupSteps - 1) / Math.max(steps - warmupSteps - 1, 1), 1)
  const share =
    finalLearningRateShare + (1 - finalLearningRateShare) * 0.5 * (1 + Math.cos(Math.PI * progress))
  return learningRate * share
}

/** The options of the native optimiser at `step`. */
export function optimizerAt(
  step: number,
  steps: number,
  options: ResolvedTrainerOptimizer,
): OptimizerOptions {
  const { schedule: _, warmupSteps: __, finalLearningRateShare: ___, ...native } = options
  return { ...native, learningRate: learningRateAt(step, steps, options) }
}
