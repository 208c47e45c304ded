// Options of a Trainer, with their defaults and the checks that are made before any work starts.
import { z } from 'zod'
import { callbackOr, count, instance, list, positive } from '../core/option-kinds.js'
import { type OptionsOf, type ResolvedOptions, readOptions } from '../core/options.js'
import type { Knowledge } from '../evaluation/knowledge.js'
import { algorithmOptions, resolveAlgorithm } from '../hdpo/options.js'
import { lossShape } from '../native/loss-options.js'
import type { GenerationPrecision } from '../native/types.js'
import { rewardOptions } from '../rewards/reward-options.js'
import { type RunGroup, runGroup } from '../rollout/group.js'
import { rolloutShape } from '../rollout/options.js'
import type { Task } from '../rollout/types.js'
import { taskList } from '../tasks/task-list.js'
import { toolList } from '../tools/tool-list.js'
import { runShape } from './run-options.js'
import { trainerOptimizerOptions } from './schedule.js'
import type { TrainablePolicy } from './trainable-policy.js'

export const trainerEvaluationShape = {
  /** What is asked: other tasks than those that are trained on. */
  tasks: list<Task>(),
  /** Steps between evaluations; the last step is always evaluated. */
  every: count,
  /** Rollouts of each task. Default 1. */
  samples: count.default(1),
  /** What measureKnown found: adds the redundant-call and needed-call rate. */
  knowledge: instance<Knowledge>('what measureKnown returns').optional(),
  /** Grades the evaluations. Default: the trainer's reward, which may be unsuited to measure by (a noisy one, a judge). */
  reward: rewardOptions.optional(),
}
export interface TrainerEvaluation extends OptionsOf<typeof trainerEvaluationShape> {}

/** What decides the numbers of a run, apart from policy, tasks, tools and reward; a config file may set these too. */
export const trainingShape = {
  /** How rollouts get their advantages, and the weights of the loss's channels. */
  algorithm: algorithmOptions,
  /** Rollouts of one prompt, at least 2: an advantage is what a rollout has over the others, and alone it would be 0. */
  groupSize: z.int().min(2),
  /** Prompts of one step, so that it has promptsPerStep * groupSize rollouts. */
  promptsPerStep: count,
  /** Steps of the whole run; a resumed run may have more than it began with. */
  steps: count,
  /** Turns, tokens, temperature and other options of a rollout. Temperature 0 is refused: it would teach nothing. */
  rollout: z.strictObject({ ...rolloutShape, temperature: positive.default(1) }).prefault({}),
  /** The optimiser and its schedule. */
  optimizer: trainerOptimizerOptions,
  /** Clipping and aggregation. The channel weights come from `algorithm`, the temperature from `rollout`. */
  loss: z
    .strictObject({
      aggregation: lossShape.aggregation,
      clipLow: lossShape.clipLow,
      clipHigh: lossShape.clipHigh,
      dualClip: lossShape.dualClip,
      entropyCoefficient: lossShape.entropyCoefficient,
    })
    .prefault({}),
  /** Weight of KL(policy || policy at the start of the run). Default 0. */
  klCoefficient: lossShape.klCoefficient,
  /**
   * Largest importance weight in the correction for rollouts that are sampled less precisely than the policy is trained
   * (generationPrecision: 'int8'); adds `drift` to the metrics. Default: 2 with int8 rollouts, no correction without.
   */
  importanceCap: positive.optional(),
  /**
   * Keep in the run folder each token's logprob right before the last update on it, so that the dashboard shows the exact gradient
   * of every token. Costs a forward pass of each batch. Default false: ratios are shown as 1.
   */
  recordTrainingLogprobs: z.boolean().default(false),
  /** How often a step trains on its rollouts. Default 1. */
  passes: count.default(1),
  /** Optimiser updates that one pass is split into, by prompts: at most promptsPerStep. Default 1. */
  miniBatches: count.default(1),
  /** Steps between checkpoints. The last step of a run is always saved. Default 10. */
  checkpointEvery: count.default(10),
  /** Newest checkpoints that stay. Default 3. */
  keepCheckpoints: count.default(3),
}

export const trainerShape = {
  /** What is trained. */
  policy: instance<TrainablePolicy>('a policy'),
  /** An array, or what openTasks returns. */
  tasks: taskList,
  /** What the policy may call. */
  tools: toolList,
  /** How rollouts are graded. */
  reward: rewardOptions,
  ...trainingShape,
  /** Who plays the rollouts of a task. Default: the policy with `tools`. */
  runGroup: callbackOr<RunGroup>(runGroup),
  ...runShape,
  /** Evaluations on other tasks while the run goes on. Default: none. */
  evaluate: z.strictObject(trainerEvaluationShape).optional(),
}

/** Refuses options of a run that do not fit together; it checks a config file before a policy is loaded. */
export function refuseTogether(
  options: Pick<ResolvedOptions<typeof trainingShape>, 'miniBatches' | 'promptsPerStep'> & {
    importanceCap?: number | undefined
    recordTrainingLogprobs: boolean
    generationPrecision?: GenerationPrecision | undefined
  },
  context: z.RefinementCtx,
): void {
  const refuse = (name: string, message: string) =>
    context.addIssue({ code: 'custom', path: [name], message })
  if (options.miniBatches > options.promptsPerStep) {
    refuse('miniBatches', `at most promptsPerStep (${options.promptsPerStep})`)
  }
  const corrected = options.importanceCap !== undefined || options.generationPrecision === 'int8'
  if (options.recordTrainingLogprobs && corrected) {
    refuse(
      'recordTrainingLogprobs',
      'false where importanceCap is at work (with int8 rollouts it is): the ratio is not that of the recorded logprobs',
    )
  }
}

const trainerOptions = z.strictObject(trainerShape).superRefine((options, context) => {
  if (options.tasks.length === 0) {
    context.addIssue({ code: 'custom', path: ['tasks'], message: 'a list of at least one task' })
  }
  const { generationPrecision } = options.policy
  refuseTogether({ ...options, generationPrecision }, context)
})

export interface TrainerOptions extends OptionsOf<typeof trainerShape> {}
export type ResolvedTrainerOptions = ResolvedOptions<typeof trainerShape>

/** Throws InvalidOptionError. */
export function resolveTrainerOptions(given: TrainerOptions): ResolvedTrainerOptions {
  const options = readOptions(trainerOptions, given)
  return {
    ...options,
    algorithm: resolveAlgorithm(options.algorithm),
    ...(options.policy.generationPrecision === 'int8' && { importanceCap: options.importanceCap ?? 2 }),
  }
}
