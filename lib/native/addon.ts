// Loads the native addon and types what it exports. Nothing else in lib/ touches the addon's raw shape.
// All methods that compute return promises: the work runs on the engine's own thread, in submission order.
import { createRequire } from 'node:module'
import { HdpoError } from '../core/errors.js'
import { addonPath, buildCommand } from './addon-path.js'

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

export interface EngineOptions {
  config: ModelConfig
  /** Default 'cpu'. */
  device?: Device
  /** Storage of matrices; full fine-tuning in bfloat16 keeps float32 masters. Default float32. */
  precision?: Precision
  /** The base weights are frozen and only adapters are trained. Absent: full fine-tuning. */
  lora?: LoraOptions
  /** Default: as `precision`. */
  generationPrecision?: GenerationPrecision
  /** false: no memory for gradients and optimiser state; training steps reject. Default true. */
  trainable?: boolean
  /** CPU threads; 0 or absent: every core of this process. */
  threads?: number
  /** Initial weights, an adapter's too, and dropout masks are drawn from this seed. Default 0. */
  seed?: number
  /**
   * false: the weights are 0 until loadWeights, which drawing hundreds of millions of them first would delay by a minute; an
   * adapter is drawn all the same. Default true.
   */
  initialize?: boolean
  /** Bytes for cached keys and values. Default 128 MiB; a fifth of a GPU's memory. */
  kvBudgetBytes?: number
  /** How they are stored. Default float32. */
  kvPrecision?: Precision
  /** Rows of one generation step. Default 256; 2048 on a GPU. */
  maxBatchRows?: number
  /** Bytes that each token decodes to (empty for special tokens), for stop strings. */
  tokenBytes?: Uint8Array[]
  /** Run each layer again in backward instead of keeping its activations. Default false. */
  recompute?: boolean
}

export type Aggregation = 'token-mean' | 'seq-mean-token-mean' | 'seq-mean-token-sum'

export interface PolicyLossOptions {
  temperature?: number
  aggregation?: Aggregation
  clipLow?: number
  clipHigh?: number
  dualClip?: number
  accuracyWeight?: number
  efficiencyWeight?: number
  klCoefficient?: number
  entropyCoefficient?: number
}

export interface OptimizerOptions {
  learningRate: number
  beta1?: number
  beta2?: number
  epsilon?: number
  weightDecay?: number
  /** Global-norm clipping; 0: none. Default 1. */
  maxGradientNorm?: number
  /** Tokens of one micro-batch. Default 2048; 8192 on a GPU. */
  microBatchTokens?: number
}

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

export interface SamplingOptions {
  maxTokens?: number
  temperature?: number
  topP?: number
  topK?: number
  minP?: number
  /** Integer below 2^53. */
  seed?: number
  stopTokens?: number[]
  stop?: string[]
  logitBias?: ReadonlyMap<number, number>
  signal?: AbortSignal
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

/** What native/binding/engine.cpp exports as `Engine`. Arguments have been checked by lib/ before they come here. */
export interface NativeEngine {
  readonly parameterCount: number
  /** Parameters that training changes: all of them, those of the adapter, or none. */
  readonly trainableParameterCount: number
  /** Resolves when the weights are drawn; rejects with what went wrong in making the engine. */
  ready(): Promise<void>
  policyStep(batch: PolicyBatch, loss: PolicyLossOptions, optimizer: OptimizerOptions): Promise<StepResult>
  supervisedStep(batch: PackedSequences, optimizer: OptimizerOptions): Promise<StepResult>
  /**
   * Logprob of every token given those before it; `reference`: under the frozen reference weights, which with LoRA are the base
   * weights with the adapter off (no freezeReference needed).
   */
  logprobs(
    tokens: Int32Array,
    offsets: Int32Array,
    temperature: number,
    reference: boolean,
  ): Promise<{ logprobs: Float32Array; entropies: Float32Array }>
  /** Copies the present weights as the KL reference. */
  freezeReference(): Promise<void>
  /**
   * Writes the (base) weights as safetensors: to `path`, or where they take more than `maxShardBytes` to numbered shards beside
   * it and an index, `path`.index.json. With an adapter its product is in them exactly after mergeAdapter. Default dtype:
   * the stored precision; masters in float32 where there are.
   */
  saveWeights(path: string, dtype?: Precision, maxShardBytes?: number): Promise<void>
  /** From one file or every shard of a model; each tensor in exactly one of them. */
  loadWeights(paths: string | string[]): Promise<void>
  /** PEFT's adapter_model.safetensors. Rejects with ERR_STATE without `lora`, as the next three do. */
  saveAdapter(path: string): Promise<void>
  loadAdapter(path: string): Promise<void>
  /** Adds the adapter's product to the base weights; training and reference logprobs reject until unmergeAdapter. */
  mergeAdapter(): Promise<void>
  /** Brings back the base weights bit for bit. */
  unmergeAdapter(): Promise<void>
  /** At micro-batches of `microBatchTokens`, of which every token is trained. Default 2048; 8192 on a GPU. */
  memoryPlan(microBatchTokens?: number): Promise<MemoryPlan>
  saveOptimizer(path: string): Promise<void>
  loadOptimizer(path: string): Promise<void>
  /** Ends the running policyStep / supervisedStep / logprobs at the next micro-batch with ERR_ABORTED. */
  abortTraining(): void
  createSequence(tokens: Int32Array): number
  forkSequence(id: number): number
  appendTokens(id: number, tokens: Int32Array): void
  prefill(id: number): Promise<void>
  sample(
    id: number,
    options: Omit<SamplingOptions, 'signal' | 'logitBias'> & { logitBias?: [number, number][] },
  ): Promise<Sample>
  abortSample(id: number): void
  releaseSequence(id: number): void
  generationStats(): Promise<GenerationStats>
  enableProfile(on: boolean): Promise<void>
  profile(): Promise<ProfileEntry[]>
  /** Frees everything; later calls reject with ERR_CLOSED. Outstanding promises reject. */
  close(): Promise<void>
}

export interface NativeKernels {
  groupAdvantages(input: {
    /** Default 'cpu'. */
    device?: Device
    groupIds: Int32Array
    accuracyRewards: Float32Array
    correct: Uint8Array
    toolCalls?: Int32Array
    /** Counts instead of toolCalls. */
    toolCosts?: Float32Array
    epsilon: number
    scaleByStd: boolean
  }): Promise<{
    efficiencyRewards: Float32Array
    accuracyAdvantages: Float32Array
    efficiencyAdvantages: Float32Array
  }>
  policyLoss(input: {
    device?: Device
    logits: Float32Array
    vocabSize: number
    targets: Int32Array
    lossMask: Uint8Array
    sequenceLengths: Int32Array
    oldLogprobs: Float32Array
    referenceLogprobs?: Float32Array
    accuracyAdvantages: Float32Array
    efficiencyAdvantages: Float32Array
    options: Required<PolicyLossOptions>
  }): Promise<PolicyLossResult>
  linearPolicyLoss(input: {
    device?: Device
    hidden: Float32Array
    weight: Float32Array
    hiddenSize: number
    vocabSize: number
    targets: Int32Array
    lossMask: Uint8Array
    sequenceLengths: Int32Array
    oldLogprobs: Float32Array
    referenceLogprobs?: Float32Array
    accuracyAdvantages: Float32Array
    efficiencyAdvantages: Float32Array
    options: Required<PolicyLossOptions>
  }): Promise<LinearPolicyLossResult>
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

/** What CUDA looks like from here; `missing` says, as a sentence, the first thing that is not there. */
export interface CudaStatus {
  /** This build has the kernels. */
  built: boolean
  usable: boolean
  missing?: string
  device?: string
  /** Compute capability, '9.0'. */
  capability?: string
  /** Newest CUDA version that the driver supports. */
  driver?: string
  /** CUDA version of this build. */
  runtime?: string
  /** Version and path of the library that was loaded. */
  cublas?: string
  /** Decoding steps are recorded as CUDA graphs; HDPO_CUDA_GRAPHS=off turns that off. */
  graphs?: boolean
  totalBytes?: number
  freeBytes?: number
}

export interface SelfTestOp {
  name: string
  /** 'not-implemented': this device has no such op. */
  outcome: 'passed' | 'failed' | 'not-implemented'
  reason?: string
  /** The largest over results and shapes: Euclidean length of the difference over that of the reference. */
  error: number
  allowed: number
  /** Of a timed test: one call at `shape`. */
  shape?: string
  seconds?: number
  bytesPerSecond?: number
  flopsPerSecond?: number
  /** Time that a copy or a large product would take for the same bytes or operations, over the time taken. */
  shareOfCeiling?: number
}

/** A small model and a batch for it, of which a row of the self-test takes what it needs. */
export interface SelfTestShape {
  tokens: number
  sequences: number
  hidden: number
  feedForward: number
  heads: number
  kvHeads: number
  headDim: number
  vocabSize: number
}

export interface SelfTestReport {
  device: 'cpu' | 'cuda'
  ceilings?: { copyBytesPerSecond: number; float32FlopsPerSecond: number; bfloat16FlopsPerSecond: number }
  ops: SelfTestOp[]
}

export interface NativeAddon {
  Engine: new (options: EngineOptions) => NativeEngine
  kernels: NativeKernels
  cudaStatus(): CudaStatus
  /**
   * Every op beside a reference: float64 loops for 'cpu', the CPU's kernels for 'cuda'. The rules of HDPO are beside float64 on both.
   */
  selfTest(device: 'cpu' | 'cuda', timed: boolean): Promise<SelfTestReport>
  /** The time of one row of the self-test at a shape of the caller's: what benchmarks ask for. */
  measureOp(
    device: 'cpu' | 'cuda',
    name: string,
    shape: SelfTestShape,
  ): Promise<SelfTestOp & { ceilings: NonNullable<SelfTestReport['ceilings']> }>
  /**
   * Bytes of a weight matrix as generation on this machine's CPU has it packed: the layout follows the instruction set that the addon
   * was built for.
   */
  packedBytes(outputs: number, inputs: number, precision: GenerationPrecision): number
  /** From here on threads wait for work as the machine allows: spinning while it is idle, asleep while others want its cores. */
  adaptThreadWaiting(): void
  /** Compiler, instruction set, oneDNN version, of this build. */
  buildInfo(): { compiler: string; instructionSet: string; onednn: string; cuda: boolean }
}

let addon: NativeAddon | undefined

/** The addon, loaded on first use. Throws HdpoError ERR_ADDON with what to do when it is missing or does not load. */
export function loadAddon(): NativeAddon {
  if (addon) return addon
  const path = addonPath()
  const adapt = threadsAdapt()
  try {
    addon = createRequire(import.meta.url)(path) as NativeAddon
    if (adapt) addon.adaptThreadWaiting()
  } catch (error) {
    throw new HdpoError(
      'ERR_ADDON',
      `the native addon ${path} does not load: ${(error as Error).message}\n` +
        `Built for another Node, processor or system? Build it here: ${buildCommand}\n` +
        'libdnnl missing? Debian and Ubuntu: apt-get install libdnnl-dev',
      { cause: error },
    )
  }
  return addon
}

/**
 * Whether threads wait as the machine allows, spinning where it is idle and asleep where it is not (native/cpu/thread_waiting.h):
 * unless the environment says how. GNU OpenMP reads its number of turns once, when the addon loads it; 20,000 are some tenths of a
 * millisecond, which bridges what lies between two ops. In a worker thread, whose process.env is a copy, it keeps its default.
 */
function threadsAdapt(): boolean {
  const { OMP_WAIT_POLICY, GOMP_SPINCOUNT } = process.env
  if (OMP_WAIT_POLICY !== undefined || GOMP_SPINCOUNT !== undefined) return false
  process.env.GOMP_SPINCOUNT = '20000'
  return true
}

/** Awaits native work; a failure becomes an HdpoError with the native code and a stack that shows who awaited. */
export async function fromNative<T>(work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    const native = error as Error & { code?: string }
    if (typeof native.code !== 'string') throw error
    throw new HdpoError(native.code, native.message, { cause: error })
  }
}
