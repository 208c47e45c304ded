// Learning rate of a step: linear warm-up, then constant or a half cosine down to `finalLearningRateShare` of
// the peak.
import { checkCount, checkNotNegative, checkOneOf, checkPositive } from '../core/option-checks.js'
import type { OptimizerOptions } from '../native/types.js'

export const scheduleNames = ['constant', 'cosine'] as const
type ScheduleName = (typeof scheduleNames)[number]

export interface TrainerOptimizerOptions extends OptimizerOptions {
  /** Default 'constant'. */
  schedule?: ScheduleName
  /** Steps until the peak; step 1 takes 1 / warmupSteps of it. Default 0. */
  warmupSteps?: number
  /** Share of the peak that a cosine ends at. Default 0. */
  finalLearningRateShare?: number
}

/** `step` counts from 1 to `steps`. */
export function learningRateAt(step: number, steps: number, options: TrainerOptimizerOptions): number {
  const { learningRate, schedule = 'constant', warmupSteps = 0, finalLearningRateShare = 0 } = options
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps
  if (schedule === 'constant') return learningRate
  // The first step after warm-up takes the full peak, the last one the final share.
  const progress = Math.min((step - warmupSteps - 1) / Math.max(steps - warmupSteps - 1, 1), 1)
  const share =
    finalLearningRateShare + (1 - finalLearningRateShare) * 0.5 * (1 + Math.cos(Math.PI * progress))
  return learningRate * share
}

/** What the native optimiser takes at `step`. */
export function optimizerAt(step: number, steps: number, options: TrainerOptimizerOptions): OptimizerOptions {
  const { schedule: _, warmupSteps: __, finalLearningRateShare: ___, ...native } = options
  return { ...native, learningRate: learningRateAt(step, steps, options) }
}

export function checkOptimizerOptions(optimizer: TrainerOptimizerOptions): void {
  checkPositive('optimizer.learningRate', optimizer.learningRate)
  if (optimizer.schedule !== undefined) checkOneOf('optimizer.schedule', optimizer.schedule, scheduleNames)
  checkCount('optimizer.warmupSteps', optimizer.warmupSteps ?? 0, 0)
  checkNotNegative('optimizer.finalLearningRateShare', optimizer.finalLearningRateShare ?? 0)
}
