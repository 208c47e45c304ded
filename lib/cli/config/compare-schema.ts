// The keys of a grid file. Unknown ones are refused.
import { z } from 'zod'
import type { Grid } from '../../experiment/compare/grid.js'
import { algorithmNames } from '../../hdpo/options.js'
import { optimizer, rollout, trainSchema } from './config-schema.js'

const count = z.int().min(1)
const notNegative = z.number().min(0)
const share = z.number().min(0).max(1)
const numbers = z.union([notNegative, z.array(notNegative).min(1)])
const { groupSize, promptsPerStep, steps, loss, klCoefficient, passes, miniBatches } = trainSchema.shape

export const gridSchema = z.strictObject({
  environment: z.string(),
  /** One comparison in each: `environmentSettings` of reinforcement learning. Default: one, without any. */
  settings: z.array(z.record(z.string(), z.unknown())).min(1).exactOptional(),
  seeds: z.array(z.int().min(0)).min(1),
  /** A policy folder where every cell begins, instead of a cold start for every seed. */
  policy: z.string().exactOptional(),
  coldStart: z
    .strictObject({
      epochs: z.number().positive().exactOptional(),
      steps: count.exactOptional(),
      tokensPerStep: count,
      optimizer,
    })
    .exactOptional(),
  algorithms: z
    .array(
      z.strictObject({
        name: z.enum(algorithmNames),
        accuracyWeight: numbers.exactOptional(),
        efficiencyWeight: numbers.exactOptional(),
        alpha: numbers.exactOptional(),
        callPenalty: numbers.exactOptional(),
        epsilon: numbers.exactOptional(),
        scaleByStd: z.boolean().exactOptional(),
      }),
    )
    .min(1),
  train: z.strictObject({
    groupSize,
    promptsPerStep,
    steps,
    optimizer,
    loss,
    klCoefficient,
    passes,
    miniBatches,
  }),
  rollout: rollout.exactOptional(),
  evaluation: z
    .strictObject({
      knownSamples: count.exactOptional(),
      samples: count.exactOptional(),
      tasks: count.exactOptional(),
      every: count.exactOptional(),
      curveQuestions: count.exactOptional(),
    })
    .exactOptional(),
  targets: z
    .strictObject({ redundantCallRate: share.exactOptional(), neededCallsKept: share.exactOptional() })
    .exactOptional(),
  processes: count.exactOptional(),
  threads: count.exactOptional(),
  nice: z.int().min(0).max(19).exactOptional(),
})

export type GridConfig = z.infer<typeof gridSchema>

export function toGrid(config: GridConfig): Grid {
  const {
    settings = [{}],
    seeds,
    algorithms,
    coldStart,
    policy,
    train,
    rollout: rolloutOptions = {},
  } = config
  return {
    seeds,
    settings,
    algorithms,
    ...(coldStart && { coldStart }),
    ...(policy !== undefined && { policy }),
    train,
    rollout: rolloutOptions,
    evaluation: { knownSamples: 8, samples: 4, every: 10, curveQuestions: 64, ...config.evaluation },
    targets: { redundantCallRate: 0.02, neededCallsKept: 0.97, ...config.targets },
    threads: config.threads ?? 1,
  }
}
