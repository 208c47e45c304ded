// The keys of a grid file. Unknown ones are refused.
import { z } from 'zod'
import { count, seed } from '../../core/option-kinds.js'
import { readOptions } from '../../core/options.js'
import { type Grid, gridEvaluationShape, targetsShape } from '../../experiment/compare/grid.js'
import { algorithmShape } from '../../hdpo/options.js'
import { rolloutOptions } from '../../rollout/options.js'
import { supervisedTrainingShape, usesOneLength } from '../../trainer/supervised-options.js'
import { trainingShape } from '../../trainer/trainer-options.js'

/** One number of an algorithm, or several: each becomes a cell. */
function axis(option: { unwrap(): z.ZodNumber }) {
  return z.union([option.unwrap(), z.array(option.unwrap()).min(1)]).optional()
}

const { epochs, steps: coldSteps, tokensPerStep, optimizer: coldOptimizer } = supervisedTrainingShape
const { groupSize, promptsPerStep, steps, optimizer } = trainingShape
const { loss, klCoefficient, passes, miniBatches } = trainingShape
const evaluation = z.strictObject(gridEvaluationShape).prefault({})
const targets = z.strictObject(targetsShape).prefault({})
const threads = count.default(1)

export const gridSchema = z.strictObject({
  /** A built-in environment's name, or a module whose default export is an environment or a function from { seed, settings } to one. */
  environment: z.string(),
  /** `environmentSettings` of reinforcement learning; each entry is a comparison of its own. Default: one, without any. */
  settings: z.array(z.record(z.string(), z.unknown())).min(1).optional(),
  /** Each seed gives a start (a cold start and what it knows) and one cell per algorithm and setting. */
  seeds: z.array(seed).min(1),
  /** A policy folder where every cell begins, instead of a cold start per seed. */
  policy: z.string().optional(),
  /** Supervised training of a fresh model, once per seed. */
  coldStart: z
    .strictObject({ epochs, steps: coldSteps, tokensPerStep, optimizer: coldOptimizer })
    .superRefine(usesOneLength)
    .optional(),
  /** The algorithms to compare. One number of an entry may be a list, which gives one cell per number. */
  algorithms: z
    .array(
      z.strictObject({
        name: algorithmShape.name,
        accuracyWeight: axis(algorithmShape.accuracyWeight),
        efficiencyWeight: axis(algorithmShape.efficiencyWeight),
        alpha: axis(algorithmShape.alpha),
        callPenalty: axis(algorithmShape.callPenalty),
        epsilon: axis(algorithmShape.epsilon),
        scaleByStd: algorithmShape.scaleByStd,
      }),
    )
    .min(1),
  /** The training of every cell. */
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
  /** Options of a rollout: turns, tokens, temperature and so on. */
  rollout: rolloutOptions.optional(),
  /** How every cell is measured, before and after training. */
  evaluation,
  /** The targets that a cell counts as reaching. */
  targets,
  /** Processes at once. Default: as many as the machine has cores for. */
  processes: count.optional(),
  /** CPU threads of each process. Default 1. */
  threads,
  /** The niceness of the processes, 0 to 19: how far they yield to others. */
  nice: z.int().min(0).max(19).optional(),
})

export type GridConfig = z.input<typeof gridSchema>

export function toGrid(config: GridConfig): Grid {
  const { settings = [{}], seeds, algorithms, coldStart, policy, train, rollout = {} } = config
  return {
    seeds,
    settings,
    algorithms,
    ...(coldStart && { coldStart }),
    ...(policy !== undefined && { policy }),
    train,
    rollout,
    evaluation: readOptions(evaluation, config.evaluation, 'evaluation'),
    targets: readOptions(targets, config.targets, 'targets'),
    threads: threads.parse(config.threads),
  }
}
