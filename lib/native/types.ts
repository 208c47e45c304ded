// What crosses between TypeScript and the native core and is public: shapes of models, options, results.

export interface ModelConfig {
  vocabSize: number
  hiddenSize: number
  layers: number
  heads: number
  kvHeads: number
  headDim: number
  intermediateSize: number
  maxPositions: number
  ropeTheta: number
  rmsNormEpsilon: number
  tieEmbeddings: boolean
  qkvBias: boolean
  qkNorm: boolean
  /** How rotary frequencies are stretched beyond the positions a model was first trained for; absent: not. */
  ropeScaling?: RopeScaling
}

/** Llama 3.1's: wavelengths above originalMaxPositions / lowFrequencyFactor are divided by `factor`. */
export interface RopeScaling {
  type: 'llama3'
  factor: number
  lowFrequencyFactor: number
  highFrequencyFactor: number
  originalMaxPositions: number
}

/** How matrices are stored. Norms, biases, activations, gradients, adapters and optimiser state are always float32. */
export type Precision = (typeof precisions)[number]
export const precisions = ['float32', 'bfloat16'] as const
/** How generation reads the weights; int8: one scale a row and group of inputs, for rollouts alone. */
export type GenerationPrecision = (typeof generationPrecisions)[number]
export const generationPrecisions = [...precisions, 'int8'] as const

export type LoraTargetModule =
  | 'q_proj'
  | 'k_proj'
  | 'v_proj'
  | 'o_proj'
  | 'gate_proj'
  | 'up_proj'
  | 'down_proj'

/** y = x W^T + scale * dropout(x) A^T B^T; scale = alpha / rank, or alpha / sqrt(rank) where rankStabilized. */
export interface LoraOptions {
  rank: number
  alpha: number
  /** Share of inputs dropped while training, in [0, 1). */
  dropout: number
  targetModules: LoraTargetModule[]
  rankStabilized: boolean
}

/** 'auto' takes the GPU where it works and the CPU otherwise; 'cuda' fails with what is missing (ERR_DEVICE). */
export type Device = (typeof devices)[number]
export const devices = ['auto', 'cpu', 'cuda'] as const

export type { Aggregation, PolicyLossOptions } from './loss-options.js'
export type { OptimizerOptions } from './optimizer-options.js'
export type { SamplingOptions } from './sampling-options.js'

/**
 * Sequences laid end to end: sequence s is tokens [offsets[s], offsets[s + 1]); mask 1 marks trained tokens, 2 (supervised
 * training only) those that are trained as if `excludedToken` could not be sampled there.
 */
export interface PackedSequences {
  tokens: Int32Array
  offsets: Int32Array
  mask: Uint8Array
  excludedToken?: number
}

export interface PolicyBatch extends PackedSequences {
  oldLogprobs: Float32Array
  referenceLogprobs?: Float32Array
  accuracyAdvantages: Float32Array
  efficiencyAdvantages: Float32Array
  /**
   * A factor of every token's loss in both channels, for rollouts sampled by another model than the one that is trained (int8
   * weights): truncated importance weights min(cap, exp(logprob before training - logprob while sampling)). Absent: 1.
   */
  importanceWeights?: Float32Array
}

/** Bytes that an engine needs, what it holds already included. Weights counts masters of bfloat16 full fine-tuning too. */
export interface MemoryPlan {
  weights: number
  /** Weights laid out once more for generation; 0 where it reads them as they lie. */
  generationWeights: number
  adapters: number
  gradients: number
  optimizer: number
  /** Of a training step at the given tokens of one micro-batch. */
  activations: number
  kvCache: number
  /** Of a generation step with as many rows as `maxBatchRows` lets it have. */
  generationWorkspace: number
  total: number
  /** What the process holds now and what the system has free, for comparison. */
  resident: number
  available: number
}

export interface StepResult {
  loss: number
  accuracyLoss: number
  efficiencyLoss: number
  kl: number
  supervisedLoss: number
  /** Mean over pushed tokens, nats; 0 of none. */
  entropy: number
  /** Largest |logprob while training - logprob while sampling| over pushed tokens, before this update. */
  logprobDifference: number
  /** Shares of trained tokens, 0 to 1. */
  clippedLow: number
  clippedHigh: number
  dualClipped: number
  trainedTokens: number
  /** Trained tokens of the sequences that were computed: those whose loss has a gradient. */
  pushedTokens: number
  tokens: number
  microBatches: number
  gradientNorm: number
  /** Loss or gradient was not finite: nothing was changed. */
  skipped: boolean
  workspaceBytes: number
}

export interface Sample {
  tokens: Int32Array
  logprobs: Float32Array
  finishReason: 'stop-token' | 'stop-string' | 'length' | 'aborted'
  stopToken?: number
  stopString?: string
}

export interface GenerationStats {
  steps: number
  rows: number
  sampledTokens: number
  prefillTokens: number
  evictions: number
  seconds: number
  kvBytesUsed: number
  kvBytesBudget: number
  live: number
  sampling: number
  waiting: number
}

export interface ProfileEntry {
  name: string
  calls: number
  seconds: number
  flops: number
}

interface PolicyLossNumbers {
  loss: number
  accuracyLoss: number
  efficiencyLoss: number
  kl: number
  /** Of the targets, at the temperature; of tokens that are not trained too. */
  logprobs: Float32Array
  entropy: Float32Array
  /** Largest |logprob - old logprob| over trained tokens. */
  logprobDifference: number
  trainedTokens: number
  /** Shares of trained tokens whose accuracy-channel gradient a clip removed. */
  clippedLow: number
  clippedHigh: number
  dualClipped: number
  workspaceBytes: number
}

export interface PolicyLossResult extends PolicyLossNumbers {
  gradLogprobs: Float32Array
  gradLogits: Float32Array
}

export interface LinearPolicyLossResult extends PolicyLossNumbers {
  gradHidden: Float32Array
  gradWeight: Float32Array
}
