// What a Trainer takes, and the checks it makes before any work starts.

import {
  checkCount,
  checkNotNegative,
  checkOneOf,
  checkPositive,
  withoutUndefined,
} from '../core/option-checks.js'
import type { Knowledge } from '../evaluation/knowledge.js'
import { type AlgorithmOptions, algorithmNames } from '../hdpo/options.js'
import type { RunLogger } from '../loggers/types.js'
import type { PolicyLossOptions } from '../native/types.js'
import type { RewardOptions } from '../rewards/rewards.js'
import { type RunGroup, runGroup } from '../rollout/group.js'
import {
  type ResolvedRolloutOptions,
  type RolloutOptions,
  resolveRolloutOptions,
} from '../rollout/options.js'
import type { Task } from '../rollout/types.js'
import type { TaskList } from '../tasks/task-list.js'
import type { Tool } from '../tools/types.js'
import type { TrainerOptimizerOptions } from './schedule.js'
import { checkOptimizerOptions } from './schedule.js'
import type { TrainablePolicy } from './trainable-policy.js'

export interface TrainerOptions {
  policy: TrainablePolicy
  /** An array, or what openTasks returns. */
  tasks: TaskList
  tools: readonly Tool[]
  reward: RewardOptions
  algorithm: AlgorithmOptions
  /** Rollouts of one prompt. */
  groupSize: number
  promptsPerStep: number
  steps: number
  /** Turns, tokens, temperature ... of a rollout. */
  rollout?: RolloutOptions
  /** Who plays the rollouts of a task. Default: the policy with `tools` (rollout/group.ts). */
  runGroup?: RunGroup
  optimizer: TrainerOptimizerOptions
  /** Clipping and aggregation. The channel weights come from `algorithm`, the temperature from `rollout`. */
  loss?: Pick<PolicyLossOptions, 'aggregation' | 'clipLow' | 'clipHigh' | 'dualClip' | 'entropyCoefficient'>
  /** Weight of KL(policy || policy at the start of the run). Default 0. */
  klCoefficient?: number
  /**
   * Corrects for rollouts that are sampled less precisely than the policy is trained (generationPrecision: 'int8') by importance
   * weights of at most this, and adds `drift` to the metrics (importance.ts). Default: 2 with int8 rollouts, no correction without.
   */
  importanceCap?: number
  /**
   * Keep in the run folder what each token was worth right before the last update on it, so that the dashboard shows the exact
   * gradient of every token. Costs a forward pass of each batch. Default false: ratios are shown as 1.
   */
  recordTrainingLogprobs?: boolean
  /** How often a step trains on its rollouts. Default 1. */
  passes?: number
  /** Optimiser updates that one pass is split into, by prompts. Default 1. */
  miniBatches?: number
  /** The run folder. */
  output: string
  /** Kept in the run folder as config.yaml, secrets redacted. Default: the options that a resumed run may not change. */
  config?: unknown
  /** Everything random follows from it and the step number. Default 0. */
  seed?: number
  /** Steps between checkpoints. Default 10. The last step of a run is always saved. */
  checkpointEvery?: number
  /** Newest checkpoints that stay. Default 3. */
  keepCheckpoints?: number
  /** Steps in a row whose loss or gradient is not finite that end the run. Default 5. */
  maxSkippedSteps?: number
  evaluate?: TrainerEvaluation
  /** Where else the metrics go, beside the run folder: tensorBoard(), mlflow(), prometheus(), one of your own. */
  loggers?: readonly RunLogger[]
  /**
   * Keep run.sqlite, what `hdpo ui` and `hdpo export` read, up to date in a thread of its own (about 150 MB). Default true; without
   * it the first reader makes it.
   */
  index?: boolean
  /**
   * Told of things that do not stop the run: a damaged checkpoint, a skipped step. Default:
   * process.emitWarning.
   */
  onWarning?: (message: string) => void
}

export interface TrainerEvaluation {
  tasks: readonly Task[]
  /** Steps between evaluations; the last step is always evaluated. */
  every: number
  /** Rollouts of each task. Default 1. */
  samples?: number
  /** From measureKnown: adds the redundant-call and needed-call rate. */
  knowledge?: Knowledge
  /** Grades the evaluations. Default: the trainer's own, which may be one that nobody would measure by (a noisy one, a judge). */
  reward?: RewardOptions
}

type Defaulted = 'runGroup' | 'loss' | 'klCoefficient' | 'passes' | 'miniBatches' | 'seed'
type DefaultedSaving =
  | 'checkpointEvery'
  | 'keepCheckpoints'
  | 'maxSkippedSteps'
  | 'loggers'
  | 'index'
  | 'onWarning'
export type ResolvedTrainerOptions = TrainerOptions &
  Required<Pick<TrainerOptions, Defaulted | DefaultedSaving>> & { rollout: ResolvedRolloutOptions }

export function resolveTrainerOptions(options: TrainerOptions): ResolvedTrainerOptions {
  const resolved = {
    runGroup,
    loss: {},
    klCoefficient: 0,
    passes: 1,
    miniBatches: 1,
    seed: 0,
    checkpointEvery: 10,
    keepCheckpoints: 3,
    maxSkippedSteps: 5,
    loggers: [],
    index: true,
    onWarning: (message: string) => process.emitWarning(message, 'HdpoWarning'),
    ...(options.policy.generationPrecision === 'int8' && { importanceCap: 2 }),
    ...withoutUndefined(options),
    rollout: resolveRolloutOptions(options.rollout ?? {}),
  }
  checkTrainerOptions(resolved)
  return resolved
}

function checkTrainerOptions(options: ResolvedTrainerOptions): void {
  if (options.tasks.length === 0) throw new RangeError('tasks: at least one is needed, got none')
  checkOneOf('algorithm.name', options.algorithm.name, algorithmNames)
  for (const name of ['groupSize', 'promptsPerStep', 'steps', 'passes', 'miniBatches'] as const) {
    checkCount(name, options[name])
  }
  for (const name of ['checkpointEvery', 'keepCheckpoints', 'maxSkippedSteps'] as const) {
    checkCount(name, options[name])
  }
  checkCount('seed', options.seed, 0)
  checkNotNegative('klCoefficient', options.klCoefficient)
  if (options.importanceCap !== undefined) checkPositive('importanceCap', options.importanceCap)
  if (options.recordTrainingLogprobs && options.importanceCap !== undefined) {
    throw new RangeError(
      'recordTrainingLogprobs: with importanceCap the ratio is not that of the recorded logprobs; give one of the two',
    )
  }
  checkOptimizerOptions(options.optimizer)
  // The likeliest token alone has logprob 0: nothing could be learnt from it.
  checkPositive('rollout.temperature', options.rollout.temperature)
  if (options.miniBatches > options.promptsPerStep) {
    throw new RangeError(
      `miniBatches must be at most promptsPerStep (${options.promptsPerStep}), got ${options.miniBatches}`,
    )
  }
  if (options.evaluate) {
    checkCount('evaluate.every', options.evaluate.every)
    checkCount('evaluate.samples', options.evaluate.samples ?? 1)
  }
  if (typeof options.output !== 'string' || options.output === '') {
    throw new TypeError(`output must be the path of the run folder, got ${JSON.stringify(options.output)}`)
  }
}
