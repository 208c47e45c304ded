import { describe, expect, it } from 'vitest'
import { readOptions } from '../../lib/core/options.js'
import {
  learningRateAt,
  optimizerAt,
  type TrainerOptimizerOptions,
  trainerOptimizerOptions,
} from '../../lib/trainer/schedule.js'

const resolved = (options: TrainerOptimizerOptions) => readOptions(trainerOptimizerOptions, options)
const at = (step: number, options: object) =>
  learningRateAt(step, 110, resolved({ learningRate: 1, ...options }))

describe('learningRateAt', () => {
  it('warms up linearly, and step 1 is not 0', () => {
    expect([1, 5, 10].map((step) => at(step, { warmupSteps: 10 }))).toEqual([0.1, 0.5, 1])
  })
  it('stays at the peak when constant', () => {
    expect([11, 60, 110].map((step) => at(step, { warmupSteps: 10 }))).toEqual([1, 1, 1])
  })
  it('falls along half a cosine from the peak to the final share', () => {
    const options = { schedule: 'cosine', warmupSteps: 9, finalLearningRateShare: 0.1 }
    expect(at(10, options)).toBe(1)
    expect(at(60, options)).toBeCloseTo(0.55, 12)
    expect(at(110, options)).toBeCloseTo(0.1, 12)
    expect(at(200, options)).toBeCloseTo(0.1, 12)
  })
  it('manages a run of one step', () => {
    expect(learningRateAt(1, 1, resolved({ learningRate: 0.5, schedule: 'cosine' }))).toBe(0.5)
  })
})

it('hands the native optimiser its own options only', () => {
  const options = {
    learningRate: 0.5,
    schedule: 'constant' as const,
    warmupSteps: 4,
    beta2: 0.9,
    microBatchTokens: 64,
  }
  expect(optimizerAt(1, 10, resolved(options))).toEqual({
    ...{ learningRate: 0.125, beta1: 0.9, beta2: 0.9, epsilon: 1e-8, weightDecay: 0, maxGradientNorm: 1 },
    microBatchTokens: 64,
  })
})
