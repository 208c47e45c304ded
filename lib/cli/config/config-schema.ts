// The keys of a config file. Unknown keys are refused. An option's type, default and bounds stand with the code that it
// configures; here options are composed.
import { z } from 'zod'
import { curateShape } from '../../curation/curate.js'
import { recordedShape } from '../../trainer/recorded-rollouts.js'
import { runShape } from '../../trainer/run-options.js'
import { supervisedTrainingShape, usesOneLength } from '../../trainer/supervised-options.js'
import { refuseTogether, trainerEvaluationShape, trainingShape } from '../../trainer/trainer-options.js'
import { conversations, data, judge } from './data-schema.js'
import { freshModel } from './fresh-model.js'
import { loggers } from './loggers.js'
import { folderKeys, policyKeys, trainingKeys } from './policy-schema.js'

/** What every training run takes. */
const common = {
  output: runShape.output,
  seed: runShape.seed,
  maxSkippedSteps: runShape.maxSkippedSteps,
  index: runShape.index,
  ...trainingKeys,
  /** Loggers that also get the metrics: names (tensorboard, mlflow), or { name: options }; in a TypeScript config also RunLoggers. Default: none. */
  loggers: loggers.exactOptional(),
}

export const trainSchema = z
  .strictObject({
    ...folderKeys,
    ...data,
    ...common,
    ...trainingShape,
    /** Rollouts that `hdpo serve --output` or another run wrote, instead of fresh ones. */
    recordedRollouts: z.strictObject(recordedShape).optional(),
    /** Evaluations on held-out tasks while the run goes on. Default: none. */
    evaluate: z
      .strictObject({
        every: trainerEvaluationShape.every,
        samples: trainerEvaluationShape.samples,
        /** How many held-out tasks are asked at most. Default: all. */
        tasks: trainerEvaluationShape.every.optional(),
      })
      .optional(),
  })
  .superRefine(refuseTogether)

export const sftSchema = z
  .strictObject({
    /** A folder to go on from, under either key; without one, a fresh model of the sizes in `model` is trained. */
    policy: folderKeys.policy,
    /** The folder of a downloaded model, or the sizes of a fresh one. */
    model: z.union([z.string(), freshModel]).optional(),
    environment: data.environment,
    tools: data.tools,
    /** A path, { path, format ... }, or in a TypeScript config the conversations themselves. Default: the environment's. */
    conversations: conversations.exactOptional(),
    secrets: data.secrets,
    ...common,
    ...supervisedTrainingShape,
  })
  .superRefine(usesOneLength)

export const curateSchema = z.strictObject({
  /** The policy before any training: tasks that it knows need no tool. */
  ...folderKeys,
  ...data,
  /** Conversations with tool calls, from which the cold-start set is taken. */
  traces: conversations.exactOptional(),
  output: curateShape.output,
  seed: curateShape.seed,
  ...policyKeys,
  samples: curateShape.samples,
  rollout: curateShape.rollout,
  /** Tool traces are kept where this judge finds their calls sensible. */
  rationaleJudge: judge.exactOptional(),
})

export type TrainConfig = z.input<typeof trainSchema>
export type SftConfig = z.input<typeof sftSchema>
