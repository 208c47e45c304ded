// The quickstart's training settings per task family, the same for every seed.

import type { BuiltInFamily } from '../../families/built-in-families.js'
import type { AlgorithmOptions } from '../../hdpo/options.js'
import type { RolloutOptions } from '../../rollout/options.js'
import type { TrainerOptimizerOptions } from '../../trainer/schedule.js'

export interface QuickstartSettings {
  coldStart: { epochs: number; tokensPerStep: number; optimizer: TrainerOptimizerOptions }
  train: {
    algorithm: AlgorithmOptions
    groupSize: number
    promptsPerStep: number
    miniBatches: number
    steps: number
    optimizer: TrainerOptimizerOptions
  }
  rollout: RolloutOptions
  /** Samples per held-out question without tools, which decide what the policy knows. */
  knownSamples: number
  /** Rollouts per held-out question, before and after training. */
  evaluationSamples: number
  /** Evaluations during training: the steps between two, and the most known and the most needed questions that each asks. */
  curve: { every: number; questions: number }
}

const atlas: QuickstartSettings = {
  coldStart: {
    epochs: 22,
    tokensPerStep: 2048,
    optimizer: {
      learningRate: 1.7e-3,
      schedule: 'cosine',
      warmupSteps: 20,
      finalLearningRateShare: 0.05,
      weightDecay: 0.01,
    },
  },
  train: {
    algorithm: { name: 'hdpo', accuracyWeight: 1, efficiencyWeight: 0.2 },
    groupSize: 16,
    promptsPerStep: 32,
    miniBatches: 2,
    steps: 130,
    optimizer: { learningRate: 4e-4, schedule: 'cosine', finalLearningRateShare: 0.1 },
  },
  rollout: { temperature: 1 },
  knownSamples: 8,
  evaluationSamples: 4,
  curve: { every: 10, questions: 64 },
}

// There are more facts to learn by heart and to tell apart, so the cold start is longer, with more questions, each seen less
// often.
const cities: QuickstartSettings = {
  ...atlas,
  coldStart: { ...atlas.coldStart, epochs: 14, tokensPerStep: 4096 },
  train: {
    ...atlas.train,
    algorithm: { name: 'hdpo', accuracyWeight: 1, efficiencyWeight: 0.15 },
    steps: 150,
  },
  evaluationSamples: 2,
  curve: { every: 5, questions: 64 },
}

export const quickstartSettings: Record<BuiltInFamily, QuickstartSettings> = { atlas, cities }
