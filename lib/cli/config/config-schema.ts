// The keys of a config file. Unknown ones are refused. Defaults live with what they configure (lib/trainer),
// not here.
import { z } from 'zod'
import { algorithmNames } from '../../hdpo/options.js'
import { scheduleNames } from '../../trainer/schedule.js'
import { conversations, data, judge } from './data-schema.js'
import { loggers } from './loggers.js'
import { folderKeys, policyKeys, trainingKeys } from './policy-schema.js'

const count = z.int().min(1)
const share = z.number().min(0).max(1)
const notNegative = z.number().min(0)
const positive = z.number().positive()

export const optimizer = z.strictObject({
  learningRate: positive,
  schedule: z.enum(scheduleNames).exactOptional(),
  warmupSteps: z.int().min(0).exactOptional(),
  finalLearningRateShare: share.exactOptional(),
  beta1: share.exactOptional(),
  beta2: share.exactOptional(),
  epsilon: positive.exactOptional(),
  weightDecay: notNegative.exactOptional(),
  maxGradientNorm: notNegative.exactOptional(),
  microBatchTokens: count.exactOptional(),
})

const common = {
  output: z.string(),
  seed: z.int().min(0).exactOptional(),
  ...trainingKeys,
  checkpointEvery: count.exactOptional(),
  keepCheckpoints: count.exactOptional(),
  maxSkippedSteps: count.exactOptional(),
  loggers: loggers.exactOptional(),
  optimizer,
}

export const rollout = z.strictObject({
  maxTurns: count.exactOptional(),
  maxTokens: count.exactOptional(),
  maxTurnTokens: count.exactOptional(),
  temperature: notNegative.exactOptional(),
  topP: positive.max(1).exactOptional(),
  topK: z.int().min(0).exactOptional(),
  minP: share.exactOptional(),
  stop: z.array(z.string().min(1)).exactOptional(),
  toolChoice: z.enum(['auto', 'none', 'required']).exactOptional(),
  toolTimeout: positive.exactOptional(),
  toolConcurrency: count.exactOptional(),
  maxObservationCharacters: count.exactOptional(),
})

export const trainSchema = z.strictObject({
  ...folderKeys,
  ...data,
  ...common,
  algorithm: z.strictObject({
    name: z.enum(algorithmNames),
    accuracyWeight: notNegative.exactOptional(),
    efficiencyWeight: notNegative.exactOptional(),
    alpha: notNegative.exactOptional(),
    callPenalty: notNegative.exactOptional(),
    epsilon: positive.exactOptional(),
    scaleByStd: z.boolean().exactOptional(),
  }),
  groupSize: count,
  promptsPerStep: count,
  steps: count,
  /** Rollouts that `hdpo serve --output` or another run wrote, instead of fresh ones. */
  recordedRollouts: z
    .strictObject({
      path: z.union([z.string(), z.array(z.string()).min(1)]),
      staleness: positive.exactOptional(),
    })
    .exactOptional(),
  rollout: rollout.exactOptional(),
  loss: z
    .strictObject({
      aggregation: z.enum(['token-mean', 'seq-mean-token-mean', 'seq-mean-token-sum']).exactOptional(),
      clipLow: notNegative.exactOptional(),
      clipHigh: notNegative.exactOptional(),
      dualClip: z.number().min(1).exactOptional(),
      entropyCoefficient: notNegative.exactOptional(),
    })
    .exactOptional(),
  klCoefficient: notNegative.exactOptional(),
  recordTrainingLogprobs: z.boolean().exactOptional(),
  importanceCap: positive.exactOptional(),
  passes: count.exactOptional(),
  miniBatches: count.exactOptional(),
  evaluate: z
    .strictObject({ every: count, samples: count.exactOptional(), tasks: count.exactOptional() })
    .exactOptional(),
})

export const sftSchema = z.strictObject({
  /** A folder to go on from, under either name; without it a fresh model of the sizes in `model`. */
  policy: z.string().exactOptional(),
  model: z
    .union([
      z.string(),
      z.strictObject({
        /** A folder with tokenizer.json and tokenizer_config.json; default: the environment's own. */
        tokenizer: z.string().exactOptional(),
        hiddenSize: count,
        layers: count,
        heads: count,
        kvHeads: count.exactOptional(),
        headDim: count.exactOptional(),
        intermediateSize: count,
        maxPositions: count,
        ropeTheta: positive.exactOptional(),
        rmsNormEpsilon: positive.exactOptional(),
        tieEmbeddings: z.boolean().exactOptional(),
        qkvBias: z.boolean().exactOptional(),
        qkNorm: z.boolean().exactOptional(),
      }),
    ])
    .exactOptional(),
  environment: data.environment,
  tools: data.tools,
  conversations: conversations.exactOptional(),
  secrets: data.secrets,
  ...common,
  epochs: positive.exactOptional(),
  steps: count.exactOptional(),
  tokensPerStep: count,
})

export const curateSchema = z.strictObject({
  /** The policy before any training: what it knows needs no tool. */
  ...folderKeys,
  ...data,
  /** Conversations with tool calls that may become the cold start. */
  traces: conversations.exactOptional(),
  output: z.string(),
  seed: z.int().min(0).exactOptional(),
  ...policyKeys,
  /** How often each question is asked without tools. */
  samples: count.exactOptional(),
  rollout: rollout.exactOptional(),
  /** Tool traces are kept where this judge finds their calls sensible. */
  rationaleJudge: judge.exactOptional(),
})

export type CurateConfig = z.infer<typeof curateSchema>
export type TrainConfig = z.infer<typeof trainSchema>
export type SftConfig = z.infer<typeof sftSchema>
