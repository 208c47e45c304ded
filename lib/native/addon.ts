// Loads the native addon and types what it exports. Nothing else in lib/ touches the addon's raw shape.
// All methods that compute return promises: the work runs on the engine's own thread, in submission order.
import { createRequire } from 'node:module'
import type { ErrorCode } from '../core/error-codes.js'
import { HdpoError } from '../core/errors.js'
import { Described, InvalidOptionError } from '../core/option-error.js'
import { addonPath, buildCommand } from './addon-path.js'
import type { EngineOptions } from './engine-options.js'
import type { ResolvedLossOptions } from './loss-options.js'
import type { ResolvedOptimizer } from './optimizer-options.js'
import type { ResolvedSampling } from './sampling-options.js'
import type {
  Device,
  GenerationPrecision,
  GenerationStats,
  LinearPolicyLossResult,
  MemoryPlan,
  PackedSequences,
  PolicyBatch,
  PolicyLossResult,
  Precision,
  ProfileEntry,
  Sample,
  StepResult,
} from './types.js'

/** What native/binding/engine.cpp exports as `Engine`. Arguments have been checked and defaults filled in before they come here. */
export interface NativeEngine {
  readonly parameterCount: number
  /** Parameters that training changes: all of them, those of the adapter, or none. */
  readonly trainableParameterCount: number
  /** Resolves when the weights are drawn; rejects with what went wrong in making the engine. */
  ready(): Promise<void>
  policyStep(batch: PolicyBatch, loss: ResolvedLossOptions, optimizer: ResolvedOptimizer): Promise<StepResult>
  supervisedStep(batch: PackedSequences, optimizer: ResolvedOptimizer): Promise<StepResult>
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
   * Writes the (base) weights as safetensors: to `path`, or, where they take more than `maxShardBytes`, to numbered shards beside
   * it with an index, `path`.index.json. They include an adapter's product only while it is merged. Default dtype: the stored
   * precision; float32 where there are masters.
   */
  saveWeights(path: string, dtype?: Precision, maxShardBytes?: number): Promise<void>
  /** Reads one file, or all shards of a model; each tensor has to be in exactly one of them. */
  loadWeights(paths: string | string[]): Promise<void>
  /** Writes PEFT's adapter_model.safetensors. Rejects with ERR_STATE without `lora`, as the next three do. */
  saveAdapter(path: string): Promise<void>
  loadAdapter(path: string): Promise<void>
  /** Adds the adapter's product to the base weights; training and reference logprobs reject until unmergeAdapter. */
  mergeAdapter(): Promise<void>
  /** Brings back the base weights bit for bit. */
  unmergeAdapter(): Promise<void>
  /** The plan for micro-batches of `microBatchTokens`, all of them trained. Default 2048; 8192 on a GPU. */
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
    options: Omit<ResolvedSampling, 'signal' | 'logitBias'> & { logitBias?: [number, number][] },
  ): Promise<Sample>
  abortSample(id: number): void
  releaseSequence(id: number): void
  generationStats(): Promise<GenerationStats>
  enableProfile(on: boolean): Promise<void>
  profile(): Promise<ProfileEntry[]>
  /** Frees everything; later calls reject with ERR_CLOSED. Outstanding promises reject. */
  close(): Promise<void>
}

/** N tokens of S sequences laid end to end, as both forms of the loss take them (lib/native/kernels.ts has the shapes). */
interface NativeLossTokens {
  device: Device
  vocabSize: number
  targets: Int32Array
  lossMask: Uint8Array
  sequenceLengths: Int32Array
  oldLogprobs: Float32Array
  referenceLogprobs?: Float32Array
  accuracyAdvantages: Float32Array
  efficiencyAdvantages: Float32Array
  options: ResolvedLossOptions
}

export interface NativeKernels {
  groupAdvantages(input: {
    device: Device
    groupIds: Int32Array
    accuracyRewards: Float32Array
    correct: Uint8Array
    toolCalls?: Int32Array
    /** Used instead of toolCalls. */
    toolCosts?: Float32Array
    epsilon: number
    scaleByStd: boolean
  }): Promise<{
    efficiencyRewards: Float32Array
    accuracyAdvantages: Float32Array
    efficiencyAdvantages: Float32Array
  }>
  policyLoss(input: NativeLossTokens & { logits: Float32Array }): Promise<PolicyLossResult>
  linearPolicyLoss(
    input: NativeLossTokens & { hidden: Float32Array; weight: Float32Array; hiddenSize: number },
  ): Promise<LinearPolicyLossResult>
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
  /** Timed tests have this and what follows: the time of one call at `shape`. */
  shape?: string
  seconds?: number
  bytesPerSecond?: number
  flopsPerSecond?: number
  /** Time that a copy or a large product would take for the same bytes or operations, over the time taken. */
  shareOfCeiling?: number
}

/** Sizes of a small model and of a batch for it; each row of the self-test uses those it needs. */
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

interface NativeAddon {
  Engine: new (options: EngineOptions) => NativeEngine
  kernels: NativeKernels
  cudaStatus(): CudaStatus
  /**
   * Compares every op with a reference: float64 loops for 'cpu', the CPU's kernels for 'cuda'; the rules of HDPO with float64 on both.
   */
  selfTest(device: 'cpu' | 'cuda', timed: boolean): Promise<SelfTestReport>
  /** Checks the rules of HDPO alone, on the CPU. */
  checkRules(): Promise<SelfTestReport>
  /** Times one row of the self-test at a shape that the caller chooses, for benchmarks. */
  measureOp(
    device: 'cpu' | 'cuda',
    name: string,
    shape: SelfTestShape,
  ): Promise<SelfTestOp & { ceilings: NonNullable<SelfTestReport['ceilings']> }>
  /**
   * Bytes of a weight matrix packed for generation on this machine's CPU: the layout depends on the instruction set that the addon
   * was built for.
   */
  packedBytes(outputs: number, inputs: number, precision: GenerationPrecision): number
  /** From here on threads wait for work as the machine allows: spinning while it is idle, asleep while others want its cores. */
  adaptThreadWaiting(): void
  /** Exchanges two files or folders in one step; false, and nothing done, where the system or the file system cannot. */
  exchangePaths(a: string, b: string): boolean
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
 * Whether threads adapt how they wait to the machine: spinning while it is idle, asleep while it is busy (native/cpu/thread_waiting.h),
 * unless the environment says how. GNU OpenMP reads its spin count once, when the addon loads it; 20,000 turns take some tenths of a
 * millisecond, which bridges the gap between two ops. In a worker thread, whose process.env is a copy, OpenMP keeps its default.
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
    throw toHdpoError(error)
  }
}

/**
 * Turns an error of the native core into an HdpoError, which has the same codes (test/house.test.ts); others stay as they are. What it
 * says of an argument ("hiddenSize must be between 1 and 1073741824, got 0") names that.
 */
export function toHdpoError(error: unknown): unknown {
  const { code, message } = error as Error & { code?: string }
  if (code?.startsWith('ERR_')) return new HdpoError(code as ErrorCode, message, { cause: error })
  const isOfArgument = error instanceof TypeError || error instanceof RangeError
  const [, name, expected, given = 'something else'] =
    (isOfArgument && /^([\w.[\]]+) must be (.+?)(?:, got (.+))?$/.exec(message)) || []
  if (name === undefined) return error
  // Whole numbers are written with six digits after the point there.
  const plain = (text: string) => text.replaceAll(/(\d)\.0+\b/g, '$1')
  return new InvalidOptionError(name, plain(expected as string), new Described(plain(given)), {
    cause: error,
  })
}
